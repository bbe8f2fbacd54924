"""A process as the service is: it harvests, tells receivers, counts, logs all there is, and scrapes its own port at the end.

`python -m tests.guards.watched TARGET...` in a folder with a `harvester.toml`; what `/metrics` and `/healthz` say goes to standard
output. Time passes thirty times as fast, so that what is tried again is tried soon.
"""

from __future__ import annotations

import asyncio
import sys
import time
from http.client import HTTPConnection

from harvester import config, log
from harvester.composition import assembled, open_store, worker_of
from harvester.delivery import opened
from harvester.health import HealthServer
from harvester.metrics import Metrics
from harvester.outcomes import Outcomes
from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request
from harvester.store import migrate, runs
from harvester.store.gauges import read_gauges
from harvester.store.moment import Moment
from harvester.targets import parse_targets
from harvester.worker import Report

FASTER = 30


class FastClock:
    """Time that passes faster."""

    def __init__(self) -> None:
        self._began, self._epoch = time.monotonic(), time.time()

    def time(self) -> float:
        return self._epoch + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * FASTER

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / FASTER)


async def main(targets: list[str]) -> None:
    """Harvest, tell, show."""
    settings = config.load()
    clock = FastClock()
    metrics = Metrics(clock, revision=migrate.HEAD)
    outcomes = Outcomes(clock)
    engine = open_store(settings)
    request = Request(parse_targets(targets), TagPolicy("all"), LayerPolicy("latest"))
    async with (
        assembled(
            settings,
            engine,
            clock,
            credential=config.credentials(settings),
            on_hold=lambda *_: None,
            on_answer=metrics.answered,
        ) as parts,
        opened(settings, parts.writer, parts.reader, clock, on_answer=metrics.answered) as delivery,
    ):
        await delivery.enrol()
        run = await parts.writer.call(
            lambda c: runs.begin_run(
                c, request.fingerprint(pulls=True), request.jobs(pulls=True), Moment.of(clock.time())
            )
        )

        def on_report(report: Report) -> None:
            metrics.report(report)
            outcomes.note(report)

        worker = worker_of(parts, clock, run_id=run.id, on_report=on_report)
        await worker.run(lambda: parts.writer.call(lambda c: runs.finish_run(c, run.id, Moment.of(clock.time()))))
        outcomes.tell_repeated(is_last=True)
        await delivery.round(seconds=60)
        metrics.follow(
            last_commit=lambda: parts.writer.committed_at,
            is_ready=lambda: None if worker.fatal is None else str(worker.fatal),
            stretch=lambda: 1.0,
        )
        with parts.reader.begin() as connection:
            metrics.show(read_gauges(connection, Moment.of(clock.time())))
        server = HealthServer("127.0.0.1:0", metrics.text, lambda: None, lambda: str(worker.fatal or "") or None)
        assert server.start()
        await asyncio.to_thread(_scrape, server.address)
        server.close()
    engine.dispose()


def _scrape(address: str) -> None:
    for path in ("/metrics", "/healthz", "/readyz"):
        connection = HTTPConnection(address, timeout=30)
        connection.request("GET", path)
        sys.stdout.write(connection.getresponse().read().decode())
        connection.close()


if __name__ == "__main__":
    log.configure(form=None, is_quiet=False, is_debug=True)
    asyncio.run(main(sys.argv[1:]))
