"""Egress routes: what a namespace's way out depends on, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.egress import SHARDS, Egress, route_of, routes, shard_of, shards_of
from harvester.errors import ConfigError
from harvester.jobs import Args, NewJob, images, manifest, namespace_page, repository, search_page, shard, tag_names


def named(*names: str) -> tuple[Egress, ...]:
    return tuple(Egress(name=name) for name in names)


def owners(ways: tuple[Egress, ...]) -> list[str]:
    """The name of each shard's route."""
    return [ways[route_of(number, ways)].name for number in range(SHARDS)]


def test_without_any_there_is_one_route_with_the_proxy_of_the_settings() -> None:
    assert routes((), None) == (Egress(name="direct"),)
    assert routes((), "http://proxy:3128") == (Egress(name="direct", proxy="http://proxy:3128"),)
    assert routes(named("a", "b"), None) == named("a", "b")


@pytest.mark.parametrize(("names", "proxy"), [(("a",), "http://proxy:3128"), (("a", "b", "a"), None)])
def test_routes_that_contradict_one_another_are_refused(names: tuple[str, ...], proxy: str | None) -> None:
    with pytest.raises(ConfigError):
        routes(named(*names), proxy)


def test_a_proxy_s_password_is_not_shown() -> None:
    assert "hush" not in repr(Egress(name="a", proxy="http://me:hush@proxy"))


def test_a_namespace_is_in_the_same_part_in_every_process() -> None:
    program = "from harvester.egress import shard_of; print(shard_of('library'), shard_of('grafana'), shard_of('ü'))"
    for seed in ("0", "1"):
        told = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert told.stdout.split() == ["49", "13", "36"]


def test_namespaces_are_spread_over_all_parts() -> None:
    counts = Counter(shard_of(f"namespace-{number}") for number in range(64_000))
    assert set(counts) == set(range(SHARDS))
    assert max(counts.values()) < 1.15 * 1000
    assert min(counts.values()) > 0.85 * 1000


@pytest.mark.parametrize("count", [2, 3, 4])
def test_parts_are_spread_over_routes_about_evenly(count: int) -> None:
    """Over many sets of names, so that no lucky one is what is looked at."""
    total = Counter[int]()
    for number in range(200):
        ways = named(*(f"route-{number}-{place}" for place in range(count)))
        total.update(route_of(part, ways) for part in range(SHARDS))
    fair = 200 * SHARDS / count
    assert all(0.95 * fair < total[place] < 1.05 * fair for place in range(count))


@given(st.lists(st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True), min_size=2, max_size=6, unique=True))
def test_another_route_takes_parts_from_the_others_and_moves_nothing_between_them(names: list[str]) -> None:
    *before, new = names
    moved = [
        (old, now) for old, now in zip(owners(named(*before)), owners(named(*before, new)), strict=True) if old != now
    ]
    assert all(now == new for _, now in moved)
    assert len(moved) == owners(named(*before, new)).count(new)


def test_another_route_takes_about_its_share() -> None:
    taken = [
        owners(named(f"a{number}", f"b{number}", f"c{number}")).count(f"c{number}") / SHARDS for number in range(100)
    ]
    assert 0.30 < sum(taken) / len(taken) < 0.37


def test_the_order_of_the_routes_does_not_matter() -> None:
    assert owners(named("a", "b", "c")) == owners(named("c", "a", "b"))


def test_every_part_belongs_to_one_route() -> None:
    ways = named("a", "b", "c")
    parts = [shards_of(index, ways) for index in range(3)]
    assert sorted(number for part in parts if part is not None for number in part) == list(range(SHARDS))


def test_the_only_route_has_all_parts_without_naming_them() -> None:
    assert shards_of(0, named("a")) is None


OF_ACME = [
    namespace_page(Args(subject="acme")),
    repository(Args(subject="acme/web")),
    tag_names(Args(subject="acme/other")),
    images(Args(subject="acme/web", digest="sha256:1", tag="x")),
    manifest(Args(subject="acme/web", digest="sha256:2")),
]


@pytest.mark.parametrize("job", OF_ACME, ids=lambda job: job.kind)
def test_all_that_is_asked_about_a_namespace_is_in_its_part(job: NewJob) -> None:
    assert shard(job) == shard_of("acme")


def test_a_search_is_in_the_part_of_its_text_whatever_the_text() -> None:
    assert shard(search_page(Args(subject="acme/web server"))) == shard_of("acme/web server")
