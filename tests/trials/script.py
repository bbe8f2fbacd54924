"""The script of a year, from a seed: which tags are pushed, deleted, restored and when, and what becomes of repositories."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.trials.scripted_world import LARGE, NAMESPACES, PLATFORMS, Change, Content, Pushed, Script, ScriptDay

REPOSITORIES = ("catalog", "gateway", "ledger", "mailer", "worker")
MOVING = ("latest", "stable", "edge", "nightly")
LARGE_TAGS = 350
BUSY = 0.45
"""Part of the repositories to which something happens on a day."""
BULK = 0.07
"""Part of the days on which many tags of the large repository are pushed at once."""
LEAST_LIVE = 3

VANISHING = "delta/ledger"
VANISHING_LISTED = "borealis/ledger"
VANISHING_FOR_EVER = "delta/mailer"
REGISTERED_ANEW = ("cumulus/worker", "delta/worker")
FOUND_LATER = "borealis/parcels"


@dataclass(slots=True)
class _Planned:
    """A repository as the script has it so far."""

    live: dict[str, Pushed] = field(default_factory=dict)
    dead: dict[str, Pushed] = field(default_factory=dict)
    """Deleted tags with what they were last."""
    is_there: bool = True
    serial: int = 0


class _Planner:
    def __init__(self, seed: int, days: int, *, with_shifts: bool) -> None:
        self._chance = random.Random(f"script {seed}")  # noqa: S311
        self._days = days
        self._with_shifts = with_shifts
        self._contents = 0
        self._of: dict[str, _Planned] = {}

    def script(self) -> Script:
        first = tuple(self._founding(f"{namespace}/{name}") for namespace in NAMESPACES for name in REPOSITORIES)
        fate = self._fates()
        return Script(first, {number: self._day(fate.get(number, [])) for number in range(1, self._days + 1)})

    def _fates(self) -> dict[int, list[tuple[str, str]]]:
        """What becomes of whole repositories, by day."""
        days, away = self._days, max(5, self._days // 16)
        found: dict[int, list[tuple[str, str]]] = {}
        for number, act, full_name in (
            (days // 5, "vanish", VANISHING),
            (days // 5 + away, "return", VANISHING),
            (days // 3, "vanish", VANISHING_LISTED),
            (days // 3 + away, "return", VANISHING_LISTED),
            (days // 2, "vanish", VANISHING_FOR_EVER),
            (days * 3 // 5, "register", REGISTERED_ANEW[0]),
            (days * 7 // 10, "register", REGISTERED_ANEW[1]),
            (days // 4, "found", FOUND_LATER),
        ):
            found.setdefault(max(1, number), []).append((act, full_name))
        return found

    def _founding(self, full_name: str, act: str = "found") -> Change:
        planned = self._of[full_name] = _Planned()
        if full_name == LARGE:
            names = [*MOVING[:2], *(f"build-{number:03}" for number in range(1, LARGE_TAGS - 1))]
        else:
            count = self._chance.randint(2, 8)
            names = [*MOVING[: self._chance.randint(1, 4)], *(f"1.{minor}.0" for minor in range(1, count + 1))]
        for name in names:
            planned.live[name] = Pushed(name, self._content(full_name), full_name.partition("/")[0])
        planned.serial = len(names)
        tags = tuple(planned.live.values())
        return Change(full_name, "register" if act == "register" else "found", tags=tags)

    def _day(self, fates: list[tuple[str, str]]) -> ScriptDay:
        day = ScriptDay()
        fated = {full_name for _, full_name in fates}
        for act, full_name in fates:
            day.before.append(self._fate(act, full_name))
        for full_name, planned in self._of.items():
            if planned.is_there and full_name not in fated and self._chance.random() < BUSY:
                for tag in self._chance_of_names(planned, self._chance.randint(1, 3)):
                    day.before.append(self._happening(full_name, tag))
                if self._chance.random() < 0.05:
                    day.before.append(Change(full_name, "describe"))
        if self._chance.random() < BULK:
            self._bulk(day)
        elif self._with_shifts and self._chance.random() < 0.4:
            self._shift(day, fated)
        return day

    def _fate(self, act: str, full_name: str) -> Change:
        match act:
            case "vanish" | "return":
                self._of[full_name].is_there = act == "return"
                return Change(full_name, "vanish" if act == "vanish" else "return")
            case _:
                return self._founding(full_name, act)

    def _chance_of_names(self, planned: _Planned, count: int) -> list[str | None]:
        """Distinct tags to which something happens; null stands for a new one, at most once."""
        names: list[str | None] = list(self._chance.sample(sorted(planned.live), min(count, len(planned.live))))
        if planned.dead and self._chance.random() < 0.35:
            names.append(self._chance.choice(sorted(planned.dead)))
        if self._chance.random() < 0.15:
            names.append(None)
        return names

    def _happening(self, full_name: str, tag: str | None) -> Change:
        planned, chance = self._of[full_name], self._chance.random()
        namespace = full_name.partition("/")[0]
        if tag is None:
            planned.serial += 1
            name = f"build-{planned.serial:03}" if full_name == LARGE else f"2.{planned.serial}.0"
            return self._pushing(full_name, Pushed(name, self._content(full_name), namespace))
        if tag in planned.dead:
            before = planned.dead[tag]
            content = before.content if chance < 0.5 else self._content(full_name)
            return self._pushing(full_name, Pushed(tag, content, before.pusher))
        before = planned.live[tag]
        usual, content = before.content.platforms, before.content
        if chance < 0.15:
            return self._pushing(full_name, Pushed(tag, content, before.pusher))
        if chance < 0.33 and len(planned.live) > LEAST_LIVE:
            planned.dead[tag] = planned.live.pop(tag)
            return Change(full_name, "delete", tag=tag)
        pusher = before.pusher
        if chance < 0.38:
            pusher = "mallory" if before.pusher == namespace else namespace
        if chance > 0.95:
            platforms = usual[:-1] or PLATFORMS
            return self._pushing(full_name, Pushed(tag, self._content(full_name, platforms), pusher))
        if chance > 0.90:
            size = 10_000_000 if content.own_bytes > 20_000_000 else 400_000_000
            return self._pushing(full_name, Pushed(tag, self._content(full_name, usual, size), pusher))
        return self._pushing(full_name, Pushed(tag, self._content(full_name, usual, content.own_bytes), pusher))

    def _pushing(self, full_name: str, pushed: Pushed) -> Change:
        planned = self._of[full_name]
        planned.dead.pop(pushed.tag, None)
        planned.live[pushed.tag] = pushed
        return Change(full_name, "push", pushed)

    def _bulk(self, day: ScriptDay) -> None:
        """So many pushes that the walk after them reads several pages; and while it does, the pages shift."""
        planned = self._of[LARGE]
        touched = {one.pushed.tag if one.pushed else one.tag for one in day.before if one.full_name == LARGE}
        free = sorted(set(planned.live) - touched)
        chosen = self._chance.sample(free, min(len(free), self._chance.randint(110, 240)))
        namespace = LARGE.partition("/")[0]
        for tag in chosen:
            content = planned.live[tag].content if self._chance.random() < 0.4 else self._content(LARGE)
            day.before.append(self._pushing(LARGE, Pushed(tag, content, namespace)))
        if self._with_shifts:
            for tag in self._chance.sample(sorted(set(free) - set(chosen)) + chosen[:20], self._chance.randint(1, 4)):
                change = self._happening(LARGE, tag)
                day.during.append(_moved_to(change, "page", 0.0))

    def _shift(self, day: ScriptDay, fated: set[str]) -> None:
        """A few changes at some instants of the pass."""
        touched = {(one.full_name, one.pushed.tag if one.pushed else one.tag) for one in day.before}
        for _ in range(self._chance.randint(1, 4)):
            names = [name for name, one in self._of.items() if one.is_there and name not in fated]
            full_name = self._chance.choice(sorted(names))
            for tag in self._chance_of_names(self._of[full_name], 1):
                if tag is None or (full_name, tag) not in touched:
                    touched.add((full_name, tag))
                    change = self._happening(full_name, tag)
                    day.during.append(_moved_to(change, "later", self._chance.uniform(0.5, 15.0)))

    def _content(self, full_name: str, platforms: tuple[str, ...] = PLATFORMS[:2], size: int = 10_000_000) -> Content:
        self._contents += 1
        return Content(f"{full_name} {self._contents}", platforms, size)


def _moved_to(change: Change, when: str, after_s: float) -> Change:
    return Change(
        change.full_name,
        change.act,
        change.pushed,
        change.tag,
        when="page" if when == "page" else "later",
        after_s=after_s,
    )


def made(seed: int, days: int, *, with_shifts: bool) -> Script:
    """The script of so many days; `with_shifts` some things happen while the pass is under way."""
    return _Planner(seed, days, with_shifts=with_shifts).script()
