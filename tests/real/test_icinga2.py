"""contrib/icinga2 in one real node: it loads, checks, and keeps what the plugins say."""

from __future__ import annotations

import fnmatch
import importlib
import json
import pathlib
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from documents.test_checks import column
from workbench.command import COMMANDS
from workbench.daemons import account, workspace
from workbench.icinga2 import CONTRIB, PASSWORD, SERVICES, SHIPPED, Authority, Node, refused, started
from workbench.watched_host import CRITICAL, OK, UNKNOWN, WARNING, WatchedHost, direct, plugin_directory

SOFT, HARD = 0, 1

EVERY_OPTION: dict[str, dict[str, Any]] = {
    "tcp_orphans": {
        "warning": "@10:20", "critical": "~:5", "timeout": 5, "verbose": 2, "procfs": "/nonexistent", "max_orphans": 7, "no_owners": True,
        "peak_days": 3, "state_dir": "/nonexistent", "no_state": True,
    },
    "tcp_mem": {
        "warning": "10:", "critical": "50%", "timeout": 5, "verbose": "1", "procfs": "/nonexistent", "tcp_mem": "1,2,3",
        "mem_unit": "4096", "cgroupfs": "/nonexistent", "no_memory": True, "no_owners": True, "state_dir": "/nonexistent", "no_state": True,
    },
    "tcp_kernel_log": {
        "warning": "0", "critical": "5", "timeout": 5, "verbose": 3, "procfs": "/nonexistent", "lookback": "2h",
        "source": "file",
        "file": ["/nonexistent/a b;$$c", "/nonexistent/d"], "log_host": "x", "silence": "2h", "min_coverage": "20%",
        "state_dir": "/nonexistent",
    },
    "tcp_limits": {
        "warning": "60:", "critical": "@0:5%", "timeout": 5, "verbose": "3", "procfs": "/nonexistent",
        "sysctl_root": "/nonexistent/a b", "no_drift": True, "no_memory": True, "peak_days": 30, "state_dir": "/nonexistent",
        "no_state": True,
    },
}  # fmt: skip
"""Variables that make all of them UNKNOWN; a file with all that a shell or a configuration could take for syntax."""


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(SHIPPED / "generate.py"))


def test_committed_files_are_what_the_generator_writes(generator: dict[str, Any]) -> None:
    for name, write in generator["FILES"].items():
        assert (SHIPPED / name).read_text() == write(), f"{name}: run contrib/icinga2/generate.py"


def test_every_command_and_option_is_defined(generator: dict[str, Any]) -> None:
    services = {service.command: service for service in generator["SERVICES"]}
    assert set(services) == set(COMMANDS)
    basket = json.loads((SHIPPED / "director-basket.json").read_text())
    for command in COMMANDS:
        help_text = importlib.import_module(f"tcp_headroom.commands.{command}").build_parser().format_help()
        options = set(re.findall(r"(?:^|\s)(--[a-z-]+)", help_text)) - {"--help", "--version", "--verbose"} | {
            "-v",
            "-vv",
            "-vvv",
        }
        assert {key for a in generator["arguments"](services[command]) for key, _ in generator["entries"](a)} == options
        assert set(basket["Command"][command.removeprefix("check_")]["arguments"]) == options


def test_the_basket_is_whole() -> None:
    """What Director would stumble over: a field that is missing, a template of an unknown command."""
    basket = json.loads((SHIPPED / "director-basket.json").read_text())
    used = [field["datafield_id"] for command in basket["Command"].values() for field in command["fields"]]
    assert sorted(used) == sorted(map(int, basket["Datafield"]))
    for name, command in basket["Command"].items():
        variables = {basket["Datafield"][str(field["datafield_id"])]["varname"] for field in command["fields"]}
        assert command["object_name"] == name
        assert set(re.findall(r"\$([a-z_]+)\$", json.dumps(command))) == variables
    for template in basket["ServiceTemplate"].values():
        assert template["check_command"] in basket["Command"]
    services = basket["ServiceSet"]["tcp-headroom"]["services"]
    assert [service["imports"] for service in services.values()] == [[name] for name in basket["ServiceTemplate"]]


@pytest.fixture(scope="module")
def host() -> Iterator[WatchedHost]:
    with workspace(account()) as directory:
        yield WatchedHost(directory)


@pytest.fixture(scope="module")
def node(host: WatchedHost) -> Iterator[Node]:
    """All shipped files, and a host of each kind."""
    user = account()
    with workspace(user) as directory:
        authority = Authority.create(directory / "authority")
        node = Node(directory / "node", "localhost", user, authority, plugin_directory(directory, user, None))
        variables = "\n".join(
            f'vars.{command.removeprefix("check_")}_{option[2:].replace("-", "_")} = "{value}"'
            for command in COMMANDS
            for option, value in zip(host.options(command)[::2], host.options(command)[1::2])
        )
        every_option = "\n".join(
            f"vars.{name}_{option} = {json.dumps(value)}"
            for name, options in EVERY_OPTION.items()
            for option, value in options.items()
        )
        node.configure(f"""
            const TcpHeadroomRunbook = "https://wiki.example.org/tcp-headroom"
            const TcpHeadroomApiPassword = "{PASSWORD}"
            include "tcp-headroom-commands.conf"
            include "tcp-headroom-services.conf"
            include "tcp-headroom-agent-services.conf"
            include "tcp-headroom-passive-services.conf"
            object Zone "master" {{ endpoints = [ NodeName ] }}
            object Endpoint NodeName {{ }}
            object Zone "agent" {{ endpoints = [ "agent" ], parent = "master" }}
            object Endpoint "agent" {{ }}
            template Host "linux" {{ check_command = "dummy", vars.os = "Linux", enable_active_checks = false }}
            object Host "here" {{ import "linux"
                {variables}
                vars.tcp_kernel_log_no_state = true
            }}
            object Host "loopback" {{ import "linux", address = "127.0.0.1", vars.os = "Linux" }}
            object Host "elsewhere" {{ import "linux", address = "192.0.2.1" }}
            object Host "synchronised" {{ import "linux", address = "192.0.2.2", vars.tcp_headroom_local = true }}
            object Host "agent" {{ import "linux", address = "192.0.2.3"
                vars.agent_endpoint = "agent", zone = "master"
            }}
            object Host "passive" {{ import "linux", vars.tcp_headroom_passive = true }}
            object Host "every-option" {{ import "linux"
                {every_option}
            }}
            object Host "windows" {{ check_command = "dummy", vars.os = "Windows" }}
        """)
        valid = node.validate()
        assert valid.returncode == 0, valid.stdout
        assert "warning/" not in valid.stdout.replace("warning/cli", ""), valid.stdout
        with started(node):
            yield node


def test_rules_apply_where_they_should(node: Node) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for service in node.ask("objects/services"):
        found.setdefault(service["attrs"]["host_name"], []).append(service["attrs"])
    assert set(found) == {"here", "loopback", "synchronised", "agent", "passive", "every-option"}
    for host, services in found.items():
        assert sorted(service["name"] for service in services) == list(SERVICES)
        for service in services:
            assert service["command_endpoint"] == ("agent" if host == "agent" else "")
            assert service["check_command"] == ("passive" if host == "passive" else service["name"])
            assert service["notes_url"] == f"https://wiki.example.org/tcp-headroom#check_{service['name']}"
            assert "Next:" in service["notes"]


def test_soft_states_end_long_before_the_window(node: Node) -> None:
    """A hit must be hard while --lookback, one hour, still shows it."""
    for name in SERVICES:
        attributes = node.service("here", name)
        until_hard = (
            attributes["check_interval"] + (attributes["max_check_attempts"] - 1) * attributes["retry_interval"]
        )
        assert attributes["max_check_attempts"] > 1
        # The limits have no window.
        assert name == "tcp_limits" or until_hard <= 600


def plain(level: str) -> float | None:
    """A level as Icinga 2 takes it: every range but a plain number is dropped."""
    return float(level) if re.fullmatch(r"-?[0-9.]+", level) else None


def wanted(printed: str) -> dict[str, list[object]]:
    """Label: value, unit, warning, critical, minimum, maximum; units as Icinga 2 names them: none for counters."""
    units = {"": "", "B": "bytes", "%": "percent", "c": ""}
    found: dict[str, list[object]] = {}
    for word in printed.partition("| ")[2].split():
        label, _, rest = word.partition("=")
        value, *levels = rest.split(";")
        number, unit = re.fullmatch(r"(-?[0-9.]+)(.*)", value).groups()  # type: ignore[union-attr]
        levels += [""] * (4 - len(levels))
        found[label] = [float(number), units[unit], *map(plain, levels)]
    return found


def parsed(node: Node, service: str) -> dict[str, list[object]]:
    """The same, as the daemon's own parser reads the result it has."""
    fields = "[ p.label, p.value, p.unit, p.warn, p.crit, p.min, p.max ]"
    source = f'get_service("here", "{service}").last_check_result.performance_data'
    rows = node.evaluate(f"{source}.map(d => {{ var p = parse_performance_data(d); {fields} }})")
    return {label: rest for label, *rest in rows}


def test_states_and_perfdata(node: Node, host: WatchedHost) -> None:
    """OK, WARNING (soft, then hard), CRITICAL, UNKNOWN and back, with the numbers that were printed."""
    course = (
        (OK, HARD), (WARNING, SOFT), (WARNING, SOFT), (WARNING, HARD), (CRITICAL, HARD), (UNKNOWN, HARD), (OK, HARD),
    )  # fmt: skip
    for name in SERVICES:
        host.become(OK)
        node.check("here", name)
        for state, kind in course:
            host.become(state)
            attributes = node.check("here", name)
            result = attributes["last_check_result"]
            assert (attributes["state"], attributes["state_type"]) == (state, kind), name
            command = f"check_{name}"
            expected = direct(node.plugins / command, node.user, *host.options(command))
            text = expected[1].partition(" |")[0].rstrip("\n")
            assert (result["exit_status"], result["output"].rstrip()) == (expected[0], text)
            if state != UNKNOWN:
                assert parsed(node, name) == wanted(expected[1])


def test_graphs_are_of_labels_that_there_are(node: Node, generator: dict[str, Any]) -> None:
    """What a template tells the module Performance Data Graphs arrives, and names what the check prints."""
    for service in generator["SERVICES"]:
        found = node.evaluate(f'get_service("here", "{service.name}").vars')
        assert {name: value for name, value in found.items() if name.startswith("perfdatagraphs_")} == service.variables
        labels = [*column(service.command, "perfdata"), "container_usage", "container_headroom_1x"]
        graphs = service.graphs
        for label in (graphs["config_highlight"], *graphs.get("config_metrics_exclude", []), *graphs["metrics"]):
            assert fnmatch.filter(labels, label), label


def words_of(option: str, value: object) -> list[str]:
    """An option on the command line, by the value of its variable."""
    if value is True:
        return [option]
    return [
        word
        for part in (value if isinstance(value, list) else [value])
        for word in (option, str(part).replace("$$", "$"))
    ]


def test_every_option_reaches_the_command(node: Node) -> None:
    """One host with all variables set: Icinga 2 builds the command line, the plugin takes it."""
    for name, variables in EVERY_OPTION.items():
        attributes = node.check("every-option", name)
        words = attributes["last_check_result"]["command"][1:]
        expected = [f"-{'v' * int(str(variables['verbose']))}"]
        for option, value in variables.items():
            if option != "verbose":
                expected += words_of(f"--{option.replace('_', '-')}", value)
        assert sorted(words) == sorted(expected)
        assert attributes["state"] == UNKNOWN
        assert attributes["last_check_result"]["output"].startswith(name.replace("_", " ").upper()), "not a usage error"


def test_a_flag_reaches_the_command(node: Node) -> None:
    words = node.check("here", "tcp_kernel_log")["last_check_result"]["command"]
    assert words.count("--no-state") == 1
    assert "--no-state" not in node.check("every-option", "tcp_kernel_log")["last_check_result"]["command"]


def test_no_option_is_left_out_of_that(generator: dict[str, Any]) -> None:
    for service in generator["SERVICES"]:
        exclusive = {"kmsg", "journal_file", "journal_dir", "no_state"} if service.name == "tcp_kernel_log" else set()
        variables = {argument.variable[len(service.name) + 1 :] for argument in generator["arguments"](service)}
        assert set(EVERY_OPTION[service.name]) == variables - exclusive


def test_restricted_user_submits_these_services_only(node: Node) -> None:
    body = {"type": "Service", "exit_status": 2, "plugin_output": "x"}
    assert refused(node, "actions/process-check-result", {**body, "service": "here!tcp_mem"}, "tcp-headroom") == 404
    assert (
        refused(node, "actions/reschedule-check", {"type": "Service", "service": "passive!tcp_mem"}, "tcp-headroom")
        == 404
    )
    assert refused(node, "objects/services", {}, "tcp-headroom") == 404


def test_passive_results_arrive(node: Node, host: WatchedHost) -> None:
    """contrib/systemd/submit, as the timer's service starts it."""
    environment = {
        "TCP_HEADROOM_URL": f"https://localhost:{node.port}",
        "TCP_HEADROOM_CA": str(node.directory / "data/certs/ca.crt"),
        "TCP_HEADROOM_PASSWORD": PASSWORD,
        "TCP_HEADROOM_HOST": "passive",
    }
    for state in (CRITICAL, OK):
        host.become(state)
        commands = [" ".join([str(node.plugins / command), *host.options(command)]) for command in COMMANDS]
        done = submit(environment, *commands)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        for command in COMMANDS:
            result = node.service("passive", command.removeprefix("check_"))["last_check_result"]
            expected = direct(node.plugins / command, node.user, *host.options(command))
            assert (result["state"], result["output"]) == (expected[0], expected[1].partition(" |")[0])
            assert " ".join(result["performance_data"]) == expected[1].partition("| ")[2].rstrip("\n")
            assert result["active"] is False
    for change, complaint in (
        ({"TCP_HEADROOM_PASSWORD": "wrong"}, "HTTP Error 401"),
        ({"TCP_HEADROOM_HOST": "here"}, '"results":[]'),
        ({"TCP_HEADROOM_CA": ""}, "CERTIFICATE_VERIFY_FAILED"),
    ):
        done = submit({**environment, **change}, str(node.plugins / "check_tcp_mem"))
        assert done.returncode == 1
        assert complaint in done.stderr


def submit(environment: dict[str, str], *commands: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CONTRIB / "systemd/submit", "icinga2", *commands],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
    )


def test_shipped_files_stand_alone(tmp_path: pathlib.Path) -> None:
    """Without the constants, and with nothing but the ITL: each file beside tcp-headroom-commands.conf."""
    user = account()
    with workspace(user) as directory:
        authority = Authority.create(directory / "authority")
        node = Node(directory / "node", "localhost", user, authority, directory)
        for name in (
            "tcp-headroom-services.conf",
            "tcp-headroom-agent-services.conf",
            "tcp-headroom-passive-services.conf",
        ):
            node.configure(f"""
                include "tcp-headroom-commands.conf"
                include "{name}"
                object Endpoint NodeName {{ }}
                object Zone "master" {{ endpoints = [ NodeName ] }}
                object Zone "agent" {{ endpoints = [ "agent" ], parent = "master" }}
                object Endpoint "agent" {{ }}
                object Host "here" {{
                    check_command = "dummy"
                    vars.os = "Linux"
                    {'vars.agent_endpoint = "agent", zone = "master"' if "agent" in name else ""}
                    vars.tcp_headroom_passive = {"true" if "passive" in name else "false"}
                }}
            """)
            valid = node.validate()
            assert valid.returncode == 0, valid.stdout
            assert f"Instantiated {len(COMMANDS)} Services" in valid.stdout
