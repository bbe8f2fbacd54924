"""What the harvester is measured against: the same crawl as a plain script, without queue, history or limiter.

A few tasks take repositories from a list, read the detail and every page of tags, and write what they found with
`executemany`, one commit per repository. A script like this forgets where it was when it is stopped, and knows only the
newest state.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
from typing import Any

import httpx

TASKS = 4

SCHEMA = """
CREATE TABLE IF NOT EXISTS repositories (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, description TEXT, full_description TEXT,
    pull_count INTEGER, star_count INTEGER, last_updated TEXT, last_modified TEXT, date_registered TEXT,
    storage_size INTEGER,
    UNIQUE (namespace, name));
CREATE TABLE IF NOT EXISTS tags (
    id INTEGER PRIMARY KEY, repository_id INTEGER NOT NULL REFERENCES repositories (id), name TEXT NOT NULL,
    digest TEXT, media_type TEXT, full_size INTEGER, status TEXT, last_updated TEXT, last_pushed TEXT, last_pulled TEXT,
    UNIQUE (repository_id, name));
CREATE TABLE IF NOT EXISTS tag_images (
    tag_id INTEGER NOT NULL REFERENCES tags (id), digest TEXT NOT NULL, os TEXT, architecture TEXT, variant TEXT,
    size INTEGER, status TEXT, last_pulled TEXT, last_pushed TEXT,
    PRIMARY KEY (tag_id, digest));
"""

UPSERT_REPOSITORY = """
INSERT INTO repositories (namespace, name, description, full_description, pull_count, star_count, last_updated,
    last_modified, date_registered, storage_size)
VALUES (:namespace, :name, :description, :full_description, :pull_count, :star_count, :last_updated, :last_modified,
    :date_registered, :storage_size)
ON CONFLICT (namespace, name) DO UPDATE SET description = excluded.description,
    full_description = excluded.full_description, pull_count = excluded.pull_count, star_count = excluded.star_count,
    last_updated = excluded.last_updated, last_modified = excluded.last_modified,
    date_registered = excluded.date_registered, storage_size = excluded.storage_size
RETURNING id
"""

UPSERT_TAGS = """
INSERT INTO tags (repository_id, name, digest, media_type, full_size, status, last_updated, last_pushed, last_pulled)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, media_type = excluded.media_type,
    full_size = excluded.full_size, status = excluded.status, last_updated = excluded.last_updated,
    last_pushed = excluded.last_pushed, last_pulled = excluded.last_pulled
"""

UPSERT_TAG_IMAGES = """
INSERT INTO tag_images (tag_id, digest, os, architecture, variant, size, status, last_pulled, last_pushed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tag_id, digest) DO UPDATE SET os = excluded.os, architecture = excluded.architecture,
    variant = excluded.variant, size = excluded.size, status = excluded.status, last_pulled = excluded.last_pulled,
    last_pushed = excluded.last_pushed
"""


async def get(client: httpx.AsyncClient, url: str) -> Any:
    """The JSON at an address; raises for anything but a success."""
    response = await client.get(url)
    response.raise_for_status()
    return response.json()


def store_repository(database: sqlite3.Connection, row: dict[str, Any]) -> int:
    """Insert or update a repository; its id."""
    return int(database.execute(UPSERT_REPOSITORY, row).fetchone()[0])


def store_tags(database: sqlite3.Connection, repository_id: int, rows: list[dict[str, Any]]) -> None:
    """Insert or update tags with their images."""
    database.executemany(
        UPSERT_TAGS,
        [
            (
                repository_id,
                row["name"],
                row.get("digest"),
                row.get("media_type"),
                row["full_size"],
                row["tag_status"],
                row["last_updated"],
                row["tag_last_pushed"],
                row["tag_last_pulled"],
            )
            for row in rows
        ],
    )
    ids = dict(database.execute("SELECT name, id FROM tags WHERE repository_id = ?", (repository_id,)))
    database.executemany(
        UPSERT_TAG_IMAGES,
        [
            (
                ids[row["name"]],
                image["digest"],
                image["os"],
                image["architecture"],
                image["variant"],
                image["size"],
                image["status"],
                image["last_pulled"],
                image["last_pushed"],
            )
            for row in rows
            for image in row["images"]
        ],
    )


async def crawl_repository(client: httpx.AsyncClient, database: sqlite3.Connection, namespace: str, name: str) -> None:
    """Store a repository with all its tags."""
    path = f"/v2/namespaces/{namespace}/repositories/{name}"
    detail = await get(client, path)
    pages = []
    url: str | None = f"{path}/tags?page_size=100&ordering=last_updated"
    while url:
        page = await get(client, url)
        pages.append(page["results"])
        url = page["next"]
    repository_id = store_repository(database, detail)
    for rows in pages:
        store_tags(database, repository_id, rows)
    database.commit()


async def names_of(client: httpx.AsyncClient, namespace: str, names: asyncio.Queue[str | None]) -> None:
    """Put every repository of the namespace on the list, and at the end a mark for each task."""
    url: str | None = f"/v2/namespaces/{namespace}/repositories?page_size=100"
    while url:
        page = await get(client, url)
        for row in page["results"]:
            await names.put(row["name"])
        url = page["next"]
    for _ in range(TASKS):
        await names.put(None)


async def crawl(base_url: str, namespace: str, repository: str | None, database: sqlite3.Connection) -> None:
    """Store the whole namespace, or one repository of it."""
    names: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1000)
    async with httpx.AsyncClient(base_url=base_url, timeout=30.0) as client:

        async def work() -> None:
            while (name := await names.get()) is not None:
                await crawl_repository(client, database, namespace, name)

        if repository is not None:
            await crawl_repository(client, database, namespace, repository)
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(names_of(client, namespace, names))
            for _ in range(TASKS):
                tasks.create_task(work())


def main() -> None:
    """Crawl, then end."""
    parser = argparse.ArgumentParser(description="Crawl a namespace into SQLite, plainly.")
    parser.add_argument("base_url")
    parser.add_argument("namespace")
    parser.add_argument("database")
    parser.add_argument("--repository", help="only this one")
    options = parser.parse_args()
    database = sqlite3.connect(options.database)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(SCHEMA)
    asyncio.run(crawl(options.base_url, options.namespace, options.repository, database))
    database.close()


if __name__ == "__main__":
    main()
