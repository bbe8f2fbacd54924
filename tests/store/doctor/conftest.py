"""A sound database, and a doctor that looks at it without asking anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harvester.config import Settings
from harvester.doctor import examine
from harvester.errors import ConfigError
from harvester.findings import Finding
from tests.store.clocks import ManualClock
from tests.store.doctor.findings import Doctor


@pytest.fixture(autouse=True)
def sound(path: Path) -> Path:
    path.chmod(0o600)
    path.parent.chmod(0o700)
    return path


@pytest.fixture
def doctor(path: Path, clock: ManualClock) -> Doctor:
    def look(credential: tuple[str, str] | ConfigError | None = None, **settings: Any) -> list[Finding]:
        chosen = Settings(**({"database": str(path), "contact": "me@example.org"} | settings))
        return examine(chosen, clock, credential=credential, is_offline=True)

    return look
