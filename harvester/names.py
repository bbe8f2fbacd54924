"""Names at Docker Hub: what may exist, read into values. Rank 0.

Grammar: wire reference, section 21. Input may be what people type (`nginx`, `_/nginx`, `docker.io/library/nginx:1.27`, a web
address); what comes out is always the namespace and the name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harvester.errors import NameRefused

OFFICIAL = "library"
"""The namespace of the Docker Official Images."""

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,}\Z")
_DIGEST_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})\Z")
_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_WEB_HOSTS = frozenset({"hub.docker.com", "www.hub.docker.com"})


@dataclass(frozen=True, slots=True, order=True)
class RepositoryName:
    """A repository at Docker Hub: exactly one namespace and one name, both lower case."""

    namespace: str
    name: str

    @property
    def full_name(self) -> str:
        """`library/nginx`."""
        return f"{self.namespace}/{self.name}"

    def __str__(self) -> str:
        return self.full_name


@dataclass(frozen=True, slots=True)
class Reference:
    """What a person named: a namespace, a repository in it, a tag of that."""

    namespace: str
    name: str | None = None
    """Null: the whole namespace."""
    tag: str | None = None

    @property
    def repository(self) -> RepositoryName:
        """The repository; only for references that name one."""
        if self.name is None:
            raise ValueError(f"{self.namespace}/ names no repository")
        return RepositoryName(self.namespace, self.name)


def is_component(text: str) -> bool:
    """Whether this can be a namespace or a repository's name."""
    return len(text) < 256 and _COMPONENT.match(text) is not None


def is_tag(text: str) -> bool:
    """Whether this can be a tag. Case matters: `Latest` and `latest` are two tags."""
    return _TAG.match(text) is not None


def is_digest(text: str) -> bool:
    """Whether this is a digest, `sha256:` and 64 hexadecimal digits or another algorithm's."""
    return _DIGEST.match(text) is not None


def parse_digest(text: str) -> str:
    """The digest that `text` names, or its beginning: `sha256:` and at least 12 hexadecimal digits. Raises `NameRefused`."""
    bare = text.strip()
    if "@" in bare:
        digest = bare.rpartition("@")[2]
        raise NameRefused(f"{text}: name the digest alone, without the repository (`{digest}`)")
    found = _DIGEST_PREFIX.match(bare)
    if found is not None:
        return f"sha256:{found[1]}"
    if is_digest(bare) and not bare.startswith("sha256:"):
        return bare
    if bare != bare.lower() and (is_digest(bare.lower()) or _DIGEST_PREFIX.match(bare.lower())):
        raise NameRefused(f"{text}: digests are lower case; did you mean `{bare.lower()}`?")
    raise NameRefused(f"{text}: not a digest (`sha256:` and 64 hexadecimal digits, or the first 12 of them and more)")


def full_name_of(bare: str) -> RepositoryName | None:
    """The repository that a search row names (`nginx` or `grafana/grafana`); null when it names none."""
    namespace, slash, name = bare.partition("/")
    if not slash:
        namespace, name = OFFICIAL, bare
    if is_component(namespace) and is_component(name):
        return RepositoryName(namespace, name)
    return None


def parse_reference(text: str) -> Reference:
    """What `text` names. Raises `NameRefused` with the reason and, where there is one, the form that would do."""
    if text.strip().startswith(("sha256:", "sha512:")) and is_digest(text.strip()):
        raise NameRefused(f"{text}: a digest is not a target; name a repository or a tag")
    rest = _without_host(text.strip(), text)
    if "@" in rest:
        raise NameRefused(
            f"{text}: a digest reference is not a target; name the repository or a tag (`{rest.split('@')[0]}`)"
        )
    path, tag = _split_tag(rest)
    if path.endswith(("/", "/*")):
        namespace = path.rstrip("*").rstrip("/")
        if tag is not None or not namespace:
            raise NameRefused(f"{text}: a whole namespace is written `NAME/` or `NAME/*`")
        namespace = OFFICIAL if namespace == "_" else namespace
        if namespace != namespace.lower() and is_component(namespace.lower()):
            raise NameRefused(f"{text}: names at Docker Hub are lower case; did you mean `{namespace.lower()}/`?")
        _check_component(namespace, "namespace", text)
        return Reference(namespace)
    if path != path.lower() and all(is_component(part) for part in path.lower().split("/")):
        suggestion = path.lower() + (f":{tag}" if tag is not None else "")
        raise NameRefused(f"{text}: names at Docker Hub are lower case; did you mean `{suggestion}`?")
    parts = path.split("/")
    if len(parts) > 2:
        raise NameRefused(f"{text}: a repository at Docker Hub is one namespace and one name, `NAMESPACE/NAME`")
    namespace, name = parts if len(parts) == 2 else (OFFICIAL, parts[0])
    namespace = OFFICIAL if namespace == "_" else namespace
    _check_component(namespace, "namespace", text)
    _check_component(name, "repository name", text)
    if len(namespace) + 1 + len(name) > 255:
        raise NameRefused(f"{text[:60]}...: longer than the 255 characters a repository's name may have")
    if tag is not None and not is_tag(tag):
        raise NameRefused(f"{text}: `{tag}` cannot be a tag (letters, digits, `_`, `.`, `-`; at most 128)")
    return Reference(namespace, name, tag)


def _split_tag(path: str) -> tuple[str, str | None]:
    head, slash, last = path.rpartition("/")
    last, colon, tag = last.partition(":")
    return head + slash + last, tag if colon else None


def _without_host(text: str, original: str) -> str:
    bare, scheme = re.subn(r"\Ahttps?://", "", text, flags=re.IGNORECASE)
    first, slash, rest = bare.partition("/")
    host = first.lower()
    if host in _WEB_HOSTS:
        return _from_web_path(rest, original)
    if slash and host in _HUB_HOSTS:
        if not rest:
            raise NameRefused(
                f"{original}: names no repository; write `NAMESPACE/NAME`, or `NAME/` for a whole namespace"
            )
        return rest
    if scheme or (slash and ("." in first or ":" in first or host == "localhost")):
        raise NameRefused(f"{original}: `{first}` is another registry's host; this program knows Docker Hub only")
    return text


def _from_web_path(path: str, original: str) -> str:
    parts = [part for part in path.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0].split("/") if part]
    match parts:
        case ["_", name, *_]:
            return f"{OFFICIAL}/{name}"
        case ["r" | "layers", namespace, name, *_]:
            return f"{namespace}/{name}"
        case ["u" | "r" | "orgs", namespace]:
            return f"{namespace}/"
        case _:
            raise NameRefused(
                f"{original}: not the address of a repository (`https://hub.docker.com/r/NAMESPACE/NAME`)"
            )


def _check_component(component: str, what: str, original: str) -> None:
    if is_component(component):
        return
    raise NameRefused(
        f"{original}: `{component}` cannot be a {what} (lower-case letters and digits, joined by `.`, `_`, `-`)"
    )
