"""Forgetting beside a writer that holds jobs of the target, and what others still refer to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from harvester.errors import LeaseLost
from harvester.jobs import Args, Dead, Done, Harvest, Settled, images, tags_page
from harvester.records import LayersSeen
from harvester.store import forgetting, unreferenced
from harvester.store.writer import Writer
from harvester.targets import Target, parse_target
from tests.store.database import Database
from tests.store.makers import NGINX, digest, image, job, layer, platform, seen, tag, tags

OTHER = "acme/web"
COUNTS = ("repositories", "tags", "tag_history", "images", "layers", "instructions", "harvested_digests", "jobs")


def counts(db: Database, *tables: str) -> list[int]:
    return [db.value(f"SELECT count(*) FROM {table}") for table in tables or COUNTS]


def forget(db: Database, text: str) -> Counter[str]:
    removed = forgetting.forget(db.engine, parse_target(text))
    assert db.all("PRAGMA foreign_key_check") == []
    assert not forgetting.forget(db.engine, parse_target(text))
    return removed


@pytest.mark.anyio
async def test_who_holds_a_job_of_what_was_forgotten_has_lost_it_and_breaks_nothing(
    db: Database, writer: Writer
) -> None:
    db.keep(seen(), tags(tag("latest", 1, platform(2))))
    walk = tags_page(Args(subject=NGINX))
    layers = images(Args(subject=NGINX, tag="latest", digest=digest(1)))
    db.add(job("nginx"), walk, layers, job("redis"))
    held = {one.key: one for one in db.claim()}
    forget(db, NGINX)
    page = tags(tag("latest", 3, platform(4)))
    found = LayersSeen(tag_digest=digest(1), images=(image(2, layer(5)),))
    harvests = {
        job("nginx").key: (seen(), page),
        walk.key: (page,),
        layers.key: (found,),
        job("redis").key: (seen("library/redis"),),
    }
    ends = await asyncio.gather(
        *[
            writer.settle(Settled(held[key], Done(Harvest(records=records)), db.clock.time()))
            for key, records in harvests.items()
        ],
        return_exceptions=True,
    )
    assert [type(one) for one in ends] == [LeaseLost, LeaseLost, LeaseLost, Counter]
    assert db.all("SELECT full_name FROM repositories") == [("library/redis",)]
    assert counts(db, "tags", "images", "layers") == [0, 0, 0]
    assert db.all("PRAGMA foreign_key_check") == []


def test_dead_jobs_go_and_are_counted_and_those_that_are_done_stay(db: Database) -> None:
    db.add(job("nginx"), job("redis"), tags_page(Args(subject=NGINX)))
    for one in db.claim():
        db.end(one, Done(Harvest()) if one.kind == "tags.page" else Dead("why", Harvest()))
    assert forget(db, NGINX) == {"jobs": 1}
    assert db.all("SELECT kind, state, jobs FROM work_days") == [("repository", "dead", 1)]
    assert (db.keys("dead"), len(db.keys("done"))) == ([job("redis").key], 1)


def test_what_another_repository_shows_or_has_shown_stays(db: Database) -> None:
    shared, ours = image(2, layer(12, "RUN shared")), image(3, layer(13, "RUN ours"), layer(12, "RUN shared"))
    for name in (NGINX, OTHER):
        db.keep(seen(name))
    db.keep(tags(tag("latest", 1, platform(2), platform(3)), tag("shared", 4, platform(2), platform(5))))
    db.keep(tags(tag("latest", 4, platform(2), platform(5)), repository=OTHER))
    db.keep(LayersSeen(tag_digest=digest(1), images=(shared, ours)))
    db.keep(LayersSeen(tag_digest=digest(4), images=(shared, image(5, layer(12, "RUN shared")))))
    assert counts(db, "images", "layers", "instructions", "harvested_digests") == [3, 2, 2, 2]
    # The other one has moved on: its history says what it has shown.
    db.clock.advance(60)
    db.keep(tags(tag("latest", 6), repository=OTHER))
    removed = forget(db, NGINX)
    assert (removed["images"], removed["layers"], removed["instructions"]) == (1, 1, 1)
    assert db.all("SELECT digest FROM images ORDER BY 1") == [(digest(2),), (digest(5),)]
    assert db.all("SELECT digest FROM layers") == [(digest(12),)]
    assert db.all("SELECT text FROM instructions") == [("RUN shared",)]
    assert db.all("SELECT digest FROM harvested_digests") == [(digest(4),)]
    assert db.all("SELECT digest FROM indexes") == [(digest(4),)]
    forget(db, "acme/")
    assert counts(db) == [0] * len(COUNTS)
    assert counts(db, "indexes", "index_images", "image_layers") == [0, 0, 0]


def test_an_image_that_stands_behind_another_index_stays(db: Database) -> None:
    for name, index, own in ((NGINX, 1, 3), (OTHER, 4, 5)):
        db.keep(seen(name), tags(tag("latest", index, platform(2), platform(own)), repository=name))
    forget(db, NGINX)
    assert db.all("SELECT digest FROM images ORDER BY 1") == [(digest(2),), (digest(5),)]
    assert counts(db, "tag_images") == [2]


def test_an_image_that_another_tag_once_was_stays(db: Database) -> None:
    for name in (NGINX, OTHER):
        db.keep(seen(name), tags(tag("latest", 2, platform(2)), repository=name))
    db.keep(LayersSeen(tag_digest=digest(2), images=(image(2, layer(12)),)))
    db.clock.advance(60)
    db.keep(tags(tag("latest", 3, platform(3)), repository=OTHER))
    forget(db, NGINX)
    assert db.all("SELECT digest FROM images ORDER BY 1") == [(digest(2),), (digest(3),)]
    assert counts(db, "layers", "harvested_digests") == [1, 1]


def test_instructions_that_are_used_again_meanwhile_stay(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    db.keep(LayersSeen(tag_digest=digest(2), images=(image(2, layer(12)),)))
    db.run("INSERT INTO instructions (text, hash) VALUES ('RUN nobody', x'00')")
    monkeypatch.setattr(unreferenced, "_NOTE_UNUSED", "INSERT INTO temp.unused SELECT id FROM instructions")
    assert unreferenced.drop_instructions(db.engine) == {"instructions": 1}
    assert db.all("SELECT text FROM instructions") == [("RUN make",)]
    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_what_is_known_of_a_name_that_was_never_there_goes(db: Database) -> None:
    for subject in ("a/b", "a/b:c", "a/bc"):
        db.run("INSERT INTO absences VALUES (?, ?, ?, 1)", subject, db.now.text, db.now.text)
    for subject in ("a/b", "a/bc"):
        detail = json.dumps({"subject": subject})
        db.run("INSERT INTO events (observed_at, kind, detail) VALUES (?, 'drift', ?)", db.now.text, detail)
    assert forget(db, "a/b") == {"absences": 2, "events": 1}
    assert db.all("SELECT subject FROM absences") == [("a/bc",)]
    assert forget(db, "a/") == {"absences": 1, "events": 1}


@pytest.mark.parametrize(
    ("target", "other", "is_one"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b:c", True),
        ("a/b", "a/*", True),
        ("a/b", "a/bc", False),
        ("a/b", "ab/*", False),
        ("a/b:c", "a/b:d", False),
        ("a/b:c", "a/b", True),
        ("a/*", "a/b:c", True),
        ("a/*", "ab/c", False),
        ("search:a", "search:a", True),
        ("search:a", "a/*", False),
        ("a/b", "search:a/b", False),
    ],
)
def test_targets_that_have_one_another_in_them(target: str, other: str, is_one: bool) -> None:
    assert forgetting.overlap(parse_target(target), other) is is_one
    assert isinstance(parse_target(target), Target)
