"""Layers, instructions and images, stored once by content."""

from __future__ import annotations

from typing import Any

from harvester.records import Image, Layer, LayersSeen
from tests.store.clocks import NOW
from tests.store.database import Database
from tests.store.makers import digest, image, layer, platform, tag, tags


def layers(*images: Image, of: int | None = 1) -> LayersSeen:
    return LayersSeen(tag_digest=None if of is None else digest(of), images=images)


def steps(db: Database, number: int) -> list[tuple[Any, ...]]:
    rows = db.all(
        "SELECT il.step, l.digest, n.text FROM image_layers il JOIN images i ON i.id = il.image_id"
        " LEFT JOIN layers l ON l.id = il.layer_id LEFT JOIN instructions n ON n.id = il.instruction_id"
        " WHERE i.digest = ? ORDER BY il.step",
        digest(number),
    )
    return [(number, digest and int(digest[7:], 16), text) for number, digest, text in rows]


def is_harvested(db: Database, number: int = 1) -> bool:
    return bool(db.all("SELECT 1 FROM harvested_digests WHERE digest = ?", digest(number)))


def test_steps_keep_their_order_with_those_that_made_no_layer(db: Database) -> None:
    db.keep(
        layers(image(2, layer(12, "ADD rootfs"), layer(None, "ENV A=1"), layer(11, "RUN make"), layer(None, "CMD")))
    )
    assert steps(db, 2) == [(0, 12, "ADD rootfs"), (1, None, "ENV A=1"), (2, 11, "RUN make"), (3, None, "CMD")]


def test_a_layer_is_stored_once_across_images(db: Database) -> None:
    db.keep(layers(image(2, layer(11), layer(12)), image(3, layer(11), layer(13))))
    db.keep(layers(image(4, layer(11)), of=9))
    assert db.value("SELECT count(*) FROM layers") == 3
    assert db.value("SELECT count(*) FROM image_layers") == 5


def test_a_layer_may_occur_twice_in_one_image(db: Database) -> None:
    db.keep(layers(image(2, layer(11, "RUN a"), layer(11, "RUN b"))))
    assert steps(db, 2) == [(0, 11, "RUN a"), (1, 11, "RUN b")]


def test_a_shared_instruction_is_stored_once(db: Database) -> None:
    db.keep(layers(image(2, layer(11, "RUN make"), layer(12, "RUN make")), image(3, layer(13, "RUN make"))))
    assert db.all("SELECT text, length(hash) FROM instructions") == [("RUN make", 16)]


def test_a_step_without_an_instruction_is_a_step(db: Database) -> None:
    db.keep(layers(image(2, layer(11, ""), layer(12, "RUN b"))))
    assert steps(db, 2) == [(0, 11, None), (1, 12, "RUN b")]


def test_an_image_s_steps_are_never_rewritten(db: Database) -> None:
    db.keep(layers(image(2, layer(11, "RUN a"))))
    db.keep(layers(image(2, layer(12, "RUN other"), layer(13, "RUN more"))))
    assert steps(db, 2) == [(0, 11, "RUN a")]


def test_registry_details_fill_in_later_and_change_nothing_that_is_known(db: Database) -> None:
    db.keep(layers(image(2, layer(11))))
    told = image(
        2,
        Layer(digest(11), 999, "RUN x", "application/vnd.oci.image.layer.v1.tar+gzip"),
        layers_from="registry",
        media_type="application/vnd.oci.image.manifest.v1+json",
        config_digest=digest(20),
        created_at="2026-01-01T00:00:00Z",
    )
    db.keep(layers(told, of=None))
    found = db.one("SELECT media_type, config_digest, created_at, layers_from FROM images")
    assert found == ("application/vnd.oci.image.manifest.v1+json", digest(20), "2026-01-01T00:00:00Z", "hub")
    assert db.one("SELECT size, media_type FROM layers") == (100, "application/vnd.oci.image.layer.v1.tar+gzip")
    assert steps(db, 2) == [(0, 11, "RUN make")]


def test_the_registry_tells_the_layers_of_an_image_that_the_hub_told_none_of(db: Database) -> None:
    db.keep(layers(image(2)))
    db.keep(layers(image(2, layer(11, "RUN a"), layers_from="registry", config_digest=digest(20)), of=None))
    assert steps(db, 2) == [(0, 11, "RUN a")]


def test_the_registry_may_be_the_first_to_know_an_image(db: Database) -> None:
    db.keep(layers(image(2, layer(11), layers_from="registry", config_digest=digest(20)), of=None))
    assert db.one("SELECT digest, layers_from FROM images") == (digest(2), "registry")
    assert steps(db, 2) == [(0, 11, "RUN make")]
    assert db.value("SELECT count(*) FROM harvested_digests") == 0


def test_the_time_at_which_a_layer_was_first_seen_stays(db: Database) -> None:
    db.keep(layers(image(2, layer(11))))
    db.keep(layers(image(3, layer(11)), of=4), at=NOW + 100)
    assert db.value("SELECT first_seen_at FROM layers") == db.now.text


def test_a_digest_whose_known_images_all_have_layers_is_harvested(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3))))
    assert not is_harvested(db)
    db.keep(layers(image(2, layer(11)), image(3, layer(12))))
    assert is_harvested(db)


def test_a_digest_is_not_harvested_when_the_answer_was_of_another_one(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3))))
    db.keep(layers(image(7, layer(11)), image(8, layer(12))))
    assert not is_harvested(db)
    assert len(steps(db, 7)) == 1, "what the answer did tell is kept"


def test_a_digest_is_not_harvested_when_the_answer_leaves_out_one_of_its_images(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3))))
    db.keep(layers(image(2, layer(11))))
    assert not is_harvested(db)


def test_an_attestation_without_layers_does_not_keep_a_digest_from_being_harvested(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3, kind="attestation"))))
    db.keep(layers(image(2, layer(11))))
    assert is_harvested(db)


def test_an_empty_answer_does_not_make_a_digest_harvested(db: Database) -> None:
    db.keep(tags(tag("latest", 1)))
    db.keep(layers())
    assert not is_harvested(db), "it would never be asked again"


def test_layers_are_counted_from_zero_in_the_view_and_empty_steps_left_out(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2))))
    db.keep(layers(image(2, layer(None, "ENV A=1"), layer(11, "RUN a"), layer(None, "CMD"), layer(12, "RUN b"))))
    found = db.all("SELECT repo_name, tag_name, platform, layer_index, digest, instruction FROM v_layers ORDER BY 4")
    assert found == [
        ("library/nginx", "latest", "linux/amd64", 0, digest(11), "RUN a"),
        ("library/nginx", "latest", "linux/amd64", 1, digest(12), "RUN b"),
    ]
