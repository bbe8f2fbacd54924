"""The registry, as methods. Rank 3.

Only a GET of a manifest is a pull; everything else here is counted in the registry's own budget (wire reference, 13.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, urljoin, urlsplit

from harvester.errors import Denied, Drift, StaleToken, TooLarge, Unavailable
from harvester.names import RepositoryName, is_digest
from harvester.records import Image, Platform
from harvester.wire import manifests
from harvester.wire.answers import Answer, Call, Follow
from harvester.wire.permits import Budget
from harvester.wire.refusals import page_text
from harvester.wire.tokens import RegistryTokens
from harvester.wire.transport import Transport

BLOB_CAP = 8 * 2**20
"""Bytes of an image config; recorded ones have 1 to 100 kB (wire reference, 15.3)."""
MANIFEST_CAP = 8 * 2**20
NAMES_A_PAGE = 10_000
"""Of at most 128 characters each: far below the cap on bodies."""
MAX_PAGES = 1000
"""Pages of one tag list, against a list that never ends."""

_ACCEPT_MANIFESTS = (("Accept", ", ".join(manifests.MANIFEST_TYPES)),)
_ACCEPT_ANY = (("Accept", "*/*"),)
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel\s*=\s*"?next\b', re.IGNORECASE)


class Registry:
    """Manifests, image configs and tag names. Every method raises the errors of `Transport.send`, and `Drift`.

    A repository that does not exist and one that is private look the same here: `Denied` (wire reference, 20.2).
    """

    def __init__(self, transport: Transport, base_url: str, tokens: RegistryTokens) -> None:
        self._transport = transport
        self._base_url = base_url.rstrip("/")
        self._tokens = tokens

    def expect(self, names: Iterable[RepositoryName]) -> None:
        """Say which repositories will be asked for soon: one token serves several of them."""
        self._tokens.expect(names)

    async def image(self, name: RepositoryName, digest: str, platform_hint: Platform) -> Image:
        """The platform manifest `digest` with its layers and, for images, their instructions. Costs one pull.

        Manifest and config are checked against their digests; other bytes, and an index, are `Drift`.
        """
        url = f"{self._base_url}/v2/{_path(name)}/manifests/{quote(digest, safe=':')}"
        answer = await self._ask(
            name, "GET", url, budgets=("pulls", "registry"), headers=_ACCEPT_MANIFESTS, body_cap=MANIFEST_CAP
        )
        try:
            content_type = answer.headers.lower("content-type")
            manifest = manifests.manifest_of(answer.body, content_type=content_type, digest=digest)
            config = manifests.config_wanted(manifest)
            body = None if config is None else manifests.inline(config)
            if config is not None and body is None:
                answer = await self._blob(name, config.digest)
                body = answer.body
            return manifests.image_of(manifest, body, digest=digest, hint=platform_hint)
        except Drift as drift:
            raise _placed(drift, answer) from None

    async def tag_names(self, name: RepositoryName) -> tuple[str, ...]:
        """The names of every tag there is, in the registry's order; no pull (wire reference, 15.4).

        Asked for in one answer, and page by page where that one is larger than the cap on bodies.
        """
        url = f"{self._base_url}/v2/{_path(name)}/tags/list"
        try:
            return await self._tag_names(name, url)
        except TooLarge:
            return await self._tag_names(name, f"{url}?n={NAMES_A_PAGE}")

    async def _tag_names(self, name: RepositoryName, url: str) -> tuple[str, ...]:
        names: dict[str, None] = {}
        seen: set[str] = set()
        while len(seen) < MAX_PAGES:
            seen.add(url)
            answer = await self._ask(name, "GET", url, budgets=("registry",))
            try:
                names.update(dict.fromkeys(manifests.tag_names_of(answer.body)))
            except Drift as drift:
                if answer.body.lstrip()[:1] == b"<":
                    # An error page under the wrong status (wire reference, 20.1).
                    reason = f"a page in place of JSON: {page_text(answer.body)}"
                    raise Unavailable(reason, url=answer.url, status=answer.status, budget="registry") from None
                raise _placed(drift, answer) from None
            following = self._next_url(url, answer)
            if following is None:
                return tuple(names)
            if following in seen:
                raise _placed(Drift("the tag list leads back to a page of itself", path="Link"), answer)
            url = following
        raise Drift(f"a tag list of more than {MAX_PAGES} pages", url=answer.url, budget="registry")

    async def head(self, name: RepositoryName, reference: str) -> str | None:
        """The digest that a tag or a digest resolves to; null when the answer does not tell. No pull (13.2)."""
        url = f"{self._base_url}/v2/{_path(name)}/manifests/{quote(reference, safe=':')}"
        answer = await self._ask(name, "HEAD", url, budgets=("registry",), headers=_ACCEPT_MANIFESTS)
        digest = answer.headers.lower("docker-content-digest")
        return digest if digest is not None and is_digest(digest) else None

    async def _blob(self, name: RepositoryName, digest: str) -> Answer:
        """A blob, from wherever the registry keeps it; its bytes are checked."""
        url = f"{self._base_url}/v2/{_path(name)}/blobs/{quote(digest, safe=':')}"
        answer = await self._ask(
            name, "GET", url, budgets=("registry",), headers=_ACCEPT_ANY, follow="anywhere", body_cap=BLOB_CAP
        )
        if not manifests.is_content(answer.body, digest):
            raise Drift("the config's bytes do not have its digest", url=answer.url, status=answer.status)
        return answer

    async def _ask(
        self,
        name: RepositoryName,
        method: str,
        url: str,
        *,
        budgets: tuple[Budget, ...],
        headers: tuple[tuple[str, str], ...] = (),
        follow: Follow = "same-origin",
        body_cap: int | None = None,
    ) -> Answer:
        kept = self._tokens.cached(name)
        authorization = kept or await self._tokens.authorization(name)
        was_companion = False
        while True:
            try:
                answer = await self._transport.send(
                    Call(method, url, budgets, headers, authorization, follow=follow, body_cap=body_cap)
                )
                if was_companion:
                    self._tokens.narrow()
                return answer
            except StaleToken as error:
                was_companion = self._tokens.drop(name, authorization)
                if kept is None:
                    # A new token that is refused: no such repository, or no right to it (wire reference, 14.2).
                    raise Denied(error.message, url=error.url, status=error.status, budget=error.budget) from None
            kept = None
            authorization = await self._tokens.authorization(name)

    def _next_url(self, url: str, answer: Answer) -> str | None:
        """The address in `Link`, which must be a page of the same list at the same origin (wire reference, 15.4)."""
        found = _NEXT.search(answer.headers.lower("link") or "")
        if found is None:
            return None
        try:
            here, there = urlsplit(url), urlsplit(urljoin(url, str(found[1])))
            is_own = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
        except ValueError:
            is_own = False
        if not is_own or there.path != here.path or not there.query:
            raise _placed(Drift("the next page of the tag list is elsewhere", path="Link"), answer)
        return there._replace(fragment="").geturl()


def _path(name: RepositoryName) -> str:
    return f"{quote(name.namespace, safe='')}/{quote(name.name, safe='')}"


def _placed(drift: Drift, answer: Answer) -> Drift:
    drift.url, drift.status, drift.budget = answer.url, answer.status, "registry"
    return drift
