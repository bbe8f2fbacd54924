"""Lines of keys in TOML: held against what `tomllib` reads, with a mark in every value that says where it was written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.config_lines import Place, line_of, lines_of


def leaves(tree: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value that is neither a table nor a list, and where it is."""
    parts: Any = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in parts:
        yield from leaves(value, (*place, key))
    if not isinstance(tree, dict | list):
        yield place, tree


def places(tree: Any, place: Place = ()) -> Iterator[Place]:
    """Every place in the tree but the root."""
    parts: Any = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in parts:
        yield (*place, key)
        yield from places(value, (*place, key))


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("a = 1", ("a",), 1),
        ("\n# a = 2\n\n  a = 1", ("a",), 4),
        ("[limits]\n\npulls = 1 # [hub]\n", ("limits", "pulls"), 3),
        ("[limits]\n\npulls = 1 # [hub]\n", ("limits",), 1),
        ("[ 'limits' ] # x\n\"pu\\u006cls\" = 1", ("limits", "pulls"), 2),
        ("limits . pulls = 1\nlimits.other = 2", ("limits", "other"), 2),
        ("a = '''\n[limits]\npulls = 1\n'''\n[limits]\npulls = 2", ("limits", "pulls"), 6),
        ('a = """\\"""\n"""""\nb = ""\nc = 1', ("c",), 4),
        ("a = [\n 1, # ]\n 2,\n]\nb = 3", ("a", 1), 3),
        ("a = [\n 1, # ]\n 2,\n]\nb = 3", ("b",), 5),
        ("a = 2026-01-01 10:00:00 # when\nb = 3", ("b",), 2),
        ("[[watch]]\na = 1\n\n[[watch]]\nb = 2\na = 3", ("watch", 1, "a"), 6),
        ("[[watch]]\na = 1\n\n[[watch]]\nb = 2\na = 3", ("watch", 1), 4),
        ("[[watch]]\na = 1\n[watch.sub]\nx = 1\n[[watch]]\n[watch.sub]\nx = 2", ("watch", 1, "sub", "x"), 7),
        ("[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[[a]]\n[[a.b]]\nx = 3", ("a", 1, "b", 0, "x"), 8),
        ("watch = [{ a = 1 },\n { b = 2, a = 3 }]", ("watch", 1, "a"), 2),
        ("[a.b]\nx = 1\n[a]\ny = 1", ("a",), 3),
        ("a = { b.c = 1 }\r\nd = 2\r\n", ("d",), 2),
    ],
)
def test_the_line_of_a_place(text: str, place: Place, line: int) -> None:
    tomllib.loads(text)
    assert lines_of(text)[place] == line


@pytest.mark.parametrize(
    ("place", "line"),
    [(("watch", 0, "layers"), 3), (("watch", 0, "tags"), 2), (("watch", 1), 1 + 1), (("hub", "url"), None), ((), None)],
)
def test_what_is_missing_has_the_line_of_what_is_around_it(place: Place, line: int | None) -> None:
    assert line_of(lines_of("\n[[watch]]\nlayers = 'a'\n"), place) == line


@pytest.mark.parametrize(
    "text", ["a = 1\nb = ?[", "a = 1\nb = [1 2]", "a = 1\n[b\nc = 1", "a = 1\nb = {c}", "a = 1\n]"]
)
def test_beyond_what_cannot_be_followed_nothing_has_a_line(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    assert lines_of(text)[("a",)] == 1
    assert ("c",) not in lines_of(text)


# Whole documents: each value is the number of the line in which its key or itself begins.

KEYS = st.sampled_from(["a", "b", "c-1", '"a"', "'b'", '"d.e"', '"\\u0061"', "'#'", '"[["', "7"])
DOTTED = st.lists(KEYS, min_size=1, max_size=3).flatmap(
    lambda keys: st.sampled_from([".", " . "]).map(lambda dot: dot.join(keys))
)
NOISE = st.sampled_from(["", "# a = 1", "# [[a]]", "  ", '#"""', "#'''", "\t# ]", "#\u2028[a]"])
MARK = "\0"
"""Stands in a document for the number of the line in which it stands."""

VALUES = st.recursive(
    st.sampled_from([MARK, f'"""{MARK}\n[a]\nb = 1\n"""', f"'''{MARK}\n[[a]]\n\"'''", f'"{MARK} # ]"', f"'{MARK}\"'"]),
    lambda inner: (
        st.lists(st.tuples(st.sampled_from(["", "\n", " # ],\n", "\n\n\t"]), inner), max_size=3).map(
            lambda ones: "[" + ",".join(space + one for space, one in ones) + "\n]"
        )
        | st.lists(st.tuples(DOTTED, inner), max_size=3).map(
            lambda ones: "{ " + ", ".join(f"{key} = {one}" for key, one in ones) + " }"
        )
    ),
    max_leaves=6,
)
STATEMENTS = (
    st.tuples(DOTTED, VALUES).map(lambda one: f"{one[0]} = {one[1]}")
    | DOTTED.map(lambda keys: f"[{keys}]")
    | DOTTED.map(lambda keys: f"[[ {keys} ]]")
    | NOISE
)


def numbered(text: str) -> str:
    return "\n".join(line.replace(MARK, str(number)) for number, line in enumerate(text.split("\n"), 1))


@given(st.lists(STATEMENTS, max_size=12), st.sampled_from(["\n", "\n\n"]))
def test_every_value_of_a_document_has_the_line_in_which_it_stands(statements: list[str], end: str) -> None:
    kept: list[str] = []
    for one in statements:
        try:
            tomllib.loads(numbered(end.join([*kept, one])))
        except tomllib.TOMLDecodeError:
            continue
        kept.append(one)
    text = numbered(end.join(kept))
    tree = tomllib.loads(text)
    found = lines_of(text)
    assert set(found) == set(places(tree))
    for place, value in leaves(tree):
        said = int("".join(sign for sign in str(value).partition("\n")[0] if sign.isdecimal()))
        assert found[place] == said, place


PARTS = st.sampled_from(
    [*"ab=.[]{}\"'#\\\n 1,", "[[", "]]", "= 1\n", '"""', "'''", "[a]\n", "[[a]]\n", "a = [", "b = {", "}\n", "]\n"]
)


@given(st.lists(PARTS, max_size=14).map("".join))
def test_whatever_tomllib_takes_is_followed_to_its_end(text: str) -> None:
    found = lines_of(text)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(found) == set(places(tree))
