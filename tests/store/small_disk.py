"""A writer on a disk that fills up and is mounted read-only.

Run as a script in a mount namespace of its own, with a folder to mount on, the file of a migrated database, and a file for what
happened, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from harvester.clock import SystemClock
from harvester.errors import HarvesterError
from harvester.gate import Gate
from harvester.jobs import Done, Harvest, Job, Settled
from harvester.store import queue
from harvester.store.engine import database_url, open_writer
from harvester.store.moment import Moment
from harvester.store.writer import Writer
from tests.store.makers import job, seen

OWNER = "small"
JOBS = 40
EACH = 100_000
"""Characters of each repository's description: all of them together are more than the disk has."""

MOUNT = shutil.which("mount") or "/bin/mount"

DISK_MB = 4


def mount(*arguments: str) -> None:
    subprocess.run([MOUNT, *arguments], check=True)


async def settled(writer: Writer, one: Job) -> str | None:
    """Settle it; what was said when that failed."""
    name = one.args.subject
    text = (name * EACH)[:EACH]
    harvest = Harvest(records=(seen(name, full_description=text),))
    try:
        await writer.settle(Settled(one, Done(harvest), SystemClock().time()))
    except HarvesterError as error:
        return f"{type(error).__name__}: {error}"
    return None


async def main(folder: Path, template: Path) -> dict[str, Any]:
    """What the writer said and stored while the disk was full, after it had room again, and while it was read-only."""
    mount("-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder))
    database = Path(shutil.copyfile(template, folder / "harvester.db"))
    clock = SystemClock()
    engine = open_writer(database_url(str(database)))
    writer = Writer(engine, clock, OWNER)
    gate = Gate(engine.url, clock, wal_mb=0, keep_free_mb=1)
    answer: dict[str, Any] = {"gate_before": gate.closed_reason()}

    def make(connection: Any) -> list[Job]:
        now = Moment.of(clock.time())
        queue.enqueue(connection, [job(f"r{n}") for n in range(JOBS)], now, runs=[], fresh_after=now.text)
        return queue.claim(connection, "hub", now, owner=OWNER, wanted=JOBS, run_id=None)

    def state(connection: Any) -> list[int]:
        done = connection.exec_driver_sql("SELECT count(*) FROM jobs WHERE state = 'done'").scalar_one()
        stored = connection.exec_driver_sql("SELECT count(*) FROM repositories").scalar_one()
        whole = f"SELECT count(*) FROM repositories WHERE length(full_description) = {EACH}"
        return [done, stored, connection.exec_driver_sql(whole).scalar_one()]

    jobs = await writer.call(make)
    said: list[str] = []
    for one in jobs:
        if (error := await settled(writer, one)) is not None:
            said.append(error)
    answer["full"] = {"said": sorted(set(said)), "failed": len(said), "gate": gate.closed_reason()}
    # What is left in the log's own pages is filled, too.
    ballast = folder / "ballast"
    ballast.write_bytes(b"")
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    answer["full"]["state"] = await writer.call(state)
    ballast.unlink()
    mount("-o", f"remount,size={10 * DISK_MB}m", str(folder))
    answer["usable_again"] = await writer.is_usable()
    answer["gate_after"] = gate.closed_reason()
    await writer.call(lambda connection: queue.give_back(connection, Moment.of(clock.time()), owner=OWNER))
    left = await writer.call(
        lambda connection: queue.claim(
            connection, "hub", Moment.of(clock.time()), owner=OWNER, wanted=JOBS, run_id=None
        )
    )
    answer["left"] = len(left)
    answer["failed_again"] = [error for one in left if (error := await settled(writer, one)) is not None]
    answer["state"] = await writer.call(state)
    # As after an error of the disk: a file system with files open for writing refuses to be made read-only.
    engine.dispose()
    mount("-o", "remount,ro", str(folder))
    answer["usable_read_only"] = await writer.is_usable()
    try:
        await writer.call(state)
    except HarvesterError as error:
        answer["read_only"] = f"{type(error).__name__}: {error}"
    mount("-o", "remount,rw", str(folder))
    answer["usable_at_last"] = await writer.is_usable()
    answer["check"] = await writer.call(
        lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    )
    writer.close()
    engine.dispose()
    return answer


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))), encoding="utf-8")
