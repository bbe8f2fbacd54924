"""Which tags are wanted, and whose layers."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import ConfigError
from harvester.policy import LayerPolicy, TagPolicy

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
    ],
)
def test_a_tag_policy_is_read(text: str, newest: int | None, glob: str | None, name_filter: str | None) -> None:
    policy = TagPolicy.parse(text)
    assert (policy.newest, policy.glob, policy.name_filter) == (newest, glob, name_filter)
    assert TagPolicy(policy.text) == TagPolicy.parse(policy.text) == policy


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
        "newest:²",
        "",
        " ",
    ],
)
def test_a_number_of_newest_tags_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--tags"):
        TagPolicy.parse(text)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a/b", "nginx:1", "a,b", "{a,b}", "ä", "a\nb", "\x1b[31m", "a" * 129, "newest:\n1"]
)
def test_a_tag_policy_that_cannot_be_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="--tags") as refusal:
        TagPolicy.parse(text)
    assert refusal.value.message.isprintable()


@pytest.mark.parametrize("text", ["", "a b", "newest:5", "nginx:latest", "a/b", "a\nb", "a" * 129])
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
    ],
)
def test_a_layer_policy_wants_what_its_text_says(text: str, tag: str, is_wanted: bool) -> None:
    assert LayerPolicy.parse(text).wants(tag) is is_wanted


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
