"""How often to look: slots, habits, intervals. Rank 1, pure."""

from __future__ import annotations

from hashlib import sha256


def phase(name: str, span_s: int) -> int:
    """Where in a span of so many seconds something of that name has its place: always the same, evenly spread."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") % max(1, span_s)


def slot_of(now: float, every_s: int, phase_s: int) -> float:
    """When the slot began in which `now` lies: slots begin at `phase_s` after each multiple of `every_s` since the epoch."""
    return (now - phase_s) // every_s * every_s + phase_s


def next_slot(now: float, every_s: int, phase_s: int) -> float:
    """When the slot after that begins."""
    return slot_of(now, every_s, phase_s) + every_s


def is_sane(due_at: float, now: float, every_s: int) -> bool:
    """Whether a due date can have been set by a clock that goes as it does now."""
    return due_at <= now + every_s + 60
