"""A worker with several ways out: each namespace keeps to its own, and one that fails holds up nobody else."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from harvester.egress import Egress, shards_of
from harvester.errors import Blocked, CredentialsRefused, Denied, Throttled, Unreachable, WireError
from harvester.jobs import Args, Harvest, Job, NewJob, Snooze, repository, tags_page
from harvester.jobs import shard as part_of
from harvester.store.writer import Writer
from harvester.trouble import STRIKES, Trouble
from harvester.ways import SLOTS, Route
from tests.store.database import Database
from tests.store.work import Handle, Work

pytestmark = pytest.mark.anyio

WAYS = (Egress(name="left"), Egress(name="right"))
LEFT, RIGHT = (parts for index in range(2) if (parts := shards_of(index, WAYS)) is not None)


def of(parts: tuple[int, ...], count: int) -> list[NewJob]:
    """Jobs of so many repositories, all in namespaces of these parts."""
    found: list[NewJob] = []
    number = 0
    while len(found) < count:
        new = repository(Args(subject=f"namespace-{number}/web"))
        number += 1
        if part_of(new) in parts:
            found.append(new)
    return found


def work(db: Database, writer: Writer, left: Handle, right: Handle, *jobs: NewJob) -> Work:
    run = db.begin_run("a", *jobs)
    return Work(db, writer, left, run.id, [Route("left", LEFT, left), Route("right", RIGHT, right)])


def kind(error: object) -> str:
    return type(error).__name__


class Asked:
    """A far end that answers, and notes what it was asked by this route."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def __call__(self, job: Job) -> Harvest:
        self.subjects.append(job.args.subject)
        return Harvest()


def refusing(error: WireError, times: int | None = None) -> Handle:
    """A far end that refuses so many jobs, or all."""
    left = times

    async def handle(job: Job) -> Harvest:
        nonlocal left
        if left == 0:
            return Harvest()
        left = None if left is None else left - 1
        raise error

    return handle


def subjects(jobs: list[NewJob]) -> set[str]:
    return {job.args.subject for job in jobs}


async def test_every_job_goes_by_the_route_of_its_namespace_follow_ups_too(db: Database, writer: Writer) -> None:
    mine, others = of(LEFT, 20), of(RIGHT, 20)
    left, right = Asked(), Asked()

    async def with_tags(job: Job) -> Harvest:
        await left(job)
        follow = (tags_page(Args(subject=job.args.subject)),) if job.kind == "repository" else ()
        return Harvest(follow_ups=follow)

    await work(db, writer, with_tags, right, *mine, *others).until_over()
    assert Counter(left.subjects) == dict.fromkeys(subjects(mine), 2)
    assert Counter(right.subjects) == dict.fromkeys(subjects(others), 1)


async def test_each_route_has_slots_of_its_own(db: Database, writer: Writer) -> None:
    busy: Counter[str] = Counter()
    full = asyncio.Event()

    def holding(name: str) -> Handle:
        async def handle(job: Job) -> Harvest:
            busy[name] += 1
            if busy == {"left": SLOTS["hub"], "right": SLOTS["hub"]}:
                full.set()
            async with asyncio.timeout(5):
                await full.wait()
            return Harvest()

        return handle

    made = work(db, writer, holding("left"), holding("right"), *of(LEFT, 4), *of(RIGHT, 4))
    await made.until_over()
    assert len(db.keys("done")) == 8


@pytest.mark.parametrize(
    "error", [Throttled("429", retry_after=900.0), Blocked("edge"), Unreachable("no connection")], ids=kind
)
async def test_a_route_that_is_refused_leaves_its_jobs_waiting_while_the_other_goes_on(
    db: Database, writer: Writer, error: WireError
) -> None:
    mine, others = of(LEFT, 40), of(RIGHT, 40)
    put_off = asyncio.Event()
    asked, refuse = Asked(), refusing(error, times=1)
    by_right_before: list[int] = []

    async def left(job: Job) -> Harvest:
        harvest = await refuse(job)
        by_right_before.append(len(asked.subjects))
        return harvest

    async def right(job: Job) -> Harvest:
        await asked(job)
        if len(asked.subjects) == len(others):
            # Time stood still until now.
            await put_off.wait()
            db.clock.advance(901)
        return Harvest()

    made = work(db, writer, left, right, *mine, *others)
    made.worker.on_report = lambda report: put_off.set() if isinstance(report.outcome, Snooze) else None
    await made.until_over()
    assert set(asked.subjects) == subjects(others), "nothing of the other route's"
    assert by_right_before == [len(others)] * len(mine), "nothing was asked by the refused route during its pause"
    assert db.all("SELECT state, count(*) FROM jobs GROUP BY 1") == [("done", 80)]
    assert made.worker.fatal is None


@pytest.mark.parametrize("error", [Unreachable("no connection"), Blocked("edge"), Denied("no")], ids=kind)
async def test_a_route_that_is_given_up_ends_the_run_only_when_the_others_have_nothing_left(
    db: Database, writer: Writer, error: WireError
) -> None:
    mine, others = of(LEFT, 40), of(RIGHT, 40)
    right = Asked()
    made = work(db, writer, refusing(error), right, *mine, *others)
    await made.until_over()
    assert subjects(others) == set(right.subjects)
    assert type(made.worker.fatal) is type(error)
    dead = len(db.keys("dead"))
    assert dead < STRIKES
    assert len(db.keys("ready")) + len(db.keys("waiting")) == 40 - dead
    assert db.keys("running") == []
    assert not db.finish_run(1), "the same command goes on"


async def test_a_run_of_which_every_route_is_given_up_ends(db: Database, writer: Writer) -> None:
    error = Unreachable("no connection")
    made = work(db, writer, refusing(error), refusing(error), *of(LEFT, 5), *of(RIGHT, 5))
    await made.until_over()
    assert made.worker.fatal is error
    assert len(db.keys("ready")) + len(db.keys("waiting")) == 10


async def test_a_run_without_a_job_for_the_broken_route_is_no_failure(db: Database, writer: Writer) -> None:
    """The one job that it had is done by another process meanwhile."""
    mine, others = of(LEFT, 1), of(RIGHT, 5)

    async def left(job: Job) -> Harvest:
        raise Unreachable("no connection")

    async def right(job: Job) -> Harvest:
        await given_up.wait()
        db.run("DELETE FROM run_jobs WHERE job_id IN (SELECT id FROM jobs WHERE key = ?)", mine[0].key)
        return Harvest()

    given_up = asyncio.Event()
    made = work(db, writer, left, right, *mine, *others)
    trouble = made.worker._troubles[0]
    notify = trouble.on_given_up

    def gave_up(trouble: Trouble) -> None:
        notify(trouble)
        given_up.set()

    trouble.on_given_up = gave_up
    await made.until_over()
    assert made.worker.fatal is None
    assert db.value("SELECT finished_at FROM runs") is not None


async def test_refused_credentials_end_all_routes_at_once(db: Database, writer: Writer) -> None:
    error = CredentialsRefused("wrong password")
    hold = asyncio.Event()

    async def right(job: Job) -> Harvest:
        await hold.wait()
        return Harvest()

    async def left(job: Job) -> Harvest:
        hold.set()
        raise error

    made = work(db, writer, left, right, *of(LEFT, 1), *of(RIGHT, 30))
    await made.until_over()
    assert made.worker.fatal is error
    assert len(db.keys("done")) <= SLOTS["hub"]
