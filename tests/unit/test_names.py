"""Names at Docker Hub: every form a person may type, every refusal with its reason, and the grammar of tags and digests."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import ConfigError, NameRefused
from harvester.names import Reference, RepositoryName, full_name_of, is_component, is_digest, is_tag, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

NGINX = Reference("library", "nginx")
REDIS = Reference("bitnami", "redis")
BITNAMI = Reference("bitnami")
LIBRARY = Reference("library")

ACCEPTED = {
    "nginx": NGINX,
    "  nginx\n": NGINX,
    "library/nginx": NGINX,
    "_/nginx": NGINX,
    "docker.io/nginx": NGINX,
    "docker.io/library/nginx": NGINX,
    "docker.io/_/nginx": NGINX,
    "DOCKER.IO/library/nginx": NGINX,
    "index.docker.io/nginx": NGINX,
    "index.docker.io/library/nginx": NGINX,
    "registry-1.docker.io/library/nginx": NGINX,
    "registry.hub.docker.com/library/nginx": NGINX,
    "https://docker.io/library/nginx": NGINX,
    "https://registry-1.docker.io/library/nginx": NGINX,
    "https://hub.docker.com/_/nginx": NGINX,
    "https://hub.docker.com/_/nginx/": NGINX,
    "https://hub.docker.com/_/nginx/tags?page=2&name=alpine": NGINX,
    "https://hub.docker.com/_/nginx#supported-tags": NGINX,
    "https://hub.docker.com/r/library/nginx": NGINX,
    "http://hub.docker.com/_/nginx": NGINX,
    "HTTPS://Hub.Docker.Com/_/nginx": NGINX,
    "hub.docker.com/_/nginx": NGINX,
    "www.hub.docker.com/_/nginx": NGINX,
    "bitnami/redis": REDIS,
    "docker.io/bitnami/redis": REDIS,
    "https://hub.docker.com/r/bitnami/redis": REDIS,
    "https://hub.docker.com/r/bitnami/redis/tags": REDIS,
    "hub.docker.com/r/bitnami/redis": REDIS,
    "nginx:1.27": Reference("library", "nginx", "1.27"),
    "_/nginx:1.27": Reference("library", "nginx", "1.27"),
    "docker.io/library/nginx:1.27": Reference("library", "nginx", "1.27"),
    "bitnami/redis:7.2": Reference("bitnami", "redis", "7.2"),
    "index.docker.io/bitnami/redis:7.2": Reference("bitnami", "redis", "7.2"),
    "nginx:Latest": Reference("library", "nginx", "Latest"),
    "nginx:_edge": Reference("library", "nginx", "_edge"),
    f"nginx:{'a' * 128}": Reference("library", "nginx", "a" * 128),
    "bitnami/": BITNAMI,
    "bitnami/*": BITNAMI,
    "docker.io/bitnami/": BITNAMI,
    "docker.io/bitnami/*": BITNAMI,
    "https://hub.docker.com/u/bitnami": BITNAMI,
    "https://hub.docker.com/u/bitnami/": BITNAMI,
    "https://hub.docker.com/orgs/bitnami": BITNAMI,
    "library/": LIBRARY,
    "_/": LIBRARY,
    "_/*": LIBRARY,
    "ai/": Reference("ai"),
    "n132/x": Reference("n132", "x"),
    "mcp/git-hub": Reference("mcp", "git-hub"),
    "old__name/with--dashes": Reference("old__name", "with--dashes"),
    "a.b_c-d": Reference("library", "a.b_c-d"),
}

# What was typed; a piece of the reason; the form that would do, where there is one.
REFUSED = [
    ("Nginx", "lower case", "nginx"),
    ("NGINX:Latest", "lower case", "nginx:Latest"),
    ("NGINX:NGINX", "lower case", "nginx:NGINX"),
    ("Bitnami/redis", "lower case", "bitnami/redis"),
    ("bitnami/Redis:7.2", "lower case", "bitnami/redis:7.2"),
    ("Bitnami/Redis", "lower case", "bitnami/redis"),
    ("Bitnami/", "lower case", "bitnami/"),
    ("Docker.io/Library/Nginx", "lower case", None),
    (f"nginx@{DIGEST}", "digest reference", "nginx"),
    (f"docker.io/library/nginx@{DIGEST}", "digest reference", "library/nginx"),
    (f"bitnami/redis:7.2@{DIGEST}", "digest reference", "bitnami/redis:7.2"),
    ("quay.io/prometheus/node-exporter", "another registry", None),
    ("ghcr.io/a/b:1", "another registry", None),
    ("gcr.io/pause", "another registry", None),
    ("localhost/nginx", "another registry", None),
    ("localhost:5000/nginx:1.27", "another registry", None),
    ("docker.io:443/nginx", "another registry", None),
    ("https://quay.io/a/b", "another registry", None),
    ("quay.io/*", "another registry", None),
    ("quay.io/", "another registry", None),
    ("localhost/", "another registry", None),
    ("docker.io/", "", None),
    ("a/b/c", "one namespace and one name", None),
    ("docker.io/a/b/c", "one namespace and one name", None),
    ("bitnami//redis", "one namespace and one name", None),
    ("bitnami/*:7", "whole namespace", None),
    ("bitnami/:7", "whole namespace", None),
    ("/", "whole namespace", None),
    ("/*", "whole namespace", None),
    ("bitnami/redis/", "cannot be a namespace", None),
    ("bitnami/**", "cannot be a repository name", None),
    ("*", "cannot be a repository name", None),
    ("", "cannot be a repository name", None),
    ("-nginx", "cannot be a repository name", None),
    ("nginx-", "cannot be a repository name", None),
    ("ng..inx", "cannot be a repository name", None),
    ("ng___inx", "cannot be a repository name", None),
    ("ngınx", "cannot be a repository name", None),
    ("café", "cannot be a repository name", None),
    ("ng inx", "cannot be a repository name", None),
    ("nginx\x00", "cannot be a repository name", None),
    ("a" * 256, "cannot be a repository name", None),
    (f"{'a' * 128}/{'b' * 127}", "255 characters", None),
    ("nginx:", "cannot be a tag", None),
    ("nginx:-x", "cannot be a tag", None),
    ("nginx:1:2", "cannot be a tag", None),
    ("nginx:a b", "cannot be a tag", None),
    (f"nginx:{'a' * 129}", "cannot be a tag", None),
    ("https://hub.docker.com/", "not the address of a repository", None),
    ("hub.docker.com", "not the address of a repository", None),
    ("https://hub.docker.com/search?q=nginx", "not the address of a repository", None),
]

NAMES = st.from_regex(r"[a-z0-9]{1,8}(?:(?:_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
TYPED = st.text(alphabet=string.ascii_letters + string.digits + "/:@._-* #?%\n\x00é", max_size=40)


@pytest.mark.parametrize("typed", ACCEPTED)
def test_what_people_type_is_read_into_a_namespace_a_name_and_a_tag(typed: str) -> None:
    assert parse_reference(typed) == ACCEPTED[typed]


@pytest.mark.parametrize(("typed", "reason", "suggestion"), REFUSED)
def test_what_cannot_exist_is_refused_with_the_reason(typed: str, reason: str, suggestion: str | None) -> None:
    with pytest.raises(NameRefused) as refusal:
        parse_reference(typed)
    assert reason in refusal.value.message
    assert isinstance(refusal.value, ConfigError), "a refused name is exit code 2"
    if suggestion is not None:
        assert f"`{suggestion}`" in refusal.value.message
        parse_reference(suggestion)


@pytest.mark.parametrize(
    "typed", ["nginx\nredis", "nginx\rredis", "Nginx\n\nRedis", "a/b\n@x", "nginx:1\n2", "a\x1b[31mb"]
)
def test_a_refusal_is_one_printable_line_whatever_was_typed(typed: str) -> None:
    with pytest.raises(NameRefused) as refusal:
        parse_reference(typed)
    assert refusal.value.message.isprintable()


@given(st.one_of(TYPED, st.text(), st.text(alphabet="/:@.", max_size=12)))
def test_reading_a_name_raises_nothing_but_name_refused(typed: str) -> None:
    try:
        reference = parse_reference(typed)
    except NameRefused:
        return
    assert is_component(reference.namespace)
    assert reference.name is None or is_component(reference.name)
    assert reference.tag is None or is_tag(reference.tag)


@given(namespace=NAMES, name=NAMES, tag=st.none() | TAGS, host=st.sampled_from(["", "docker.io/", "index.docker.io/"]))
def test_a_name_written_out_is_read_back(namespace: str, name: str, tag: str | None, host: str) -> None:
    if namespace == "localhost":
        return
    text = f"{host}{namespace}/{name}" + (f":{tag}" if tag else "")
    reference = parse_reference(text)
    assert reference == Reference(namespace, name, tag)
    assert reference.repository == RepositoryName(namespace, name)
    assert str(reference.repository) == reference.repository.full_name == f"{namespace}/{name}"


@given(TYPED)
def test_what_was_accepted_once_is_accepted_in_its_canonical_form(typed: str) -> None:
    try:
        reference = parse_reference(typed)
    except NameRefused:
        return
    if "." in reference.namespace or reference.namespace == "localhost":
        return  # Without Docker Hub's own host before it, this reads as another registry's.
    path = f"{reference.namespace}/{reference.name or '*'}" + (f":{reference.tag}" if reference.tag else "")
    assert parse_reference(path) == reference


def test_a_whole_namespace_names_no_repository() -> None:
    with pytest.raises(ValueError, match="names no repository"):
        _ = BITNAMI.repository


@pytest.mark.parametrize(
    ("bare", "full_name"),
    [
        ("nginx", "library/nginx"),
        ("grafana/grafana", "grafana/grafana"),
        ("library/nginx", "library/nginx"),
        ("", None),
        ("/", None),
        ("grafana/", None),
        ("/grafana", None),
        ("a/b/c", None),
        ("Grafana/grafana", None),
        ("grafana/grafana:1", None),
    ],
)
def test_a_search_row_names_a_repository_or_nothing(bare: str, full_name: str | None) -> None:
    found = full_name_of(bare)
    assert (found.full_name if found else None) == full_name


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("latest", True),
        ("Latest", True),
        ("_", True),
        ("1.27-alpine3.20_x", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        (".x", False),
        ("-x", False),
        ("a:b", False),
        ("a/b", False),
        ("latest\n", False),
        ("ö", False),
    ],
)
def test_a_tag_is_known_by_its_grammar(text: str, is_one: bool) -> None:
    assert is_tag(text) is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (DIGEST, True),
        ("sha512:" + "a" * 128, True),
        ("sha256+b64:" + "a" * 32, True),
        ("sha256:" + "A" * 64, False),
        ("sha256:" + "g" * 64, False),
        ("sha256:" + "a" * 31, False),
        ("sha256:", False),
        (":" + "a" * 64, False),
        ("a" * 64, False),
        (DIGEST + "\n", False),
        ("", False),
    ],
)
def test_a_digest_is_known_by_its_grammar(text: str, is_one: bool) -> None:
    assert is_digest(text) is is_one
