"""contrib/nrpe in a real nrpe daemon, asked by check_nrpe."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from conftest import COMMANDS
from daemons import Account, Daemon, account, daemon, free_port, listens, program, workspace
from watched_host import CRITICAL, OK, UNKNOWN, WARNING, WatchedHost, direct, plugin_directory

CONTRIB = pathlib.Path(__file__).parent.parent / "contrib"
SHIPPED = CONTRIB / "nrpe/tcp-headroom.cfg"
INSTALLED = "/usr/lib/nagios/plugins"
"""Where the shipped file looks for the plugins."""

PROTOCOLS = (("-2",), ("-3",), ())
"""Options of check_nrpe for the versions 2, 3 and 4 of the protocol."""

FALLBACK = "CHECK_NRPE: Receive header underflow - only -1 bytes received (4 expected).\n"
"""What check_nrpe -3 prints, without TLS, before it asks again with version 2: NRPE 4.1.0 refuses version 3."""


def shipped_arguments(command: str) -> list[str]:
    """The arguments of the shipped definition, as a shell takes them."""
    (line,) = (line for line in SHIPPED.read_text().splitlines() if line.startswith(f"command[{command}]="))
    return shlex.split(line)[1:]


class Nrpe(NamedTuple):
    """A daemon, the port it answers on, and what check_nrpe needs to be told to speak with it."""

    daemon: Daemon
    port: int
    options: list[str]

    def ask(self, command: str, *options: str) -> tuple[int, str]:
        client = program("nagios-nrpe-plugin", f"{INSTALLED}/check_nrpe", "/usr/lib64/nagios/plugins/check_nrpe")
        done = subprocess.run(
            [client, "-H", "127.0.0.1", "-p", str(self.port), *self.options, "-D", "-c", command, *options],
            env={}, cwd="/", capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout.removeprefix(FALLBACK)


class Site(NamedTuple):
    """A host with NRPE: its state, its plugins, its directory, its user."""

    host: WatchedHost
    plugins: pathlib.Path
    directory: pathlib.Path
    user: Account

    def start(
        self, name: str, *options: str, wrapper: tuple[str, ...] = (), commands: str = "", rights: dict[str, object] | None = None
    ) -> Iterator[Nrpe]:
        """A daemon that includes the shipped file, with nothing changed in it but the plugin directory."""
        port = free_port()
        shipped = self.directory / "tcp-headroom.cfg"
        shipped.write_text(SHIPPED.read_text().replace(INSTALLED, str(self.plugins)))
        configuration = self.directory / f"{name}.cfg"
        configuration.write_text(
            f"server_address=127.0.0.1\nserver_port={port}\nallowed_hosts=127.0.0.1\ndont_blame_nrpe=0\n"
            f"nrpe_user={self.user.name}\nnrpe_group={self.user.gid}\ndisable_syslog=1\n"
            f"pid_file={self.directory}/{name}.pid\nlog_file={self.directory}/{name}.nrpe.log\n"
            f"include={shipped}\ncommand[id]=/usr/bin/id\n{commands}"
        )
        server = program("nagios-nrpe-server", "/usr/sbin/nrpe")
        with daemon(
            [*wrapper, server, "-c", configuration, "-f", *options],
            self.directory / f"{name}.log", self.user.rights if rights is None else rights,
        ) as running:  # fmt: skip
            running.until(lambda: listens(port), "nrpe answers")
            yield Nrpe(running, port, list(options))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    user = account()
    with workspace(user) as directory:
        host = WatchedHost(directory)
        yield Site(host, plugin_directory(directory, user, host), directory, user)


@pytest.fixture(scope="module", params=["tls", "plain"])
def nrpe(site: Site, request: pytest.FixtureRequest) -> Iterator[Nrpe]:
    verbose = "".join(
        f"command[{command}_v]={site.plugins}/{command} -v\n" for command in COMMANDS
    )
    yield from site.start(request.param, *(["-n"] if request.param == "plain" else []), commands=verbose)


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
    """journalctl hangs, in a mount namespace of the daemon's own; check_nrpe would give up after 10 seconds."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount namespace")
    site.host.become(OK)
    hanging = site.directory / "hanging"
    hanging.write_text("#!/bin/sh\necho $$ >>" + f"{site.directory}/hanging.pids\nexec sleep 1000\n")
    hanging.chmod(0o755)
    plugins = plugin_directory(site.directory / "hang", site.user, None)
    shell = f'mount --bind {hanging} "$(readlink -f /usr/bin/journalctl)" && exec setpriv --reuid {site.user.uid} --regid {site.user.gid} --clear-groups "$@"'
    for nrpe in site.start(
        "hanging", wrapper=("unshare", "--mount", "sh", "-ec", shell, "sh"), rights={},
        commands=f"command[hangs]={plugins}/check_tcp_kernel_log --source journal\n",
    ):  # fmt: skip
        begun = time.monotonic()
        code, text = nrpe.ask("hangs")
        assert code == UNKNOWN
        assert text.startswith("TCP KERNEL LOG UNKNOWN - gave up after 8s while reading the kernel log; ")
        assert time.monotonic() - begun < 10
        for pid in (site.directory / "hanging.pids").read_text().split():
            assert not pathlib.Path("/proc", pid).exists(), "the plugin has ended what it started"
