"""What arrives in Graphite, InfluxDB and OpenTSDB from Icinga 2's writers."""

from __future__ import annotations

import json
import pathlib
import re
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from workbench import graphite
from workbench.command import COMMANDS, FIELDS, numbers
from workbench.daemons import account, program, wait_for, workspace
from workbench.icinga2 import CONTRIB, SERVICES, Authority, Node, started
from workbench.influxdb import DATABASE, InfluxDB, influxdb
from workbench.watched_host import WARNING, WatchedHost, direct, plugin_directory

PREFIX = "icinga2.here.services"


class Sent(NamedTuple):
    """Where the metrics of one node went."""

    node: Node
    host: WatchedHost
    whisper: pathlib.Path
    """Directory of the files that carbon writes."""
    lines: list[str]
    """What OpenTSDB was told."""
    influxdb: InfluxDB


@pytest.fixture(scope="module")
def carbon() -> Iterator[graphite.Carbon]:
    """carbon-cache, with a point for each second."""
    user = account()
    with workspace(user) as directory:
        with graphite.carbon(directory, user, "[all]\npattern = .*\nretentions = 1s:1h\n") as running:
            yield running


@pytest.fixture(scope="module")
def opentsdb() -> Iterator[tuple[int, list[str]]]:
    """A listener for OpenTSDB's line protocol: its port, and the lines it was sent."""
    lines: list[str] = []

    class Lines(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines.extend(line.decode().rstrip("\r\n") for line in self.rfile)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Lines) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], lines
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def influx() -> Iterator[InfluxDB]:
    user = account()
    with workspace(user) as directory, influxdb(directory, user) as running:
        yield running


@pytest.fixture(scope="module")
def sent(carbon: graphite.Carbon, opentsdb: tuple[int, list[str]], influx: InfluxDB) -> Iterator[Sent]:
    """Every service checked once, in state WARNING."""
    user = account()
    with workspace(user) as directory:
        host = WatchedHost(directory)
        host.become(WARNING)
        node = Node(
            directory / "node",
            "localhost",
            user,
            Authority.create(directory / "authority"),
            plugin_directory(directory, user, host),
        )
        node.configure(f"""
            include "tcp-headroom-commands.conf"
            include "tcp-headroom-services.conf"
            object Endpoint NodeName {{ }}
            object Zone "master" {{ endpoints = [ NodeName ] }}
            object GraphiteWriter "graphite" {{ host = "127.0.0.1", port = {carbon.port}, enable_send_thresholds = true }}
            object OpenTsdbWriter "opentsdb" {{ host = "127.0.0.1", port = {opentsdb[0]} }}
            object InfluxdbWriter "influxdb" {{
                host = "127.0.0.1", port = {influx.port}, database = "{DATABASE}", enable_send_thresholds = true, flush_threshold = 1
            }}
            object Host "here" {{ check_command = "dummy", vars.os = "Linux" }}
        """)
        with started(node):
            for writer in ("GraphiteWriter", "OpenTsdbWriter"):
                name = writer.removesuffix("Writer").lower()
                wait_for(lambda: node.evaluate(f'get_object({writer}, "{name}").connected'), f"{writer} is connected")
            for name in SERVICES:
                node.check("here", name)
            yield Sent(node, host, carbon.whisper, opentsdb[1], influx)


def printed(sent: Sent) -> dict[tuple[str, str], list[float | None]]:
    """(service, label): value, warning, critical, minimum, maximum, of all perfdata that the plugins print."""
    found: dict[tuple[str, str], list[float | None]] = {}
    for command in COMMANDS:
        _code, text = direct(sent.node.plugins / command, sent.node.user)
        for word in text.partition("| ")[2].split():
            label, _, rest = word.partition("=")
            found[command.removeprefix("check_"), label] = numbers(rest)
    return found


def in_graphite(sent: Sent, path: str) -> float | None:
    """The last value in the file of a metric; None while there is none."""
    file = sent.whisper / f"{path.replace('.', '/')}.wsp"
    if not file.exists():
        return None
    fetch = program("graphite-carbon", "/usr/bin/whisper-fetch")
    done = subprocess.run(
        [fetch, "--json", "--drop=nulls", file],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    values: list[float] = json.loads(done.stdout)["values"]
    return values[-1] if values else None


def test_graphite(sent: Sent) -> None:
    """icinga2.HOST.services.SERVICE.COMMAND.perfdata.LABEL.value, and .warn .crit .min .max where printed."""
    for (service, label), values in printed(sent).items():
        for kind, number in zip(FIELDS, values):
            path = f"{PREFIX}.{service}.{service}.perfdata.{label}.{kind}"
            if number is None:
                assert not (sent.whisper / f"{path.replace('.', '/')}.wsp").exists(), path
            else:
                assert wait_for(
                    lambda: [in_graphite(sent, path)] if in_graphite(sent, path) is not None else None, path
                ) == [number]


def test_influxdb(sent: Sent) -> None:
    """Measurement COMMAND; tags hostname, service and metric; fields value, and warn, crit, min, max where printed."""

    def stored() -> dict[tuple[str, str], dict[str, float]]:
        found = {}
        for series in sent.influxdb.query("SELECT * FROM /^tcp_/ GROUP BY metric, hostname, service"):
            tags = series["tags"]
            assert (tags["hostname"], tags["service"]) == ("here", series["name"])
            (values,) = series["values"]
            fields = dict(zip(series["columns"], values))
            found[series["name"], tags["metric"]] = {
                field: fields[field] for field in FIELDS if fields.get(field) is not None
            }
        return found

    expected = {
        key: {field: value for field, value in zip(FIELDS, values) if value is not None}
        for key, values in printed(sent).items()
    }
    wait_for(lambda: stored() == expected, f"{stored()} is {expected}")


def test_opentsdb(sent: Sent) -> None:
    """put icinga.service.SERVICE.LABEL TIME VALUE host=HOST ..., and the levels as metrics of their own."""
    expected = {}
    for (service, label), values in printed(sent).items():
        for suffix, number in zip(("", "_warn", "_crit", "_min", "_max"), values):
            if number is not None:
                expected[f"icinga.service.{service}.{label}{suffix}"] = number
    found: dict[str, float] = {}

    def complete() -> bool:
        for line in list(sent.lines):
            _put, name, _time, value, *tags = line.split()
            assert "host=here" in tags
            found[name] = float(value)
        return set(expected) <= set(found)

    wait_for(complete, "every metric has arrived")
    assert {name: value for name, value in found.items() if name in expected} == expected
    extra = {name.rpartition(".")[2] for name in set(found) - set(expected)}
    assert extra <= OF_ICINGA2


OF_ICINGA2 = {
    "acknowledgement", "current_attempt", "downtime_depth", "execution_time", "latency", "max_check_attempts",
    "reachable", "state", "state_type",
}  # fmt: skip
"""Last part of the metrics that Icinga 2 sends of every service by itself."""
