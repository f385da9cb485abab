"""InfluxDB 1, which Icinga 2's InfluxdbWriter feeds, and which answers InfluxQL."""

from __future__ import annotations

import contextlib
import json
import pathlib
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from workbench.daemons import Account, daemon, free_port
from workbench.machine import program

DATABASE = "icinga2"


class InfluxDB(NamedTuple):
    """An influxd that runs, on the loopback address, with one empty database."""

    port: int

    def _asked(self, path: str, data: str, **arguments: str) -> bytes:
        address = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(address, data.encode(), timeout=30) as answer:
            found: bytes = answer.read()
            return found

    def write(self, lines: Iterable[str]) -> None:
        """Store lines of its protocol, with seconds since the epoch."""
        self._asked("/write", "\n".join(lines), db=DATABASE, precision="s")

    def query(self, text: str) -> list[dict[str, Any]]:
        """The series that answer: each with ``name``, ``tags``, ``columns`` and ``values``, times in seconds."""
        answer = json.loads(self._asked("/query", "", db=DATABASE, epoch="s", q=text))
        (result,) = answer["results"]
        assert "error" not in result, f"{text}: {result}"
        found: list[dict[str, Any]] = result.get("series", [])
        return found


@contextlib.contextmanager
def influxdb(directory: pathlib.Path, user: Account) -> Iterator[InfluxDB]:
    """influxd with its files in ``directory``, which ``user`` can write."""
    server = program("influxdb", "/usr/bin/influxd")
    running = InfluxDB(free_port())
    configuration = directory / "influxdb.conf"
    configuration.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n[meta]\ndir = "{directory}/meta"\n'
        f'[data]\ndir = "{directory}/data"\nwal-dir = "{directory}/wal"\n[monitor]\nstore-enabled = false\n'
        f'[http]\nbind-address = "127.0.0.1:{running.port}"\n'
    )

    def answers() -> bool:
        with contextlib.suppress(OSError):
            running.query(f"CREATE DATABASE {DATABASE}")
            return True
        return False

    command = [server, "-config", str(configuration)]
    with daemon(command, directory / "influxd.log", user.rights, {"HOME": str(directory)}) as process:
        process.until(answers, "influxd answers")
        yield running
