"""Claims between kinds of work and between routes: nobody waits for the end of somebody else's stream."""

from __future__ import annotations

from collections import Counter

import pytest

from harvester.egress import SHARDS, shard_of
from harvester.jobs import KINDS, Args, Done, Harvest, Job, Lane, NewJob, images, repository, search_page, tags_page
from harvester.store import queue
from harvester.store.queue import shares
from harvester.ways import LEAST_AHEAD, SLOTS
from tests.store.database import Database
from tests.store.makers import digest

DONE = Done(Harvest())


@pytest.mark.parametrize(
    ("ready", "wanted", "taken"),
    [
        ([0, 0, 0, 0, 0], 8, [0, 0, 0, 0, 0]),
        ([0, 0, 0, 9, 0], 8, [0, 0, 0, 8, 0]),
        ([9, 9, 9, 9, 9], 5, [1, 1, 1, 1, 1]),
        ([9, 9, 9, 9, 9], 12, [6, 3, 1, 1, 1]),
        ([99, 99, 99, 99, 99], 72, [38, 18, 9, 5, 2]),
        ([0, 99, 0, 99, 0], 8, [0, 6, 0, 2, 0]),
        ([1, 99, 0, 0, 99], 8, [1, 5, 0, 0, 2]),
        ([2, 0, 0, 0, 1], 8, [2, 0, 0, 0, 1]),
        ([9, 0, 0, 0, 9], 2, [1, 0, 0, 0, 1]),
        ([9, 9, 9, 9, 9], 3, [1, 1, 1, 0, 0]),
        ([9], 4, [4]),
        ([9, 9], 0, [0, 0]),
    ],
)
def test_each_priority_with_jobs_gets_a_share_and_the_better_ones_the_larger(
    ready: list[int], wanted: int, taken: list[int]
) -> None:
    assert shares(ready, wanted) == taken


@pytest.mark.parametrize("wanted", range(40))
def test_shares_use_all_the_room_there_is_and_none_beyond(wanted: int) -> None:
    for ready in ([3, 0, 7, 1, 20], [1, 1, 1, 1, 1], [50, 50, 0, 0, 50]):
        taken = shares(ready, wanted)
        assert sum(taken) == min(wanted, sum(ready))
        assert all(some <= all_of_it for some, all_of_it in zip(taken, ready, strict=True))
        if wanted >= len(ready):
            assert all(taken[place] for place, number in enumerate(ready) if number)


@pytest.mark.parametrize("lane", SLOTS)
def test_the_smallest_claim_has_room_for_one_job_of_every_priority(lane: Lane) -> None:
    priorities = {priority for of_lane, priority in KINDS.values() if of_lane == lane}
    assert len(priorities) <= LEAST_AHEAD["hub"] // 2 + 1


def picture(number: int) -> NewJob:
    return images(Args(subject="acme/web", tag="x", digest=digest(number)))


def test_a_stream_of_better_work_does_not_stop_the_last_priority(db: Database) -> None:
    last = [picture(number) for number in range(20)]
    db.add(*last)
    left, claims = {job.key for job in last}, 0
    while left:
        claims += 1
        db.add(*[repository(Args(subject=f"umbrella/{claims}-{number}")) for number in range(50)])
        db.clock.advance(1)
        for job in db.claim(wanted=LEAST_AHEAD["hub"] // 2 + 1):
            left.discard(job.key)
            db.end(job, DONE)
        assert claims <= 20, "one of five, always"


def test_the_last_priority_does_not_stop_the_better_ones(db: Database) -> None:
    db.add(*[picture(number) for number in range(500)])
    db.clock.advance(60)
    db.add(repository(Args(subject="library/nginx")), tags_page(Args(subject="library/redis")))
    kinds = Counter(job.kind for job in db.claim(wanted=5))
    assert kinds == {"repository": 1, "tags.page": 1, "images": 3}


def test_claims_are_the_same_for_the_same_queue(db: Database) -> None:
    for number in range(30):
        db.add(picture(number), repository(Args(subject=f"acme/{number}")), tags_page(Args(subject=f"acme/{number}")))
    first = [job.key for job in db.claim(wanted=12)]
    db.run("UPDATE jobs SET state = 'ready', lease_owner = NULL, lease_until = NULL")
    assert [job.key for job in db.claim(wanted=12)] == first
    assert len(first) == 12


def test_a_long_walk_lets_the_jobs_of_100_repositories_and_10_other_walks_through(db: Database) -> None:
    """Page after page of one repository, each the follow-up of the one before."""
    pages = {f"acme/short-{number}": 5 for number in range(10)} | {"acme/long": 2000}
    db.add(tags_page(Args(subject="acme/long")))
    for job in (first := db.claim(wanted=5)):
        follow(db, job, pages)
    assert [job.args.subject for job in first] == ["acme/long"]
    db.add(*[repository(Args(subject=f"umbrella/{number}")) for number in range(100)])
    db.add(*[tags_page(Args(subject=name)) for name in pages if name != "acme/long"])
    asked: list[Job] = []
    while True:
        claimed = db.claim(wanted=5)
        if {job.args.subject for job in claimed} == {"acme/long"}:
            break
        db.clock.advance(1)
        for job in claimed:
            follow(db, job, pages)
        asked += claimed
    long = sum(job.args.subject == "acme/long" for job in asked)
    assert Counter(job.kind for job in asked) == {"repository": 100, "tags.page": 10 * 5 + long}
    assert long <= 30, "the long walk has its turns, and no more"
    assert db.value("SELECT count(*) FROM jobs WHERE state IN ('ready', 'running')") == 1, "of 2000 pages"


def follow(db: Database, job: Job, pages: dict[str, int]) -> None:
    """The next page of a walk comes when this one is done."""
    page = job.args.page + 1
    more = job.kind == "tags.page" and page <= pages[job.args.subject]
    args = Args(subject=job.args.subject, page=page, query=f"page={page}")
    db.end(job, Done(Harvest(follow_ups=(tags_page(args),) if more else ())))


def test_a_claim_of_a_route_takes_the_jobs_of_its_parts_only(db: Database) -> None:
    names = ("library", "grafana", "acme", "bitnami")
    parts = {name: shard_of(name) for name in names}
    assert len(set(parts.values())) == len(names)
    db.add(*[repository(Args(subject=f"{name}/web")) for name in names], tags_page(Args(subject="acme/web")))
    mine = (parts["grafana"], parts["acme"])
    taken = db.claim(shards=mine)
    assert [(job.kind, job.args.subject) for job in taken] == [
        ("repository", "grafana/web"),
        ("repository", "acme/web"),
        ("tags.page", "acme/web"),
    ]
    assert db.claim(shards=()) == []
    rest = tuple(number for number in range(SHARDS) if number not in mine)
    assert [job.args.subject for job in db.claim(shards=rest)] == ["library/web", "bitnami/web"]


def test_a_claim_of_a_run_and_a_route_takes_what_is_of_both(db: Database) -> None:
    of_run = [repository(Args(subject="library/web")), search_page(Args(subject="web server"))]
    run = db.begin_run("a", *of_run)
    db.add(repository(Args(subject="library/other")))
    assert [job.key for job in db.claim(run_id=run.id, shards=(shard_of("library"),))] == [of_run[0].key]
    assert [job.key for job in db.claim(lane="search", run_id=run.id, shards=(shard_of("web server"),))] == [
        of_run[1].key
    ]


def test_work_is_due_for_the_route_that_it_belongs_to(db: Database) -> None:
    db.add(repository(Args(subject="library/web")))
    with db.reader.begin() as connection:
        of_library = (shard_of("library"),)
        others = tuple(number for number in range(SHARDS) if number not in of_library)
        due = [queue.is_due(connection, "hub", db.now, parts) for parts in (None, of_library, others, ())]
    assert due == [True, True, False, False]
