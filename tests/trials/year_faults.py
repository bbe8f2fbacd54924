"""What goes wrong at the far end on each day of a year: single answers, and days on which a part of it is of no use."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.fakehub import FakeHub, Fault
from tests.fakehub import faults as answers
from tests.fakehub.faults import Answer, mutated, status
from tests.fakehub.messages import Host
from tests.trials.scripted_world import LARGE, NAMESPACES

Days = dict[int, list[str]]

UNNOTICEABLE = "a row missing and not counted"
"""A list that agrees with itself: that it lacks something shows only when it is asked for again."""

HUB_ONLY: dict[str, Callable[[random.Random], Answer]] = {
    "429 with seconds": lambda chance: answers.rate_limited(chance.randint(1, 90)),
    "429 with a time": lambda chance: answers.rate_limited(chance.randint(1, 90), form="epoch"),
    "429 without a wait": lambda chance: answers.rate_limited(form="none"),
    "a list of nothing": lambda chance: answers.no_rows(),
    "a wrong count": lambda chance: answers.count_off(chance.choice((-100, -7, -1, 1, 2, 50))),
    "a row twice": lambda chance: answers.row_repeated(row=chance.randrange(100)),
    "a row missing": lambda chance: answers.row_omitted(row=chance.randrange(100)),
    UNNOTICEABLE: lambda chance: answers.row_omitted(row=chance.randrange(100), is_counted=False),
}
ANYWHERE: dict[str, Callable[[random.Random], Answer]] = {
    "500": lambda chance: answers.server_error(500),
    "502": lambda chance: answers.server_error(502),
    "a body cut short": lambda chance: answers.cut_short(chance.randint(1, 400)),
    "an empty 200": lambda chance: answers.empty_ok(),
    "HTML under 200": lambda chance: answers.html_ok(),
    "half of the JSON": lambda chance: answers.not_json(),
    "a reset": lambda chance: answers.connection_reset(),
    "a close": lambda chance: answers.connection_closed(),
}
NAMES_ONLY: dict[str, Callable[[random.Random], Answer]] = {
    "names cut": lambda chance: answers.names_cut(chance.choice((0.3, 0.6, 0.9))),
    "no names": lambda chance: answers.names_cut(0.0),
    "429 of the registry": lambda chance: answers.registry_limited(chance.choice((None, 3, 40))),
}


@dataclass(slots=True)
class Weather:
    """The faults of all days, drawn from a seed, and how often each was met."""

    seed: int
    days: int
    vanishing: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Repositories of one namespace that answer 404 on that day although they are there."""
    met: Counter[str] = field(default_factory=Counter)
    special: Days = field(default_factory=dict)
    _armed: list[tuple[str, Fault]] = field(default_factory=list)

    def __post_init__(self) -> None:
        chance = random.Random(f"weather {self.seed}")  # noqa: S311
        for name, every in (
            ("503 all day", 90),
            ("lists of nothing all day", 120),
            ("no registry all day", 90),
            ("names cut everywhere", 60),
            ("no names anywhere", 120),
            ("503 for a while", 45),
        ):
            for _ in range(max(1, self.days // every)):
                self.special.setdefault(chance.randint(2, self.days), []).append(name)
        for number in range(max(1, self.days // 60)):
            # A far end that misbehaves for longer says the same 404 in several passes; then it is more than half of a namespace.
            is_long = number == 0 and self.days >= 100
            first = chance.randint(2, max(2, self.days - 3))
            namespace = NAMESPACES[-1] if number % 2 == 0 else chance.choice(NAMESPACES)
            names = ("catalog", "gateway", "worker")
            chosen = tuple(f"{namespace}/{name}" for name in (names if is_long else chance.sample(names, 2)))
            for day in range(first, first + (3 if is_long else 1)):
                self.vanishing[day] = chosen

    def arm(self, hub: FakeHub, day: int, there: Sequence[str]) -> None:
        """Let the far end be as it is on that day; `there` are the repositories that exist."""
        chance = random.Random(f"weather {self.seed} {day}")  # noqa: S311
        self._armed = []
        for name in self.special.get(day, []):
            self._armed += [(name, fault) for fault in _everywhere(name, chance)]
        gone = [name for name in self.vanishing.get(day, ()) if name in there]
        if gone:
            self._armed += [("404 for a third of a namespace", fault) for fault in _vanished(gone)]
        for _ in range(chance.choice((0, 0, 1, 1, 2, 3, 5, 8))):
            self._armed.append(_single(chance, there))
        for _, fault in self._armed:
            hub.fault(fault)

    def lied(self) -> list[str]:
        """Names of the repositories of whose tags a page said that it is whole, and lacked one."""
        return [
            fault.target.split("/")[1]
            for name, fault in self._armed
            if name == UNNOTICEABLE and fault.applied_count and "/tags" in fault.target
        ]

    def disarm(self, hub: FakeHub) -> None:
        """Count what was met, and let the far end be well."""
        hub.clear_faults()
        for name, fault in self._armed:
            self.met[name] += fault.applied_count
        self._armed = []


def _single(chance: random.Random, there: Sequence[str]) -> tuple[str, Fault]:
    """One fault of one kind of request, for a time or a few."""
    full_name = LARGE if chance.random() < 0.25 else chance.choice(sorted(there))
    namespace, _, name = full_name.partition("/")
    times = chance.choice((1, 1, 1, 2, 3, 7))
    where: dict[str, tuple[Host, str]] = {
        "tags": ("hub", rf"/{name}/tags/?\?"),
        "second page": ("hub", rf"/{name}/tags/?\?.*\bpage=[2-9]"),
        "tag": ("hub", r"/tags/[^/?]+/?$"),
        "namespace": ("hub", rf"/v2/namespaces/{namespace}/repositories/?\?"),
        "detail": ("hub", rf"/{name}/?$"),
        "images": ("hub", r"/images$"),
        "names": ("registry", rf"/v2/{full_name}/tags/list"),
        "token": ("auth", r"/token"),
    }
    place = chance.choice((*where, "tags", "names", "namespace", "tags"))
    kinds = dict(ANYWHERE)
    if place in ("tags", "second page", "namespace"):
        kinds |= HUB_ONLY
    elif place in ("tag", "detail", "images"):
        kinds |= {kind: HUB_ONLY[kind] for kind in HUB_ONLY if kind.startswith("429")}
    elif place == "names":
        kinds |= NAMES_ONLY
    kind = chance.choice(sorted(kinds))
    host, target = where[place]
    skip = chance.choice((0, 0, 0, 1, 2)) if place in ("tag", "images", "token") else 0
    return kind, Fault(kinds[kind](chance), host=host, target=target, skip=skip, times=times)


def _everywhere(name: str, chance: random.Random) -> list[Fault]:
    """What a whole part of the far end does all day, or for many requests."""
    match name:
        case "503 all day":
            return [Fault(answers.server_error(503), times=None)]
        case "503 for a while":
            return [Fault(answers.server_error(503), skip=chance.randint(0, 20), times=chance.randint(5, 40))]
        case "lists of nothing all day":
            return [Fault(answers.no_rows(), host="hub", target=r"repositories/?\?|/tags/?\?", times=None)]
        case "no registry all day":
            return [Fault(answers.server_error(503), host="registry", times=None)]
        case "names cut everywhere":
            return [Fault(answers.names_cut(0.5), host="registry", target="/tags/list", times=None)]
        case _:
            return [Fault(answers.names_cut(0.0), host="registry", target="/tags/list", times=None)]


def _vanished(gone: Sequence[str]) -> list[Fault]:
    """All that is asked about these repositories is answered as if they were not there."""
    namespace = gone[0].partition("/")[0]
    names = {full_name.partition("/")[2] for full_name in gone}
    either = "|".join(re.escape(one) for one in sorted(names))

    def without(page: dict[str, object]) -> dict[str, object]:
        rows = page.get("results")
        if not isinstance(rows, list):
            return page
        kept = [row for row in rows if row["name"] not in names]
        return page | {"results": kept, "count": len(kept)}

    denied = {"errors": [{"code": "UNAUTHORIZED", "message": "access to the requested resource is not authorized"}]}
    return [
        Fault(answers.gone(), host="hub", target=rf"/{namespace}/(repositories/)?({either})(/|\?|$)", times=None),
        Fault(mutated(without), host="hub", target=rf"/v2/namespaces/{namespace}/repositories/?\?", times=None),
        Fault(status(401, denied), host="registry", target=rf"/v2/{namespace}/({either})/", times=None),
    ]
