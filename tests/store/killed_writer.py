"""A process that ends without a word inside a transaction of its writer. Run as a script with the database's path or URL."""

from __future__ import annotations

import asyncio
import os
import sys

from sqlalchemy import Connection, text

from harvester.clock import SystemClock
from harvester.jobs import Args, Done, Harvest, Job, Settled, tags_page
from harvester.records import Repository, RepositorySeen
from harvester.store import queue
from harvester.store.engine import database_url, open_writer
from harvester.store.moment import Moment
from harvester.store.writer import Writer

EXIT = 9


def found(job: Job) -> Settled:
    """A repository and its follow-up."""
    namespace, _, name = job.args.subject.partition("/")
    row = Repository(namespace=namespace, name=name, source="detail", pull_count=1)
    follow = tags_page(Args(subject=job.args.subject))
    harvest = Harvest(records=(RepositorySeen(repository=row),), follow_ups=(follow,))
    return Settled(job, Done(harvest), SystemClock().time())


async def main(path: str) -> None:
    """Settle one job, then end inside the transaction that settles the second one."""
    clock = SystemClock()
    writer = Writer(open_writer(database_url(path)), clock, "killed")
    first, second = await writer.call(
        lambda connection: queue.claim(
            connection, "hub", Moment.of(clock.time()), owner="killed", wanted=2, run_id=None
        )
    )
    await writer.settle(found(first))

    def end(connection: Connection) -> None:
        [state] = connection.execute(text("SELECT state FROM jobs WHERE id = :id"), {"id": second.id}).one()
        # 1 would say that the second job was not in this transaction.
        os._exit(EXIT if state == "done" else 1)

    await asyncio.gather(writer.settle(found(second)), writer.call(end))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
