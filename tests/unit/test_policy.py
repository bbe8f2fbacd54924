"""Which tags are wanted, and whose layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import ConfigError
from harvester.policy import LONGEST, LayerPolicy, TagPolicy
from tests.calls import calls_of

TAGS = st.text(alphabet="abcdefgh0123._-", min_size=1, max_size=12)
GLOBS = st.text(alphabet="abcd01.-*?[]!^", min_size=1, max_size=10)


@pytest.mark.parametrize(
    ("text", "newest", "glob", "name_filter"),
    [
        ("all", None, None, None),
        ("newest:1", 1, None, None),
        ("newest:007", 7, None, None),
        ("newest:1000000", 1_000_000, None, None),
        ("1.27", None, "1.27", "1.27"),
        ("*-alpine", None, "*-alpine", "-alpine"),
        ("1.*-alpine", None, "1.*-alpine", "-alpine"),
        ("v[0-9]*", None, "v[0-9]*", "v"),
        ("[0-9]?-slim", None, "[0-9]?-slim", "-slim"),
        ("*", None, "*", None),
        ("???", None, "???", None),
        ("All", None, "All", "All"),
        ("newest", None, "newest", "newest"),
        ("[]a]bc", None, "[]a]bc", "bc"),
        ("[!]a]bc", None, "[!]a]bc", "bc"),
        ("newest:5,all", 5, None, None),
        ("newest:5,*-alpine", 5, "*-alpine", "-alpine"),
        ("newest:05,latest", 5, "latest", "latest"),
        ("newest:5,semver:>=7", 5, None, None),
        ("newest:5,re:a,b", 5, None, None),
        ("newest:5,re:v1-slim", 5, None, "v1-slim"),
        ("semver:^7", None, None, None),
        ("semver:7.x", None, None, None),
        ("semver:7.x -alpine*", None, None, "-alpine"),
        ("semver:* -*", None, None, "-"),
        ("re:.*", None, None, None),
        (r"re:7\.\d+-alpine", None, None, "-alpine"),
    ],
)
def test_a_tag_policy_is_read(text: str, newest: int | None, glob: str | None, name_filter: str | None) -> None:
    policy = TagPolicy.parse(text)
    assert (policy.newest, policy.glob, policy.name_filter) == (newest, glob, name_filter)
    assert TagPolicy(policy.text) == TagPolicy.parse(policy.text) == policy
    assert policy.is_whole is (text == "all")
    assert policy.is_filtered is (re.fullmatch(r"all|newest:[0-9]+(,all)?", text) is None)


@pytest.mark.parametrize(
    "text",
    [
        "newest:",
        "newest:0",
        "newest:-1",
        "newest:1.5",
        "newest:ten",
        "newest:1000001",
        "newest: 5",
        "newest:,semver:7.x",
        "newest:99999999999999999999999,a*",
        "newest:²",
        "",
        " ",
    ],
)
def test_a_number_of_newest_tags_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--tags"):
        TagPolicy.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "a/b", "nginx:1", "a,b", "{a,b}", "ä", "a\nb", "\x1b[31m", "a" * 129, "newest:\n1"),
        *("newest:5,", "newest:5, all", "newest:5,newest:6", "all,newest:5", "a*,newest:5", "sem:7"),
        *("semver:", "semver:latest", "semver:>=8 <7", "semver:\n7", "Semver:7", "newest:5,semver:"),
        *("re:", "re:(", "re:[", "re:*", "re:a{99999999999}", "re:(?L)a", "re:\n", "re:a\x00", "newest:5,re:("),
        *("re:\ud800", "re:[[a]", f"re:{'a' * (LONGEST + 1)}", f"re:{'(' * LONGEST}", f"semver:{'7,' * 97}"),
    ],
)
def test_a_tag_policy_that_cannot_be_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="--tags") as refusal:
        TagPolicy.parse(text)
    assert refusal.value.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        *("", "a b", "newest:5", "nginx:latest", "a/b", "a\nb", "a" * 129),
        *("newest:5,a*", "re:(", "re:", "semver:", "semver:latest", "all,latest"),
    ],
)
def test_a_layer_policy_that_cannot_be_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="--layers") as refusal:
        LayerPolicy.parse(text)
    assert refusal.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "tag", "is_wanted"),
    [
        ("all", "anything", True),
        ("newest:5", "anything", True),
        ("1.27", "1.27", True),
        ("1.27", "1.27.1", False),
        ("1.27", "1x27", False),
        ("1.27*", "1.27.1", True),
        ("*-alpine", "1.27-alpine", True),
        ("*-alpine", "1.27-alpine3.20", False),
        ("*-Alpine", "1.27-alpine", False),
        ("v[0-9]", "v5", True),
        ("v[!0-9]", "v5", False),
        ("v?", "v", False),
        ("newest:5,*-alpine", "1.27-alpine", True),
        ("newest:5,*-alpine", "1.27", False),
        ("semver:>=7.2 <8", "7.2.4", True),
        ("semver:>=7.2,<8", "8.0", False),
        ("semver:>=7.2 <8", "7.2.4-alpine", False),
        ("semver:>=7.2 <8 -alpine*", "7.2.4-alpine3.19", True),
        ("newest:5,semver:7.x", "7.1", True),
        ("newest:5,semver:7.x", "latest", False),
        ("semver:*", "sha256-" + "0" * 64, False),
        ("re:7", "7", True),
        ("re:7", "7.1", False),
        ("re:7|8.*", "8.1", True),
        ("re:7|8.*", "7.1", False),
        ("re:(?i)v.*", "V1", True),
        ("re:a$", "a\n", False),
        ("newest:5,re:a{1,2}", "aa", True),
        ("newest:5,re:a{1,2}", "aaa", False),
    ],
)
def test_a_tag_policy_lets_in_what_its_text_says(text: str, tag: str, is_wanted: bool) -> None:
    assert TagPolicy.parse(text).wants(tag) is is_wanted


@pytest.mark.parametrize(
    ("text", "tag", "is_wanted"),
    [
        ("none", "latest", False),
        ("none", "none", False),
        ("all", "1.27", True),
        ("latest", "latest", True),
        ("latest", "Latest", False),
        ("latest", "latest-alpine", False),
        ("latest*", "latest-alpine", True),
        ("*-alpine", "1.27-alpine", True),
        ("*-alpine", "latest", False),
        ("semver:^1.24", "1.27", True),
        ("semver:^1.24", "latest", False),
        ("re:latest|edge", "edge", True),
        ("re:latest|edge", "edges", False),
    ],
)
def test_a_layer_policy_wants_what_its_text_says(text: str, tag: str, is_wanted: bool) -> None:
    assert LayerPolicy.parse(text).wants(tag) is is_wanted


@pytest.mark.parametrize("parse", [TagPolicy.parse, LayerPolicy.parse])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("re:(", "x 're:(': the pattern does not compile: "),
        ("re:", "x 're:': `re:` takes a pattern of 1 to 200 printable characters"),
        ("semver:>=8 <7", "x 'semver:>=8 <7': no version is in that range"),
        ("semver:latest", "x 'semver:latest': `latest` is no bound of a range of versions"),
        ("a,b", "`re:PATTERN`, `semver:RANGE` or a glob over tag names"),
    ],
)
def test_a_refusal_begins_with_the_option_and_says_what_is_wrong(
    parse: Callable[[str, str], object], text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text, "x")
    assert says in refusal.value.message
    assert refusal.value.message.startswith("x '")


def test_a_refusal_of_a_long_text_does_not_repeat_all_of_it() -> None:
    with pytest.raises(ConfigError) as refusal:
        TagPolicy.parse("re:" + "a" * 100_000)
    assert len(refusal.value.message) < 400


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        (r"7\.2\.\d+", "7.2."),
        (r"(7|8)\.\d+-alpine", "-alpine"),
        (r"(?:foo)?bar-baz(q)+", "bar-baz"),
        ("ab*cd", "cd"),
        ("ab?cdx+", "cd"),
        ("ab{2}c", "a"),
        ("abc{0,}", "ab"),
        (r"[]ab]xy[^]cd]z", "xy"),
        (r"[\]a]xy", "xy"),
        ("a|b", None),
        ("(?i)abc", None),
        ("(?!abc).*", None),
        ("a(?=bcd).*", None),
        (r"x\x41yz", None),
        (r"(a)\1bc", None),
        ("(abc)", None),
        ("(abc|d)e", "e"),
        (r"\d+", None),
        ("a.b", "a"),
        ("^ab$", "ab"),
    ],
)
def test_the_far_end_is_asked_for_what_a_pattern_needs_for_certain(pattern: str, literal: str | None) -> None:
    assert TagPolicy.parse(f"re:{pattern}").name_filter == literal


PIECES = st.sampled_from(
    [
        *"abc01.-_|()?*+",
        r"\.",
        r"\d",
        "[ab]",
        "[^ab]",
        "[]a]",
        "{2}",
        "{0,1}",
        "(?:",
        "(?i)",
        "(a|b)",
        "^",
        "$",
        r"\x61",
        "(?!a)",
    ]
)


@given(pieces=st.lists(PIECES, min_size=1, max_size=8), data=st.data())
def test_what_a_pattern_wants_the_far_ends_substring_filter_lets_through(
    pieces: list[str], data: st.DataObject
) -> None:
    pattern = "".join(pieces)
    try:
        policy = TagPolicy.parse(f"re:{pattern}")
    except ConfigError:
        return
    tag = data.draw(st.from_regex(re.compile(pattern), fullmatch=True))
    assert policy.wants(tag) or not re.fullmatch(pattern, tag)
    assert not policy.wants(tag) or (policy.name_filter or "") in tag


@given(
    newest=st.sampled_from(["", "newest:5,", "newest:005,"]),
    text=GLOBS
    | st.text(max_size=12).map("re:{}".format)
    | st.text(alphabet="0123.xv<>=^~ ,-a*", max_size=14).map("semver:{}".format)
    | st.text(max_size=12),
)
def test_reading_a_policy_raises_nothing_but_config_error_and_round_trips(newest: str, text: str) -> None:
    for parse, typed in ((TagPolicy.parse, newest + text), (LayerPolicy.parse, text)):
        try:
            policy = parse(typed)
        except ConfigError:
            continue
        assert parse(policy.text) == policy
        assert policy.wants("7.2.1") == parse(typed).wants("7.2.1")


@pytest.mark.parametrize(
    "text", ["*-alpine*", r"re:\d+\.\d+(\.\d+)?", "semver:>=7.2 <20", "newest:50,semver:>=7.2 <20 -alpine*"]
)
def test_a_name_costs_a_handful_of_calls(text: str) -> None:
    policy = TagPolicy.parse(text)
    names = [
        f"{n % 30}.{n % 17}.{n % 91}{suffix}" for n in range(50_000) for suffix in ("", "-alpine3.19", "-rc1", "_x")
    ]
    wanted: list[str] = []
    calls = calls_of(lambda: wanted.extend(filter(policy.wants, names)))
    assert 0 < len(wanted) < len(names)
    assert calls < 5 * len(names)


def test_the_defaults_are_all_tags_and_the_layers_of_latest() -> None:
    assert TagPolicy() == TagPolicy.parse("all")
    assert LayerPolicy() == LayerPolicy.parse("latest")


@given(glob=GLOBS, tag=TAGS)
def test_what_a_glob_wants_the_far_ends_substring_filter_lets_through(glob: str, tag: str) -> None:
    policy = TagPolicy.parse(glob)
    if fnmatchcase(tag, glob) and policy.name_filter is not None:
        assert policy.name_filter in tag


@given(literal=st.text(alphabet="abcd01.-", min_size=1, max_size=6), before=TAGS, after=TAGS)
def test_a_glob_around_a_literal_is_filtered_by_it(literal: str, before: str, after: str) -> None:
    policy = TagPolicy.parse(f"*{literal}*")
    assert policy.name_filter == literal
    assert policy.wants(before + literal + after)
