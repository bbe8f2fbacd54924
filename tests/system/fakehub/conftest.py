"""A fake Hub without a limit, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.fakehub import FakeHub, Limits, World


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10, verify=False, trust_env=False) as opened:
        yield opened


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(World.small(), limits=Limits(hub_per_minute=None), users={"someone": "dckr_pat_x"}) as running:
        yield running
