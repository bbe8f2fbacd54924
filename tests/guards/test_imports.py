"""The direction of imports: a module sees lower ranks and its own package only; who may see `store`, `wire` and heavy libraries."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "harvester"

RANKS: dict[str, int] = {
    "harvester": 0,
    "harvester.errors": 0,
    "harvester.clock": 0,
    "harvester.names": 0,
    "harvester.versions": 0,
    "harvester.checks": 0,
    "harvester.config_lines": 0,
    "harvester.findings": 0,
    "harvester.egress": 1,
    "harvester.events": 1,
    "harvester.notify": 1,
    "harvester.records": 1,
    "harvester.policy": 1,
    "harvester.pull_rates": 1,
    "harvester.targets": 1,
    "harvester.jobs": 2,
    "harvester.config": 3,
    "harvester.feed": 2,
    "harvester.filling": 2,
    "harvester.forecast": 2,
    "harvester.log": 2,
    "harvester.watch": 2,
    "harvester.request": 3,
    "harvester.wire": 3,
    "harvester.store": 3,
    "harvester.handlers": 4,
    "harvester.healing": 4,
    "harvester.gate": 4,
    "harvester.limiter": 4,
    "harvester.trouble": 3,
    "harvester.timetable": 2,
    "harvester.systemd": 2,
    "harvester.cadence": 1,
    "harvester.scheduler": 7,
    "harvester.vitals": 7,
    "harvester.daemon": 8,
    "harvester.receivers": 4,
    "harvester.ways": 4,
    "harvester.worker": 5,
    "harvester.composition": 6,
    "harvester.costing": 6,
    "harvester.delivery": 6,
    "harvester.metrics": 6,
    "harvester.outcomes": 6,
    "harvester.progress": 6,
    "harvester.backfill": 7,
    "harvester.health": 7,
    "harvester.doctor": 7,
    "harvester.plan": 7,
    "harvester.cli": 9,
    "harvester.__main__": 10,
}
"""The rank of a module or of a whole package: its own name decides, or else its package's."""

BELOW_ALL = "harvester.errors"
"""What even modules of its own rank may import."""

STRANGERS = [
    ("harvester.store", "harvester.wire"),
    ("harvester.wire", "harvester.store"),
    ("harvester.handlers", "harvester.store"),
]
"""The first never imports the second."""

ONLY_PARTS = {("harvester.limiter", "harvester.wire"): {"harvester.wire.permits"}}
"""Of the second, the first sees only these modules."""

LIBRARIES: dict[str, dict[str, set[str] | None]] = {
    "httpx": {"harvester.wire.transport": None},
    "alembic": {"harvester.store": None},
    "sqlite3": {"harvester.store": None},
    "psycopg": {"harvester.store": None},
    "apscheduler": {"harvester.timetable": None},
    "prometheus_client": {"harvester.metrics": None},
    "sqlalchemy": {
        "harvester.store": None,
        "harvester.healing": {"Engine"},
        "harvester.gate": {"URL"},
        "harvester.limiter": {"Connection"},
        "harvester.worker": {"Connection"},
        "harvester.composition": {"Connection", "Engine"},
        "harvester.backfill": {"Connection", "Engine"},
        "harvester.costing": {"Connection", "Engine"},
        "harvester.delivery": {"Connection", "Engine"},
        "harvester.plan": {"Engine"},
        "harvester.scheduler": {"Connection", "Engine"},
        "harvester.daemon": {"Engine"},
        "harvester.cli.db": {"Engine"},
        "harvester.cli.jobs": {"Connection"},
    },
}
"""Who may import a library, and which names of it; none of these names: all of them."""


class Import(NamedTuple):
    """One import of one name, wherever in a module it stands."""

    importer: str
    module: str
    """What is imported from: a module, or the library."""
    name: str | None
    """The name taken from it; null for `import module`."""

    def __str__(self) -> str:
        return f"{self.importer} imports {self.module}" + (f" ({self.name})" if self.name else "")


def modules(package: Path) -> dict[str, Path]:
    """Dotted name and file of every module."""
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(package.rglob("*.py"))
    }


def imports_of(package: Path) -> Iterator[Import]:
    """Every import in the package, those inside functions and for type checking included."""
    files = modules(package)
    for importer, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (Import(importer, alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parents = importer.split(".")[: None if path.name == "__init__.py" else -1]
                above = parents[: len(parents) - node.level + 1] if node.level else []
                module = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{module}.{alias.name}"
                    yield Import(importer, *((inner, None) if inner in files else (module, alias.name)))


def part_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def rank(module: str) -> int:
    """The rank of a module; a module that the table does not know has to be given one."""
    if module in RANKS:
        return RANKS[module]
    found = [package for package in RANKS if package != "harvester" and part_of(module, package)]
    assert found, f"{module} has no rank yet: give it one in {Path(__file__).name}"
    return RANKS[found[0]]


def upward(imports: list[Import]) -> list[str]:
    """Imports of a rank that is not lower, the module's own package and the errors excepted."""
    return [
        f"{one}: rank {rank(one.importer)} must not look at rank {rank(one.module)}"
        for one in imports
        if part_of(one.module, "harvester")
        and one.module not in ("harvester", BELOW_ALL)
        and not own_package(one)
        and rank(one.module) >= rank(one.importer)
    ]


def own_package(one: Import) -> bool:
    package = ".".join(one.importer.split(".")[:2])
    return package not in RANKS or part_of(one.module, package) if one.importer.count(".") else False


IMPORTS = list(imports_of(PACKAGE))


def test_every_module_has_a_rank_and_every_rank_a_module() -> None:
    names = modules(PACKAGE)
    assert {rank(name) for name in names} <= set(RANKS.values())
    assert set(RANKS) <= set(names), "the table names what is not there"
    assert len([one for one in IMPORTS if part_of(one.module, "harvester")]) > 100


def test_a_module_imports_only_lower_ranks_or_its_own_package() -> None:
    assert upward(IMPORTS) == []


@pytest.mark.parametrize(("one", "other"), STRANGERS)
def test_strangers_never_import_one_another(one: str, other: str) -> None:
    assert [str(i) for i in IMPORTS if part_of(i.importer, one) and part_of(i.module, other)] == []


@pytest.mark.parametrize(("one", "other"), ONLY_PARTS)
def test_of_some_packages_only_a_part_is_seen(one: str, other: str) -> None:
    seen = {i.module for i in IMPORTS if part_of(i.importer, one) and part_of(i.module, other)}
    assert seen == ONLY_PARTS[one, other]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_where_it_belongs_and_nowhere_else(library: str) -> None:
    uses = [one for one in IMPORTS if part_of(one.module, library)]
    assert uses, f"nothing imports {library}: take it out of the table"
    for one in uses:
        allowed = [names for place, names in LIBRARIES[library].items() if part_of(one.importer, place)]
        assert allowed, f"{one}: not there"
        assert allowed[0] is None or one.name in allowed[0], f"{one}: only {sorted(allowed[0] or [])}"


@pytest.mark.parametrize(
    ("importer", "line", "complaint"),
    [
        ("names", "from harvester.records import Tag", "harvester.names imports harvester.records"),
        ("policy", "from harvester.targets import Target", "harvester.policy imports harvester.targets"),
        ("store.queue", "import harvester.worker", "harvester.store.queue imports harvester.worker"),
        ("wire.hub", "def f():\n    from harvester import limiter", "harvester.wire.hub imports harvester.limiter"),
        ("jobs", "if 0:\n    from .store.queue import claim", "harvester.jobs imports harvester.store.queue"),
        ("backfill", "from harvester.cli.db import command", "harvester.backfill imports harvester.cli.db"),
        ("store.queue", "from harvester.store.tags import x\nfrom .runs import y\nfrom harvester.jobs import z", None),
        ("cli.db", "from harvester import __version__\nfrom harvester.cli import cli", None),
    ],
)
def test_an_import_that_looks_up_is_found(tmp_path: Path, importer: str, line: str, complaint: str | None) -> None:
    package = tmp_path / "harvester"
    for name in modules(PACKAGE):
        path = package.joinpath(*name.split(".")[1:])
        is_package = PACKAGE.joinpath(*name.split(".")[1:]).is_dir()
        file = path / "__init__.py" if is_package else path.with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line if name == f"harvester.{importer}" else "")
    found = upward(list(imports_of(package)))
    assert len(found) == (complaint is not None)
    assert all(one.startswith(complaint or "") for one in found)
