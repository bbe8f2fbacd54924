"""What the unit tests share: property tests that find the same on every machine, however slow, and a folder to work in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("harvester", deadline=None, derandomize=True, database=None)
settings.load_profile("harvester")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the operator's own variables are out of the way."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("HARVESTER_", "DOCKERHUB_"))]:
        monkeypatch.delenv(name)
    return tmp_path
