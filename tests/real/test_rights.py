"""contrib/rights: which of the ways to more rights reaches a plugin, shown by ``id`` run as a check.

All of it in mount namespaces: neither the groups nor the sudoers of this machine change.
"""

from __future__ import annotations

import grp
import os
import pathlib
import shlex
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from test_nagios import configure, nagios

from workbench.daemons import Account, account, daemon, program, workspace
from workbench.icinga2 import Authority, Node
from workbench.nrpe import CONTRIB, INSTALLED, Site
from workbench.watched_host import WatchedHost

GROUP = "systemd-journal"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for mount namespaces and groups")


class Place(NamedTuple):
    """A directory, and the user of the daemons."""

    directory: pathlib.Path
    user: Account

    def member(self) -> pathlib.Path:
        """/etc/group after ``usermod -aG``, the command that the README of the directory names."""
        etc = self.directory / "prefix/etc"
        etc.mkdir(parents=True, exist_ok=True)
        for name in ("passwd", "group", "shadow", "gshadow"):
            (etc / name).write_bytes(pathlib.Path("/etc", name).read_bytes())
        subprocess.run(["/usr/sbin/usermod", "--prefix", etc.parent, "-aG", GROUP, self.user.name], check=True)
        (etc / "group").chmod(0o644)
        return etc / "group"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    user = account("nagios")
    assert GROUP not in {group.gr_name for group in grp.getgrall() if user.name in group.gr_mem}
    with workspace(user) as directory:
        yield Place(directory, user)


def namespace(mounts: dict[pathlib.Path | str, str], *wrapper: str) -> tuple[str, ...]:
    """A command that runs the rest of its line in a mount namespace with these bind mounts."""
    script = "".join(f"mount --bind {shlex.quote(str(source))} {target}\n" for source, target in mounts.items())
    return ("unshare", "--mount", "sh", "-ec", script + 'exec "$@"', "sh", *wrapper)


def as_the_drop_in(user: Account, group: str) -> tuple[str, ...]:
    """What systemd does for a unit with User= and SupplementaryGroups=."""
    return ("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", f"--groups={grp.getgrnam(group).gr_gid}")


@pytest.mark.parametrize("group", [GROUP, "adm"])
def test_the_drop_in_reaches_plugins_of_nrpe(place: Place, group: str) -> None:
    assert (
        "SupplementaryGroups=systemd-journal\n"
        in (CONTRIB / "rights/nagios-nrpe-server.service.d/tcp-headroom.conf").read_text()
    )
    site = Site(WatchedHost(place.directory), place.directory, place.directory, place.user)
    with site.nrpe(group, wrapper=as_the_drop_in(place.user, group), rights={}) as nrpe:
        code, text = nrpe.ask("id")
    assert code == 0
    assert f"uid={place.user.uid}({place.user.name})" in text
    assert f"({group})" in text


def id_under_icinga2(place: Place, name: str, *wrapper: str) -> str:
    node = Node(
        place.directory / name,
        "localhost",
        place.user,
        Authority.create(place.directory / f"{name}-ca"),
        place.directory,
    )
    node.configure("""
        object Endpoint NodeName { }
        object Zone "master" { endpoints = [ NodeName ] }
        object CheckCommand "id" { command = [ "/usr/bin/id" ] }
        object Host "here" { check_command = "dummy" }
        object Service "id" { host_name = "here", check_command = "id" }
    """)
    try:
        node.start(*wrapper)
        output: str = node.check("here", "id")["last_check_result"]["output"]
        return output
    finally:
        node.stop()


def id_under_nagios(place: Place, name: str, *wrapper: str) -> str:
    directory, objects = place.directory / name, place.directory / f"{name}-objects"
    objects.mkdir()
    (objects / "id.cfg").write_text(
        "define command {\n command_name id\n command_line /usr/bin/id\n}\n"
        "define service {\n use local-service\n host_name localhost\n service_description id\n check_command id\n}\n"
    )
    configuration = configure(directory, objects, place.directory, place.user)
    status = directory / "state/status.dat"
    with daemon([*wrapper, nagios(), configuration], place.directory / f"{name}.log", {}) as running:
        pipe = directory / "state/rw/nagios.cmd"
        running.until(pipe.exists, "the command file is there")
        pipe.write_text("[0] SCHEDULE_FORCED_SVC_CHECK;localhost;id;0\n")

        def found() -> str:
            lines = status.read_text().splitlines() if status.exists() else []
            return next((line for line in lines if line.startswith("\tplugin_output=uid=")), "")

        return running.until(found, "id has been run")


@pytest.mark.parametrize("run", [id_under_icinga2, id_under_nagios])
def test_icinga2_and_nagios_need_usermod(place: Place, run: object) -> None:
    """They set their groups anew: those given to the daemon do not reach the plugin, those in /etc/group do."""
    name = run.__name__  # type: ignore[attr-defined]
    given = ("setpriv", f"--groups={grp.getgrnam(GROUP).gr_gid}")
    without = run(place, f"{name}-1", *given)  # type: ignore[operator]
    assert f"({place.user.name})" in without and GROUP not in without
    with_it = run(place, f"{name}-2", *namespace({place.member(): "/etc/group"}))  # type: ignore[operator]
    assert f"({place.user.name})" in with_it and f"({GROUP})" in with_it


def test_sudo_runs_exactly_one_command_line(place: Place) -> None:
    """Under NRPE, with ``id`` in the place of the plugin: root with the pinned arguments, refused with any other."""
    program("sudo", "/usr/bin/sudo")
    rule = (CONTRIB / "rights/sudoers.d/tcp-headroom").read_text().splitlines()[-1]
    line = rule.partition("NOPASSWD: ")[2]
    root = place.directory / "root"
    (root / "plugins").mkdir(parents=True)
    (root / "sudoers.d").mkdir(mode=0o750)
    plugin = root / "plugins" / pathlib.Path(line.split()[0]).name
    plugin.write_text("#!/bin/sh -e\nid\n")
    plugin.chmod(0o755)
    (root / "sudoers.d/tcp-headroom").write_text((CONTRIB / "rights/sudoers.d/tcp-headroom").read_text())
    (root / "sudoers.d/tcp-headroom").chmod(0o440)
    site = Site(WatchedHost(place.directory), place.directory, place.directory, place.user)
    mounts: dict[pathlib.Path | str, str] = {root / "plugins": INSTALLED, root / "sudoers.d": "/etc/sudoers.d"}
    commands = (
        f"command[pinned]=sudo -n {line}\ncommand[other]=sudo -n {line} --lookback 2h 2>&1\n"
        "command[shell]=sudo -n /bin/sh -c id 2>&1\n"
    )
    wrapper = namespace(mounts, "setpriv", f"--reuid={place.user.uid}", f"--regid={place.user.gid}", "--clear-groups")
    with site.nrpe("sudo", wrapper=wrapper, rights={}, commands=commands) as nrpe:
        assert nrpe.ask("pinned")[1].startswith("uid=0(root)")
        for refused in ("other", "shell"):
            assert nrpe.ask(refused)[1].endswith("sudo: a password is required\n")


def test_the_readme_names_every_file() -> None:
    text = (CONTRIB / "rights/README.md").read_text()
    for path in (CONTRIB / "rights").glob("*/*"):
        assert f"({path.relative_to(CONTRIB / 'rights')})" in text
    assert f"usermod -aG {GROUP}" in text
