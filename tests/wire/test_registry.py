"""The registry's methods: manifests, configs, tag names, tokens."""

from __future__ import annotations

import base64
import hashlib
import json

import httpx
import pytest

from harvester.errors import Blocked, Denied, Drift, Gone, Throttled, TooLarge, Unavailable, WireError
from harvester.names import RepositoryName
from harvester.records import Image, Layer, Platform
from harvester.wire.registry import Registry
from harvester.wire.tokens import RegistryTokens
from harvester.wire.transport import Transport
from tests.wire.conftest import AUTH, REGISTRY, FarEnd, NotedPermits, StandingClock, answered, body, recorded

pytestmark = pytest.mark.anyio

NAME = RepositoryName("library", "hello-world")
ROOT = f"{REGISTRY}/v2/library/hello-world"
A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
EMPTY = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
CONFIG = recorded("registry-image-config-hello-world.exact")
CDN = "https://cdn.example/data"


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def manifest(content: bytes = CONFIG, count: int = 1, /, **more: object) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(content), "size": len(content)},
        "layers": [{"mediaType": "l", "digest": digest, "size": 5} for digest in (A, B)[:count]],
    }
    return body({**document, **more})


@pytest.fixture
def registry(transport: Transport, clock: StandingClock, far_end: FarEnd) -> Registry:
    far_end.on(f"GET {AUTH}/token", *[answered({"token": f"t{number}", "expires_in": 300}) for number in range(1, 9)])
    return Registry(transport, REGISTRY, RegistryTokens(transport, AUTH, clock=clock))


def serve(far_end: FarEnd, raw: bytes, config: bytes = CONFIG, /, **headers: str) -> str:
    digest = digest_of(raw)
    named = {"content_type": OCI, **headers}
    far_end.on(f"GET {ROOT}/manifests/{digest}", answered(raw, 200, **named))
    redirect = httpx.Response(307, headers={"location": f"{CDN}?signature=hush"})
    far_end.on(f"GET {ROOT}/blobs/{digest_of(config)}", redirect)
    far_end.on(f"GET {CDN}", httpx.Response(200, content=config))
    return digest


async def image(registry: Registry, digest: str, **platform: object) -> Image:
    hint = Platform(digest=digest, kind="image", **platform)  # type: ignore[arg-type]
    return await registry.image(NAME, digest, hint)


async def test_an_image(registry: Registry, far_end: FarEnd, permits: NotedPermits, transport: Transport) -> None:
    digest = serve(far_end, manifest())
    assert await image(registry, digest) == Image(
        platform=Platform(digest=digest, kind="image", os="linux", architecture="amd64", size=5),
        layers=(Layer(A, 5, "COPY hello / # buildkit", "l"), Layer(None, 0, 'CMD ["/hello"]')),
        layers_from="registry",
        media_type=OCI,
        config_digest=digest_of(CONFIG),
        created_at="2023-05-02T16:49:27Z",
    )
    assert permits.taken == ["tokens", "registry", "pulls", "registry", "registry"]
    assert transport.requests["pulls"] == 1
    assert far_end.authorizations == [None, "Bearer t1", "Bearer t1", None]
    accepted = far_end.requests[1].headers["accept"]
    assert accepted.count("application/vnd.") == 5


async def test_what_is_known_of_the_platform_stays(registry: Registry, far_end: FarEnd) -> None:
    digest = serve(far_end, manifest())
    found = await image(registry, digest, os="windows", architecture="x", size=9, last_pulled="2026-01-01T00:00:00Z")
    assert found.platform == Platform(
        digest=digest, kind="image", os="windows", architecture="x", size=9, last_pulled="2026-01-01T00:00:00Z"
    )


async def test_an_inline_config_costs_no_request(registry: Registry, far_end: FarEnd) -> None:
    recording = json.loads(recorded("registry-oci-manifest-true"))
    digest = serve(far_end, body(recording))
    found = await image(registry, digest)
    assert found.layers[0].instruction == "https://github.com/tianon/dockerfiles/tree/master/true"
    assert found.config_digest == recording["config"]["digest"]
    assert len(far_end.requests) == 2


async def test_a_wrong_inline_config_is_not_believed(registry: Registry, far_end: FarEnd) -> None:
    data = base64.b64encode(b'{"os": "evil"}').decode()
    descriptor = {"mediaType": OCI_CONFIG, "digest": digest_of(CONFIG), "size": 1, "data": data}
    found = await image(registry, serve(far_end, manifest(config=descriptor)))
    assert found.platform.os == "linux"


@pytest.mark.parametrize(
    ("history", "count", "instructions"),
    [
        (
            [{"created_by": "one"}, {"created_by": "none", "empty_layer": True}, {"created_by": "two"}],
            2,
            "one none two",
        ),
        ([{"created_by": "one"}], 2, " "),
        ([{"created_by": "one"}, {"created_by": "two"}], 1, ""),
        ([], 2, " "),
        (None, 1, ""),
        ([None, {"created_by": None}], 1, ""),
        ([{"created_by": "/bin/sh -c #(nop)  CMD"}], 1, " CMD"),
        ([{"created_by": "/bin/sh -c #(nop) ADD x"}], 1, "ADD x"),
        ([{"created_by": "a\0b\ud800c"}], 1, "abc"),
    ],
)
async def test_history_and_layers(
    registry: Registry, far_end: FarEnd, history: object, count: int, instructions: str
) -> None:
    config = body({"history": history, "os": "linux"})
    digest = serve(far_end, manifest(config, count), config)
    layers = (await image(registry, digest)).layers
    assert " ".join(layer.instruction for layer in layers) == instructions
    assert [layer.digest for layer in layers if layer.digest] == [A, B][:count]


@pytest.mark.parametrize(
    ("created", "held"),
    [
        ("2021-05-25T22:27:21.712654Z", "2021-05-25T22:27:21Z"),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("1980-01-01T00:00:01Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
async def test_created(registry: Registry, far_end: FarEnd, created: str | None, held: str | None) -> None:
    config = body({"created": created})
    assert (await image(registry, serve(far_end, manifest(config), config))).created_at == held


@pytest.mark.parametrize(
    "more",
    [
        {"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": A, "size": 1}},
        {"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": A, "size": 2, "data": "e30="}},
        {"artifactType": "application/vnd.example"},
    ],
)
async def test_an_artifact_s_config_is_not_read(registry: Registry, far_end: FarEnd, more: dict[str, object]) -> None:
    found = await image(registry, serve(far_end, manifest(CONFIG, 1, **more)))
    assert (found.platform.kind, found.layers) == ("artifact", (Layer(A, 5, "", "l"),))
    assert len(far_end.requests) == 2


@pytest.mark.parametrize(
    ("raw", "headers", "why"),
    [
        (recorded("registry-oci-index-mixed-linux-windows.exact"), {"content_type": "application/json"}, "index"),
        (body({"manifests": []}), {"content_type": "application/vnd.oci.image.index.v1+json"}, "index"),
        (manifest(), {"content_type": "application/vnd.docker.distribution.manifest.v2+json"}, "media type"),
        (body({"schemaVersion": 2, "mediaType": OCI}), {}, "without layers"),
        (manifest(layers=[{"digest": "no"}]), {}, "without a digest"),
        (manifest(layers=[{}]), {}, "digest"),
        (b"<html>", {}, "not the document"),
        (b"", {}, "not the document"),
        (b"null", {}, "not the document"),
        (b"[" * 100_000, {}, "not the document"),
    ],
)
async def test_manifests_of_another_shape(
    registry: Registry, far_end: FarEnd, raw: bytes, headers: dict[str, str], why: str
) -> None:
    with pytest.raises(Drift, match=why) as caught:
        await image(registry, serve(far_end, raw, CONFIG, **headers))
    assert caught.value.budget == "registry"
    assert caught.value.url.startswith("/v2/library/hello-world/manifests/")


async def test_the_exact_recording_of_an_index_has_its_digest(registry: Registry, far_end: FarEnd) -> None:
    digest = digest_of(recorded("registry-oci-index-mixed-linux-windows.exact"))
    assert digest == "sha256:347290ddd775c1b85a3e381b09edde95242478eb65153e9b17225356f4c072ac"


async def test_other_bytes_are_refused(registry: Registry, far_end: FarEnd) -> None:
    far_end.on(f"GET {ROOT}/manifests/{A}", answered(manifest(), content_type=OCI))
    with pytest.raises(Drift, match="digest"):
        await image(registry, A)
    digest = serve(far_end, manifest())
    far_end.on(f"GET {CDN}", httpx.Response(200, content=CONFIG + b" "))
    with pytest.raises(Drift, match="digest") as caught:
        await image(registry, digest)
    assert "hush" not in f"{caught.value} {caught.value.sample}"


async def test_a_config_beyond_the_cap(registry: Registry, far_end: FarEnd) -> None:
    digest = serve(far_end, manifest())
    far_end.on(f"GET {CDN}", httpx.Response(200, content=bytes(9 * 2**20)))
    with pytest.raises(TooLarge):
        await image(registry, digest)


async def test_schema_1(registry: Registry, far_end: FarEnd) -> None:
    lines = [
        {
            "container_config": {"Cmd": ["/bin/sh", "-c", '#(nop) CMD ["x"]']},
            "created": "2015-06-19T19:06:27Z",
            "os": "linux",
        },
        {"container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD file:x in /"]}},
    ]
    document = {
        "schemaVersion": 1,
        "architecture": "amd64",
        "fsLayers": [{"blobSum": EMPTY}, {"blobSum": A}],
        "history": [{"v1Compatibility": json.dumps(line)} for line in lines],
        "signatures": [{}],
    }
    media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    far_end.on(f"GET {ROOT}/manifests/{B}", answered(document, content_type=media_type))
    found = await image(registry, B)
    assert found.layers == (Layer(A, None, "ADD file:x in /"), Layer(None, 0, 'CMD ["x"]'))
    assert (found.platform.os, found.platform.architecture) == ("linux", "amd64")
    assert (found.media_type, found.created_at, found.config_digest) == (media_type, "2015-06-19T19:06:27Z", None)


class TestTagNames:
    async def test_in_one_answer(self, registry: Registry, far_end: FarEnd, permits: NotedPermits) -> None:
        far_end.on(
            f"GET {ROOT}/tags/list", answered({"name": "x", "tags": ["1", "Latest", "latest", None, "-no", "1"]})
        )
        assert await registry.tag_names(NAME) == ("1", "Latest", "latest")
        assert permits.taken == ["tokens", "registry"]

    async def test_none(self, registry: Registry, far_end: FarEnd) -> None:
        far_end.on(f"GET {ROOT}/tags/list", answered({"name": "x", "tags": None}))
        assert await registry.tag_names(NAME) == ()

    @pytest.mark.parametrize(
        "link",
        ['</v2/library/hello-world/tags/list?last=1&n=1>; rel="next"', f"<{ROOT}/tags/list?last=1&n=1>;rel=next"],
    )
    async def test_over_pages(self, registry: Registry, far_end: FarEnd, link: str) -> None:
        far_end.on(f"GET {ROOT}/tags/list", answered({"tags": ["1"]}, link=link))
        far_end.on(f"GET {ROOT}/tags/list?last=1&n=1", answered({"tags": ["2"]}))
        assert await registry.tag_names(NAME) == ("1", "2")

    @pytest.mark.parametrize(
        "link",
        [
            '<https://evil.example/v2/library/hello-world/tags/list?last=1>; rel="next"',
            '</v2/library/other/tags/list?last=1>; rel="next"',
            '</v2/library/hello-world/tags/list>; rel="next"',
            '<http://[>; rel="next"',
            '<?last=1>; rel="next"',
        ],
    )
    async def test_never_elsewhere_nor_for_ever(self, registry: Registry, far_end: FarEnd, link: str) -> None:
        far_end.on(f"GET {ROOT}/tags/list", answered({"tags": ["1"]}, link=link))
        with pytest.raises(Drift):
            await registry.tag_names(NAME)
        assert len(far_end.requests) <= 3

    @pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"tags": 5}'])
    async def test_drift(self, registry: Registry, far_end: FarEnd, raw: bytes) -> None:
        far_end.on(f"GET {ROOT}/tags/list", answered(raw))
        with pytest.raises(Drift):
            await registry.tag_names(NAME)

    async def test_a_page_under_200_is_an_outage(self, registry: Registry, far_end: FarEnd) -> None:
        far_end.on(f"GET {ROOT}/tags/list", answered(b"<html><title>Be right back</title>"))
        with pytest.raises(Unavailable, match="Be right back"):
            await registry.tag_names(NAME)

    async def test_a_list_beyond_the_cap_is_asked_for_in_pages(self, registry: Registry, far_end: FarEnd) -> None:
        async def by_pages(request: httpx.Request) -> httpx.Response:
            asked = request.url.params
            if "n" not in asked:
                return answered({"tags": ["x" * 128] * 80_000})
            if "last" not in asked:
                return answered(
                    {"tags": ["1"]}, link=f'</v2/library/hello-world/tags/list?n={asked["n"]}&last=1>; rel="next"'
                )
            return answered({"tags": ["2"]})

        far_end.on(f"GET {ROOT}/tags/list", by_pages)
        assert await registry.tag_names(NAME) == ("1", "2")


class TestHead:
    @pytest.mark.parametrize(("sent", "held"), [(A, A), ("no", None), (None, None)])
    async def test_a_digest(
        self, registry: Registry, far_end: FarEnd, permits: NotedPermits, sent: str | None, held: str | None
    ) -> None:
        headers = {"docker_content_digest": sent} if sent else {}
        far_end.on(f"HEAD {ROOT}/manifests/latest", answered(b"", 200, content_length="1645", **headers))
        assert await registry.head(NAME, "latest") == held
        assert "pulls" not in permits.taken

    async def test_absent(self, registry: Registry, far_end: FarEnd) -> None:
        far_end.on(f"HEAD {ROOT}/manifests/latest", answered(b"", 404))
        with pytest.raises(Gone):
            await registry.head(NAME, "latest")


class TestTokens:
    async def test_a_kept_token_that_is_refused_is_renewed_once(self, registry: Registry, far_end: FarEnd) -> None:
        unauthorized = answered(recorded("registry-error-401-unauthorized"), 401)
        tags = answered({"tags": []})
        far_end.on(f"GET {ROOT}/tags/list", tags, unauthorized, tags, unauthorized)
        assert await registry.tag_names(NAME) == ()
        assert await registry.tag_names(NAME) == ()
        assert far_end.authorizations == [None, "Bearer t1", "Bearer t1", None, "Bearer t2"]
        with pytest.raises(Denied):
            await registry.tag_names(NAME)
        assert far_end.asked.count("GET /token") == 3

    async def test_a_new_token_that_is_refused_is_final(self, registry: Registry, far_end: FarEnd) -> None:
        far_end.on(f"GET {ROOT}/tags/list", answered(recorded("registry-error-401-unauthorized"), 401))
        with pytest.raises(Denied) as caught:
            await registry.tag_names(NAME)
        assert type(caught.value) is Denied
        assert len(far_end.requests) == 2

    async def test_the_realm_of_a_challenge_is_not_followed(self, registry: Registry, far_end: FarEnd) -> None:
        challenge = 'Bearer realm="https://evil.example/token",service="registry.docker.io"'
        far_end.on(f"GET {ROOT}/tags/list", answered({}, 401, www_authenticate=challenge))
        with pytest.raises(Denied):
            await registry.tag_names(NAME)
        assert {request.url.host for request in far_end.requests} == {"auth.docker.io", "registry-1.docker.io"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answered(recorded("registry-error-429-pull-limit"), 429), Throttled),
        (answered({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, 404), Gone),
        (answered({"errors": [{"code": "DENIED"}]}, 403), Denied),
        (httpx.Response(403, html="<html>"), Blocked),
        (httpx.Response(503, html="<html>"), Unavailable),
        (httpx.ReadError(""), Unavailable),
    ],
)
async def test_refused_pulls(
    registry: Registry, far_end: FarEnd, answer: httpx.Response | Exception, kind: type[WireError]
) -> None:
    far_end.on(f"GET {ROOT}/manifests/{A}", answer)
    with pytest.raises(WireError) as caught:
        await image(registry, A)
    assert type(caught.value) is kind
