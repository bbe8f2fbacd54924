"""What the service manager is told. Rank 2."""

from __future__ import annotations

from collections.abc import Mapping


class Notifier:
    """Silent."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        """Whoever the environment names."""
        return cls()

    @property
    def watchdog_s(self) -> float | None:
        """Seconds within which a sign of life is expected."""
        return None

    def ready(self, status: str) -> None:
        """Ready."""

    def reloading(self) -> None:
        """Reloading."""

    def status(self, text: str) -> None:
        """Status."""

    def watchdog(self) -> None:
        """Alive."""

    def stopping(self, status: str) -> None:
        """Stopping."""
