"""A MariaDB server in a directory of its own, and databases in it."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from workbench.daemons import Account, daemon, free_port, workspace
from workbench.machine import program

SMALL_AND_FAST = (
    "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--innodb-buffer-pool-dump-at-shutdown=0",
    "--performance-schema=0", "--skip-log-bin", "--aria-pagecache-buffer-size=8M", "--key-buffer-size=1M",
    "--max-connections=50", "--character-set-server=utf8mb4",
)  # fmt: skip
"""Options that give up what protects data against a crash."""


class Database(NamedTuple):
    """A database and the user who owns it."""

    name: str
    user: str
    password: str
    port: int


class Server(NamedTuple):
    """A running server, which listens on the loopback address only."""

    owner: Account
    socket: pathlib.Path
    port: int

    def execute(self, sql: str, database: str = "") -> str:
        """What the statements print, as the server's root: a row a line, tabs between columns."""
        client = program("mariadb-server", "/usr/bin/mariadb")
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [client, "--no-defaults", "--user=root", f"--socket={self.socket}", "--batch", "--skip-column-names", database],
            input=sql, capture_output=True, text=True, cwd="/", env={}, **self.owner.rights,
        )  # type: ignore[call-overload]  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, name: str, *schemas: pathlib.Path, password: str = "for-this-test-only") -> Database:
        """A database, with a user of the same name who may do everything in it, filled from files of SQL."""
        self.execute(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4;"
            f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY '{password}';"
            f"GRANT ALL ON {name}.* TO '{name}'@'127.0.0.1';"
        )
        for schema in schemas:
            self.execute(schema.read_text(encoding="utf-8"), name)
        return Database(name, name, password, self.port)


@contextlib.contextmanager
def mariadb(owner: Account) -> Iterator[Server]:
    """A server of ``owner`` that runs until the end, without a database yet."""
    server = program("mariadb-server", "/usr/sbin/mariadbd")
    with workspace(owner) as directory:
        data, socket, port = directory / "data", directory / "socket", free_port()
        done = owner.run(
            program("mariadb-server", "/usr/bin/mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", *SMALL_AND_FAST, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        command = (
            server, "--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--pid-file={directory / 'pid'}", "--bind-address=127.0.0.1",
            f"--port={port}", "--skip-name-resolve", f"--tmpdir={directory}", *SMALL_AND_FAST,
        )  # fmt: skip
        with daemon(command, directory / "log", owner.rights) as running:
            ready = "ready for connections"
            running.until(lambda: ready in running.log.read_text(errors="replace"), "the database server is ready")
            yield Server(owner, socket, port)
