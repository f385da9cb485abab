"""contrib/nrpe in a real nrpe daemon, asked by check_nrpe."""

from __future__ import annotations

import os
import pathlib
import shlex
import time
from collections.abc import Iterator

import pytest

from workbench.command import COMMANDS
from workbench.daemons import account, workspace
from workbench.nrpe import SHIPPED, Nrpe, Site
from workbench.watched_host import CRITICAL, OK, UNKNOWN, WARNING, WatchedHost, direct, plugin_directory

PROTOCOLS = (("-2",), ("-3",), ())
"""Options of check_nrpe for the versions 2, 3 and 4 of the protocol."""


def shipped_arguments(command: str) -> list[str]:
    """The arguments of the shipped definition, as a shell takes them."""
    (line,) = (line for line in SHIPPED.read_text().splitlines() if line.startswith(f"command[{command}]="))
    return shlex.split(line)[1:]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    user = account()
    with workspace(user) as directory:
        host = WatchedHost(directory)
        yield Site(host, plugin_directory(directory, user, host), directory, user)


@pytest.fixture(scope="module", params=["tls", "plain"])
def nrpe(site: Site, request: pytest.FixtureRequest) -> Iterator[Nrpe]:
    verbose = "".join(f"command[{command}_v]={site.plugins}/{command} -v\n" for command in COMMANDS)
    with site.nrpe(request.param, *(["-n"] if request.param == "plain" else []), commands=verbose) as running:
        yield running


def test_every_command_is_defined_with_quoted_ranges() -> None:
    lines = [line for line in SHIPPED.read_text().splitlines() if line and not line.startswith("#")]
    assert {line.split("[")[1].split("]")[0] for line in lines} == set(COMMANDS)
    for line in lines:
        words = line.split()[1:]
        for option, value in zip(words[::2], words[1::2]):
            assert option in ("--warning", "--critical") and value[0] == value[-1] == "'", line
    assert "$ARG" not in SHIPPED.read_text()


@pytest.mark.parametrize("state", [OK, WARNING, CRITICAL, UNKNOWN])
def test_state_and_text_arrive_unharmed(site: Site, nrpe: Nrpe, state: int) -> None:
    """Each check, in each state, over each version of the protocol."""
    site.host.become(state)
    for command in COMMANDS:
        expected = direct(site.plugins / command, site.user, *shipped_arguments(command))
        assert expected[0] == state
        for protocol in PROTOCOLS:
            answer = nrpe.ask(command, *protocol)
            assert answer in (expected, direct(site.plugins / command, site.user, *shipped_arguments(command)))


def test_long_output_arrives_whole_with_protocol_4(site: Site, nrpe: Nrpe) -> None:
    """With 2, and with 3, which ends as 2, the first line does."""
    site.host.become(CRITICAL)
    for command in COMMANDS:
        expected = direct(site.plugins / command, site.user, "-v")
        assert expected[1].count("\n") > 2
        assert nrpe.ask(f"{command}_v") in (expected, direct(site.plugins / command, site.user, "-v"))
        for protocol in ("-2", "-3"):
            code, text = nrpe.ask(f"{command}_v", protocol)
            assert code == CRITICAL
            assert text.splitlines()[0] == expected[1].splitlines()[0]


def test_arguments_are_refused(site: Site, nrpe: Nrpe) -> None:
    site.host.become(OK)
    log = site.directory / f"{nrpe.daemon.log.stem}.nrpe.log"
    for command in COMMANDS:
        for protocol in PROTOCOLS:
            before = log.read_text().count("Request contained command arguments")
            code, text = nrpe.ask(command, *protocol, "-a", "--warning=0")
            assert code == UNKNOWN and "TCP" not in text
            assert log.read_text().count("Request contained command arguments") > before


def test_a_hanging_source_ends_at_the_time_out_of_the_plugin(site: Site, tmp_path: pathlib.Path) -> None:
    """journalctl hangs, in a mount namespace of the daemon's own; the plugin answers before check_nrpe gives up."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a daemon of another user a mount namespace")
    site.host.become(OK)
    hanging = site.directory / "hanging"
    hanging.write_text(f"#!/bin/sh\necho $$ >>{site.directory}/hanging.pids\nexec sleep 1000\n")
    hanging.chmod(0o755)
    plugins = plugin_directory(site.directory / "hang", site.user, None)
    shell = (
        f'mount --bind {hanging} "$(readlink -f /usr/bin/journalctl)"\n'
        f'exec setpriv --reuid {site.user.uid} --regid {site.user.gid} --clear-groups "$@"'
    )
    with site.nrpe(
        "hanging", wrapper=("unshare", "--mount", "sh", "-ec", shell, "sh"), rights={},
        commands=f"command[hangs]={plugins}/check_tcp_kernel_log --source journal\n",
    ) as nrpe:  # fmt: skip
        begun = time.monotonic()
        code, text = nrpe.ask("hangs")
        assert code == UNKNOWN
        assert text.startswith("TCP KERNEL LOG UNKNOWN - no kernel log: journalctl did not answer in time. Next: ")
        assert time.monotonic() - begun < 10
        for pid in (site.directory / "hanging.pids").read_text().split():
            assert not pathlib.Path("/proc", pid).exists(), "the plugin has ended what it started"
