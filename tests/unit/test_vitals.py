"""Signs of life: what counts as one, and what is said without."""

from __future__ import annotations

from harvester.store.gauges import Gauges, Overdue
from harvester.store.moment import Moment
from harvester.store.queue import LEASE_S
from harvester.vitals import SILENT_S, Vitals
from tests.store.clocks import ManualClock


def test_alive_is_what_commits() -> None:
    clock = ManualClock()
    vitals = Vitals(clock, stage="working")
    assert vitals.why_not_alive() is None
    clock.advance(SILENT_S)
    vitals.trouble = "the disk is full"
    assert vitals.why_not_alive() == f"nothing was committed for {SILENT_S:.0f} s: the disk is full"
    assert vitals.why_not_ready() == vitals.why_not_alive()
    vitals.committed_at = clock.monotonic()
    assert vitals.why_not_alive() is None


def test_ready_is_what_works() -> None:
    vitals = Vitals(ManualClock())
    assert vitals.why_not_ready() == "starting"
    vitals.stage = "working"
    assert vitals.why_not_ready() is None
    vitals.stage, vitals.trouble = "waiting", "the database is locked"
    assert vitals.why_not_ready() == "waiting: the database is locked"
    assert vitals.why_not_alive() is None, "it may still be well"


def test_moving_needs_commits_and_leases_that_are_renewed() -> None:
    clock = ManualClock()
    vitals = Vitals(clock, stage="working")
    clock.advance(29)
    assert vitals.is_moving(30)
    vitals.renewed_at = clock.monotonic() - LEASE_S
    assert not vitals.is_moving(30), "leases have run out"
    vitals.renewed_at = None
    assert vitals.is_moving(30), "there is no worker, and no lease"
    clock.advance(1)
    assert not vitals.is_moving(30), "nothing was committed"


def test_the_line_for_people() -> None:
    clock = ManualClock()
    vitals = Vitals(clock, stage="working", targets=3, stretch=2.5)
    assert vitals.text == "3 targets watched; every cadence stretched by 2.5"
    vitals.gauges = Gauges(
        at=Moment.of(clock.time()),
        jobs={("images", "ready"): 4, ("repository", "ready"): 1, ("images", "dead"): 2},
        overdue={"watch": Overdue(number=1, lag_s=600.0)},
        incomplete={"wall": 2},
    )
    vitals.stretch = 1.0
    assert vitals.text == (
        "3 targets watched; jobs: 5 ready, 0 waiting, 0 running, 2 dead; 10 min behind; 2 incomplete lists"
    )
    vitals.stage = "stopping"
    assert vitals.text.startswith("stopping; 3 targets")
