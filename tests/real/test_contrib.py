"""What contrib ships for cron, systemd, sudo, tmpfiles and Checkmk, each given to the program it is for."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from workbench.command import COMMANDS, CONTRIB
from workbench.daemons import Account, account, program, workspace
from workbench.nrpe import INSTALLED
from workbench.watched_host import CRITICAL, OK, UNKNOWN, WARNING, WatchedHost, direct, plugin_directory

EVERYWHERE = (
    "icinga2/tcp-headroom-commands.conf", "icinga2/tcp-headroom-services.conf", "icinga2/tcp-headroom-agent-services.conf", "icinga2/tcp-headroom-passive-services.conf",
    "icinga2/director-basket.json", "nagios/tcp-headroom-commands.cfg", "nagios/tcp-headroom-templates.cfg", "nagios/tcp-headroom-nrpe-services.cfg",
    "nrpe/tcp-headroom.cfg", "cron/tcp-headroom", "systemd/tcp-headroom-icinga2.service", "systemd/tcp-headroom-nagios.service",
    "checkmk/mrpe.cfg", "graphs/tcp-headroom.ini",
)  # fmt: skip
"""Files that a command must be added to."""


@pytest.mark.parametrize("file", EVERYWHERE)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_everywhere(file: str, command: str) -> None:
    assert command.removeprefix("check_") in (CONTRIB / file).read_text()


def test_the_list_of_files_is_whole() -> None:
    with_commands = {
        str(path.relative_to(CONTRIB))
        for path in CONTRIB.glob("*/*.c*f*")
        if all(f"check_{name}" in path.read_text() for name in ("tcp_mem", "tcp_orphans"))
    }
    assert with_commands <= set(EVERYWHERE)


def test_no_percent_sign_where_it_is_special() -> None:
    """crontab takes it for a newline, systemd and tmpfiles for a specifier."""
    for path in (
        *CONTRIB.glob("cron/*"),
        *CONTRIB.glob("systemd/tcp-*"),
        CONTRIB / "rights/tmpfiles.d/tcp-headroom.conf",
    ):
        assert "%" not in path.read_text(), path


def test_no_semicolon_is_taken_for_a_comment() -> None:
    """Nagios ends a line there, inside quotes as well."""
    for path in CONTRIB.glob("nagios/*.cfg"):
        for line in path.read_text().splitlines():
            assert ";" not in line or line.startswith("#"), line


class Site(NamedTuple):
    """Plugins that look at a host whose state the test chooses."""

    host: WatchedHost
    plugins: pathlib.Path
    user: Account


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    user = account()
    with workspace(user) as directory:
        host = WatchedHost(directory)
        yield Site(host, plugin_directory(directory, user, host), user)


def shell(site: Site, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as cron does: /bin/sh -c, an empty environment, the user's home."""
    return site.user.run("/usr/bin/env", "-i", "/bin/sh", "-c", line.replace(INSTALLED, str(site.plugins)))


def cron_lines() -> list[tuple[str, str]]:
    """User and command of each job in the shipped table; its schedule must be one cron knows."""
    found = []
    for line in (CONTRIB / "cron/tcp-headroom").read_text().splitlines():
        if line and not line.startswith("#") and not re.match("[A-Z]+=", line):
            *schedule, user, command = line.split(None, 6)
            assert all(re.fullmatch(r"(\*|[0-9]+)(/[0-9]+)?", field) for field in schedule), line
            found.append((user, command))
    return found


def test_cron_has_a_job_for_each_command() -> None:
    named = [pathlib.Path(part).name for _user, line in cron_lines() for part in re.findall(rf"{INSTALLED}/\w+", line)]
    assert sorted(named) == sorted(COMMANDS)


@pytest.mark.parametrize("state", [OK, WARNING, CRITICAL, UNKNOWN])
def test_cron_mails_only_what_is_not_ok(site: Site, state: int) -> None:
    site.host.become(state)
    for _user, line in cron_lines():
        command, *arguments = shlex.split(re.findall(r"\$\((.*?)\)", line)[0])
        expected = direct(site.plugins / pathlib.Path(command).name, site.user, *arguments)
        done = shell(site, line)
        assert (done.returncode, done.stderr) == (state, "")
        assert done.stdout == ("" if state == OK else expected[1])


def test_checkmk_lines(site: Site) -> None:
    """As its agent takes them: a name without blanks, perhaps an interval, and a line for the shell."""
    site.host.become(WARNING)
    names = set()
    for line in (CONTRIB / "checkmk/mrpe.cfg").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, rest = line.split(None, 1)
        names.add(f"check_{name}")
        done = shell(site, re.sub(r"^\(interval=[0-9]+\) ", "", rest))
        assert (done.returncode, done.stderr) == (WARNING, "")
    assert names == set(COMMANDS)


def test_units_are_valid(tmp_path: pathlib.Path) -> None:
    """systemd-analyze verify, in a tree where all that they name exists."""
    analyze = program("systemd", "/usr/bin/systemd-analyze", "/bin/systemd-analyze")
    for name in ("usr/local/lib/tcp-headroom/submit", *(f"usr/lib/nagios/plugins/{command}" for command in COMMANDS)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (tmp_path / "usr/lib/systemd").mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/system").symlink_to("/usr/lib/systemd/system")
    names = []
    for path in CONTRIB.glob("systemd/tcp-headroom-*"):
        text = path.read_text().replace("/usr/local/lib", f"{tmp_path}/usr/local/lib")
        (units / path.name).write_text(text)
        names.append(str(units / path.name))
    assert len(names) == 4
    drop_in = units / "nagios-nrpe-server.service.d"
    drop_in.mkdir()
    (drop_in / "rights.conf").write_text(
        (CONTRIB / "rights/nagios-nrpe-server.service.d/tcp-headroom.conf").read_text()
    )
    server = pathlib.Path("/lib/systemd/system/nagios-nrpe-server.service")
    if not server.exists():
        pytest.skip("nagios-nrpe-server.service is missing: apt-get install nagios-nrpe-server")
    (units / server.name).write_text(server.read_text())
    done = subprocess.run(
        [analyze, "verify", "--man=no", *names, units / server.name], capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{units}:/lib/systemd/system"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if "tcp-headroom" in line or "rights.conf" in line]
    assert complaints == []


def test_a_broken_unit_is_found(tmp_path: pathlib.Path) -> None:
    """That the check above can fail."""
    analyze = program("systemd", "/usr/bin/systemd-analyze", "/bin/systemd-analyze")
    unit = tmp_path / "tcp-headroom-broken.service"
    whole = (CONTRIB / "systemd/tcp-headroom-nagios.service").read_text()
    unit.write_text(whole.replace("ProtectHome=yes", "ProtectHome=perhaps"))
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True)
    assert "perhaps" in done.stderr


def test_submit_says_how_it_is_used() -> None:
    for arguments in ([], ["icinga2"], ["zabbix", "x"]):
        done = subprocess.run([sys.executable, CONTRIB / "systemd/submit", *arguments], capture_output=True, text=True)
        assert done.returncode == 1
        assert "submit icinga2 COMMAND..." in done.stderr


def test_tmpfiles_makes_the_state_directory(tmp_path: pathlib.Path) -> None:
    tool = program("systemd", "/usr/bin/systemd-tmpfiles", "/bin/systemd-tmpfiles")
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a directory away")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nnagios:x:4711:4712::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nnagios:x:4712:\n")
    (tmp_path / "etc/tmpfiles.d").mkdir()
    (tmp_path / "etc/tmpfiles.d/tcp-headroom.conf").write_text(
        (CONTRIB / "rights/tmpfiles.d/tcp-headroom.conf").read_text()
    )
    (tmp_path / "var/lib").mkdir(parents=True)
    subprocess.run([tool, f"--root={tmp_path}", "--create", "tcp-headroom.conf"], check=True)
    made = (tmp_path / "var/lib/tcp-headroom").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o7777) == (4711, 4712, 0o700)


def test_sudoers_is_valid() -> None:
    visudo = program("sudo", "/usr/sbin/visudo")
    done = subprocess.run(
        [visudo, "-c", "-f", CONTRIB / "rights/sudoers.d/tcp-headroom"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
