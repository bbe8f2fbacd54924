"""Events for people: what one is about, and its evidence in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.events import RANK_WORDS, RANKS, concerns, one_line, sentence, subject

A, B = (f"sha256:{letter * 64}" for letter in "ab")
MOVE = {"digest_before": A, "digest": B, "pushed_at": "2026-11-20T16:00:00Z"}

TOLD: dict[str, tuple[str, dict[str, Any], str]] = {
    "a move": (
        "tag.moved",
        MOVE | {"last_updater_before": "me", "last_updater": "me", "last_seen_before": "2026-11-19T16:00:00Z"},
        "from aaaaaaaaaaaa to bbbbbbbbbbbb, pushed 2026-11-20T16:00:00Z, by me",
    ),
    "a move by somebody else": (
        "tag.overwritten",
        MOVE | {"last_updater_before": "me", "last_updater": "mallory"},
        "a version is another image now, from aaaaaaaaaaaa to bbbbbbbbbbbb, pushed 2026-11-20T16:00:00Z, by mallory (before: me)",
    ),
    "a return": (
        "tag.returned",
        {"digest": B, "gone_since": "2026-11-19T16:00:00Z"},
        "back, on bbbbbbbbbbbb, gone since 2026-11-19T16:00:00Z",
    ),
    "a tag that went": (
        "tag.gone",
        {"digest_before": A, "last_seen_before": "2026-11-19T16:00:00Z"},
        "was on aaaaaaaaaaaa, last seen 2026-11-19T16:00:00Z",
    ),
    "another pusher": (
        "tag.pusher_changed",
        {"last_updater_before": "me", "last_updater": "mallory", "digest_before": A, "digest": B},
        "pushed by mallory (before: me), from aaaaaaaaaaaa to bbbbbbbbbbbb",
    ),
    "platforms": (
        "tag.platforms_lost",
        {"platforms_lost": ["linux/arm64", "linux/arm/v7"]},
        "without linux/arm64, linux/arm/v7",
    ),
    "a size": (
        "tag.size_jumped",
        {"size_before": 50_000_000, "size": 400_000_000},
        "from 50.0 MB to 400.0 MB (8.0 times)",
    ),
    "a size from nothing": ("tag.size_jumped", {"size_before": 0, "size": 999}, "from 0 bytes to 999 bytes"),
    "a new tag": (
        "tag.new",
        {"digest": B, "pushed_at": "2026-11-20T16:00:00Z"},
        "on bbbbbbbbbbbb, pushed 2026-11-20T16:00:00Z",
    ),
    "a description": (
        "repository.described",
        {"description_before": "old", "description": "new"},
        '"new", was "old"',
    ),
    "no description": (
        "repository.described",
        {"description_before": "old", "description": ""},
        'no description, was "old"',
    ),
    "a long description": (
        "repository.described",
        {"full_description_length_before": 20_000, "full_description_length": 21_000},
        "full description of 21,000 characters, was 20,000",
    ),
    "a deprecation": ("repository.deprecated", {"text": "DEPRECATED; use x"}, '"DEPRECATED; use x"'),
    "a repository that went": ("repository.gone", {"pull_count": 1234567, "tags": 20}, "with 20 tags, 1,234,567 pulls"),
    "a name registered anew": (
        "repository.replaced",
        {"date_registered_before": "2016-01-01T00:00:00Z", "date_registered": "2026-11-01T00:00:00Z"},
        "registered anew, registered 2026-11-01T00:00:00Z (before: 2016-01-01T00:00:00Z)",
    ),
    "a namespace": (
        "namespace.vanishing",
        {"namespace": "bitnami", "missing": 90, "known": 200, "sample": ["bitnami/redis", "bitnami/kafka"]},
        "90 of 200 repositories missing at once, such as bitnami/redis, bitnami/kafka",
    ),
    "pulls": (
        "pulls.anomalous",
        {"rate": 1200.5, "usual_rate": 300.0, "flag": "jump", "elapsed_s": 86400},
        "jump, 1,200.5 pulls a day, usually 300.0",
    ),
    "a list": (
        "listing.cut_short",
        {"kind": "tags", "subject": "a/b", "stop_reason": "wall", "rows": 1000, "reported_count": 5000},
        "tags, 1,000 of 5,000 rows, ended by wall",
    ),
    "drift": (
        "drift",
        {"subject": "a/b", "path": ".results[0].digest", "reason": "not text"},
        ".results[0].digest, not text",
    ),
    "an unknown kind": ("tag.eaten", {"by": "a moth"}, "by a moth"),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_evidence_is_told_in_a_few_words(name: str) -> None:
    kind, detail, expected = TOLD[name]
    assert sentence(kind, detail) == expected


def test_every_kind_has_a_sentence_of_its_own() -> None:
    assert set(RANKS) <= {kind for kind, _, _ in TOLD.values()} | {"repository.returned", "repository.new"}
    assert set(RANKS.values()) == set(RANK_WORDS)


@pytest.mark.parametrize("kind", RANKS)
@pytest.mark.parametrize(
    "detail", [{}, {"digest": None, "size": "x", "platforms_lost": 5, "sample": {}, "missing": []}]
)
def test_missing_or_odd_evidence_is_left_out(kind: str, detail: dict[str, Any]) -> None:
    told = sentence(kind, detail)
    assert not any(bad in told for bad in ("None", "{", ", ,"))
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n b\t c", "a b c"),
        ("\x1b[31mred", "?[31mred"),
        ("x" * 100, "x" * 57 + "..."),
        (True, "True"),
        (5000, "5,000"),
    ],
)
def test_a_text_of_the_far_end_is_one_harmless_line(text: object, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize(
    ("of", "named"),
    [
        (("library/nginx", "1.27", {}), "library/nginx:1.27"),
        (("a/b", None, {"subject": "x"}), "a/b"),
        ((None, None, {"namespace": "bitnami"}), "bitnami/"),
        ((None, None, {"subject": "search:x"}), "search:x"),
        ((None, None, {"subject": 5}), "-"),
        ((None, None, {}), "-"),
    ],
)
def test_what_an_event_is_about(of: tuple[str | None, str | None, dict[str, Any]], named: str) -> None:
    assert subject(*of) == named


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("library/nginx", True),
        ("nginx", True),
        ("nginx:1.*", True),
        ("library/*", True),
        ("*:1.27", True),
        ("nginx:2.*", False),
        ("ngin", False),
        ("library/", False),
        ("NGINX", False),
    ],
)
def test_a_glob_over_what_an_event_is_about(pattern: str, matches: bool) -> None:
    assert concerns(pattern, "library/nginx", "1.27", {}) is matches


def test_a_glob_over_a_namespace_that_vanishes() -> None:
    assert concerns("bitnami/*", None, None, {"namespace": "bitnami"})
    assert concerns("library/*", None, None, {"namespace": "library"})
    assert not concerns("bitnami", None, None, {"namespace": "bitnami"})
