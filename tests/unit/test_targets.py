"""Targets: what the command line takes, files of them, and how repeated ones are folded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import ConfigError, NameRefused
from harvester.targets import FILES_DEEP, Target, parse_target, parse_targets

NGINX = Target("repository", "library/nginx")
REDIS = Target("repository", "bitnami/redis")
LIBRARY = Target("namespace", "library")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "target", "canonical"),
    [
        ("nginx", NGINX, "library/nginx"),
        ("library/nginx", NGINX, "library/nginx"),
        ("docker.io/nginx", NGINX, "library/nginx"),
        ("https://hub.docker.com/_/nginx", NGINX, "library/nginx"),
        ("bitnami/redis", REDIS, "bitnami/redis"),
        ("bitnami/redis:7.2", Target("tag", "bitnami/redis", "7.2"), "bitnami/redis:7.2"),
        ("nginx:Latest", Target("tag", "library/nginx", "Latest"), "library/nginx:Latest"),
        ("bitnami/", Target("namespace", "bitnami"), "bitnami/*"),
        ("bitnami/*", Target("namespace", "bitnami"), "bitnami/*"),
        ("official", LIBRARY, "library/*"),
        (" official ", LIBRARY, "library/*"),
        ("library/*", LIBRARY, "library/*"),
        ("_/", LIBRARY, "library/*"),
        ("library/official", Target("repository", "library/official"), "library/official"),
        ("search:prometheus", Target("search", "prometheus"), "search:prometheus"),
        ("search: time   series ", Target("search", "time series"), "search:time series"),
        ("search:Prometheus", Target("search", "Prometheus"), "search:Prometheus"),
        ("search:köln", Target("search", "köln"), "search:köln"),
        (f"search:{'a' * 200}", Target("search", "a" * 200), f"search:{'a' * 200}"),
    ],
)
def test_a_target_has_one_canonical_form(typed: str, target: Target, canonical: str) -> None:
    assert parse_target(typed) == target
    assert str(target) == canonical
    assert parse_target(canonical) == target


@pytest.mark.parametrize("typed", ["search:", "search:   ", f"search:{'a' * 201}", "search:a\x00b", "search:\x1b[31m"])
def test_an_impossible_search_is_refused_in_one_printable_line(typed: str) -> None:
    with pytest.raises(NameRefused, match="1 to 200 printable") as refusal:
        parse_target(typed)
    assert refusal.value.message.isprintable()


@given(st.text(alphabet="abAB01/:._-* @#é", max_size=30) | st.text(max_size=30).map(lambda text: f"search:{text}"))
def test_reading_a_target_raises_nothing_but_name_refused_and_round_trips(typed: str) -> None:
    try:
        target = parse_target(typed)
    except NameRefused:
        return
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("typed", "targets"),
    [
        ((), ()),
        (("nginx", "nginx"), (NGINX,)),
        (("nginx", "library/nginx", "_/nginx", "docker.io/nginx", "https://hub.docker.com/_/nginx"), (NGINX,)),
        (("official", "library/", "_/*"), (LIBRARY,)),
        (("search:a  b", "search: a b"), (Target("search", "a b"),)),
        (("nginx:1", "docker.io/nginx:1"), (Target("tag", "library/nginx", "1"),)),
        (("nginx:a", "nginx:A"), (Target("tag", "library/nginx", "A"), Target("tag", "library/nginx", "a"))),
        (("search:nginx", "bitnami/", "nginx"), (Target("namespace", "bitnami"), NGINX, Target("search", "nginx"))),
    ],
)
def test_targets_are_folded_and_sorted(typed: tuple[str, ...], targets: tuple[Target, ...]) -> None:
    assert parse_targets(typed) == targets
    assert parse_targets(reversed(typed)) == targets


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("nginx\n", (NGINX,)),
        ("nginx", (NGINX,)),
        ("\n\n  nginx  \r\n\t\n", (NGINX,)),
        ("# all of them\nnginx # the server\n#bitnami/redis\n", (NGINX,)),
        ("nginx\nlibrary/nginx\nbitnami/redis\n", (REDIS, NGINX)),
        ("official\nsearch:time series\n", (LIBRARY, Target("search", "time series"))),
        ("# nothing but comments\n", ()),
        ("", ()),
    ],
)
def test_a_file_holds_a_target_per_line_and_comments(folder: Path, text: str, targets: tuple[Target, ...]) -> None:
    (folder / "targets.txt").write_bytes(text.encode())
    assert parse_targets(["@targets.txt"]) == targets


def test_files_may_name_files_and_what_they_repeat_is_folded(folder: Path) -> None:
    (folder / "all.txt").write_text("@web.txt\n@stores.txt  # these too\nnginx\n")
    (folder / "web.txt").write_text("nginx\n")
    (folder / "stores.txt").write_text(f"bitnami/redis\n@{folder / 'web.txt'}\n")
    assert parse_targets(["@all.txt", "@web.txt", "docker.io/nginx"]) == (REDIS, NGINX)


def test_files_may_be_nested_as_deep_as_is_allowed_and_no_deeper(folder: Path) -> None:
    for depth in range(FILES_DEEP - 1):
        (folder / f"{depth}.txt").write_text(f"@{depth + 1}.txt\n")
    last = folder / f"{FILES_DEEP - 1}.txt"
    last.write_text("nginx\n")
    assert parse_targets(["@0.txt"]) == (NGINX,)
    last.write_text(f"@{FILES_DEEP}.txt\n")
    with pytest.raises(ConfigError, match=f"more than {FILES_DEEP} deep"):
        parse_targets(["@0.txt"])


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": "@a.txt\n"},
        {"a.txt": "nginx\n@b.txt\n", "b.txt": "@a.txt\n"},
        {"a.txt": "@a.txt\n" * 50},
        {"a.txt": "@b.txt\n@b.txt\n", "b.txt": "@a.txt\n@a.txt\n"},
    ],
)
def test_files_that_name_one_another_in_a_circle_end_with_an_error(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(ConfigError, match="name one another"):
        parse_targets(["@a.txt"])


@pytest.mark.parametrize("typed", ["@missing.txt", "@.", "@", "@binary"])
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(folder: Path, typed: str) -> None:
    (folder / "binary").write_bytes(b"\xff\xfe\x00nginx")
    with pytest.raises(ConfigError, match="cannot read the targets in") as refusal:
        parse_targets([typed])
    assert (typed[1:] or ".") in refusal.value.message
    assert refusal.value.message.isprintable()


def test_a_bad_line_of_a_file_is_refused_like_one_on_the_command_line(folder: Path) -> None:
    (folder / "targets.txt").write_text("nginx\nBitnami/redis\n")
    with pytest.raises(NameRefused, match="did you mean `bitnami/redis`"):
        parse_targets(["@targets.txt"])
