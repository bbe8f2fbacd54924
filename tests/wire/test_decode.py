"""Bodies into records: recorded ones whole, and every value that cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harvester.errors import Drift
from harvester.names import RepositoryName
from harvester.records import Image, Layer, Page, Platform, Repository, Tag
from harvester.wire import decode
from harvester.wire.rows import TEXT_CHARS, instant
from tests.wire.conftest import body, recorded

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
C = "sha256:" + "c" * 64


def tags(*rows: object, **envelope: object) -> Page[Tag]:
    return decode.tags_page(body({"count": len(rows), "next": None, "results": rows, **envelope}))


def one_tag(**row: object) -> Tag:
    page = tags({"name": "a", **row})
    assert page.refused == ()
    return page.rows[0]


def one_repository(**row: object) -> Repository:
    document = {"name": "nginx", "namespace": "library", "pull_count": 1, **row}
    return decode.repository(body(document), name=RepositoryName("library", "nginx"))


class TestRecorded:
    def test_tags(self) -> None:
        page = decode.tags_page(recorded("hub-tags-list-hexpm-elixir-name-filter"))
        assert (len(page.rows), page.refused, page.reported_count, page.next_page) == (6, (), 6, None)
        tag = page.rows[4]
        assert tag.name == "1.19.4-erlang-28.1.1-debian-trixie-20251117"
        assert tag.digest == "sha256:249c2a2f1c4496629afcfde77437615d693dd57291fb94518b81bd7e101dbb6d"
        assert (tag.last_updated, tag.last_pushed) == ("2025-11-27T16:45:46Z", "2025-11-27T16:45:46Z")
        assert tag.last_pulled == "2026-01-01T15:05:03Z"
        assert (tag.last_updater, tag.status, tag.full_size) == ("hexbob", "active", 105292296)
        assert tag.platforms[1] == Platform(
            digest="sha256:1cf81cccf5181f8416263d095a743818fcccb59353f678035f810493d9816326",
            kind="image",
            os="linux",
            architecture="arm64",
            variant="v8",
            size=105598818,
            status="inactive",
            last_pulled="2025-11-29T17:06:51Z",
            last_pushed="2025-11-27T16:45:44Z",
        )

    def test_a_tag_without_its_own_digest_has_its_only_image_s(self) -> None:
        tag = decode.tags_page(recorded("hub-tags-list-ebusinessdocker-disney")).rows[0]
        assert tag.digest == tag.platforms[0].digest

    def test_a_tag_with_attestations(self) -> None:
        tag = decode.tag(recorded("hub-tag-n8nio-n8n-1.119.1"), name="1.119.1")
        assert [platform.kind for platform in tag.platforms] == ["image", "attestation"] * 2

    def test_a_tag_of_2015(self) -> None:
        tag = decode.tag(recorded("hub-tag-grafana-2.1.3-null-dates"), name="2.1.3")
        assert (tag.last_updated, tag.last_pushed, tag.platforms[0].os) == (None, None, None)
        assert tag.platforms[0].kind == "image"

    @pytest.mark.parametrize("name", ["ebusinessdocker-disney", "xmrig2021-r2021", "2017-belibak-mysql"])
    def test_repositories(self, name: str) -> None:
        raw = recorded(f"hub-repository-{name}")
        document = json.loads(raw)
        asked = RepositoryName(document["namespace"], document["name"])
        repository = decode.repository(raw, name=asked)
        assert repository.source == "detail"
        assert repository.pull_count == document["pull_count"]
        assert repository.full_description == document.get("full_description")

    def test_a_repository_s_lists_are_compact_json(self) -> None:
        repository = decode.repository(
            recorded("hub-repository-ebusinessdocker-disney"), name=RepositoryName("ebusinessdocker", "disney")
        )
        assert repository.immutable_tags == '{"enabled":false,"rules":[".*"]}'
        assert repository.media_types == '["application/vnd.docker.container.image.v1+json"]'
        assert repository.categories == "[]"
        assert repository.last_modified == "2024-10-16T13:48:34Z"

    def test_a_redacted_repository_is_drift(self) -> None:
        with pytest.raises(Drift):
            decode.repository(recorded("hub-repository-freshly-pushed-2025-08"), name=RepositoryName("a", "b"))

    def test_a_namespace(self) -> None:
        page = decode.namespace_page(recorded("hub-namespace-repositories-docker"), namespace="docker")
        assert [row.full_name for row in page.rows] == ["docker/highland_builder", "docker/whalesay"]
        assert page.reported_count == 287
        assert page.rows[0].source == "listing"
        assert page.rows[0].storage_size == 488723114800
        assert json.loads(page.rows[1].categories or "")[0]["slug"] == "languages-and-frameworks"

    def test_search(self) -> None:
        page = decode.search_page(recorded("hub-search-v2-nginx-page1"))
        assert [row.full_name for row in page.rows][:2] == ["library/nginx", "nginx/nginx-ingress"]
        assert page.rows[0].pull_count == 12981954060
        assert page.rows[0].source == "search"
        assert len(decode.search_page(recorded("hub-search-v2-jellyfin-rows")).rows) == 2

    @pytest.mark.parametrize("name", ["ebusinessdocker-disney-latest", "xmrig2021-r2021-latest"])
    def test_images(self, name: str) -> None:
        page = decode.images(recorded(f"hub-tag-images-{name}"))
        image = page.rows[0]
        assert sum(layer.size or 0 for layer in image.layers) == image.platform.size
        assert image.layers[1] == Layer(None, 0, ' CMD ["/bin/sh"]')
        assert image.layers_from == "hub"


class TestInstants:
    @pytest.mark.parametrize(
        ("text", "held"),
        [
            ("2017-11-02T07:47:36Z", "2017-11-02T07:47:36Z"),
            *[(f"2025-08-01T21:05:46.{'9' * digits}Z", "2025-08-01T21:05:46Z") for digits in range(1, 10)],
            ("2025-08-01T21:05:46+00:00", "2025-08-01T21:05:46Z"),
            ("2025-08-01T21:05:46.5+00:00", "2025-08-01T21:05:46Z"),
            ("0001-01-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("", None),
            (None, None),
        ],
    )
    def test_taken(self, text: str | None, held: str | None) -> None:
        assert instant(text) == held

    @pytest.mark.parametrize(
        "text",
        [
            "2025-02-30T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-01T25:00:00Z",
            "2025-01-01T00:00:00",
            "2025-01-01T00:00:00+02:00",
            "2025-01-01 00:00:00Z",
            "2025-01-01",
            "20250101T000000Z",
            "2025-W01-1T00:00:00Z",
            "2025-01-01T00:00:00.1234567890123456Z",
            "2025-01-01T00:00:00,5Z",
            "yesterday",
            "Z",
            "٢٠٢٥-01-01T00:00:00Z",
        ],
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="instant"):
            instant(text)


class TestOneBadRow:
    @pytest.mark.parametrize(
        ("row", "path"),
        [
            ({"name": "-a"}, ".name"),
            ({"name": "a" * 129}, ".name"),
            ({"name": "../../etc"}, ".name"),
            ({"name": None}, ".name"),
            ({}, ""),
            ({"name": "a", "full_size": 2**63}, ".full_size"),
            ({"name": "a", "full_size": True}, ".full_size"),
            ({"name": "a", "last_updated": 5}, ".last_updated"),
            ({"name": "a", "tag_last_pulled": "2025-02-30T00:00:00Z"}, ""),
            ({"name": "a", "images": [{"digest": A, "size": 2**70}]}, ".images[0].size"),
            ({"name": "a", "images": {}}, ".images"),
            (None, ""),
            ([], ""),
            ("a", ""),
        ],
    )
    def test_sinks_only_itself(self, row: object, path: str) -> None:
        page = tags({"name": "before"}, row, {"name": "after"}, next="https://x/?page=2")
        assert [tag.name for tag in page.rows] == ["before", "after"]
        assert [refused.path for refused in page.refused] == [f"$.results[1]{path}"]
        assert page.refused[0].reason
        assert json.loads(page.refused[0].sample) == row
        assert (page.reported_count, page.next_page) == (3, "https://x/?page=2")

    @pytest.mark.parametrize("count", ["missing", None, -1, 2**63, "many", True, 1.5])
    def test_a_pull_count_that_cannot_be(self, count: object) -> None:
        row = {"name": "b", "pull_count": count}
        if count == "missing":
            del row["pull_count"]
        page = decode.namespace_page(
            body({"count": 2, "results": [row, {"name": "a", "pull_count": 0}]}), namespace="x"
        )
        assert [repository.name for repository in page.rows] == ["a"]
        assert len(page.refused) == 1

    @pytest.mark.parametrize("count", [0, 2**63 - 1, "12", 12.0])
    def test_a_pull_count_that_can(self, count: Any) -> None:
        assert one_repository(pull_count=count).pull_count == int(count)

    def test_a_namespace_row_keeps_its_own_namespace(self) -> None:
        rows = [{"name": "a", "pull_count": 0, "namespace": value} for value in ("y", None, "", "No/No")]
        page = decode.namespace_page(body({"count": 4, "results": rows}), namespace="x")
        assert [row.full_name for row in page.rows] == ["y/a", "x/a", "x/a"]
        assert page.refused[0].path == "$.results[3].namespace"

    @pytest.mark.parametrize("name", ["", "A/b", "a/b/c", "/", None])
    def test_a_search_row_that_names_nothing(self, name: str | None) -> None:
        rows = [{"repo_name": name, "pull_count": 1}, {"repo_name": "a/b", "pull_count": 1}]
        page = decode.search_page(body({"count": 2, "results": rows}))
        assert [row.full_name for row in page.rows] == ["a/b"]
        assert len(page.refused) == 1

    def test_a_sample_is_cut(self) -> None:
        page = tags({"name": None, "x": "é" * 5000})
        assert len(page.refused[0].sample.encode()) <= 2048

    def test_text_that_no_database_takes_is_cleaned(self) -> None:
        raw = (
            rb'{"count": 1, "results": [{"name": "a", "pull_count": 1, "description": "x\u0000y\ud800z\ud83d\ude00"}]}'
        )
        page = decode.namespace_page(raw, namespace="n")
        assert page.rows[0].description == "xyz\N{GRINNING FACE}"
        assert page.refused == ()

    def test_bytes_that_are_no_utf_8_are_replaced(self) -> None:
        raw = b'{"count": 1, "results": [{"name": "a", "pull_count": 1, "description": "x\xff"}, {"name": 1}]}'
        page = decode.namespace_page(raw, namespace="n")
        assert page.rows[0].description == "x\N{REPLACEMENT CHARACTER}"
        assert len(page.refused) == 1

    def test_long_text_is_cut(self) -> None:
        assert len(one_repository(full_description="x" * 10**6).full_description or "") == TEXT_CHARS


class TestEnvelopes:
    @pytest.mark.parametrize("envelope", [{"count": 0}, {"count": 0, "results": None}, {"count": 0, "results": []}])
    def test_empty(self, envelope: object) -> None:
        assert decode.tags_page(body(envelope)) == Page[Tag](rows=(), reported_count=0)

    @pytest.mark.parametrize(("count", "held"), [(None, None), (-1, None), ("7", 7)])
    def test_counts(self, count: object, held: int | None) -> None:
        assert tags({"name": "a"}, count=count).reported_count == held

    def test_more_rows_than_a_page_has_are_taken(self) -> None:
        assert len(tags(*[{"name": f"a{number}"} for number in range(150)]).rows) == 150

    def test_results_empty_with_a_next_page(self) -> None:
        page = tags(next="https://x/?page=2")
        assert (page.rows, page.next_page) == ((), "https://x/?page=2")

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"  ",
            b"<html>",
            b"{",
            b"[]",
            b"null",
            b"7",
            b"{}",
            b'{"count": 5}',
            b'{"results": {}}',
            b'{"results": null}',
            b'{"count": 1, "next": 7, "results": []}',
            b'{"count": true, "results": []}',
            b'{"count": 1, "results": ' + b"[" * 100_000,
            b'{"count": 1, "results": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
            b'{"count": NaN, "results": []}',
            b'\xef\xbb\xbf{"count": 0}',
        ],
    )
    def test_drift(self, raw: bytes) -> None:
        with pytest.raises(Drift) as caught:
            decode.tags_page(raw)
        assert len(caught.value.sample.encode()) <= 2048
        assert caught.value.message

    def test_drift_says_where(self) -> None:
        with pytest.raises(Drift) as caught:
            decode.tags_page(b'{"count": 1, "next": 7, "results": []}')
        assert caught.value.path == "$.next"


class TestTags:
    def test_another_tag_than_the_one_asked_for(self) -> None:
        with pytest.raises(Drift, match="another tag"):
            decode.tag(body({"name": "a"}), name="b")

    @pytest.mark.parametrize(
        ("own", "images", "held"),
        [
            (A, [B, C], A),
            (None, [B, C], None),
            (None, [B, B], B),
            (None, [B, None], B),
            ("", [B], B),
            ("latest", [B], B),
            (None, [], None),
            (A, [], A),
        ],
    )
    def test_digests(self, own: str | None, images: list[str | None], held: str | None) -> None:
        tag = one_tag(digest=own, images=[{"digest": digest, "os": "linux"} for digest in images])
        assert tag.digest == held
        assert [platform.digest for platform in tag.platforms] == list(dict.fromkeys(d for d in images if d))

    @pytest.mark.parametrize(
        ("media_type", "held"),
        [
            ("application/vnd.docker.container.image.v1+json", (A,)),
            (None, (A,)),
            ("application/vnd.oci.image.index.v1+json", ()),
            ("application/vnd.docker.distribution.manifest.list.v2+json", ()),
        ],
    )
    def test_a_single_image_without_a_digest_has_the_tag_s(self, media_type: str | None, held: tuple[str, ...]) -> None:
        tag = one_tag(digest=A, media_type=media_type, images=[{"os": "linux", "digest": None}])
        assert tuple(platform.digest for platform in tag.platforms) == held

    @pytest.mark.parametrize(
        ("content_type", "systems", "kinds"),
        [
            ("image", ["linux", "unknown"], ["image", "attestation"]),
            (None, ["linux"], ["image"]),
            ("unrecognized", ["linux"], ["image"]),
            ("unrecognized", ["unknown"], ["artifact"]),
            ("image", ["unknown", "unknown"], ["artifact", "artifact"]),
            ("helm", ["unknown"], ["artifact"]),
            ("plugin", ["linux"], ["artifact"]),
            (None, [""], ["image"]),
        ],
    )
    def test_kinds(self, content_type: str | None, systems: list[str], kinds: list[str]) -> None:
        images = [{"digest": d, "os": os, "architecture": os} for d, os in zip((A, B, C), systems, strict=False)]
        tag = one_tag(content_type=content_type, images=images)
        assert [platform.kind for platform in tag.platforms] == kinds

    @pytest.mark.parametrize(("size", "held"), [(0, 0), (-1, None), (None, None), ("5", 5)])
    def test_sizes(self, size: object, held: int | None) -> None:
        tag = one_tag(full_size=size, images=[{"digest": A, "size": size}])
        assert (tag.full_size, tag.platforms[0].size) == (held, held)

    def test_spellings_stay(self) -> None:
        image = {"digest": A, "os": "Linux", "architecture": "x86_64", "variant": "", "os_version": "10.0"}
        platform = one_tag(images=[image]).platforms[0]
        assert (platform.os, platform.architecture, platform.variant) == ("Linux", "x86_64", None)
        assert platform.os_version == "10.0"

    def test_other_digests_are_digests(self) -> None:
        other = "sha512:" + "a" * 128
        assert one_tag(digest=other).digest == other


class TestImages:
    def test_layers(self) -> None:
        layers = [
            {"digest": A, "size": 5, "instruction": "ADD\u0000 x"},
            {"digest": None, "size": -1, "instruction": None},
            {"size": None},
            {"digest": "no", "instruction": "x" * 100_000},
        ]
        image = decode.images(body([{"digest": B, "os": "linux", "layers": layers}])).rows[0]
        assert image.layers[:3] == (Layer(A, 5, "ADD x"), Layer(None, None, ""), Layer(None, None, ""))
        assert (image.layers[3].digest, len(image.layers[3].instruction)) == (None, TEXT_CHARS)

    @pytest.mark.parametrize("key", ["results", "images", None])
    def test_envelopes(self, key: str | None) -> None:
        rows = [{"digest": A, "os": "linux"}, {"digest": B, "os": "unknown", "architecture": "unknown"}]
        page: Page[Image] = decode.images(body({key: rows} if key else rows))
        assert [image.platform.kind for image in page.rows] == ["image", "attestation"]
        assert page.rows[0].layers == ()

    def test_bad_rows_and_duplicates(self) -> None:
        rows = [{"digest": A, "size": 1}, {"os": "linux"}, {"digest": A, "size": 2}, {"digest": B, "layers": 5}]
        page = decode.images(body(rows))
        assert [(image.platform.digest, image.platform.size) for image in page.rows] == [(A, 1)]
        assert [refused.path for refused in page.refused] == ["$.results[1].digest", "$.results[3].layers"]

    @pytest.mark.parametrize("raw", [b"", b"null", b"{}", b"<html>", b"[", b'{"results": 5}'])
    def test_drift(self, raw: bytes) -> None:
        with pytest.raises(Drift):
            decode.images(raw)


class TestRepositories:
    @pytest.mark.parametrize(
        "row", [{"name": "other"}, {"namespace": "other"}, {"pull_count": None}, {"last_updated": "x"}]
    )
    def test_drift(self, row: dict[str, object]) -> None:
        with pytest.raises(Drift):
            one_repository(**row)

    def test_nulls_in_lists_are_left_out(self) -> None:
        repository = one_repository(
            media_types=["a", None],
            content_types=None,
            categories=[None, {"name": "A & B", "slug": "a-b", "id": 5}],
            immutable_tags_settings={"enabled": True, "rules": ["v.*", None]},
            star_count=-1,
            storage_size=-1,
        )
        assert repository.media_types == '["a"]'
        assert repository.content_types is None
        assert repository.categories == '[{"name":"A & B","slug":"a-b"}]'
        assert repository.immutable_tags == '{"enabled":true,"rules":["v.*"]}'
        assert (repository.star_count, repository.storage_size) == (None, None)
