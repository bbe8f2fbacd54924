"""The Hub API and v2 search, as methods. Rank 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

import msgspec

from harvester.errors import DeadEndpoint, Denied, Drift, StaleToken, Unavailable
from harvester.names import RepositoryName
from harvester.records import Image, Page, Refused, Repository, Tag
from harvester.wire import decode
from harvester.wire.answers import Answer, Call
from harvester.wire.permits import Budget
from harvester.wire.refusals import page_text
from harvester.wire.tokens import HubTokens
from harvester.wire.transport import Transport

Found = TypeVar("Found")

Endpoint = Literal["namespace", "repository", "tags", "tag", "images", "search"]
Ordering = Literal["last_updated", "-last_updated", "name", "-name"]

CANONICAL_ORIGIN = ("https", "hub.docker.com", None)
"""What the far end writes into `next`, also when it is reached through a mirror."""
LONGEST_NEXT = 4096

_WITHDRAWN = "the far end withdrew this endpoint; it is not asked again"


class Hub:
    """Public data of Docker Hub. Every method raises the errors of `Transport.send`, and `Drift` for another shape.

    `Gone` is said of an object only, never when a path is not served: then the other family of paths is tried, and what
    answered is asked first from then on (wire reference, 3.1). An endpoint whose paths all answered 410 is `DeadEndpoint`
    from then on, without a request (20.1).
    """

    def __init__(self, transport: Transport, base_url: str, tokens: HubTokens | None = None) -> None:
        self._transport = transport
        self._base_url = base_url.rstrip("/")
        base = urlsplit(self._base_url)
        self._origin = (base.scheme, base.hostname, _port(base.scheme, base.port))
        self._base_path = base.path
        self._tokens = tokens
        self._legacy: set[Endpoint] = set()
        self._dead: set[Endpoint] = set()

    @property
    def signed_in(self) -> bool:
        """Whether requests go out with a token now; without one the paging wall stands (wire reference, 3.5)."""
        return self._tokens is not None and self._tokens.is_usable

    async def namespace_page(
        self, namespace: str, *, page_query: str | None = None, page_size: int = 100
    ) -> Page[Repository]:
        """One page of a namespace's repositories (wire reference, 4.1)."""
        encoded = quote(namespace, safe="")
        return await self._page(
            "namespace",
            (f"/v2/namespaces/{encoded}/repositories", f"/v2/repositories/{encoded}/"),
            page_query or f"page_size={page_size}",
            lambda body: decode.namespace_page(body, namespace=namespace),
        )

    async def repository(self, name: RepositoryName) -> Repository:
        """One repository with its description (wire reference, 4.2)."""
        current, legacy = _repository_paths(name)
        answer = await self._ask("repository", (current, f"{legacy}/"), "")
        return _read(answer, lambda body: decode.repository(body, name=name))

    async def tags_page(
        self,
        name: RepositoryName,
        *,
        page_query: str | None = None,
        page_size: int = 100,
        ordering: Ordering = "last_updated",
        name_filter: str | None = None,
    ) -> Page[Tag]:
        """One page of a repository's tags, by `ordering` newest first (wire reference, 5.1)."""
        current, legacy = _repository_paths(name)
        query = page_query or f"page_size={page_size}&ordering={ordering}"
        if name_filter and not page_query:
            query += f"&name={quote(name_filter, safe='')}"
        return await self._page("tags", (f"{current}/tags", f"{legacy}/tags/"), query, decode.tags_page)

    async def tag(self, name: RepositoryName, tag: str) -> Tag:
        """One tag (wire reference, 5.2)."""
        current, legacy = _repository_paths(name)
        encoded = quote(tag, safe="")
        answer = await self._ask("tag", (f"{current}/tags/{encoded}", f"{legacy}/tags/{encoded}/"), "")
        return _read(answer, lambda body: decode.tag(body, name=tag))

    async def images(self, name: RepositoryName, tag: str) -> Page[Image]:
        """Every image of a tag with its layers and instructions, on one page (wire reference, 6)."""
        _, legacy = _repository_paths(name)
        answer = await self._ask("images", (f"{legacy}/tags/{quote(tag, safe='')}/images",), "")
        return _read(answer, decode.images)

    async def search_page(self, query: str, *, page_query: str | None = None, page_size: int = 100) -> Page[Repository]:
        """One page of search results; rows that name no repository are among the refused (wire reference, 8.1)."""
        asked = page_query or f"query={quote(query, safe='')}&page_size={page_size}"
        return await self._page("search", ("/v2/search/repositories/",), asked, decode.search_page)

    async def _page(
        self,
        endpoint: Endpoint,
        paths: tuple[str, ...],
        query: str,
        read: Callable[[bytes], Page[Found]],
    ) -> Page[Found]:
        answer = await self._ask(endpoint, paths, query)
        page = _read(answer, read)
        if page.next_page is None:
            return page
        try:
            following = self._next_query(page.next_page, paths, query, answer)
        except Drift as drift:
            # The rows are good; that the list cannot be followed further is said with them.
            refused = Refused(path=drift.path, reason=drift.message, sample=drift.sample)
            return msgspec.structs.replace(page, next_page=None, refused=(*page.refused, refused))
        return msgspec.structs.replace(page, next_page=following)

    async def _ask(self, endpoint: Endpoint, paths: tuple[str, ...], query: str) -> Answer:
        suffix = f"?{query}" if query else ""
        first, *others = reversed(paths) if endpoint in self._legacy else paths
        if endpoint in self._dead:
            raise DeadEndpoint(_WITHDRAWN, url=f"{first}{suffix}", status=410, budget="hub")
        budgets: tuple[Budget, ...] = ("hub", "search") if endpoint == "search" else ("hub",)
        try:
            return await self._get(f"{self._base_url}{first}{suffix}", budgets)
        except DeadEndpoint as error:
            dead, is_withdrawn = error, error.status == 410
        for path in others:
            try:
                answer = await self._get(f"{self._base_url}{path}{suffix}", budgets)
            except DeadEndpoint as error:
                dead, is_withdrawn = error, is_withdrawn and error.status == 410
            else:
                # Set, not toggled: several requests may find out at one time.
                if path == paths[-1]:
                    self._legacy.add(endpoint)
                else:
                    self._legacy.discard(endpoint)
                return answer
        if is_withdrawn:
            self._dead.add(endpoint)
            raise DeadEndpoint(_WITHDRAWN, url=dead.url, status=dead.status, budget=dead.budget) from None
        # A blocked address has been shown such pages for repositories that exist (wire reference, 20.1).
        raise Unavailable("no known path serves this", url=dead.url, status=dead.status, budget=dead.budget) from None

    async def _get(self, url: str, budgets: tuple[Budget, ...]) -> Answer:
        """The answer, signed in where that works. A refused token makes public data unreadable too (11.4)."""
        tokens = self._tokens
        if tokens is not None:
            for is_last in (False, True):
                authorization = await tokens.authorization()
                if authorization is None:
                    break
                try:
                    return await self._transport.send(Call("GET", url, budgets, authorization=authorization))
                except StaleToken:
                    if is_last:
                        tokens.set_aside(authorization)
                    else:
                        tokens.drop(authorization)
        try:
            return await self._transport.send(Call("GET", url, budgets))
        except StaleToken as error:
            raise Denied(error.message, url=error.url, status=error.status, budget=error.budget) from None

    def _next_query(self, following: str, paths: tuple[str, ...], query: str, answer: Answer) -> str:
        """The query of the page that follows, checked to be a page of the same list (wire reference, 3.3)."""

        def drift(why: str) -> Drift:
            return Drift(why, path="$.next", sample=following, url=answer.url, status=answer.status, budget="hub")

        if len(following) > LONGEST_NEXT or not following.isprintable():
            raise drift("the address of the next page is none")
        try:
            parts = urlsplit(urljoin(f"{self._base_url}{paths[0]}", following))
            origin = (parts.scheme, parts.hostname, _port(parts.scheme, parts.port))
        except ValueError:
            raise drift("the address of the next page is none") from None
        path = unquote(parts.path).rstrip("/")
        known = {unquote(path).rstrip("/") for path in paths}
        if origin == self._origin:
            known |= {unquote(self._base_path) + path for path in known}
        elif origin != CANONICAL_ORIGIN:
            raise drift("the next page is at another host")
        if path not in known or not parts.query:
            raise drift("the next page is of another list")
        if sorted(parts.query.split("&")) == sorted(query.split("&")):
            raise drift("the next page is this page")
        return parts.query


def _read(answer: Answer, read: Callable[[bytes], Found]) -> Found:
    try:
        return read(answer.body)
    except Drift as drift:
        if answer.body.lstrip()[:1] == b"<":
            # An error page under the wrong status (wire reference, 20.1).
            raise Unavailable(
                f"a page in place of JSON: {page_text(answer.body)}", url=answer.url, status=answer.status, budget="hub"
            ) from None
        drift.url, drift.status, drift.budget = answer.url, answer.status, "hub"
        raise


def _repository_paths(name: RepositoryName) -> tuple[str, str]:
    namespace, repository = quote(name.namespace, safe=""), quote(name.name, safe="")
    return f"/v2/namespaces/{namespace}/repositories/{repository}", f"/v2/repositories/{namespace}/{repository}"


def _port(scheme: str, port: int | None) -> int | None:
    return None if port == {"http": 80, "https": 443}.get(scheme) else port
