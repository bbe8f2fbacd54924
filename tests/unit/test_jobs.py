"""Units of work: keys, retry arithmetic, and what follows from what."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester import jobs
from harvester.errors import Denied, Throttled
from harvester.jobs import KINDS, MAX_ATTEMPTS, Args, Kind, NewJob, reason_of, retry_delay, walk_key

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64

WALKS: dict[Kind, Callable[[Args], NewJob]] = {
    "search.page": jobs.search_page,
    "namespace.page": jobs.namespace_page,
    "tags.page": jobs.tags_page,
}
MAKERS: dict[Kind, Callable[[Args], NewJob]] = WALKS | {
    "repository": jobs.repository,
    "tag_names": jobs.tag_names,
    "tag": jobs.tag,
    "holes": jobs.holes,
    "images": jobs.images,
    "manifest": jobs.manifest,
}

POLICIES = [
    {"tags": tags, "layers": layers, "pulls": pulls}
    for tags in (
        "all",
        "newest:5",
        "newest:50",
        "newest:5,*-alpine",
        "5",
        "*-alpine",
        "latest",
        "re:a",
        "re:a:b",
        "semver:>=7 <8",
    )
    for layers in ("latest", "none", "all", "5", "*-alpine", "b:re:a", "re:a", "semver:7.x -b")
    for pulls in (False, True)
]

# For each kind: what tells one job from another. Every combination of these has a key of its own.
IDENTITIES: dict[Kind, list[dict[str, Any]]] = {
    "search.page": [
        {"subject": subject, "page": page, **policy}
        for subject in ("nginx", "nginx:all", "nginx:newest", "nginx:all:latest", "library/nginx", "1")
        for page in (1, 2, 11)
        for policy in POLICIES
    ],
    "namespace.page": [
        {"subject": subject, "page": page, "only": only, **policy}
        for subject in ("library", "lib", "bitnami")
        for page in (1, 2, 11)
        for only in ((), ("library/nginx",), ("library/nginx", "library/redis"))
        for policy in POLICIES
    ],
    "tags.page": [
        {"subject": subject, "page": page, "oldest_first": oldest_first, "name_filter": part, "fill": fill, **policy}
        for subject in ("library/nginx", "library/ngin", "library/nginx-x")
        for page in (1, 11)
        for oldest_first in (False, True)
        for part in (None, "8.", "oldest")
        for fill in (False, True)
        for policy in POLICIES
    ],
    "repository": [
        {"subject": subject, "tag": tag, **policy}
        for subject in ("library/nginx", "library/nginx-x")
        for tag in (None, "latest", "Latest", "all", "newest", "5")
        for policy in POLICIES
    ],
    "tag_names": [
        {"subject": subject, **policy} for subject in ("library/nginx", "library/nginx-x") for policy in POLICIES
    ],
    "holes": [
        {"subject": subject, "page": page, **policy}
        for subject in ("library/nginx", "library/nginx-x")
        for page in (1, 2)
        for policy in POLICIES
    ],
    "tag": [
        {"subject": subject, "tag": tag, **policy}
        for subject in ("library/nginx", "library/nginx-x")
        for tag in ("latest", "Latest", "all", "newest", "5")
        for policy in POLICIES
    ],
    "images": [{"subject": "a/b", "digest": digest, "pulls": pulls} for digest in (A, B) for pulls in (False, True)],
    "manifest": [{"subject": "a/b", "digest": digest, "pulls": True} for digest in (A, B)],
}

# What a job carries along without being another job for it.
LUGGAGE = [
    {"query": "page=2"},
    {"rows": 100},
    {"updated": "2026-11-20T16:00:00Z"},
    {"modified": "2026-11-20T16:00:00Z"},
]


def test_every_kind_has_a_lane_a_priority_and_a_maker() -> None:
    assert set(KINDS) == set(get_args(Kind)) == set(MAKERS)
    assert {lane for lane, _ in KINDS.values()} == set(get_args(jobs.Lane))
    assert all(priority >= 1 for _, priority in KINDS.values())
    assert [kind for kind, (lane, _) in KINDS.items() if lane == "pulls"] == ["manifest"]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_key_tells_every_identity_and_policy_apart(kind: Kind) -> None:
    made = [MAKERS[kind](Args(**identity)) for identity in IDENTITIES[kind]]
    by_key: dict[str, Args] = {}
    for job in made:
        assert job.kind == kind
        other = by_key.setdefault(job.key, job.args)
        assert other is job.args, f"{job.key} stands for {other} and for {job.args}"


PATTERNS = st.text(alphabet="ab:%3A2 ", min_size=1, max_size=6).map("re:{}".format)


@given(one=st.tuples(PATTERNS, PATTERNS), other=st.tuples(PATTERNS, PATTERNS))
@pytest.mark.parametrize(
    "kind", ["tags.page", "namespace.page", "repository", "tag", "holes", "tag_names", "search.page"]
)
def test_no_pattern_makes_the_key_of_other_policies(kind: Kind, one: tuple[str, str], other: tuple[str, str]) -> None:
    keys = [MAKERS[kind](Args(subject="a/b", tags=tags, layers=layers)).key for tags, layers in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)


def test_patterns_that_look_like_more_of_a_key_share_none_of_it() -> None:
    policies = [("re:a", "re:b:free:re:c"), ("re:a:re:b", "re:c"), ("re:a:re:b:free", "re:c"), ("re:a%3Are:b", "re:c")]
    keys = [walk_key("tags.page", Args(subject="a/b", tags=tags, layers=layers)) for tags, layers in policies]
    assert len(set(keys)) == len(keys)


def test_two_kinds_never_share_a_key() -> None:
    args = Args(subject="library/nginx", tag="latest", digest=A)
    keys = [maker(args).key for maker in MAKERS.values()]
    assert len(set(keys)) == len(keys)
    assert not [(one, other) for one, other in combinations(keys, 2) if one.startswith(f"{other}:")]


@pytest.mark.parametrize(("kind", "luggage"), list(product(MAKERS, LUGGAGE)))
def test_what_a_job_carries_along_makes_no_other_job_of_it(kind: Kind, luggage: dict[str, Any]) -> None:
    plain = Args(subject="library/nginx", tag="latest", digest=A)
    assert MAKERS[kind](msgspec.structs.replace(plain, **luggage)).key == MAKERS[kind](plain).key


@pytest.mark.parametrize(("kind", "page"), list(product(WALKS, (1, 2, 4711))))
def test_the_pages_of_one_walk_share_its_key(kind: Kind, page: int) -> None:
    args = Args(subject="library/nginx", page=page, tags="*-alpine")
    assert WALKS[kind](args).key == f"{walk_key(kind, args)}:{page}"
    assert walk_key(kind, args) == walk_key(kind, msgspec.structs.replace(args, page=page + 1, query="x", rows=7))


def test_two_repositories_with_one_digest_share_the_job_that_asks_for_its_layers() -> None:
    assert jobs.images(Args(subject="a/b", digest=A)).key == jobs.images(Args(subject="c/d", digest=A)).key


@pytest.mark.parametrize(("attempt", "base"), [(1, 1), (2, 16), (3, 81), (4, 256)])
def test_a_retry_waits_for_the_fourth_power_of_the_attempt_a_tenth_more_or_less(attempt: int, base: int) -> None:
    assert retry_delay(attempt, 0.0) == pytest.approx(base * 0.9)
    assert retry_delay(attempt, 0.5) == pytest.approx(base)
    assert retry_delay(attempt, 1.0) == pytest.approx(base * 1.1)


@given(attempt=st.integers(1, MAX_ATTEMPTS), chance=st.floats(0, 1))
def test_chance_never_moves_a_retry_out_of_its_tenth(attempt: int, chance: float) -> None:
    assert 0.9 * attempt**4 - 1e-9 <= retry_delay(attempt, chance) <= 1.1 * attempt**4 + 1e-9


def test_the_last_attempt_comes_about_six_minutes_after_the_first() -> None:
    shortest, longest = (sum(retry_delay(n, chance) for n in range(1, MAX_ATTEMPTS)) for chance in (0.0, 1.0))
    assert 300 < shortest < 360 < longest < 420


@pytest.mark.parametrize(
    ("error", "starts"),
    [
        (Denied("not for you", url="/v2/x", status=403), "Denied: not for you (403 /v2/x)"),
        (Throttled(retry_after=5), "Throttled: The limiter holds this request back."),
        (ValueError("two\nlines"), "ValueError: ValueError("),
        (KeyError(), "KeyError: KeyError("),
        (ValueError("x" * 5000), "ValueError: "),
    ],
)
def test_the_reason_of_an_error_is_one_line_of_bounded_length(error: Exception, starts: str) -> None:
    reason = reason_of(error)
    assert reason.startswith(starts)
    assert reason.isprintable()
    assert len(reason) <= 1000


ARGS = Args(subject="library/nginx", tags="newest:5", layers="*", pulls=True, page=3, rows=7, query="page=3")


def test_the_tags_follow_from_a_repository() -> None:
    [job] = jobs.after_repository(
        msgspec.structs.replace(ARGS, modified="2026-01-01T00:00:00Z"), "2026-11-20T16:00:00Z"
    )
    assert job.kind == "tags.page"
    assert (job.args.subject, job.args.tags, job.args.layers, job.args.pulls) == (
        "library/nginx",
        "newest:5",
        "*",
        True,
    )
    assert job.args.updated == "2026-11-20T16:00:00Z"
    assert job.args.modified is None


def test_the_one_tag_that_was_named_follows_from_its_repository() -> None:
    [job] = jobs.after_repository(Args(subject="library/nginx", tag="1.27", layers="all"), None)
    assert (job.kind, job.args.tag, job.args.layers) == ("tag", "1.27", "all")


@pytest.mark.parametrize(
    ("layers", "tags", "follow"),
    [
        ("none", [("latest", A)], []),
        ("latest", [("latest", A), ("1.27", B)], [("latest", A)]),
        ("latest", [("1.27", A)], []),
        ("all", [("latest", A), ("1.27", B)], [("latest", A), ("1.27", B)]),
        ("all", [("latest", A), ("1.27", A), ("1", A)], [("latest", A)]),
        ("1*", [("latest", A), ("1.27", A), ("1", A)], [("1.27", A)]),
        ("all", [("latest", None)], []),
        ("all", [], []),
    ],
)
def test_one_question_for_layers_follows_per_wanted_digest(
    layers: str, tags: list[tuple[str, str | None]], follow: list[tuple[str, str]]
) -> None:
    made = jobs.after_tags(msgspec.structs.replace(ARGS, layers=layers), tags)
    assert [(job.args.tag, job.args.digest) for job in made] == follow
    assert {(job.kind, job.args.subject, job.args.pulls, job.args.page) for job in made} <= {
        ("images", "library/nginx", True, 1)
    }


def test_pulls_follow_from_images_only_where_they_are_allowed() -> None:
    made = jobs.after_images(ARGS, [A, B])
    assert [(job.kind, job.args.digest, job.args.subject) for job in made] == [
        ("manifest", A, "library/nginx"),
        ("manifest", B, "library/nginx"),
    ]
    assert jobs.after_images(msgspec.structs.replace(ARGS, pulls=False), [A, B]) == ()


def test_a_repository_follows_from_each_row_of_a_list_with_its_policies() -> None:
    made = jobs.repositories(ARGS, [("a/b", "2026-01-01T00:00:00Z", None), ("c/d", None, "2026-01-02T00:00:00Z")])
    assert [(job.kind, job.args) for job in made] == [
        (
            "repository",
            Args(subject="a/b", tags="newest:5", layers="*", pulls=True, updated="2026-01-01T00:00:00Z"),
        ),
        (
            "repository",
            Args(subject="c/d", tags="newest:5", layers="*", pulls=True, modified="2026-01-02T00:00:00Z"),
        ),
    ]


def test_arguments_come_back_from_their_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ARGS), type=Args) == ARGS
    assert msgspec.json.encode(Args(subject="a/b")) == b'{"subject":"a/b"}', "defaults are left out of the row"
