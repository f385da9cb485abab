"""What an administrator sees in Icinga Web 2: lists, services, perfdata, and the graphs of a week with a bad day."""

from __future__ import annotations

import configparser
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from workbench import director, graphite, icinga_web
from workbench.browser import Browser, browser
from workbench.command import CONTRIB, FIXTURES, numbers
from workbench.daemons import account, give, wait_for, workspace
from workbench.icinga2 import SERVICES, Authority, Node, started
from workbench.icinga_web import Web
from workbench.mariadb import Server, mariadb
from workbench.simulated_week import DAY, HOUR, MINUTE, SPIKE, FrontEnd, Told, front_end, week
from workbench.watched_host import plugin_directory

HOST = "web-1"
"""The host of the simulated week."""

OTHERS = {"web-2": 8 * HOUR, "web-3": SPIKE[0] - 4 * MINUTE, "web-4": SPIKE[0] - 11 * MINUTE, "web-5": 2 * HOUR}
"""Hosts in other states: the seconds to the end of the same bad day."""

CONTAINER = "container-1"
"""A host where nothing can be seen."""

PICTURES = os.environ.get("TCP_HEADROOM_PICTURES", "")
"""Where the pictures of the documents go, if they are to be taken again."""


class Stack(NamedTuple):
    """All of it, running."""

    node: Node
    graphite: str
    """Address of graphite-web."""
    web: Web
    browser: Browser
    told: list[Told]
    """What was printed on ``HOST``."""

    @property
    def end(self) -> int:
        """When the week ends."""
        return self.told[-1].when


def variables(host: FrontEnd) -> str:
    """What makes the services of a host look at a simulated one."""
    return "\n".join(
        f'vars.{service}_{option[2:].replace("-", "_")} = "{value}"'
        for service in SERVICES
        for option, value in host.options(service).items()
    )


def configuration(node: Node, hosts: dict[str, str], redis: int, carbon: int) -> str:
    """What stays quiet until the week has been told, and then checks for itself."""
    return """
        include "tcp-headroom-commands.conf"
        include "tcp-headroom-services.conf"
        object IcingaApplication "app" { enable_service_checks = false }
        """ + "\n".join((
            director.objects(node),
            f'object IcingaDB "icingadb" {{ host = "127.0.0.1", port = {redis} }}',
            f'object GraphiteWriter "graphite" {{ host = "127.0.0.1", port = {carbon}, enable_send_thresholds = true }}',
            *(f'object Host "{name}" {{ check_command = "dummy", vars.os = "Linux"\n{lines} }}' for name, lines in hosts.items()),
        ))  # fmt: skip


def in_database(server: Server, database: str) -> dict[tuple[str, str], float]:
    """The state of each service by host and name, as Icinga DB has it."""
    query = "SELECT h.name, s.name, t.soft_state FROM service_state t JOIN service s ON s.id = t.service_id JOIN host h ON h.id = s.host_id"
    rows = (line.split("\t") for line in server.execute(query, database).splitlines())
    return {(host, service): float(state) for host, service, state in rows}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    user = account()
    now = int(time.time()) // MINUTE * MINUTE
    with contextlib.ExitStack() as running:
        enter = running.enter_context
        directory = enter(workspace(user))
        server = enter(mariadb(user))
        of_icingadb, own = (server.create(*made) for made in zip(("icingadb", "icingaweb"), icinga_web.SCHEMAS))
        redis = enter(icinga_web.redis(user))
        (directory / "graphite").mkdir()
        give(directory / "graphite", user)
        carbon = enter(graphite.carbon(directory / "graphite", user))
        graphs = enter(graphite.web(carbon, user))
        shutil.copytree(FIXTURES / "child-namespace", directory / "hosts" / CONTAINER / "proc")
        first = FrontEnd(directory / "hosts" / HOST, now)
        others = {name: front_end(directory / "hosts" / name, now, age) for name, age in OTHERS.items()}
        hosts = {name: variables(host) for name, host in {HOST: first, **others}.items()}
        hosts[CONTAINER] = "\n".join(
            f'vars.{service}_procfs = "{directory}/hosts/{CONTAINER}/proc"' for service in SERVICES
        )
        plugins = plugin_directory(directory, user, None)
        node = Node(directory / "node", "localhost", user, Authority.create(directory / "authority"), plugins)
        node.configure(configuration(node, hosts, redis, carbon.port))
        enter(started(node))
        enter(icinga_web.icingadb(user, of_icingadb, redis))
        wait_for(lambda: node.evaluate('get_object(GraphiteWriter, "graphite").connected'), "the writer is connected")
        told = []
        with node.submitting() as submit:
            for one in week(first):
                submit(HOST, one.service, one.when, one.output)
                told.append(one)
        give(directory / "hosts", user)
        # A service counts as less severe while its host has not been checked (Service::GetSeverity).
        node.ask("actions/reschedule-check", {"type": "Host", "filter": "true", "force": True}, "POST")
        unchecked = "get_objects(Host).filter(host => host.problem || !host.last_check_result).len()"
        wait_for(lambda: node.evaluate(unchecked) == 0, "all hosts are up")
        # One after the other: the first of all checks at once could run into their timeout.
        states = {(name, service): node.check(name, service)["state"] for name in hosts for service in SERVICES}
        node.ask("objects/icingaapplications/app", {"attrs": {"enable_service_checks": True}}, "POST")
        wait_for(lambda: in_database(server, of_icingadb.name) == states, "Icinga DB has all states")
        icinga_web.configure(directory / "icingaweb2", node, (of_icingadb, own), redis, graphs)
        icinga_web.add_users(server, own)
        director.configure(directory / "icingaweb2", server.create("director"), node)
        give(directory / "icingaweb2", user)
        director.kickstart(directory / "icingaweb2", user)
        director.restore(directory / "icingaweb2", user)
        web = enter(icinga_web.served(user, directory / "icingaweb2"))
        window = enter(browser(user))
        icinga_web.log_in(web, window, "light")
        yield Stack(node, graphs, web, window, told)


# What the interface says


def output(stack: Stack, host: str, service: str) -> str:
    """The first line of the newest output, as Icinga 2 has it."""
    text: str = stack.node.service(host, service)["last_check_result"]["output"]
    return " ".join(text.partition("\n")[0].split())


def test_list(stack: Stack) -> None:
    """Every service is listed in its state, and its status line is there whole."""
    services = [*itertools.product([HOST, *OTHERS, CONTAINER], SERVICES)]

    def missing() -> list[str]:
        shown = icinga_web.text(stack.web, stack.browser, "icingadb/services?limit=50&view=detailed")
        return [line for one in services for line in [output(stack, *one)] if line not in shown]

    # While the page is loaded a check may run, and say another age.
    wait_for(lambda: not missing(), f"all status lines are shown; not now: {missing()}")


def test_service(stack: Stack) -> None:
    """The page of a service has its output and its perfdata, and first of all graphs the two that matter."""
    for service in SERVICES:
        path = f"icingadb/service?name={service}&host.name={HOST}"
        wait_for(lambda: output(stack, HOST, service) in icinga_web.text(stack.web, stack.browser, path), path)
        shown = icinga_web.text(stack.web, stack.browser, path)
        last = [one for one in stack.told if one.service == service][-1]
        for label in last.output.perfdata:
            assert label in shown, (service, label)
        assert icinga_web.graphs(stack.browser) == own_graphs(service)[:2], service


# What the graphs draw


class Curve(NamedTuple):
    """One line of a template."""

    metric: str
    function: str


def templates() -> dict[str, tuple[str, dict[str, Curve]]]:
    """The command, and the curves by name, of each graph, in the order of the file."""
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(CONTRIB / "graphs/tcp-headroom.ini")
    found = {}
    for graph in dict.fromkeys(section.rpartition(".")[0] for section in parser.sections()):
        metrics, functions = parser[f"{graph}.metrics_filters"], parser[f"{graph}.functions"]
        assert set(metrics) == set(functions), graph
        curves = {name: Curve(metrics[name].strip('"'), functions[name].strip('"')) for name in metrics}
        found[graph] = parser[f"{graph}.graph"]["check_command"].strip('"'), curves
    return found


def own_graphs(service: str) -> list[str]:
    """The graphs of a service in the order of the file."""
    return [graph for graph, (command, _curves) in templates().items() if command == service]


def prefix(service: str) -> str:
    return f"icinga2.{HOST}.services.{service}.{service}"


def drawn(stack: Stack, service: str, curve: Curve, begin: int, end: int) -> list[graphite.Curve]:
    """What graphite-web makes of a curve."""
    metric = curve.metric.replace("$service_name_template$", prefix(service))
    return graphite.render(stack.graphite, curve.function.replace("$metric$", metric), begin, end)


def test_graphs_are_loaded(stack: Stack) -> None:
    """The module finds every graph of every service, and graphite-web draws it."""
    for service in SERVICES:
        for seconds in (HOUR, DAY, 7 * DAY, 365 * DAY):
            path = f"icingadb/service?name={service}&host.name={HOST}&graphs_limit=-1&graph_range={seconds}"
            icinga_web.open(stack.web, stack.browser, path)
            wanted = own_graphs(service)
            assert icinga_web.graphs(stack.browser)[: len(wanted)] == wanted, (service, seconds)


def test_values_are_those_printed(stack: Stack) -> None:
    """In the finest resolution each value of the day is the one that was printed at that minute."""
    printed = [one for one in stack.told if stack.end - DAY < one.when < stack.end]
    for service in SERVICES:
        own = [one for one in printed if one.service == service]
        for label in own[0].output.perfdata:
            (curve,) = graphite.render(
                stack.graphite, f"{prefix(service)}.perfdata.{label}.value", stack.end - DAY, stack.end
            )
            values = {stamp: value for value, stamp in curve.points}
            for one in own:
                assert values[one.when] == numbers(one.output.perfdata[label])[0], (label, one)


RANGES = {"hours": (SPIKE[0] + HOUR, SPIKE[0] - 2 * HOUR), "day": (DAY - HOUR, 0), "week": (7 * DAY - HOUR, 0)}
"""From when to when, in seconds before the end; the week begins with the first value."""


@pytest.mark.parametrize("name", RANGES)
def test_curves_have_no_gap(stack: Stack, name: str) -> None:
    """Services that are checked every five minutes or every hour are no comb, and no name is cut."""
    begin, end = (stack.end - age for age in RANGES[name])
    for graph, (service, curves) in templates().items():
        for key, curve in curves.items():
            names = re.findall("'#[0-9a-f]{6}'\\), '([^']+)'\\)", curve.function)
            found = drawn(stack, service, curve, begin, end)
            assert [series.name for series in found][: len(names)] == names, (graph, key)
            for series in found:
                points = [value for value, _stamp in series.points]
                filled = sum(value is not None for value in points) / len(points)
                # Hourly and half-hourly values are not there yet at the very beginning, nor at the end.
                assert filled > 0.9, (graph, key, name, filled)


def test_resets_are_as_high_in_any_range(stack: Stack) -> None:
    """A minute is the unit; of a burst of some minutes a week, or a check every five minutes, shows the mean of five."""
    seldom = templates()["tcp-kernel-log-resets"][1]["resets"]
    curve = templates()["tcp-orphans-resets"][1]["resets"]
    highest = {
        name: max(drawn(stack, "tcp_orphans", curve, stack.end - begin, stack.end - end)[0].values)
        for name, (begin, end) in RANGES.items()
    }
    assert highest["hours"] == highest["day"] > highest["week"] > highest["day"] / 2
    five = max(drawn(stack, "tcp_kernel_log", seldom, stack.end - RANGES["day"][0], stack.end)[0].values)
    assert highest["day"] > five > highest["day"] / 2


def test_bands(stack: Stack) -> None:
    """The levels are a quarter, a half and the whole of the limit; resets point down; the peak is that of the spike."""
    curves = templates()["tcp-orphans-bands"][1]
    begin, end = (stack.end - age for age in RANGES["day"])
    found = {key: drawn(stack, "tcp_orphans", curve, begin, end)[0].values for key, curve in curves.items()}
    printed = [numbers(one.output.perfdata["orphans"])[0] for one in stack.told if one.service == "tcp_orphans"]
    assert {name: set(found[name]) for name in ("quarter", "half", "limit")} == {
        "quarter": {16384.0}, "half": {32768.0}, "limit": {65536.0},
    }  # fmt: skip
    assert min(found["resets"]) < -7000 and max(found["resets"]) <= 0
    assert found["peak"][-1] == max(found["orphans"]) == max(number or 0 for number in printed)


# What the documents show

PAGES = {
    "list": ("icingadb/services?service.name=tcp_orphans&sort=service.state.severity desc", 1000, 520),
    "dashboard": ("dashboard?pane=TCP headroom", 1400, 900),
    "host": ("icingadb/host/services?name=web-4", 1000, 520),
    "director": ("director/service?name=tcp-headroom-tcp-orphans", 1200, 1000),
    **{
        f"{service.replace('_', '-')}-{name}": (
            f"icingadb/service?name={service}&host.name={HOST}&graph_range={seconds}&graphs_limit=-1", 1000, 1300
        )
        for service in SERVICES
        for name, seconds in (("day", DAY), ("week", 7 * DAY))
    },
}  # fmt: skip
"""Path, width and height of each picture, without the menu; ``spike`` is added by its time."""


def test_dashboard(stack: Stack) -> None:
    """The fleet: the worst state first, then the hosts whose limits are to be changed, and the orphans of all."""
    icinga_web.open(stack.web, stack.browser, "dashboard?pane=TCP headroom")
    parts = "return [...document.querySelectorAll('.dashboard > .container')].map(part => part.textContent)"
    least, wrong, _graphs = (" ".join(part.split()) for part in stack.browser.run(parts))
    ranks = {host: number for number, host in enumerate(re.findall(r"tcp_orphans on (\S+) is", least))}
    assert max(ranks["web-3"], ranks["web-4"]) < ranks[CONTAINER] < ranks["web-2"] < min(ranks[HOST], ranks["web-5"])
    assert re.findall(r"tcp_limits on (\S+) is", wrong) == [HOST]


def test_pictures(stack: Stack, tmp_path: pathlib.Path) -> None:
    """In both colours; ``tests/renew pictures`` puts them where the documents show them."""
    place = pathlib.Path(PICTURES or tmp_path)
    begin, end = (stack.end - age for age in (SPIKE[0] + HOUR, SPIKE[1] - HOUR))
    spike = f"icingadb/service?name=tcp_orphans&host.name={HOST}&graph_start={begin}&graph_end={end}"
    for theme in icinga_web.THEMES:
        with browser(account()) as window:
            icinga_web.log_in(stack.web, window, theme)
            for name, (path, width, height) in {**PAGES, "spike": (spike, 1000, 760)}.items():
                window.resize(width, height)
                icinga_web.open(stack.web, window, f"{path}&showFullscreen")
                window.run("document.querySelectorAll('fieldset').forEach(part => part.classList.remove('collapsed'))")
                picture = window.picture()
                assert 5_000 < len(picture) < 200_000, (name, theme, len(picture))
                (place / f"{name}-{theme}.webp").write_bytes(picture)
