"""The commands on a server: they answer as they do on a file, or say in one line why they do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakehub import FakeHub, World
from tests.postgres.cluster import Cluster
from tests.system.conftest import FAST, Harvester

SECRET = "hunter2"


@pytest.fixture
def harvester(tmp_path: Path) -> Harvester:
    return Harvester(tmp_path)


def with_password(cluster: Cluster, name: str) -> str:
    """The URL with a password, for which this server does not ask."""
    return f"postgresql://{cluster.user}:{SECRET}@/{name}?host={cluster.folder}"


def test_what_people_ask_after_a_harvest_is_answered(harvester: Harvester, cluster: Cluster, name: str) -> None:
    env = {"HARVESTER_DATABASE": with_password(cluster, name)}
    said = ""
    with FakeHub(World.small(), limits=FAST) as hub:

        def run(*arguments: str, code: int = 0) -> str:
            nonlocal said
            done = harvester.run(hub, *arguments, env=env)
            said += done.stdout + done.stderr
            assert done.returncode == code, done.stderr
            return done.stdout + done.stderr

        run("backfill", "nginx", "acme/web:latest", "--layers", "all")
        assert "of 1 known repositories" in run("plan", "nginx", "redis")
        assert json.loads(run("status", "--json"))["rows"]["repositories"] == 2
        assert "library/nginx" in run("whois", digest_of(cluster, name))
        assert "0 targets watched" in run("doctor")
        for arguments in (
            ("events", "--json"),
            ("limits",),
            ("jobs", "list"),
            ("db", "current"),
            ("db", "tidy"),
        ):
            run(*arguments)
        assert "pg_amcheck" in run("db", "check")
        assert "pg_dump" in run("db", "backup", "copy", code=2)
        assert "1 repositories" in run("forget", "nginx", "--dry-run")
        assert "1 repositories" in run("forget", "nginx", "--yes")
        assert "already at" in run("db", "upgrade")
    assert SECRET not in said
    assert [file.name for file in harvester.folder.iterdir()] == []


def digest_of(cluster: Cluster, name: str) -> str:
    """A layer of what was harvested."""
    with cluster.connect(name) as connection:
        sql = "SELECT digest FROM v_layers WHERE repo_name = 'library/nginx' AND digest IS NOT NULL ORDER BY 1 LIMIT 1"
        [(digest,)] = connection.execute(sql).fetchall()
    return str(digest)


@pytest.mark.parametrize("arguments", [("status",), ("db", "upgrade"), ("backfill", "nginx")])
def test_a_database_with_another_order_is_one_line_and_exit_2(
    harvester: Harvester, cluster: Cluster, arguments: tuple[str, ...]
) -> None:
    name = cluster.create("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    done = harvester.run(None, *arguments, "--database", cluster.url(name))
    assert done.returncode == 2
    assert "TEMPLATE template0" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        (f"postgresql://anna:{SECRET}@127.0.0.1:9/x", 1, "Connection refused"),
        (f"postgresql+psycopg2://anna:{SECRET}@127.0.0.1:9/x", 2, "begin the database's URL with `postgresql://`"),
        (f"postgresql://127.0.0.1:9/x?user=anna&password={SECRET}", 2, "put it before the host"),
        (f"mysql://anna:{SECRET}@127.0.0.1:9/x", 2, "not supported"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line_without_the_password(
    harvester: Harvester, url: str, code: int, says: str
) -> None:
    for arguments in (("status",), ("backfill", "nginx")):
        done = harvester.run(None, *arguments, "--database", url)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
        assert says in done.stderr
        assert SECRET not in done.stdout + done.stderr
    done = harvester.run(None, "doctor", "--offline", "--database", url)
    assert done.returncode == 1
    assert says in done.stdout
    assert SECRET not in done.stdout + done.stderr
