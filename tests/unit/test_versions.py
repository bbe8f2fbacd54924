"""Ranges of versions: which tags are versions, which of them a range has, and what is no range."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.versions import parse_range

NUMBERS = st.integers(0, 3)
VERSIONS = st.tuples(NUMBERS, NUMBERS, NUMBERS)
BOUNDS = st.tuples(
    st.sampled_from(["", "=", ">=", ">", "<=", "<", "^", "~"]), st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)
)


def holds(operator: str, given: tuple[int, ...], version: tuple[int, int, int]) -> bool:
    """The oracle: a bound, by looking at as many numbers of the version as the bound gives."""
    same_length = version[: len(given)]
    match operator:
        case ">=":
            return same_length >= given
        case ">":
            return same_length > given
        case "<=":
            return same_length <= given
        case "<":
            return same_length < given
        case "~":
            return same_length >= given and version[: min(2, len(given))] == given[:2]
        case "^":
            leading = [place for place, number in enumerate(given) if number > 0]
            fixed = leading[0] + 1 if leading else len(given)
            return same_length >= given and version[:fixed] == given[:fixed]
        case _:
            return same_length == given


def dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


@given(bounds=st.lists(BOUNDS, min_size=1, max_size=3), version=VERSIONS, comma=st.booleans())
def test_a_range_has_what_all_its_bounds_let_in(
    bounds: list[tuple[str, tuple[int, ...]]], version: tuple[int, int, int], comma: bool
) -> None:
    text = ("," if comma else " ").join(operator + dotted(numbers) for operator, numbers in bounds)
    is_in = all(holds(operator, numbers, version) for operator, numbers in bounds)
    try:
        found = parse_range(text)
    except ValueError:
        assert not is_in, "refused: no version is in that range"
        return
    assert found.has(dotted(version)) is is_in
    assert found.has("v" + dotted(version)) is is_in
    assert not found.has(dotted(version) + "-alpine")
    assert parse_range(found.text) == found


@given(bound=BOUNDS, version=VERSIONS, given_numbers=st.integers(1, 3))
def test_numbers_that_a_tag_does_not_give_are_0(
    bound: tuple[str, tuple[int, ...]], version: tuple[int, int, int], given_numbers: int
) -> None:
    padded = (*version[:given_numbers], 0, 0)[:3]
    try:
        found = parse_range(bound[0] + dotted(bound[1]))
    except ValueError:
        return
    assert found.has(dotted(version[:given_numbers])) is holds(bound[0], bound[1], (padded[0], padded[1], padded[2]))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=7.2 <8", "7.2 7.2.0 7.2.1 v7.2.1 7.10 7.99.99", "7 7.1.9 8 8.0 8.0.0 v8 17.2 7.2.1.1 7.2. 7..2"),
        (">=7 <8", "7 v7 7.0.0 7.9", "6.9 8"),
        (">=7", "7 20240101 2024.01.15 v99999999999999999999999999", "6 latest 7.2-alpine 7.2_1 7.2rc1 V7 vv7 -7 7,2"),
        (">=7 <1000", "7.2", "20240101 2024.01.15"),
        ("^1.24", "1.24 1.24.7 1.99", "1.23.9 2 2.0"),
        ("^0.3", "0.3 0.3.9", "0.2 0.4 1.0"),
        ("^0.0.3", "0.0.3", "0.0.2 0.0.4 0.0 0.1"),
        ("^0", "0 0.9.9", "1"),
        ("^0.0", "0.0 0.0.9", "0.1"),
        ("~3.19", "3.19 3.19.7", "3.18 3.20 3"),
        ("~3", "3 3.99", "4 2.9"),
        ("~3.19.4", "3.19.4 3.19.9", "3.19.3 3.20.0"),
        ("7.x", "7 7.0 7.9.9", "8 6.9"),
        ("7.2", "7.2 7.2.9", "7 7.3"),
        ("7.2.1", "7.2.1 v7.2.1 07.02.01", "7.2 7.2.2"),
        (">7.2", "7.3 8", "7.2 7.2.9"),
        ("<=7.2", "7.2 7.2.9 7 0", "7.3"),
        ("22.04", "22.04 22.4", "22.10 22"),
        ("*", "0 1 v1.2.3 20240101", "latest 1-alpine"),
        (">=7.2 <8 -alpine*", "7.2-alpine v7.2.1-alpine3.19", "7.2 7.2-slim 8.0-alpine 7.2-rc1-alpine alpine"),
        ("7.x -rc*", "7.0-rc 7.2.0-rc1 7.2.0-rc.1", "7.2.0 7.2.0-beta.1"),
        ("* -*", "1-alpine 1.2-rc1 1-", "1 1.2 latest-1"),
        ("* -rc[0-9]", "1-rc1", "1-rc 1-rc10 1-rca"),
        ("* -", "1-", "1 1-a"),
    ],
)
def test_a_tag_is_in_a_range_or_not(text: str, inside: str, outside: str) -> None:
    found = parse_range(text)
    assert [tag for tag in inside.split() if not found.has(tag)] == []
    assert [tag for tag in outside.split() if found.has(tag)] == []


@pytest.mark.parametrize("suffix", ["", " -*", " -sig", " -*.sig"])
@pytest.mark.parametrize("tail", ["", ".sig", ".att", ".sbom"])
@pytest.mark.parametrize("digit", "0a7")
def test_a_tag_that_holds_a_signature_is_no_version(suffix: str, tail: str, digit: str) -> None:
    assert not parse_range("*" + suffix).has("sha256-" + digit * 64 + tail)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (">=7.2,<8", ">=7.2 <8"),
        ("  >=  7.2 ,  < 8,", ">=7.2 <8"),
        (">=v07.2", ">=7.2"),
        ("7", "7.x"),
        ("=7", "7.x"),
        ("7.X.*", "7.x"),
        ("v7.2", "7.2.x"),
        ("=7.2.1", "7.2.1"),
        (">=7.x", ">=7"),
        ("x", "*"),
        ("X.x", "*"),
        ("^1.24,-alpine*", "^1.24 -alpine*"),
    ],
)
def test_a_range_has_one_canonical_form(text: str, canonical: str) -> None:
    assert parse_range(text).text == canonical
    assert parse_range(canonical) == parse_range(text)


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_an_empty_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="takes a range of versions, such as"):
        parse_range(text)


@pytest.mark.parametrize("text", [">=8 <7", ">7 <7.5", "<0", "^1 ^2", "1.2.3 >1.2.3", ">=7 <7", "~3.19 3.20"])
def test_a_range_that_no_version_is_in_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no version is in that range"):
        parse_range(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("latest", "latest"),
        ("-alpine", "-alpine"),
        ("1.2 - 2.3", "-"),
        ("^6 || ^7", "||"),
        (">=7 -alpine <8", "-alpine"),
        (">=7 -alpine -slim", "-alpine"),
        (">=7.2.0-rc1", ">=7.2.0-rc1"),
        ("1.2.3.4", "1.2.3.4"),
        ("x.2", "x.2"),
        ("1.x.2", "1.x.2"),
        (">=*", ">=*"),
        ("!=7", "!=7"),
        ("==7", "==7"),
        ("~=7.2", "~=7.2"),
        (">=", ">="),
        ("> > 7", ">>"),
        (">=7.", ">=7."),
        ("٧", "٧"),
    ],
)
def test_what_is_no_bound_is_named(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"`{part}` is no bound of a range of versions")):
        parse_range(text)


@given(st.text(alphabet="0123.x*v<>=^~ ,-ab[]!|", max_size=20))
def test_reading_a_range_raises_nothing_but_value_error_and_round_trips(text: str) -> None:
    try:
        found = parse_range(text)
    except ValueError:
        return
    assert parse_range(found.text) == found


@given(st.text(max_size=140) | st.from_regex(r"v?[0-9.]{1,140}(-.*)?", fullmatch=True))
def test_any_text_is_in_the_range_of_all_or_not(tag: str) -> None:
    assert parse_range("*").has(tag) in (True, False)
