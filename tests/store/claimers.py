"""What the processes of a test do to a database that they share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

from harvester.jobs import Done, Harvest, Job, Settled
from harvester.store import queue
from harvester.store.engine import database_url, open_writer
from harvester.store.moment import Moment
from harvester.store.writer import settle_all
from tests.store.clocks import NOW


def told_by_two(work: Callable[..., None], *arguments: tuple[Any, ...]) -> list[Any]:
    """What each of two processes tells that do this work at one time; after its arguments it is given a barrier and a queue."""
    spawn = multiprocessing.get_context("spawn")
    barrier, told = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=work, args=(*given, barrier, told)) for given in arguments]
    for process in processes:
        process.start()
    answers = [told.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
        process.close()
    told.close()
    told.join_thread()
    return answers


def check_shares(answers: list[tuple[str, list[int], str]], jobs: int) -> None:
    """Both who claimed and settled had a share of so many jobs, and none was done twice."""
    assert [error for _, _, error in answers] == ["", ""]
    taken = [job_id for _, ids, _ in answers for job_id in ids]
    assert all(ids for _, ids, _ in answers), "both had a share"
    assert (len(taken), len(set(taken))) == (jobs, jobs)


def claim_and_settle(database: str, owner: str, barrier: Barrier, told: Queue[tuple[str, list[int], str]]) -> None:
    """Work until nothing is left, and tell which jobs it were; both begin together, and both have a share."""
    taken: list[int] = []
    error = ""
    engine = open_writer(database_url(database))
    try:
        barrier.wait(30)
        batch = _claim(database, owner)
        taken += [job.id for job in batch]
        barrier.wait(30)
        while batch:
            with engine.begin() as connection:
                settled = [Settled(job, Done(Harvest()), NOW) for job in batch]
                settle_all(connection, settled, owner, Moment.of(NOW))
            with engine.begin() as connection:
                batch = queue.claim(connection, "hub", Moment.of(NOW), owner=owner, wanted=5, run_id=None)
            taken += [job.id for job in batch]
    except Exception as failure:
        error = repr(failure)
    engine.dispose()
    told.put((owner, taken, error))


def _claim(database: str, owner: str) -> list[Job]:
    engine = open_writer(database_url(database))
    with engine.begin() as connection:
        batch = queue.claim(connection, "hub", Moment.of(NOW), owner=owner, wanted=5, run_id=None)
    engine.dispose()
    return batch
