"""A Docker Hub on loopback: Hub API, token server, registry and CDN, written from the wire reference."""

from __future__ import annotations

from tests.fakehub.faults import Fault, Occasion
from tests.fakehub.hub_api import Switches
from tests.fakehub.journal import Entry, Journal
from tests.fakehub.limits import Limits
from tests.fakehub.messages import Reply, Request
from tests.fakehub.server import FakeHub
from tests.fakehub.world import World

__all__ = ["Entry", "FakeHub", "Fault", "Journal", "Limits", "Occasion", "Reply", "Request", "Switches", "World"]
