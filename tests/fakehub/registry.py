"""The registry and the CDN behind it: manifests, tag names, blobs, and the pull limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from tests.fakehub.accounts import Accounts, Grant, bearer_token
from tests.fakehub.images import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST, Document, digest_of
from tests.fakehub.limits import FixedWindows, Limits
from tests.fakehub.messages import Headers, Payload, Reply, Request, encode_json, json_reply
from tests.fakehub.world import Repository, World

API_VERSION: Headers = (("docker-distribution-api-version", "registry/2.0"),)
PULL_LIMIT_TEXT = (
    "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: "
    "https://www.docker.com/increase-rate-limit"
)


def registry_error(status: int, code: str, message: str, *, detail: object = None, headers: Headers = ()) -> Reply:
    """An error in the registry's own form."""
    error: dict[str, object] = {"code": code, "message": message}
    if detail is not None:
        error["detail"] = detail
    return json_reply(status, {"errors": [error]}, headers=(*API_VERSION, *headers), budget="free")


class Registry:
    """Answers for the registry host."""

    def __init__(self, world: World, accounts: Accounts, limits: Limits, clock: Callable[[], float]) -> None:
        self.auth_url = ""
        self.cdn_url = ""
        self._world = world
        self._accounts = accounts
        self._limits = limits
        self._clock = clock
        self._windows = FixedWindows(limits.pull_window_s, clock)

    def answer(self, request: Request) -> Reply:
        """The reply for the holder of a token, or the challenge for everybody else."""
        header = request.headers.get("authorization")
        grant = self._accounts.of_registry_token(bearer_token(header) or "") if header is not None else None
        with self._world.lock:
            reply = self._route(request, grant)
        return reply if grant is None else replace(reply, account=grant.account)

    def spend_pulls(self, count: int, caller: str = "127.0.0.1") -> None:
        """Use up pulls of a caller's window, the way another machine behind the same address does."""
        if self._limits.pulls is not None:
            self._windows.spend(caller, self._limits.pulls, count)

    def _route(self, request: Request, grant: Grant | None) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return registry_error(405, "UNSUPPORTED", "The operation is unsupported.")
        match request.segments:
            case ("v2", "") | ("v2",):
                return self._challenge(request, None) if grant is None else json_reply(200, {}, headers=API_VERSION)
            case ("v2", namespace, name, "tags", "list"):
                repository = self._allowed(f"{namespace}/{name}", grant)
                return (
                    self._tag_names(request, repository)
                    if repository
                    else self._challenge(request, f"{namespace}/{name}")
                )
            case ("v2", namespace, name, "manifests", reference):
                repository = self._allowed(f"{namespace}/{name}", grant)
                if repository is None or grant is None:
                    return self._challenge(request, f"{namespace}/{name}")
                return self._manifest(request, repository, reference, grant)
            case ("v2", namespace, name, "blobs", digest):
                repository = self._allowed(f"{namespace}/{name}", grant)
                return (
                    self._blob(request, repository, digest)
                    if repository
                    else self._challenge(request, f"{namespace}/{name}")
                )
        if request.path == "/v2/_catalog":
            return self._challenge(request, None)
        return registry_error(404, "NAME_UNKNOWN", "repository name not known to registry")

    def _allowed(self, name: str, grant: Grant | None) -> Repository | None:
        if grant is None or name not in grant.repositories:
            return None
        return self._world.find(name, grant.account)

    def _challenge(self, request: Request, name: str | None) -> Reply:
        parts = [f'realm="{self.auth_url}/token"', 'service="registry.docker.io"']
        detail: list[dict[str, str]] | None = None
        if name is not None:
            parts.append(f'scope="repository:{name}:pull"')
            detail = [{"Type": "repository", "Name": name, "Action": "pull"}]
        header = request.headers.get("authorization")
        if header is not None:
            is_known = self._accounts.of_registry_token(bearer_token(header) or "") is not None
            parts.append(f'error="{"insufficient_scope" if is_known else "invalid_token"}"')
        headers = (("www-authenticate", "Bearer " + ",".join(parts)),)
        message = "access to the requested resource is not authorized"
        return registry_error(401, "UNAUTHORIZED", message, detail=detail, headers=headers)

    def _tag_names(self, request: Request, repository: Repository) -> Reply:
        names = sorted(repository.tags)
        last, wanted = request.parameter("last"), request.parameter("n")
        if last is not None:
            names = [name for name in names if name > last]
        headers: Headers = API_VERSION
        if wanted is not None and wanted.isascii() and wanted.isdigit() and int(wanted) < len(names):
            names = names[: int(wanted)]
            if names:
                link = f"/v2/{repository.full_name}/tags/list?last={quote(names[-1])}&n={wanted}"
                headers = (*API_VERSION, ("link", f'<{link}>; rel="next"'))
        return json_reply(
            200,
            {"name": repository.full_name, "tags": names if repository.tags else None},
            headers=headers,
            budget="free",
        )

    def _manifest(self, request: Request, repository: Repository, reference: str, grant: Grant) -> Reply:
        is_pull = request.method == "GET"
        limit = self._limits.pulls if grant.account is None else self._limits.pulls_signed_in
        if not self._world.namespaces[repository.namespace].is_pull_limited:
            limit = None
        caller = request.address if grant.account is None else f"account {grant.account}"
        if limit is not None and is_pull and self._windows.standing(caller, limit).remaining == 0:
            headers = self._pull_headers(caller, limit, grant.account or request.address)
            return replace(registry_error(429, "TOOMANYREQUESTS", PULL_LIMIT_TEXT, headers=headers), budget="pull")
        document = self._document(request, repository, reference)
        if isinstance(document, Reply):
            return document
        if limit is not None and is_pull:
            self._windows.spend(caller, limit)
        headers = (
            ("docker-content-digest", document.digest),
            ("etag", f'"{document.digest}"'),
            *API_VERSION,
            *(self._pull_headers(caller, limit, grant.account or request.address) if limit is not None else ()),
        )
        return Reply(200, Payload(document.body), document.media_type, headers, "pull" if is_pull else "free")

    def _pull_headers(self, caller: str, limit: int, source: str) -> Headers:
        window = f";w={self._limits.pull_window_s}"
        remaining = f"{self._windows.standing(caller, limit).remaining}{window}"
        return (
            ("ratelimit-limit", f"{limit}{window}"),
            ("ratelimit-remaining", remaining),
            ("x-ratelimit-limit", f"{limit}{window}"),
            ("x-ratelimit-remaining", remaining),
            ("docker-ratelimit-source", source),
        )

    def _document(self, request: Request, repository: Repository, reference: str) -> Document | Reply:
        if ":" in reference:
            document = repository.documents.get(reference)
        else:
            tag = repository.tags.get(reference)
            document = tag.document if tag is not None else None
        if document is None:
            return registry_error(404, "MANIFEST_UNKNOWN", "manifest unknown", detail={"unknown": reference})
        accept = request.headers.get("accept", "")
        if "*/*" in accept or document.media_type in accept:
            return document
        if document.media_type == OCI_INDEX:
            return registry_error(
                404, "MANIFEST_UNKNOWN", "OCI index found, but accept header does not support OCI indexes"
            )
        if document.media_type == OCI_MANIFEST:
            text = "OCI manifest found, but accept header does not support OCI manifests"
            return registry_error(404, "MANIFEST_UNKNOWN", text)
        if document.media_type == DOCKER_INDEX and ":" not in reference:
            for image in repository.children.get(document.digest, ()):
                if (image.os, image.architecture) == ("linux", "amd64"):
                    return image.manifest
        return document

    def _blob(self, request: Request, repository: Repository, digest: str) -> Reply:
        if digest not in repository.blobs:
            return registry_error(404, "BLOB_UNKNOWN", "blob unknown to registry", detail={"digest": digest})
        if request.method == "HEAD":
            headers = (
                ("docker-content-digest", digest),
                ("accept-ranges", "bytes"),
                ("content-length", str(repository.blob_sizes[digest])),
            )
            return Reply(200, content_type="application/octet-stream", headers=(*API_VERSION, *headers), budget="free")
        encoded = digest.removeprefix("sha256:")
        expires = int(self._clock()) + 300
        path = f"/registry-v2/{repository.full_name}/blobs/sha256/{encoded[:2]}/{encoded}/data"
        signature = sign(path, str(expires))
        location = f"{self.cdn_url}{path}?expires={expires}&signature={signature}&version=3"
        return Reply(307, content_type=None, headers=(*API_VERSION, ("location", location)), budget="free")


def sign(path: str, expires: str) -> str:
    """The signature that a CDN address must carry."""
    return digest_of(f"{path} until {expires}".encode())[7:39]


class Cdn:
    """Serves blobs to signed addresses, and refuses every request that brings a credential along."""

    def __init__(self, world: World, clock: Callable[[], float]) -> None:
        self._world = world
        self._clock = clock

    def answer(self, request: Request) -> Reply:
        if "authorization" in request.headers:
            return Reply(400, Payload(encode_json({"error": "two authentications"})), budget="none")
        expires = request.parameter("expires") or "0"
        is_fresh = expires.isdigit() and int(expires) > self._clock()
        if not is_fresh or request.parameter("signature") != sign(request.path, expires):
            return Reply(403, Payload(b"signature refused"), "text/plain", budget="none")
        match request.segments:
            case ("registry-v2", namespace, name, "blobs", "sha256", _, encoded, "data"):
                with self._world.lock:
                    repository = self._world.repositories.get(f"{namespace}/{name}")
                    content = repository.blobs.get(f"sha256:{encoded}") if repository is not None else None
                if content is not None:
                    return Reply(200, Payload(content), "application/octet-stream", budget="free")
        return Reply(404, Payload(b"no bytes are held for this blob"), "text/plain", budget="none")
