"""The Hub API: login, repositories, tags, layers, search and owners, behind the limiter of that host."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from email.utils import formatdate

from tests.fakehub import rows
from tests.fakehub.accounts import Accounts, bearer_token
from tests.fakehub.limits import FixedWindows, Limits, Standing
from tests.fakehub.messages import Headers, Reply, Request, encode_json, html_reply, json_reply, path_missing
from tests.fakehub.pages import envelope, invalid, object_missing, page_wanted, wall
from tests.fakehub.world import Repository, Tag, World, newest_first, repositories_newest_first

REPOSITORY_ORDERS = ("name", "-name", "last_updated", "-last_updated", "pull_count", "-pull_count")
KEPT_REPLIES = 4096


@dataclass
class Switches:
    """Ways in which the Hub API may behave differently; they may be set while the server runs."""

    namespaces_family: bool = True
    legacy_family: bool = True
    reversed_ordering: bool = False
    fixed_page_size: int | None = None
    """Ignore `page_size` and serve this many rows."""
    legacy_redirects: bool = True
    """Answer 301 to a legacy path without its slash; otherwise serve it."""


class HubApi:
    """Answers for the Hub host."""

    def __init__(
        self, world: World, accounts: Accounts, limits: Limits, switches: Switches, clock: Callable[[], float]
    ) -> None:
        self.base_url = ""
        self._world = world
        self._accounts = accounts
        self._limits = limits
        self._switches = switches
        self._windows = FixedWindows(limits.hub_window_s, clock)
        self._kept: dict[tuple[object, ...], Reply] = {}
        self._sorted: dict[tuple[object, ...], list[Tag]] = {}
        self._kept_version = -1

    def answer(self, request: Request) -> Reply:
        """The reply with its rate-limit headers, counted unless it is free."""
        header = request.headers.get("authorization")
        is_login = request.method == "POST" and request.path in ("/v2/auth/token", "/v2/users/login")
        account = self._accounts.of_hub_token(bearer_token(header) or "") if header and not is_login else None
        caller, limit = self._caller(account, request.address)
        standing = self._windows.standing(caller, limit) if limit is not None else None
        if standing is not None and standing.remaining == 0:
            refusal = json_reply(429, {"detail": "Rate limit exceeded", "error": False}, budget="hub")
            headers = (*self._limit_headers(standing, request.address), *self._retry_headers(standing))
            return replace(refusal, headers=headers, account=account)
        if is_login:
            reply = self._login(request)
        elif header and account is None:
            reply = json_reply(401, {"detail": "Invalid or expired token", "message": "unauthorized"}, budget="hub")
        else:
            reply = self._kept_or_routed(request, account)
        if limit is not None:
            if reply.budget != "none":
                standing = self._windows.spend(caller, limit)
            if standing is not None:
                reply = replace(reply, headers=(*reply.headers, *self._limit_headers(standing, request.address)))
        return replace(reply, account=account)

    def spend(self, count: int, caller: str = "127.0.0.1") -> None:
        """Use up requests of a caller's window, the way another process behind the same address does."""
        if self._limits.hub_per_minute is not None:
            self._windows.spend(caller, self._limits.hub_per_minute, count)

    def _caller(self, account: str | None, address: str) -> tuple[str, int | None]:
        if account is None:
            return address, self._limits.hub_per_minute
        return f"account {account}", self._limits.hub_per_minute_signed_in or self._limits.hub_per_minute

    def _limit_headers(self, standing: Standing, address: str) -> Headers:
        return (
            ("x-ratelimit-limit", str(standing.limit)),
            ("x-ratelimit-remaining", str(standing.remaining)),
            ("x-ratelimit-reset", str(standing.reset_epoch)),
            ("x-ratelimit-ip", address),
        )

    def _retry_headers(self, standing: Standing) -> Headers:
        match self._limits.retry_form:
            case "seconds":
                return (("retry-after", str(standing.wait_s)),)
            case "epoch":
                return (("x-retry-after", str(standing.reset_epoch)),)
            case "date":
                return (("retry-after", formatdate(standing.reset_epoch, usegmt=True)),)
            case "none":
                return ()

    def _login(self, request: Request) -> Reply:
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return json_reply(400, {"detail": "JSON parse error"}, budget="login")
        is_current = request.path == "/v2/auth/token"
        account = body.get("identifier" if is_current else "username")
        if not self._accounts.has(account, body.get("secret" if is_current else "password")):
            return json_reply(401, {"detail": "Incorrect authentication credentials"}, budget="login")
        life_s = self._limits.hub_token_life_s if is_current else 30 * 86_400
        token = self._accounts.issue_hub_token(str(account), life_s)
        return json_reply(200, {"access_token" if is_current else "token": token}, budget="login")

    def _kept_or_routed(self, request: Request, account: str | None) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return json_reply(405, {"detail": f'Method "{request.method}" not allowed.'}, budget="hub")
        with self._world.lock:
            if self._kept_version != self._world.version or len(self._kept) > KEPT_REPLIES:
                self._kept.clear()
                self._sorted.clear()
                self._kept_version = self._world.version
            key = (request.target, account, astuple(self._switches))
            reply = self._kept.get(key)
            if reply is None:
                reply = self._kept[key] = self._route(request, account)
            return reply

    def _route(self, request: Request, account: str | None) -> Reply:
        segments = request.segments
        if any(not segment for segment in segments[:-1]):
            return path_missing()
        match segments:
            case ("v2", "namespaces", namespace, "repositories", *rest) if self._switches.namespaces_family:
                return self._objects(request, account, namespace, tuple(rest))
            case ("v2", "repositories", namespace, name, "tags", tag, "images") if self._switches.legacy_family:
                return self._layers(account, namespace, name, tag)
            case ("v2", "repositories", *rest) if self._switches.legacy_family:
                return self._legacy(request, account, rest)
            case ("v2", "search", "repositories", ""):
                return self._search(request, account)
            case ("v2", "orgs" | "users" as kind, name, *rest) if rest in ([], [""]):
                return self._owner(kind, name)
            case ("v2", "categories", *rest) if rest in ([], [""]):
                names = sorted({pair for item in self._world.visible(None) for pair in item.categories})
                return json_reply(200, [{"name": name, "slug": slug} for name, slug in names], budget="hub")
            case ("api", "content", "v1", "products", "search"):
                return Reply(200, budget="hub")
        return path_missing()

    def _legacy(self, request: Request, account: str | None, rest: list[str]) -> Reply:
        if rest[-1] == "":
            return self._objects(request, account, rest[0], tuple(rest[1:-1])) if len(rest) > 1 else path_missing()
        if not self._switches.legacy_redirects:
            return self._objects(request, account, rest[0], tuple(rest[1:]))
        target = f"{self.base_url}{request.path}/" + (f"?{request.query}" if request.query else "")
        return html_reply(301, "301 Moved Permanently", headers=(("location", target),), budget="hub")

    def _objects(self, request: Request, account: str | None, namespace: str, rest: tuple[str, ...]) -> Reply:
        if not rest:
            return self._repositories(request, account, namespace)
        repository = self._world.find(f"{namespace}/{rest[0]}", account)
        if (rest[1:] and (rest[1] != "tags" or len(rest) > 3 or rest[-1] == "")) or rest[0] == "":
            return path_missing()
        if repository is None:
            return object_missing(namespace, rest[0])
        if len(rest) == 1:
            return json_reply(200, rows.repository_detail(repository, account), budget="hub")
        if len(rest) == 2:
            return self._tags(request, account, repository)
        tag = repository.tags.get(rest[2])
        if tag is None:
            return object_missing(namespace, rest[0])
        return json_reply(200, rows.tag_row(tag), budget="hub")

    def _repositories(self, request: Request, account: str | None, namespace: str) -> Reply:
        if namespace not in self._world.namespaces:
            return object_missing(namespace)
        ordering = request.parameter("ordering")
        if ordering is not None and ordering not in REPOSITORY_ORDERS:
            allowed = ", ".join(REPOSITORY_ORDERS)
            return invalid("ordering", f"Invalid ordering value. Must be one of: {allowed}")
        wanted = page_wanted(request, fixed_size=self._switches.fixed_page_size)
        if isinstance(wanted, Reply):
            return wanted
        limit = self._limits.anonymous_wall_repositories
        if account is None and limit is not None and wanted.offset >= limit:
            return wall()
        part = request.parameter("name") or ""
        found = [repository for repository in self._world.visible(account, namespace) if part in repository.name]
        found = self._ordered(found, ordering)
        shown = found[wanted.offset : wanted.offset + wanted.size]
        if not shown and wanted.number > 1:
            return object_missing(namespace)
        encoded = [encode_json(rows.repository_row(repository)) for repository in shown]
        url = self.base_url + request.path
        return envelope(request, wanted, count=len(found), rows=encoded, url=url, end=b"null")

    def _ordered(self, repositories: list[Repository], ordering: str | None) -> list[Repository]:
        match (ordering or "last_updated").removeprefix("-"):
            case "name":
                ordered = sorted(repositories, key=lambda repository: repository.name)
            case "pull_count":
                ordered = sorted(repositories, key=lambda repository: repository.pull_count)
            case _:
                ordered = repositories_newest_first(repositories)
        is_backward = (ordering or "").startswith("-") != (ordering is not None and self._switches.reversed_ordering)
        return ordered[::-1] if is_backward else ordered

    def _tags(self, request: Request, account: str | None, repository: Repository) -> Reply:
        wanted = page_wanted(request, fixed_size=self._switches.fixed_page_size)
        if isinstance(wanted, Reply):
            return wanted
        limit = self._limits.anonymous_wall_tags
        if account is None and limit is not None and wanted.offset >= limit:
            return wall()
        found = self._matching_tags(request, repository)
        shown = found[wanted.offset : wanted.offset + wanted.size]
        if not shown and wanted.number > 1:
            return object_missing(repository.namespace, repository.name)
        encoded = [rows.tag_row_json(tag) for tag in shown]
        url = self.base_url + request.path
        return envelope(request, wanted, count=len(found), rows=encoded, url=url, end=b"null")

    def _matching_tags(self, request: Request, repository: Repository) -> list[Tag]:
        part, ordering = request.parameter("name") or "", request.parameter("ordering")
        key = (repository.full_name, part, ordering, self._switches.reversed_ordering)
        if key not in self._sorted:
            tags = newest_first(tag for tag in repository.tags.values() if part in tag.name)
            if ordering is None:
                tags.sort(key=lambda tag: tag.name != "latest")
            elif ordering.removeprefix("-") == "name":
                tags.sort(key=lambda tag: tag.name)
            if ordering is not None and ordering.startswith("-") != self._switches.reversed_ordering:
                tags.reverse()
            self._sorted[key] = tags
        return self._sorted[key]

    def _layers(self, account: str | None, namespace: str, name: str, tag_name: str) -> Reply:
        repository = self._world.find(f"{namespace}/{name}", account)
        tag = repository.tags.get(tag_name) if repository is not None else None
        if tag is None:
            return object_missing(namespace, name)
        return json_reply(200, rows.tag_images(tag), budget="hub")

    def _search(self, request: Request, account: str | None) -> Reply:
        query = (request.parameter("query") or "").lower()
        if not query:
            return invalid("query", "This field is required")
        wanted = page_wanted(request, default_size=25)
        if isinstance(wanted, Reply):
            return wanted
        limit = self._limits.search_wall
        if limit is not None and wanted.offset >= limit:
            return json_reply(
                self._limits.search_wall_status, {"message": "page not found", "errinfo": {}}, budget="hub"
            )
        official = {"true": True, "1": True, "false": False, "0": False}.get(request.parameter("is_official") or "")
        found = [
            repository
            for repository in self._world.visible(None)
            if query in f"{repository.full_name} {repository.description or ''}".lower()
            and official in (None, repository.namespace == "library")
        ]
        field = (request.parameter("ordering") or "-pull_count").removeprefix("-")
        is_ascending = not (request.parameter("ordering") or "-").startswith("-")
        found.sort(
            key=lambda repository: repository.star_count if field == "star_count" else repository.pull_count,
            reverse=not is_ascending,
        )
        shown = found[wanted.offset : wanted.offset + wanted.size]
        if not shown and wanted.number > 1:
            return json_reply(404, {"message": "page not found", "errinfo": {}}, budget="hub")
        encoded = [encode_json(rows.search_row(repository)) for repository in shown]
        url = f"{self.base_url}/v2/search/repositories/"
        return envelope(request, wanted, count=len(found), rows=encoded, url=url, end=b'""')

    def _owner(self, kind: str, name: str) -> Reply:
        namespace = self._world.namespaces.get(name)
        if namespace is None:
            return json_reply(404, {"message": "object not found", "errinfo": {"namespace": name}}, budget="hub")
        kept_as = "users" if namespace.kind == "User" else "orgs"
        if kind != kept_as:
            return Reply(308, headers=(("location", f"/v2/{kept_as}/{name}"),), budget="hub")
        return json_reply(200, rows.namespace_row(namespace), budget="hub")
