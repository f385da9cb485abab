"""contrib/nagios in a real Nagios 4: it loads, checks by itself and through check_nrpe, and takes submitted results."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from workbench.command import COMMANDS
from workbench.daemons import Account, Daemon, account, daemon, give, program, wait_for, workspace
from workbench.nrpe import CONTRIB, INSTALLED, Site
from workbench.watched_host import CRITICAL, OK, UNKNOWN, WARNING, WatchedHost, direct, plugin_directory

SHIPPED = CONTRIB / "nagios"
SERVICES = tuple(command.removeprefix("check_") for command in COMMANDS)
HARD = "1"


def nagios() -> str:
    return program("nagios4-core", "/usr/sbin/nagios4")


def configure(directory: pathlib.Path, objects: pathlib.Path, plugins: pathlib.Path, user: Account) -> pathlib.Path:
    """Debian's own nagios.cfg, with its directories moved and ``objects`` as its conf.d."""
    nagios()
    for name in ("state", "log", "run", "cache", "state/rw", "state/spool/checkresults"):
        (directory / name).mkdir(parents=True)
    text = pathlib.Path("/etc/nagios4/nagios.cfg").read_text()
    for place, name in (
        ("/tmp", ""), ("/var/lib/nagios4", "state"), ("/var/log/nagios4", "log"), ("/run/nagios4", "run"),
        ("/var/cache/nagios4", "cache"), ("/etc/nagios4/resource.cfg", "resource.cfg"),
    ):  # fmt: skip
        text = re.sub(rf"(?m)^(\w+=)(?:/var)?{place}", rf"\g<1>{directory / name}", text)
    settings = {
        "status_update_interval": 1, "nagios_user": user.name, "nagios_group": user.group, "check_external_commands": 1,
        "use_syslog": 0, "query_socket": directory / "state/nagios.qh",
    }  # fmt: skip
    text = re.sub(rf"(?m)^({'|'.join(settings)})=.*\n", "", text).replace("/etc/nagios4/conf.d", str(objects))
    text += "".join(f"{key}={value}\n" for key, value in settings.items())
    (directory / "resource.cfg").write_text(f"$USER1$={plugins}\n")
    path = directory / "nagios.cfg"
    path.write_text(text)
    give(directory, user)
    return path


def verify(configuration: pathlib.Path, user: Account) -> str:
    """The daemon's own check of the configuration."""
    done = user.run(nagios(), "-v", configuration)
    assert done.returncode == 0, done.stdout
    return done.stdout


def shipped(objects: pathlib.Path, *names: str, **changes: str) -> None:
    """Copy files of contrib/nagios; ``changes`` names other members for the host groups in them."""
    objects.mkdir(exist_ok=True)
    for name in names:
        text = (SHIPPED / name).read_text()
        kind = name.removeprefix("tcp-headroom-").split("-")[0]
        if kind in changes:
            text = text.replace("members           localhost", f"members           {changes[kind]}")
        (objects / name).write_text(text)


@pytest.mark.parametrize(
    "file", ["tcp-headroom-services.cfg", "tcp-headroom-nrpe-services.cfg", "tcp-headroom-passive-services.cfg"]
)
def test_each_file_loads_as_it_is_shipped(file: str) -> None:
    user = account()
    with workspace(user) as directory:
        shipped(directory / "conf.d", "tcp-headroom-commands.cfg", "tcp-headroom-templates.cfg", file)
        configuration = configure(directory / "nagios", directory / "conf.d", directory, user)
        text = verify(configuration, user)
        assert "Total Warnings: 0\nTotal Errors:   0" in text


class Server(NamedTuple):
    """A running Nagios."""

    daemon: Daemon
    directory: pathlib.Path
    site: Site

    @property
    def pipe(self) -> pathlib.Path:
        return self.directory / "state/rw/nagios.cmd"

    def command(self, text: str) -> None:
        """Write to the command file."""
        pipe = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
        os.write(pipe, f"[{time.time():.0f}] {text}\n".encode())
        os.close(pipe)

    def status(self, host: str, service: str) -> dict[str, str]:
        """What status.dat says of a service; nothing while it is being replaced."""
        try:
            text = (self.directory / "state/status.dat").read_text()
        except OSError:
            return {}
        for block in re.findall(r"servicestatus \{\n(.*?)\n\t\}", text, re.DOTALL):
            found = dict(line.strip().split("=", 1) for line in block.splitlines())
            if (found["host_name"], found["service_description"]) == (host, service):
                return found
        return {}

    def check(self, host: str) -> dict[str, dict[str, str]]:
        """Have the services of a host checked; their status then, by service."""
        # Times in status.dat have whole seconds: the next check must fall into another.
        before = max(int(self.status(host, service)["last_check"]) for service in SERVICES)
        wait_for(lambda: int(time.time()) > before, "the next second has begun")
        for service in SERVICES:
            self.command(f"SCHEDULE_FORCED_SVC_CHECK;{host};{service};{time.time():.0f}")
        return {
            service: self.until(host, service, lambda found: int(found["last_check"]) > before) for service in SERVICES
        }

    def until(self, host: str, service: str, condition: object) -> dict[str, str]:
        def found() -> dict[str, str]:
            status = self.status(host, service)
            return status if status and condition(status) else {}  # type: ignore[operator]

        return self.daemon.until(found, f"{service} of {host} is checked")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """All shipped files; localhost is checked directly, "far" through NRPE, "silent" submits."""
    user = account()
    # check_nrpe is told no port, so NRPE gets the usual one, on a loopback address of its own.
    address = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
    with workspace(user) as directory:
        host = WatchedHost(directory)
        plugins = plugin_directory(directory, user, host)
        site = Site(host, plugins, directory, user)
        for name in ("check_nrpe", "check_dummy"):
            (plugins / name).symlink_to(program("nagios-nrpe-plugin monitoring-plugins-basic", f"{INSTALLED}/{name}"))
        shipped(
            directory / "conf.d", "tcp-headroom-commands.cfg", "tcp-headroom-templates.cfg", "tcp-headroom-services.cfg", "tcp-headroom-nrpe-services.cfg",
            "tcp-headroom-passive-services.cfg", nrpe="far", passive="silent",
        )  # fmt: skip
        (directory / "conf.d/hosts.cfg").write_text("".join(
            f"define host {{\n use linux-server\n host_name {name}\n address {address}\n active_checks_enabled 0\n}}\n"
            for name in ("far", "silent")
        ))  # fmt: skip
        configuration = configure(directory / "nagios", directory / "conf.d", plugins, user)
        verify(configuration, user)
        with (
            site.nrpe("nrpe", address=address, port=5666),
            daemon([nagios(), configuration], directory / "output", user.rights) as running,
        ):
            running.until((directory / "nagios/state/rw/nagios.cmd").exists, "the command file is there")
            server = Server(running, directory / "nagios", site)
            running.until(lambda: server.status("silent", "tcp_mem"), "status.dat has been written")
            yield server


def colons(text: str) -> str:
    """A status line as Nagios keeps it: it takes semicolons out of it, but not out of the perfdata."""
    return text.replace(";", ":")


@pytest.mark.parametrize("host", ["localhost", "far"])
def test_states_and_perfdata(server: Server, host: str) -> None:
    """Directly and through check_nrpe: state, text and perfdata as printed, in all states; hard after three."""
    arguments = {
        "check_tcp_orphans": ["--warning", "25", "--critical", "50"],
        "check_tcp_mem": ["--critical", "90"],
        "check_tcp_limits": ["--warning", "50:", "--critical", "10:"],
    }
    for state in (OK, WARNING, CRITICAL, UNKNOWN):
        server.site.host.become(state)
        for service, status in server.check(host).items():
            command = f"check_{service}"
            plugin = server.site.plugins / command
            expected = direct(plugin, server.site.user, *(arguments.get(command, []) if host == "far" else []))
            text, _bar, perfdata = expected[1].rstrip("\n").partition(" | ")
            assert status["current_state"] == str(state)
            assert (status["plugin_output"].rstrip(), status["performance_data"]) == (colons(text), perfdata)
    server.check(host)
    assert {status["state_type"] for status in server.check(host).values()} == {HARD}


def test_soft_states_end_long_before_the_window(server: Server) -> None:
    """A hit must be hard while --lookback, one hour, still shows it."""
    for service in SERVICES:
        status = server.status("localhost", service)
        attempts = int(status["max_attempts"])
        assert attempts > 1
        # The limits have no window.
        assert (
            service == "tcp_limits"
            or float(status["check_interval"]) + (attempts - 1) * float(status["retry_interval"]) <= 10
        )


def test_submitted_results_arrive(server: Server) -> None:
    """contrib/systemd/submit, as the timer's service starts it; nobody listening is an error."""
    environment = {"TCP_HEADROOM_COMMAND_FILE": str(server.pipe), "TCP_HEADROOM_HOST": "silent"}
    submit = [sys.executable, str(CONTRIB / "systemd/submit"), "nagios"]
    for state, verbose in ((CRITICAL, ""), (OK, " -v")):
        server.site.host.become(state)
        commands = [f"{server.site.plugins}/{command}{verbose}" for command in COMMANDS]
        done = subprocess.run([*submit, *commands], env=environment, cwd="/", capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        for service in SERVICES:
            expected = direct(server.site.plugins / f"check_{service}", server.site.user, *verbose.split())
            first, _line, rest = expected[1].rstrip("\n").partition("\n")
            long, _bar, perfdata = (rest or first).partition("| ")
            status = server.until("silent", service, lambda found: found["current_state"] == str(state))
            assert status["plugin_output"].rstrip() == colons(first.partition(" |")[0])
            assert status["performance_data"] == perfdata
            assert status["long_plugin_output"] == ("" if not rest else long.rstrip("\n").replace("\n", "\\n") + "\\n")
            assert status["check_type"] == "1"
    done = subprocess.run(
        [*submit, *commands], env={**environment, "TCP_HEADROOM_COMMAND_FILE": str(server.directory / "none")},
        cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("not submitted: FileNotFoundError") == len(COMMANDS)


def test_silence_becomes_unknown(server: Server) -> None:
    """What Nagios runs when a passive service has been silent too long."""
    for status in server.check("silent").values():
        assert status["current_state"] == str(UNKNOWN)
        assert "no result has been submitted lately" in status["plugin_output"]


def test_notes_lead_to_the_readme(server: Server) -> None:
    cache = (server.directory / "state/objects.cache").read_text()
    for command in COMMANDS:
        assert cache.count(f"\tnotes_url\t$_SERVICERUNBOOK$#{command}\n") == 3
