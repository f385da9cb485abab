"""contrib/icinga2 on a master and an agent: two processes, two certificates, two zones."""

from __future__ import annotations

import pathlib
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from workbench.command import COMMANDS
from workbench.daemons import account, wait_for, workspace
from workbench.icinga2 import SERVICES, Authority, Node
from workbench.watched_host import CRITICAL, OK, WARNING, WatchedHost, direct, plugin_directory


class Pair(NamedTuple):
    """Both nodes, the host the agent runs on, and a gate that keeps its checks waiting while it exists."""

    master: Node
    agent: Node
    host: WatchedHost
    gate: pathlib.Path

    def connected(self) -> bool:
        found: bool = self.master.evaluate('get_object(Endpoint, "agent").connected')
        return found

    def results(self) -> dict[str, Any]:
        """The last result of each service on the master."""
        return {name: self.master.service("far", name)["last_check_result"] for name in SERVICES}

    def begin_checks(self) -> None:
        """Shut the gate and have every service checked, until the agent runs all of the plugins."""
        self.gate.mkdir()
        self.gate.chmod(0o777)
        for name in SERVICES:
            self.master.check_now("far", name)
        wait_for(lambda: len(list(self.gate.iterdir())) == len(SERVICES), "the agent runs the plugins")

    def open_gate(self) -> None:
        self.gate.rename(self.gate.with_name("opened"))
        for file in self.gate.with_name("opened").iterdir():
            file.unlink()
        self.gate.with_name("opened").rmdir()

    def wait_for_state(self, state: int) -> None:
        """Until every service has a result of this state; on the way each keeps the one that it had."""
        before = {name: result["state"] for name, result in self.results().items()}

        def arrived() -> bool:
            found = {name: result["state"] for name, result in self.results().items()}
            assert all(value in (before[name], state) for name, value in found.items()), found
            return set(found.values()) == {state}

        wait_for(arrived, f"state {state} on the master")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    user = account()
    with workspace(user) as directory:
        host = WatchedHost(directory)
        gate = directory / "gate"
        plugins = plugin_directory(directory, user, host)
        for command in COMMANDS:
            (plugins / command).rename(plugins / f"{command}.real")
            (plugins / command).write_text(
                f"#!/bin/sh\n[ -d {gate} ] && : >{gate}/$$\nwhile [ -d {gate} ]; do sleep 0.05; done\n"
                f'exec {plugins}/{command}.real "$@"\n'
            )
            (plugins / command).chmod(0o755)
        authority = Authority.create(directory / "authority")
        # Only the agent's constant names a directory that exists.
        master = Node(directory / "master", "master", user, authority, directory / "no-plugins-here")
        agent = Node(directory / "agent", "agent", user, authority, plugins)
        zones = f"""
            object Endpoint "master" {{ host = "127.0.0.1", port = {master.port} }}
            object Endpoint "agent" {{ host = "127.0.0.1", port = {agent.port}, log_duration = 0 }}
            object Zone "master" {{ endpoints = [ "master" ] }}
            object Zone "agent" {{ endpoints = [ "agent" ], parent = "master" }}
            include "tcp-headroom-commands.conf"
        """
        agent.configure(zones)
        master.configure(f"""{zones}
            include "tcp-headroom-services.conf"
            include "tcp-headroom-agent-services.conf"
            object Host "far" {{
                check_command = "dummy", zone = "master", address = "127.0.0.1"
                vars.os = "Linux", vars.agent_endpoint = "agent"
            }}
        """)
        for node in (master, agent):
            valid = node.validate()
            assert valid.returncode == 0, valid.stdout
        pair = Pair(master, agent, host, gate)
        try:
            agent.start()
            master.start()
            wait_for(pair.connected, "master and agent are connected")
            for name in SERVICES:
                master.check("far", name)
            yield pair
        finally:
            master.stop()
            agent.stop()


def test_checks_are_executed_on_the_agent(pair: Pair) -> None:
    for state in (OK, WARNING, CRITICAL, OK):
        pair.host.become(state)
        for name in SERVICES:
            attributes = pair.master.check("far", name)
            result = attributes["last_check_result"]
            expected = direct(pair.agent.plugins / f"check_{name}", pair.agent.user)
            assert attributes["state"] == state
            assert (result["exit_status"], result["output"].rstrip()) == (state, expected[1].partition(" |")[0])
            assert " ".join(result["performance_data"]) == expected[1].partition("| ")[2].rstrip("\n")
            assert result["check_source"] == "agent"
            assert result["command"][0] == str(pair.agent.plugins / f"check_{name}")


def test_result_of_an_agent_that_was_held_up_arrives_late(pair: Pair) -> None:
    pair.host.become(OK)
    for name in SERVICES:
        pair.master.check("far", name)
    pair.begin_checks()
    pair.host.become(CRITICAL)
    assert pair.agent.running
    pair.agent.running.signal(signal.SIGSTOP)
    pair.open_gate()
    before = pair.results()
    assert {result["state"] for result in before.values()} == {OK}
    pair.agent.running.signal(signal.SIGCONT)
    pair.wait_for_state(CRITICAL)
    for name, result in pair.results().items():
        assert result["execution_start"] > before[name]["execution_end"]


def test_agent_killed_amid_its_checks_and_brought_back(pair: Pair) -> None:
    """The master keeps the last state, invents none, and takes the next result."""
    pair.host.become(CRITICAL)
    for name in SERVICES:
        pair.master.check("far", name)
    pair.begin_checks()
    before = pair.results()
    pair.agent.stop(signal.SIGKILL)
    wait_for(lambda: not pair.connected(), "the master has noticed")
    for name in SERVICES:
        pair.master.check_now("far", name)
    pair.open_gate()
    pair.host.become(OK)
    assert pair.results() == before
    pair.agent.start()
    wait_for(pair.connected, "the agent is back")
    for name in SERVICES:
        pair.master.check_now("far", name)
    pair.wait_for_state(OK)
