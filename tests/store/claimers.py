"""What the processes of a test do to a database that they share."""

from __future__ import annotations

from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from harvester.jobs import Done, Harvest, Job, Settled
from harvester.store import queue
from harvester.store.engine import database_url, open_writer
from harvester.store.moment import Moment
from harvester.store.writer import settle_all
from tests.store.clocks import NOW


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
