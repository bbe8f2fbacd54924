"""A PostgreSQL server of the tests' own: on a socket in a folder of its own, by a user who is not root, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

USERS = ("postgres", "nobody")
"""The server does not run as root: the first of them that there is runs it."""

PROGRAMS = ("initdb", "postgres")
PATIENCE_S = 60
BY_BYTES = "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"

# Nothing of it has to survive the machine.
OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=50")


class NoServer(Exception):
    """Why no server can be had here."""


@dataclass
class Cluster:
    """A running server."""

    folder: Path
    user: str
    _numbers: count[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        """The database for the program."""
        return f"postgresql://{self.user}@/{database}?host={self.folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection as any other program has one; each statement is a transaction."""
        import psycopg

        return psycopg.connect(self.url(database), autocommit=True)

    def create(self, how: str = BY_BYTES, *, template: str = "template0") -> str:
        """A new database, by its name."""
        name = f"harvest_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} {how} TEMPLATE {template}")
        return name


@contextmanager
def running() -> Iterator[Cluster]:
    """A server, ended at the end. Raises `NoServer` where the programs, the driver or a user to run it are missing."""
    programs = _programs()
    try:
        import psycopg
    except ImportError as error:
        raise NoServer(f"the driver is not installed: {error}") from error
    user = _user()
    # Short: the address of a socket has room for a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        os.chown(folder, user.pw_uid, user.pw_gid)
        may_drop: dict[str, Any] = {}
        if os.geteuid() == 0:
            may_drop = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = folder / "data"
        how = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", f"--username={user.pw_name}")
        made = subprocess.run(
            [programs["initdb"], f"--pgdata={data}", *how],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            **may_drop,
        )
        if made.returncode != 0:
            raise NoServer(f"initdb failed: {made.stderr.strip()}")
        options = [f"-c{option}" for option in (*OPTIONS, f"unix_socket_directories={folder}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs["postgres"], "-D", str(data), *options],
                cwd=folder,
                stdout=log,
                stderr=log,
                **may_drop,
            )
        try:
            cluster = Cluster(folder, user.pw_name)
            _wait_for(cluster, process, psycopg.OperationalError)
            yield cluster
        finally:
            # At once, whoever is connected still.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=PATIENCE_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> dict[str, str]:
    """The newest server that is installed, wherever distributions put it."""
    version = sorted(
        (int(one.name), one / "bin") for one in Path("/usr/lib/postgresql").glob("*") if one.name.isdecimal()
    )
    places = os.pathsep.join([*[str(folder) for _, folder in version[::-1]], os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=places) for name in PROGRAMS}
    if missing := [name for name, path in found.items() if path is None]:
        raise NoServer(f"no PostgreSQL server is installed: there is no `{missing[0]}`")
    return {name: str(path) for name, path in found.items()}


def _user() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoServer(f"root cannot run the server, and there is no user {' or '.join(USERS)}")


def _wait_for(cluster: Cluster, process: subprocess.Popen[bytes], refused: type[Exception]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            cluster.connect().close()
        except refused as error:
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
            raise NoServer(f"the server does not start: {(cluster.folder / 'log').read_text()[-500:]}") from error
        return
