"""What the unit tests share: property tests that find the same on every machine, however slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("harvester", deadline=None, derandomize=True, database=None)
settings.load_profile("harvester")
