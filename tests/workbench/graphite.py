"""Graphite: carbon-cache, which keeps what Icinga 2 sends, and graphite-web, whose render API graphs are made by."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from workbench.command import CONTRIB
from workbench.daemons import Account, daemon, free_port, give, listens
from workbench.machine import program

SCHEMAS = (CONTRIB / "graphs/storage-schemas.conf").read_text()
"""A storage-schemas.conf: how long which resolution is kept."""

AGGREGATION = (CONTRIB / "graphs/storage-aggregation.conf").read_text()
"""A storage-aggregation.conf: how the coarser ones are made."""


class Carbon(NamedTuple):
    """A carbon-cache that runs, on the loopback address."""

    storage: pathlib.Path
    port: int
    """Where it takes lines."""
    query: int
    """Where graphite-web asks for what is not yet written."""

    @property
    def whisper(self) -> pathlib.Path:
        """Directory of the files that it writes."""
        return self.storage / "whisper"

    def send(self, points: Iterable[tuple[str, float, int]]) -> None:
        """Store (path, value, seconds since the epoch)."""
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.sendall("".join(f"{path} {value!r} {stamp}\n" for path, value, stamp in points).encode())


class Curve(NamedTuple):
    """One series as the render API gives it."""

    name: str
    points: list[tuple[float | None, int]]
    """(value, seconds since the epoch)."""

    @property
    def values(self) -> list[float]:
        """Without the gaps."""
        return [value for value, _stamp in self.points if value is not None]


@contextlib.contextmanager
def carbon(
    storage: pathlib.Path, user: Account, schemas: str = SCHEMAS, aggregation: str = AGGREGATION
) -> Iterator[Carbon]:
    """carbon-cache with its files in ``storage``, a directory that ``user`` can write."""
    cache = program("graphite-carbon", "/usr/bin/carbon-cache")
    running = Carbon(storage, free_port(), free_port())
    # graphite-web looks for this directory once, when it starts; carbon makes it when the first value is written.
    running.whisper.mkdir(exist_ok=True)
    give(running.whisper, user)
    (storage / "storage-schemas.conf").write_text(schemas)
    (storage / "storage-aggregation.conf").write_text(aggregation)
    (storage / "carbon.conf").write_text(
        f"[cache]\nSTORAGE_DIR = {storage}\nCONF_DIR = {storage}\nLOG_DIR = {storage}\nPID_DIR = {storage}\n"
        f"LOCAL_DATA_DIR = {running.whisper}\nMAX_CREATES_PER_MINUTE = inf\nMAX_UPDATES_PER_SECOND = inf\nUSER =\n"
        f"LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {running.port}\n"
        f"CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {running.query}\n"
        f"PICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {free_port()}\n"
    )
    command = [cache, f"--config={storage}/carbon.conf", f"--logdir={storage}", "--nodaemon", "start"]
    with daemon(command, storage / "carbon.log", user.rights, {"HOME": str(storage)}) as process:
        process.until(lambda: listens(running.port) and listens(running.query), "carbon answers")
        yield running


@contextlib.contextmanager
def web(cache: Carbon, user: Account, port: int | None = None) -> Iterator[str]:
    """graphite-web on what ``cache`` keeps: its address, without a slash at the end. Django's own server, no Apache."""
    program("graphite-web", "/usr/bin/graphite-manage")
    storage, port = cache.storage, port or free_port()
    (storage / "graphite_web_settings.py").write_text(
        f"STORAGE_DIR = CONF_DIR = LOG_DIR = {str(storage)!r}\nWHISPER_DIR = {str(cache.whisper)!r}\n"
        f"CARBONLINK_HOSTS = ['127.0.0.1:{cache.query}']\nSECRET_KEY = 'of a test'\nLOG_ROTATION = False\n"
    )
    environment = {
        "HOME": str(storage),
        "PYTHONPATH": str(storage),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DJANGO_SETTINGS_MODULE": "graphite.settings",
        "GRAPHITE_SETTINGS_MODULE": "graphite_web_settings",
    }
    django = ["/usr/bin/python3", "-m", "django"]
    made = user.run(*django, "migrate", "--run-syncdb", "--verbosity=0", environment=environment)
    assert made.returncode == 0, made.stderr
    command = [*django, "runserver", "--noreload", f"127.0.0.1:{port}"]
    with daemon(command, storage / "graphite-web.log", user.rights, environment) as process:
        process.until(lambda: listens(port), "graphite-web answers")
        yield f"http://127.0.0.1:{port}"


def asked(address: str, path: str, **arguments: Any) -> Any:
    """The JSON that graphite-web answers; a list among ``arguments`` is given as often as it is long."""
    data = urllib.parse.urlencode(arguments, doseq=True).encode()
    with urllib.request.urlopen(f"{address}{path}", data, timeout=30) as answer:
        return json.load(answer)


def render(address: str, targets: str | list[str], start: str | int, until: str | int = "now") -> list[Curve]:
    """The curves of ``targets`` between two times as the render API takes them (``-1d``, or seconds since the epoch).

    No point is merged with others: ``maxDataPoints`` is not given.
    """
    answer = asked(address, "/render", target=targets, format="json", **{"from": start, "until": until})
    return [Curve(curve["target"], [(value, stamp) for value, stamp in curve["datapoints"]]) for curve in answer]
