"""A far end that costs next to nothing: answers of the Hub API made from the path alone, without limits.

Run as a process of its own; the first line of standard output is the address. `/stats` tells how many requests there
were since it was last asked, and how many of them were for something that had been asked before.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import signal
import sys
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

NAMESPACE = "bench"
LONGEST_LIST_PAGE = 100
LAYERS = 6
LAYER_SIZE = 3_145_728

_PLATFORMS = (
    ("linux", "amd64", "null"),
    ("linux", "arm64", '"v8"'),
    ("linux", "arm", '"v7"'),
    ("linux", "386", "null"),
    ("unknown", "unknown", "null"),
)
_REPOSITORY_TYPES = '["application/vnd.oci.image.index.v1+json","application/vnd.docker.container.image.v1+json"]'

_REPOSITORY_FIELDS = (
    '"name":"%(name)s","namespace":"bench","repository_type":"image","status":1,"status_description":"active",'
    '"description":"Synthetic repository %(name)s of the benchmark","is_private":false,"star_count":%(stars)d,'
    '"pull_count":%(pulls)d,"last_updated":"2026-05-%(day)02dT07:47:35.758489Z",'
    '"last_modified":"2026-06-%(day)02dT13:48:34.145251Z",'
    '"date_registered":"2019-04-25T09:11:17.568035Z","affiliation":"","media_types":' + _REPOSITORY_TYPES + ","
    '"content_types":["image"],"categories":[{"name":"Networking","slug":"networking"}],"storage_size":%(size)d'
)
_ROW = "{" + _REPOSITORY_FIELDS + "}"
_DETAIL_FIELDS = (
    '"user":"bench","hub_user":"bench","is_automated":false,"collaborator_count":0,"has_starred":false,'
    '"permissions":{"read":true,"write":false,"admin":false},'
    '"immutable_tags_settings":{"enabled":false,"rules":[".*"]},'
    '"source":null,"full_description":"# %(name)s\\n\\nWhat a publisher writes about a repository: how to run it, '
    "which tags there are, where its source is kept and under which licence it may be used.\\n\\n"
    '    docker run bench/%(name)s\\n"'
)
_DETAIL = "{" + _REPOSITORY_FIELDS + "," + _DETAIL_FIELDS + "}"
_TAG = (
    '{"creator":9043754,"id":%d,"images":[%s],"last_updated":"2026-%02d-%02dT15:44:36.795749Z","last_updater":9043754,'
    '"last_updater_username":"bench","name":"%s","repository":%d,"full_size":%d,"v2":true,"tag_status":"active",'
    '"tag_last_pulled":"2026-07-01T17:14:39.583988587Z","tag_last_pushed":"2026-%02d-%02dT15:44:36.795749Z",'
    '"media_type":"application/vnd.oci.image.index.v1+json","content_type":"image","digest":"sha256:%s"}'
)
_IMAGE = (
    '{"architecture":"%s","features":"","variant":%s,"digest":"sha256:%s","os":"%s","os_features":"",'
    '"os_version":null,"size":%d,"status":"active",'
    '"last_pulled":"2026-07-01T17:14:39.583988587Z","last_pushed":"2026-05-01T15:44:35.166289511Z"}'
)
_LAYERED = (
    '{"architecture":"%s","features":null,"variant":%s,"digest":"sha256:%s","layers":[%s],"os":"%s","os_features":null,'
    '"os_version":null,"size":%d,"status":"active","last_pulled":"2026-07-01T17:14:39.583988587Z",'
    '"last_pushed":"2026-05-01T15:44:35Z"}'
)


@dataclass(frozen=True, slots=True)
class World:
    """What there is to crawl: everything follows from these numbers."""

    repositories: int
    page_rows: int
    """Rows of a page of tags, however many are asked for."""
    tags_per_repository: int | None = None
    """The same for every repository; null: of a hundred 89 have one full page, ten nearly two and one has seven."""

    def name(self, number: int) -> str:
        """The name of repository `number`, which counts from 0."""
        return f"repository-{number:06d}"

    def number(self, name: str) -> int | None:
        """The repository's number; null when there is none of that name."""
        digits = name.removeprefix("repository-")
        number = int(digits) if digits.isdecimal() else -1
        return number if 0 <= number < self.repositories and self.name(number) == name else None

    def tags(self, number: int) -> int:
        """How many tags a repository has."""
        if self.tags_per_repository is not None:
            return self.tags_per_repository
        place = number % 100
        if place == 50:
            return self.page_rows * 7
        return self.page_rows * 9 // 5 if place % 10 == 3 else self.page_rows

    def images(self, number: int, tag: int) -> int:
        """How many images a tag has: one to five, three on average."""
        return 1 + (number + tag) % len(_PLATFORMS)


class Pages:
    """The bodies, each made from its path."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.base_url = ""
        """What `next` begins with."""

    def body(self, target: str) -> bytes | None:
        """The body of a path with its query; null where nothing is there."""
        path, _, query = target.partition("?")
        match path.strip("/").split("/"):
            case ["v2", "namespaces", namespace, "repositories"] if namespace == NAMESPACE:
                return self._list(path, query)
            case ["v2", "namespaces", namespace, "repositories", name, *rest] if namespace == NAMESPACE:
                number = self._world.number(name)
                if number is None:
                    return None
                if not rest:
                    return (_DETAIL % self._values(number)).encode()
                return self._tags(path, query, number) if rest == ["tags"] else None
            case ["v2", "repositories", namespace, name, "tags", tag, "images"] if namespace == NAMESPACE:
                number = self._world.number(name)
                return None if number is None else self._layers(number, tag)
            case ["token"]:
                return b'{"token":"t","expires_in":300}'
            case ["v2", namespace, name, "tags", "list"] if namespace == NAMESPACE:
                number = self._world.number(name)
                return None if number is None else self._names(name, number)
            case _:
                return None

    def _names(self, name: str, number: int) -> bytes:
        """What the registry lists."""
        tags = ",".join(f'"{_tag_name(tag)}"' for tag in range(self._world.tags(number)))
        return f'{{"name":"{NAMESPACE}/{name}","tags":[{tags}]}}'.encode()

    def _list(self, path: str, query: str) -> bytes | None:
        asked = parse_qs(query)
        page = int(asked.get("page", ["1"])[0])
        size = min(LONGEST_LIST_PAGE, int(asked.get("page_size", ["10"])[0]))
        first, end = (page - 1) * size, min(page * size, self._world.repositories)
        if first >= end:
            return None
        following = f"page={page + 1}&page_size={size}" if end < self._world.repositories else ""
        rows = ",".join([_ROW % self._values(number) for number in range(first, end)])
        return self._envelope(path, following, self._world.repositories, rows)

    def _tags(self, path: str, query: str, number: int) -> bytes | None:
        asked = parse_qs(query)
        page = int(asked.get("page", ["1"])[0])
        count = self._world.tags(number)
        first, end = (page - 1) * self._world.page_rows, min(page * self._world.page_rows, count)
        if first >= end:
            return None
        rest = [f"{key}={asked[key][0]}" for key in ("page_size", "ordering") if key in asked]
        following = "&".join([f"page={page + 1}", *rest]) if end < count else ""
        rows = ",".join([self._tag(number, tag) for tag in range(first, end)])
        return self._envelope(path, following, count, rows)

    def _tag(self, number: int, tag: int) -> str:
        images = ",".join(
            [
                _IMAGE % (architecture, variant, _hash(number, tag, place), os, _size(number, tag, place))
                for place, (os, architecture, variant) in enumerate(_PLATFORMS[: self._world.images(number, tag)])
            ]
        )
        month, day = 1 + (tag // 28) % 5, 28 - tag % 28
        return _TAG % (
            number * 100_000 + tag,
            images,
            month,
            day,
            _tag_name(tag),
            number,
            _size(number, tag, 0),
            month,
            day,
            _hash(number, tag, -1),
        )

    def _layers(self, number: int, name: str) -> bytes | None:
        tags = {_tag_name(tag): tag for tag in range(self._world.tags(number))}
        tag = tags.get(name)
        if tag is None:
            return None
        images = []
        for place, (os, architecture, variant) in enumerate(_PLATFORMS[: self._world.images(number, tag)]):
            layers = ",".join(
                [
                    f'{{"digest":"sha256:{_hash(number, tag, place * 100 + step + 1000)}","size":{LAYER_SIZE},'
                    f'"instruction":"RUN /bin/sh -c step-{step} # buildkit"}}'
                    for step in range(LAYERS)
                ]
            )
            digest = _hash(number, tag, place)
            images.append(_LAYERED % (architecture, variant, digest, layers, os, LAYERS * LAYER_SIZE))
        return f"[{','.join(images)}]".encode()

    def _envelope(self, path: str, following: str, count: int, rows: str) -> bytes:
        link = f'"{self.base_url}{path}?{following}"' if following else "null"
        return f'{{"count":{count},"next":{link},"previous":null,"results":[{rows}]}}'.encode()

    def _values(self, number: int) -> dict[str, object]:
        return {
            "name": self._world.name(number),
            "stars": number % 77,
            "pulls": 1000 + number * 31,
            "day": 1 + number % 28,
            "size": 1_007_407_794 + number,
        }


def _hash(number: int, tag: int, place: int) -> str:
    return hashlib.sha256(b"%d/%d/%d" % (number, tag, place)).hexdigest()


def _size(number: int, tag: int, place: int) -> int:
    return 20_000_000 + number * 1_009 + tag * 17 + place


def _tag_name(tag: int) -> str:
    return "latest" if tag == 0 else f"1.{tag // 10}.{tag % 10}-alpine3.20"


class Tally:
    """Requests since the last look: how many, and how many for what had been asked before."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._total = 0

    def count(self, target: bytes) -> None:
        """Take one request into account."""
        self._total += 1
        self._seen.add(target)

    def taken(self) -> bytes:
        """The numbers as JSON; counting begins anew."""
        found = {"total": self._total, "duplicates": self._total - len(self._seen)}
        self._seen.clear()
        self._total = 0
        return json.dumps(found).encode()


class Connection(asyncio.Protocol):
    """One connection that is kept alive: requests without a body, answered in their order."""

    def __init__(self, pages: Pages, tally: Tally, *, with_gzip: bool) -> None:
        self._pages = pages
        self._tally = tally
        self._with_gzip = with_gzip
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        target = request.split(b" ", 2)[1]
        if target == b"/stats":
            return _message(b"200 OK", self._tally.taken())
        self._tally.count(target)
        text = target.decode("latin-1")
        if self._with_gzip and b"gzip" in request:
            packed = _packed(self._pages, text)
            if packed is not None:
                return _message(b"200 OK", packed, b"Content-Encoding: gzip\r\n")
        body = self._pages.body(text)
        if body is None:
            return _message(b"404 Not Found", b'{"message":"object not found","errinfo":{}}')
        return _message(b"200 OK", body)


def _message(status: bytes, body: bytes, extra: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n" % (status, extra, len(body))
    return head + body


@lru_cache(maxsize=4096)
def _packed(pages: Pages, target: str) -> bytes | None:
    body = pages.body(target)
    return None if body is None else gzip.compress(body, 6, mtime=0)


async def _serve(world: World, *, with_gzip: bool) -> None:
    loop = asyncio.get_running_loop()
    pages, tally = Pages(world), Tally()
    server = await loop.create_server(lambda: Connection(pages, tally, with_gzip=with_gzip), "127.0.0.1", 0)
    pages.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(f"{pages.base_url}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    server.close()


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser(description="A static far end on the loopback, for benchmarks.")
    parser.add_argument("--repositories", type=int, default=2000)
    parser.add_argument("--page-rows", type=int, default=20, help="rows of a page of tags, however many are asked for")
    parser.add_argument("--tags-per-repository", type=int, help="the same for every repository")
    parser.add_argument("--gzip", action="store_true", help="compress the bodies for clients that accept it")
    options = parser.parse_args()
    world = World(options.repositories, options.page_rows, options.tags_per_repository)
    asyncio.run(_serve(world, with_gzip=options.gzip))


if __name__ == "__main__":
    main()
