"""The token server of the registry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tests.fakehub.accounts import Accounts, basic_credentials
from tests.fakehub.limits import Limits
from tests.fakehub.messages import Reply, Request, html_reply, json_reply
from tests.fakehub.world import World, wire_time


class TokenServer:
    """Grants what was asked for and is allowed; an empty grant is a 200 all the same."""

    def __init__(self, world: World, accounts: Accounts, limits: Limits, clock: Callable[[], float]) -> None:
        self._world = world
        self._accounts = accounts
        self._limits = limits
        self._clock = clock

    def answer(self, request: Request) -> Reply:
        if request.path != "/token":
            return html_reply(404, "404 page not found")
        if request.method != "GET":
            return json_reply(405, {"details": "method not allowed"}, budget="token")
        account: str | None = None
        header = request.headers.get("authorization")
        if header is not None:
            credentials = basic_credentials(header)
            if credentials is None or not self._accounts.has(*credentials):
                return json_reply(401, {"details": "incorrect username or password"}, budget="token")
            account = credentials[0]
        if request.parameter("service") != "registry.docker.io":
            return json_reply(400, {"details": "unknown service"}, budget="token")
        life_s = self._limits.registry_token_life_s
        token = self._accounts.issue_registry_token(account, self._allowed(request, account), life_s)
        body = {
            "token": token,
            "access_token": token,
            "expires_in": life_s,
            "issued_at": wire_time(datetime.fromtimestamp(self._clock(), tz=UTC)),
        }
        reply = json_reply(200, body, budget="token")
        return Reply(reply.status, reply.payload, budget="token", account=account)

    def _allowed(self, request: Request, account: str | None) -> list[str]:
        names: list[str] = []
        with self._world.lock:
            for value in request.parameters.get("scope", []):
                for scope in value.split():
                    kind, _, rest = scope.partition(":")
                    name, _, actions = rest.rpartition(":")
                    if kind == "repository" and "pull" in actions.split(",") and self._world.find(name, account):
                        names.append(name)
        return names
