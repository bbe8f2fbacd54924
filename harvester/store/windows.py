"""What a bucket knows of its window, and how far it may go beside others who spend the same budget. Rank 3, pure.

Three numbers tell whose requests the far end counts. `spent`: permits that we took in this window, in all processes; `answered`:
how many of those are over; `counted`: the most that the far end said it had counted. What it counted beyond `spent` is somebody
else's. At the end of a window that is folded into `others`, a running mean of requests per window, and into `others_jump`, a
maximum that fades: the most that came between two answers of ours. While there are others, a permit leaves room for what they
will spend in the rest of the window, for one jump at least: we take our part early and are silent when the budget is nearly
spent, instead of racing for it. Without others none of this holds anything back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt
from typing import NamedTuple

WINDOW_SLACK_S = 1.0
"""The far end's `Date` and reset are whole seconds: its window is taken to end this much later."""

ROUNDING_S = 3.0
"""Two headers that tell of one end, each in whole seconds and each some time under way, differ by less."""

UNDER_WAY = 8
"""Requests that may be on their way when a window begins, at the most; more were lost with a process that was killed."""

NOISE = 1
"""A difference this small is none: far end and ledger do not count at the same instant."""

GAIN = 1 / 3
"""Weight of the newest window in `others`: when they stop, a tenth is left after six windows."""

CHANCE = 2.0
"""What chance may add to an expected number, in roots of it."""

JUMP_MOST = 1 / 3
"""Part of the limit that is kept free for one jump, at the most."""

JUMP_MARGIN = 1.4
"""The next jump may be so much larger than the largest of late: beside bursts of 5 to 20 that halves the refusals."""

JUMP_KEPT = 0.98
JUMP_KEPT_ALONE = 0.7
"""What is left of `others_jump` after a window with others, and after one without."""

FORGOTTEN = 0.1
"""Part of `others` that is forgotten after a window in which nothing was heard."""

SILENCE = 0.3
"""Part of a window after which we ask once more to hear how it stands."""

IDLE_KEPT = 0.9
"""What is left of both after a window in which we asked nothing."""

FEWEST = 0.5
"""Fewer requests per window than this are none."""

EARLY = 0.25
"""Part of a window before which the rate of others in it is not taken for more than a burst's."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What the configuration says of a bucket before any header does."""

    limit: int
    window_s: float
    ceiling: int | None = None
    """Requests in a window that headers may lower and never raise."""
    share: float = 1.0
    """Part of a limit from a header that we allow ourselves."""
    reserve: int = 0
    """Requests in a window that are left to others."""
    only_if_told: bool = False
    """Whether nothing is held back before a header has named a limit."""

    @property
    def configured(self) -> int:
        """What we allow ourselves as long as no header has named a limit."""
        return self.limit - self.reserve if self.ceiling is None else min(self.limit, self.ceiling)

    def allowed(self, limit: int) -> int:
        """What we allow ourselves of a far end's limit."""
        own = self.total(limit)
        return own if self.ceiling is None else min(own, self.ceiling)

    def total(self, limit: int) -> int:
        """How far the far end's count may go with requests of ours in it, whoever else is in it."""
        return max(0, int(limit * self.share) - self.reserve)


class State(NamedTuple):
    """A bucket's row; instants are epoch seconds."""

    cap: int
    window_s: float
    window_ends_at: float
    spent: int
    next_at: float
    not_before: float
    closed_reason: str | None
    limit: int
    source: str
    remaining: int | None
    """Null: nothing was heard of this window yet."""
    answered: int
    counted: int
    others: float
    others_jump: float
    seen_at: float

    @property
    def under_way(self) -> int:
        """Requests of ours that the far end has not answered, or whose answers have not been told yet."""
        return max(0, self.spent - self.answered)

    @property
    def from_others(self) -> int:
        """Requests in this window that are certainly not ours."""
        return max(0, self.counted - self.spent)

    @property
    def is_shared(self) -> bool:
        """Whether others are about."""
        return self.from_others > NOISE or self.others > 0 or self.others_jump > 0

    def rate(self, now: float) -> float:
        """Requests per second of others: those of late, or those of this window where they are more."""
        gone_s = self.window_s - max(0.0, self.window_ends_at - now)
        return max(self.others / self.window_s, self.from_others / max(EARLY * self.window_s, gone_s))

    def silent_s(self, now: float) -> float:
        """Seconds of this window in which nothing was heard of it."""
        gone_s = self.window_s - max(0.0, self.window_ends_at - now)
        return max(0.0, min(now - self.seen_at, gone_s))


class Room(NamedTuple):
    """How far a bucket may go now."""

    most: int
    """What `spent` may become."""
    wait_s: float
    """Seconds until it may be more, or the window is over."""
    is_shared: bool
    """Whether others are about: then nothing is saved up."""


def rolled(state: State, ends_at: float, now: float) -> State:
    """The window after this one, what was learnt of others folded in."""
    others, jump, carried = state.others, state.others_jump, 0
    if state.remaining is not None:
        seen = state.from_others if state.from_others > NOISE else 0
        heard_s = state.seen_at - (state.window_ends_at - state.window_s)
        part = min(1.0, max(0.0, heard_s / state.window_s))
        # Only of the part of the window that we saw is anything known; what is not known is slowly forgotten.
        others = max(0.0, (others + GAIN * (seen - others * part)) * (1 - FORGOTTEN * (1 - part)))
        jump *= JUMP_KEPT if seen else JUMP_KEPT_ALONE
        # The far end's window began before ours: what is still under way is counted in the new one.
        carried = min(state.under_way, UNDER_WAY)
    idle = (now - state.window_ends_at) / state.window_s
    if idle >= 1:
        kept = IDLE_KEPT ** min(idle, 1000.0)
        others, jump = others * kept, jump * kept
    return state._replace(
        window_ends_at=ends_at,
        spent=carried,
        answered=0,
        counted=0,
        remaining=None,
        others=others if others >= FEWEST else 0.0,
        others_jump=jump if jump >= FEWEST else 0.0,
    )


def room(state: State, pace: Pace, now: float) -> Room:
    """How far the bucket may go now."""
    left_s = max(0.0, state.window_ends_at - now)
    if state.source != "header" or not state.is_shared:
        return Room(state.cap, left_s, is_shared=False)
    rate = state.rate(now)
    jump = min(JUMP_MARGIN * state.others_jump, JUMP_MOST * state.limit)
    unheard = rate * state.silent_s(now)
    seen = state.counted + unheard + CHANCE * sqrt(unheard)
    # What they are left by configuration is theirs to spend; only what they need beyond it has to be found.
    theirs = max(state.limit - pace.total(state.limit), rate * left_s, jump)
    own = state.limit - theirs - seen
    if state.under_way == 0 and (state.remaining is None or state.silent_s(now) >= SILENCE * state.window_s):
        # Without a request there is no answer: one goes out where it is not likely to be the one too many.
        own = max(own, min(1.0, max(state.limit - jump - seen, 1.0 - state.spent)))
    most = state.spent - state.under_way + floor(own)
    lacking = state.spent + 1 - most
    wait_s = left_s if rate * left_s < theirs else min(left_s, max(WINDOW_SLACK_S, lacking / rate))
    return Room(max(0, min(state.cap, most)), wait_s, is_shared=True)


def heard(
    state: State,
    pace: Pace,
    now: float,
    *,
    limit: int | None,
    remaining: int | None,
    window_s: float | None,
    resets_in_s: float | None,
    ended: int,
) -> State:
    """The bucket after an answer's headers, which came at `now`; `ended` requests of ours are over since the last ones.

    What the headers leave out stays as it is.
    """
    window = window_s or state.window_s
    is_past = resets_in_s is not None and resets_in_s <= 0
    far_end = None
    if resets_in_s is not None and 0 < resets_in_s <= 2 * window:
        far_end = now + resets_in_s + WINDOW_SLACK_S
    began_at = state.window_ends_at - state.window_s
    if far_end is None:
        is_past = is_past or now < began_at - ROUNDING_S
    elif far_end - state.window_ends_at > window / 2:
        # The far end's next window has begun before ours was over.
        state = rolled(state, far_end, now)
    elif state.remaining is None:
        # The end of a window that is over, told late, is no end of this one.
        is_past = far_end - began_at < ROUNDING_S + WINDOW_SLACK_S
        if not is_past:
            state = state._replace(window_ends_at=far_end)
    elif state.window_ends_at - far_end > window / 2:
        is_past = True
    elif far_end - state.window_ends_at > ROUNDING_S or far_end < state.window_ends_at:
        # Of all that is told of one end the earliest is the closest.
        state = state._replace(window_ends_at=far_end)
    state = state._replace(window_s=window)
    if limit is not None:
        state = state._replace(limit=limit, cap=pace.allowed(limit))
        # What remained of a window that is over says nothing of this one.
        if remaining is not None and not is_past:
            state = _counted(state, max(0, limit - remaining), ended, remaining, now, is_placed=resets_in_s is not None)
    return state._replace(
        answered=min(state.spent, state.answered + ended), source="header", seen_at=max(state.seen_at, now)
    )


def _counted(state: State, count: int, ended: int, remaining: int, now: float, *, is_placed: bool) -> State:
    """The state after the far end counted so many; `is_placed`: it told of which window."""
    if not is_placed and state.remaining is not None and count + state.under_way < state.counted / 2:
        # Only a new window begins from nothing.
        state = rolled(state, now + state.window_s, now)
    elif not is_placed and state.remaining is None:
        # Where its window began is not known: all of it may be ours.
        return state._replace(spent=max(state.spent, count), counted=count, remaining=remaining)
    if state.remaining is not None:
        # What they spend on the average was expected.
        jump = count - state.counted - ended - state.rate(now) * state.silent_s(now)
        jump = min(jump, count - state.spent)
        if jump > NOISE:
            state = state._replace(others_jump=max(state.others_jump, jump))
    return state._replace(counted=max(state.counted, count), remaining=remaining)
