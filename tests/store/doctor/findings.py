"""What the tests of the doctor share: how it is asked, and how one finding is picked out."""

from __future__ import annotations

from collections.abc import Callable

from harvester.findings import Finding
from harvester.store.moment import Moment
from tests.store.clocks import NOW

HOUR = 3600

Doctor = Callable[..., list[Finding]]
"""Asks it, with a credential and with settings of the test's own."""


def found(findings: list[Finding], part: str) -> Finding:
    """The one finding that says so."""
    [one] = [one for one in findings if part in one.what]
    assert one.level == "ok" or one.remedy, "what is wrong has a remedy"
    return one


def at(seconds: float) -> str:
    return Moment.of(NOW + seconds).text
