"""Every query of the Grafana dashboards, asked as Grafana asks it, gives what the checks printed.

Grafana itself is not run.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import pathlib
import re
import runpy
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import nagiosplugin
import pytest

from workbench import graphite
from workbench.command import COMMANDS, CONTRIB, FIELDS, Output, numbers
from workbench.daemons import account, wait_for, workspace
from workbench.influxdb import InfluxDB, influxdb
from workbench.watched_host import COUNTERS, OK, WARNING, WatchedHost

GENERATE = runpy.run_path(str(CONTRIB / "grafana/generate.py"))
CURVES = {(panel.title, curve.name): curve for panel in GENERATE["PANELS"] for curve in panel.curves}
DAY = 86400
INTERVAL = {"check_tcp_kernel_log": 300, "check_tcp_limits": 3600}
"""Seconds between two checks, if not 60."""

Stored = dict[tuple[str, str, str, str], dict[int, float]]
"""Value by time; of host, check command, label and field."""


class Minute(NamedTuple):
    """A state of the host."""

    orphans: int
    pages: int
    resets: int
    """Since the boot."""
    hit: bool = False
    """There is a message in the log."""


def climb(minute: int) -> Minute:
    """A day: quiet, above 25 % from noon on, a spike with 7 resets a minute for half an hour, recovery."""
    orphans = 3 + max(0, min(27, (minute - 600) // 6))
    if 900 <= minute < 930:
        orphans = 60
    elif minute >= 930:
        orphans = max(3, 30 - (minute - 930) // 4)
    resets = 5 + 7 * max(0, min(30, minute - 899))
    return Minute(orphans, 1 + orphans // 4, resets, hit=900 <= minute < 990)


class Printer:
    """Hosts whose checks are run in this process."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.seen: dict[tuple[str, str, object], dict[str, list[float | None]]] = {}

    def printed(self, name: str, command: str, minute: Minute, peak: int) -> dict[str, list[float | None]]:
        """Perfdata of a check on a host; for check_tcp_limits ``peak`` is the most orphans seen."""
        key = name, command, peak if command == "check_tcp_limits" else minute
        if key not in self.seen:
            place = self.directory / name
            if not place.exists():
                place.mkdir()
            host = WatchedHost(place)
            host.become(WARNING if minute.hit else OK)
            (host.proc / "net/sockstat").write_text(
                f"TCP: inuse 5 orphan {minute.orphans} tw 0 alloc 8 mem {minute.pages}\n"
            )
            counted = " ".join(str(minute.resets) for _name in COUNTERS)
            (host.proc / "net/netstat").write_text(f"TcpExt: {' '.join(COUNTERS)}\nTcpExt: {counted}\n")
            state = ["--no-state"] if command == "check_tcp_kernel_log" else ["--state-dir", str(place / "state")]
            output = called(command, *host.options(command), *state)
            self.seen[key] = {label: numbers(text) for label, text in output.perfdata.items()}
        return self.seen[key]


def called(command: str, *arguments: str) -> Output:
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as end:
        patch.setattr(nagiosplugin.Runtime, "instance", None)
        patch.setattr(nagiosplugin.Runtime, "stdout", None)
        importlib.import_module(f"tcp_headroom.commands.{command}").main(list(arguments))
    assert isinstance(end.value.code, int)
    return Output(end.value.code, printed.getvalue())


class Fed(NamedTuple):
    """What was stored, and where."""

    now: int
    """The end of the day."""
    stored: Stored
    graphite: str
    """Address of graphite-web."""
    influxdb: InfluxDB


def day(directory: pathlib.Path, now: int) -> Stored:
    """What the checks print: of web1 a day with a climb, of web2 and web3 the last hours, in which nothing happens."""
    printer = Printer(directory)
    stored: Stored = {}
    hosts: dict[str, Callable[[int], Minute]] = {
        "web1": climb,
        "web2": lambda _minute: Minute(40, 3, 0),
        "web3": lambda _minute: Minute(10, 3, 0),
    }
    for name, state in hosts.items():
        peak = 0
        for at in range(0 if name == "web1" else 1260, 1440):
            stamp, minute = now - DAY + 60 * at, state(at)
            peak = max(peak, minute.orphans)
            # check_tcp_orphans keeps the peak for check_tcp_limits.
            for command in reversed(COMMANDS):
                if at * 60 % INTERVAL.get(command, 60):
                    continue
                for label, values in printer.printed(name, command, minute, peak).items():
                    for field, value in zip(FIELDS, values):
                        if value is not None:
                            key = name, command.removeprefix("check_"), label, field
                            stored.setdefault(key, {})[stamp] = value
    return stored


@pytest.fixture(scope="module")
def fed() -> Iterator[Fed]:
    """Both stores with the day in them, by the names that Icinga 2's writers give."""
    user, now = account(), int(time.time()) // 3600 * 3600
    with workspace(user) as own, workspace(user) as place, contextlib.ExitStack() as started:
        stored = day(own, now)
        influx = started.enter_context(influxdb(place, user))
        lines = (
            f"{check},hostname={host},service={check},metric={label} {field}={value} {stamp}"
            for (host, check, label, field), points in stored.items()
            for stamp, value in points.items()
        )
        influx.write(lines)
        carbon = started.enter_context(graphite.carbon(place, user))
        carbon.send(
            (f"icinga2.{host}.services.{check}.{check}.perfdata.{label}.{field}", value, stamp)
            for (host, check, label, field), points in stored.items()
            for stamp, value in points.items()
        )
        web = started.enter_context(graphite.web(carbon, user))

        def complete() -> bool:
            found = graphite.render(web, "icinga2.*.services.*.*.perfdata.*.*", now - DAY - 60, now)
            return sum(len(curve.values) for curve in found) == sum(map(len, stored.values()))

        wait_for(complete, "carbon has everything")
        yield Fed(now, stored, web, influx)


def dashboard(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRIB / f"grafana/tcp-headroom-{kind}.json").read_text())
    return found


def targets(kind: str, panel: str) -> list[dict[str, Any]]:
    """The queries of a panel."""
    (found,) = (entry for entry in dashboard(kind)["panels"] if entry["title"] == panel)
    return list(found["targets"])


def ask_graphite(
    fed: Fed, target: dict[str, Any], host: str, seconds: int, step: int = 60
) -> dict[str, dict[int, float]]:
    """The curves of a query in the order of the answer, each by time, as Grafana shows the last ``seconds``."""
    text = target["target"].replace("$host", host)
    assert "$" not in text
    found = graphite.render(fed.graphite, text, fed.now - seconds - 1, fed.now - 1)
    return {curve.name: {at: value for value, at in curve.points if value is not None} for curve in found}


def ask_influxdb(
    fed: Fed, target: dict[str, Any], host: str, seconds: int, step: int = 60
) -> dict[str, dict[int, float]]:
    """The same, with points ``step`` seconds apart, where Grafana chooses a step for the width of the panel."""
    text = target["query"].replace("${host:regex}", re.escape(host)).replace("$__interval", f"{step}s")
    text = text.replace("$timeFilter", f"time >= {(fed.now - seconds) * 1000}ms and time <= {fed.now * 1000 - 1}ms")
    assert "$" not in text.replace("$/", "")
    found = {}
    for series in fed.influxdb.query(text):
        name = target["alias"].replace("$tag_hostname", series.get("tags", {}).get("hostname", ""))
        found[name] = {at: value for at, value in series["values"] if value is not None}
    return found


ASK = {"graphite": ask_graphite, "influxdb": ask_influxdb}


@pytest.mark.parametrize("kind", ASK)
@pytest.mark.parametrize("panel", [panel.title for panel in GENERATE["PANELS"]])
def test_curves(fed: Fed, panel: str, kind: str) -> None:
    """Each curve has the values that were printed, each at its time."""
    for target in targets(kind, panel):
        ((name, points),) = ASK[kind](fed, target, "web1", DAY).items()
        curve = CURVES[panel, name]
        printed = fed.stored["web1", f"{curve.check}", curve.label, curve.field]
        if curve.rate:
            growth = {at: value - printed[at - 60] for at, value in printed.items() if at - 60 in printed}
            assert points == {at: each for at, each in growth.items() if at in points}
            assert sum(points.values()) == sum(growth.values()) == 210
        else:
            assert points == pytest.approx({at: value * curve.factor for at, value in printed.items()})


@pytest.mark.parametrize("kind", ASK)
def test_resets_are_a_minute_whatever_the_range(fed: Fed, kind: str) -> None:
    """A day in steps of a minute, a week in steps of five: 7 a minute in both, 210 in all."""
    (target,) = targets(kind, "Resets a minute")
    for seconds, step in ((DAY, 60), (7 * DAY, 300)):
        (points,) = ASK[kind](fed, target, "web1", seconds, step).values()
        assert max(points.values()) == pytest.approx(7)
        assert sum(points.values()) * step / 60 == pytest.approx(210)


@pytest.mark.parametrize("kind", ASK)
def test_fleet(fed: Fed, kind: str) -> None:
    """One series a host, the last value of each in its row; Graphite sorts, for InfluxDB the table does."""
    (target,) = targets(kind, "Hosts, least headroom first")
    found = {host: points[max(points)] for host, points in ASK[kind](fed, target, "", 3600).items()}
    assert found == {"web2": 40, "web3": 10, "web1": 3}
    if kind == "graphite":
        assert list(found) == ["web2", "web3", "web1"]


@pytest.mark.parametrize("kind", ASK)
def test_limits_below_four_times_the_peak(fed: Fed, kind: str) -> None:
    (target,) = targets(kind, "Limit below four times the peak")
    found = {host: points[max(points)] for host, points in ASK[kind](fed, target, "", 14 * DAY).items()}
    assert found == pytest.approx({"web1": 100 / 60, "web2": 100 / 40})
    if kind == "graphite":
        assert list(found) == ["web1", "web2"]


def test_the_tables_start_with_the_worst_host() -> None:
    """Whichever order the hosts come in; the last colour is that of the last band."""
    for kind in ASK:
        tables = [panel for panel in dashboard(kind)["panels"] if panel["type"] == "table"]
        assert [panel["options"]["sortBy"][0]["desc"] for panel in tables] == [True, False]
        assert [panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] for panel in tables] == [100, 2]


def test_hosts(fed: Fed) -> None:
    """What the variable offers."""
    for kind in ASK:
        (variable,) = (entry for entry in dashboard(kind)["templating"]["list"] if entry["name"] == "host")
        if kind == "graphite":
            metrics = re.fullmatch(r"expand\((.*)\)", variable["query"])
            assert metrics
            paths = graphite.asked(fed.graphite, "/metrics/expand", query=metrics[1])["results"]
            hosts = [found[1] for path in paths if (found := re.search(variable["regex"].strip("/"), path))]
        else:
            (series,) = fed.influxdb.query(variable["query"])
            hosts = [value for _key, value in series["values"]]
        assert hosts == ["web1", "web2", "web3"]
