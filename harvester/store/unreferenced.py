"""What stands for content, and goes when nothing that is stored shows it any more: indexes, images, layers, instructions. Rank 3.

What a tag's history points to counts as shown, whether that is an index or the tag's only image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from harvester.store.statements import Statement, select_in

_DROP_HARVESTED = Statement("digest", "DELETE FROM harvested_digests WHERE digest = :digest")
_DROP_INDEX_IMAGES = Statement("index_id", "DELETE FROM index_images WHERE index_id = :index_id")
_DROP_INDEX = Statement("index_id", "DELETE FROM indexes WHERE id = :index_id")
_DROP_STEPS = Statement("image_id", "DELETE FROM image_layers WHERE image_id = :image_id")
_DROP_IMAGE = Statement("image_id", "DELETE FROM images WHERE id = :image_id")
_DROP_LAYER = Statement(
    "layer_id",
    "DELETE FROM layers WHERE id = :layer_id AND NOT EXISTS (SELECT 1 FROM image_layers s WHERE s.layer_id = :layer_id)",
)

_UNUSED_IMAGES = """
    SELECT i.id, i.digest FROM images i WHERE i.id IN ({values})
        AND NOT EXISTS (SELECT 1 FROM tag_images t WHERE t.image_id = i.id)
        AND NOT EXISTS (SELECT 1 FROM index_images x WHERE x.image_id = i.id)
        AND NOT EXISTS (SELECT 1 FROM tag_history h WHERE h.digest = i.digest)
"""

_UNUSED = "SELECT id FROM instructions WHERE id NOT IN (SELECT instruction_id FROM image_layers WHERE instruction_id IS NOT NULL)"
_DROP_INSTRUCTIONS = Statement("", f"DELETE FROM instructions WHERE id IN ({_UNUSED})")
_NOTE_UNUSED = f"INSERT INTO temp.unused {_UNUSED}"
_SPARE_USED = """
    DELETE FROM temp.unused WHERE id IN (SELECT u.id FROM main.image_layers s JOIN temp.unused u ON u.id = s.instruction_id)
"""


def drop_content(
    connection: Connection, digests: Sequence[str], images: Iterable[int]
) -> tuple[Counter[str], list[str]]:
    """Remove the indexes of these digests, to which no history points any more, and those of these images that nothing shows.

    The rows that went, by table, and the digests of the images. Whoever shows such a digest again has its layers asked for again.
    """
    _DROP_HARVESTED.many(connection, [(digest,) for digest in digests])
    indexes = [(one,) for one in column_of(connection, "SELECT id FROM indexes WHERE digest IN ({values})", digests)]
    sql = "SELECT image_id FROM index_images WHERE index_id IN ({values})"
    suspects = {*images, *column_of(connection, sql, [one for (one,) in indexes])}
    suspects |= set(column_of(connection, "SELECT id FROM images WHERE digest IN ({values})", digests))
    _DROP_INDEX_IMAGES.many(connection, indexes)
    removed = Counter(indexes=_DROP_INDEX.many(connection, indexes))
    unused = select_in(connection, _UNUSED_IMAGES, sorted(suspects))
    rows = [(row[0],) for row in unused]
    sql = "SELECT DISTINCT layer_id FROM image_layers WHERE image_id IN ({values}) AND layer_id IS NOT NULL"
    layers = set(column_of(connection, sql, [row[0] for row in unused]))
    _DROP_STEPS.many(connection, rows)
    removed["images"] = _DROP_IMAGE.many(connection, rows)
    removed["layers"] = _DROP_LAYER.many(connection, [(one,) for one in sorted(layers)])
    _DROP_HARVESTED.many(connection, [(row[1],) for row in unused])
    return removed, [str(row[1]) for row in unused]


def drop_instructions(engine: Engine) -> Counter[str]:
    """Remove the instructions that no image has any more; how many."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            return Counter(instructions=_DROP_INSTRUCTIONS.run(connection))
    removed = 0
    # There is no index by instruction: it would make every image larger by a sixth. With foreign keys enforced, each of these
    # deletions would read all steps of all images; without, two readings serve them all: one that holds up nobody, one to be sure.
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA foreign_keys = OFF")
        cursor.execute("CREATE TEMP TABLE unused (id INTEGER PRIMARY KEY)")
        try:
            cursor.execute(_NOTE_UNUSED)
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute(_SPARE_USED)
            cursor.execute("DELETE FROM instructions WHERE id IN (SELECT id FROM temp.unused)")
            removed = int(cursor.rowcount)
            cursor.execute("COMMIT")
        finally:
            if raw.in_transaction:
                cursor.execute("ROLLBACK")
            cursor.execute("DROP TABLE temp.unused")
            cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        raw.close()
    return Counter(instructions=removed)


def column_of(connection: Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    """The first column of what is asked for these values."""
    return [row[0] for row in select_in(connection, sql, values)]
