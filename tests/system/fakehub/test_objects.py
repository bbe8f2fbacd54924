"""Repositories, tags, images and owners, under both families of paths."""

from __future__ import annotations

import httpx

from tests.fakehub import FakeHub, Limits, Switches, World
from tests.system.fakehub.asking import TAGS, sign_in, walk


def test_both_families_and_their_slashes(hub: FakeHub, client: httpx.Client) -> None:
    current, legacy = hub.hub_url + "/v2/namespaces", hub.hub_url + "/v2/repositories"
    for ours, theirs in (
        ("/acme/repositories", "/acme/"),
        ("/acme/repositories/web", "/acme/web/"),
        ("/acme/repositories/web/tags", "/acme/web/tags/"),
        ("/acme/repositories/web/tags/1.0.0", "/acme/web/tags/1.0.0/"),
    ):
        mine, other = client.get(current + ours).json(), client.get(legacy + theirs).json()
        for page in (mine, other):
            page.pop("next", None)
        assert mine == other
        moved = client.get(legacy + theirs.rstrip("/") + "?x=1")
        assert (moved.status_code, moved.headers["location"]) == (301, f"{legacy}{theirs}?x=1")
        assert moved.headers["content-type"].startswith("text/html")
        assert client.get(current + ours + "/").status_code == 404
        assert client.head(current + ours).status_code == 200
        assert client.head(current + ours).content == b""
    assert client.get(f"{legacy}/acme/web/tags/latest/images").status_code == 200
    assert client.get(f"{legacy}/acme/web/tags/latest/images/").status_code == 404


def test_families_can_be_switched_off(client: httpx.Client) -> None:
    with FakeHub(World.small(), limits=Limits.none(), switches=Switches(namespaces_family=False)) as hub:
        missing = client.get(hub.hub_url + TAGS)
        assert (missing.status_code, "404 : Docker" in missing.text) == (404, True)
        assert client.get(f"{hub.hub_url}/v2/repositories/acme/web/").status_code == 200
        hub.switches.namespaces_family, hub.switches.legacy_family = True, False
        assert client.get(hub.hub_url + TAGS).status_code == 200
        assert "html" in client.get(f"{hub.hub_url}/v2/repositories/acme/web/").headers["content-type"]


def test_missing_objects_and_private_ones_look_alike(hub: FakeHub, client: httpx.Client) -> None:
    for name in ("ghost", "vault"):
        missing = client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/{name}/tags")
        assert missing.status_code == 404
        assert missing.json()["errinfo"] == {"namespace": "acme", "repository": name}
    headers = sign_in(hub, client)
    assert (
        client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/vault", headers=headers).json()["is_private"] is True
    )
    assert client.get(hub.hub_url + "/nowhere").headers["content-type"].startswith("text/html")


def test_repository_has_the_recorded_fields(hub: FakeHub, client: httpx.Client) -> None:
    detail = client.get(f"{hub.hub_url}/v2/namespaces/library/repositories/nginx").json()
    row = next(
        row for row in walk(client, f"{hub.hub_url}/v2/namespaces/library/repositories") if row["name"] == "nginx"
    )
    beyond = {"user", "is_automated", "collaborator_count", "hub_user", "has_starred", "permissions"}
    assert detail.keys() - row.keys() == beyond | {"immutable_tags_settings", "source", "full_description"}
    assert (row["affiliation"], detail["affiliation"]) == ("", None)
    empty = client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/empty").json()
    assert empty["last_updated"] is None
    assert "full_description" not in empty
    assert client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/empty/tags").json()["results"] == []


def test_odd_tags_of_the_small_world(hub: FakeHub, client: httpx.Client) -> None:
    tags = f"{hub.hub_url}/v2/namespaces"
    old = client.get(f"{tags}/initech/repositories/reports/tags/2.1.3").json()
    assert (old["last_updated"], old["images"][0]["os"], "digest" in old) == (None, "", False)
    assert client.get(f"{tags}/acme/repositories/web/tags/processing").json()["images"] == []
    assert client.get(f"{tags}/acme/repositories/charts/tags/1.0.0").json()["content_type"] == "helm"
    windows = client.get(f"{tags}/library/repositories/hello-world/tags/nanoserver").json()
    assert windows["images"][0]["os_version"] == "10.0.20348.2340"
    latest = client.get(f"{tags}/library/repositories/nginx/tags/latest").json()
    assert [image["os"] for image in latest["images"]].count("unknown") == 3
    assert latest["full_size"] == latest["images"][0]["size"]


def test_images_carry_layers_and_instructions(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}/v2/repositories/library"
    images = client.get(f"{url}/nginx/tags/1.29/images").json()
    amd64 = images[0]
    assert sum(line["size"] for line in amd64["layers"]) == amd64["size"]
    assert all(("digest" in line) == (line["size"] > 0) for line in amd64["layers"])
    base = client.get(f"{url}/debian/tags/13/images").json()[0]
    base_layers = [line["digest"] for line in base["layers"] if "digest" in line]
    assert [line["digest"] for line in amd64["layers"] if "digest" in line][: len(base_layers)] == base_layers
    attestation = images[1]
    assert (attestation["os"], attestation["layers"][0]["instruction"]) == ("unknown", "")


def test_world_changes_show_at_once(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}/v2/namespaces/acme/repositories/web"
    before = client.get(f"{url}/tags/latest").json()
    hub.world.push_tag("acme/web", "latest")
    after = client.get(f"{url}/tags/latest").json()
    assert before["digest"] != after["digest"]
    assert (after["id"], after["last_updated"] > before["last_updated"]) == (before["id"], True)
    assert client.get(f"{url}/tags?ordering=last_updated").json()["results"][0]["name"] == "latest"
    hub.world.copy_tag("acme/web", "1.0.0", "stable")
    assert client.get(f"{url}/tags/stable").json()["digest"] == client.get(f"{url}/tags/1.0.0").json()["digest"]
    hub.world.delete_tag("acme/web", "1.0.0")
    assert client.get(f"{url}/tags/1.0.0").status_code == 404
    hub.world.count_pulls("acme/web", -22)
    assert client.get(url).json()["pull_count"] == 15_722_101
    hub.world.delete_repository("acme/web")
    assert client.get(url).status_code == 404
    hub.world.restore_repository("acme/web")
    assert client.get(url).status_code == 200


def test_worlds_join_and_grow(client: httpx.Client) -> None:
    world = World.namespace("globex", 250) | World.small()
    world.add_repository("globex/long", tags=2500)
    with FakeHub(world, limits=Limits.none()) as hub:
        identifiers = [repository.repository_id for repository in world.repositories.values()]
        assert len(set(identifiers)) == len(identifiers)
        assert len(walk(client, f"{hub.hub_url}/v2/namespaces/globex/repositories?page_size=100")) == 251
        rows = walk(client, f"{hub.hub_url}/v2/namespaces/globex/repositories/long/tags?page_size=100")
        assert len({row["digest"] for row in rows}) == 2500
        assert client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/web").status_code == 200


def test_owners(hub: FakeHub, client: httpx.Client) -> None:
    assert client.get(f"{hub.hub_url}/v2/orgs/acme/").json()["badge"] == "open_source"
    moved = client.get(f"{hub.hub_url}/v2/users/acme/")
    assert (moved.status_code, moved.headers["location"]) == (308, "/v2/orgs/acme")
    assert client.get(f"{hub.hub_url}/v2/users/initech/").json()["type"] == "User"


def test_compression_only_when_asked(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}{TAGS}?page_size=100"
    plain = client.get(url, headers={"Accept-Encoding": "identity"})
    packed = client.get(url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert plain.json() == packed.json()
