"""What platforms.md says to copy goes beside the files of the platform: none of those is replaced, no object is lost."""

from __future__ import annotations

import pathlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest

from workbench.command import COMMANDS, CONTRIB, ROOT
from workbench.daemons import Account, account, daemon, free_port, give, listens, workspace
from workbench.icinga2 import icinga2
from workbench.machine import program
from workbench.nrpe import INSTALLED

READ = {
    "/etc/icinga2/conf.d/": r"tcp-headroom[\w-]*\.conf",
    "/etc/icinga2/zones.d/master/": r"tcp-headroom[\w-]*\.conf",
    "/etc/nagios4/conf.d/": r"tcp-headroom[\w-]*\.cfg",
    "/etc/naemon/conf.d/": r"tcp-headroom[\w-]*\.cfg",
    "/etc/nagios/nrpe.d/": r"tcp-headroom[\w-]*\.cfg",
    "/etc/nrpe.d/": r"tcp-headroom[\w-]*\.cfg",
    "/etc/cron.d/": r"tcp-headroom",
    "/etc/sudoers.d/": r"tcp-headroom",
    "/etc/systemd/system/": r"tcp-headroom[\w-]*\.(service|timer)",
    "/etc/systemd/system/nagios-nrpe-server.service.d/": r"tcp-headroom[\w-]*\.conf",
    "/etc/tmpfiles.d/": r"tcp-headroom[\w-]*\.conf",
    "/etc/icingaweb2/modules/graphite/templates/": r"tcp-headroom[\w-]*\.ini",
    "/usr/local/lib/tcp-headroom/": r"submit",
}
"""Directories of the platforms, and ours, with the names that are read there and are nobody else's.

cron(8) and sudoers(5) pass over a name with a dot.
"""


def copied() -> Iterator[tuple[str, str]]:
    """File and directory of each copy that the tables of platforms.md ask for."""
    directory = ""
    for line in (CONTRIB / "doc/platforms.md").read_text().splitlines():
        cells = line.split("|")
        if len(cells) < 5 or not re.search(r"`[\w-]+/[\w.*/-]+`", cells[2]):
            continue
        named = re.findall(r"`([\w.*/-]+)`", cells[2])
        folder = named[0].split("/")[0]
        directories = re.findall(r"`(/[\w./-]+/)`", cells[3])
        if not directories and cells[3].strip().startswith(("beside it", "the same")):
            directories = [directory]
        for name in named:
            name = name if "/" in name else f"{folder}/{name}"
            for place in directories:
                own = pathlib.PurePath(name).name == "submit"
                if own == (place == "/usr/local/lib/tcp-headroom/") or folder != "systemd":
                    for path in CONTRIB.glob(name):
                        yield str(path.relative_to(CONTRIB)), place
        directory = directories[-1] if directories else directory


COPIED = sorted(set(copied()))


def test_everything_that_is_copied_is_in_the_table() -> None:
    there = {str(path.relative_to(CONTRIB)) for path in CONTRIB.glob("*/**/*") if path.is_file()}
    used_in_place = {
        "checkmk/mrpe.cfg", "grafana/generate.py", "grafana/tcp-headroom-graphite.json", "grafana/tcp-headroom-influxdb.json",
        "graphs/storage-aggregation.conf", "graphs/storage-schemas.conf", "icinga2/director-basket.json", "icinga2/generate.py",
        "icingaweb2/tcp-headroom-dashboard.ini",
    }  # fmt: skip
    """Loaded from where it is, or put into a file that is there."""
    documents = {
        name
        for name in there
        if name.endswith("README.md") or name.split("/")[0] in ("doc", "man", "completion", "package")
    }
    made = {name for name in there if "__pycache__" in name}
    assert there - documents - made - used_in_place == {name for name, _place in COPIED}


@pytest.mark.parametrize("file, place", COPIED)
def test_the_name_is_read_there_and_nobody_elses(file: str, place: str) -> None:
    assert re.fullmatch(READ[place], pathlib.PurePath(file).name)


def stock(package: str, source: str, directory: pathlib.Path) -> pathlib.Path:
    """A copy of the platform's configuration as its package installs it."""
    if not pathlib.Path(source).is_dir():
        pytest.skip(f"{source} is missing: apt-get install {package}")
    return pathlib.Path(shutil.copytree(source, directory / pathlib.Path(source).name, symlinks=True))


def copy(names: list[str], to: pathlib.Path) -> None:
    """What platforms.md says to copy, refused where it would replace a file."""
    for name in names:
        path = CONTRIB / name
        assert not (to / path.name).exists()
        shutil.copy(path, to)


@pytest.fixture
def place() -> Iterator[tuple[pathlib.Path, Account]]:
    user = account()
    with workspace(user) as directory:
        yield directory, user


def grown(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """What has been added, by kind; nothing may have gone."""
    assert not before - after, (before, after)
    return dict(after - before)


def test_icinga2(place: tuple[pathlib.Path, Account]) -> None:
    directory, user = place
    program("icinga2-bin", "/usr/sbin/icinga2")
    configuration = stock("icinga2-common", "/etc/icinga2", directory)
    give(directory, user)

    def objects() -> Counter[str]:
        parts = (
            "DataDir=data",
            "CacheDir=cache",
            "LogDir=log",
            "SpoolDir=spool",
            "InitRunDir=run",
            "ConfigDir=icinga2",
        )
        places = [word for part in parts for word in ("-D", part.replace("=", f"={directory}/"))]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ICINGA2_USER": user.name, "ICINGA2_GROUP": user.group}
        for name in ("data", "cache", "log", "spool", "run"):
            (directory / name).mkdir(exist_ok=True)
        give(directory, user)
        done = user.run(
            *(icinga2(), "daemon", "-C", "-c", configuration / "icinga2.conf", *places), environment=environment
        )
        assert done.returncode == 0, done.stdout
        found = re.findall(r"Instantiated (\d+) (\w+?)s?\.", done.stdout)
        return Counter({kind: int(number) for number, kind in found})

    before = objects()
    assert before["Service"] > 4 and before["Host"]
    copy([name for name, to in COPIED if to == "/etc/icinga2/conf.d/"], configuration / "conf.d")
    (configuration / "zones.d/master").mkdir(exist_ok=True)
    copy([name for name, to in COPIED if to == "/etc/icinga2/zones.d/master/"], configuration / "zones.d/master")
    # Of the stock rule that notifies of every service.
    assert grown(before, objects()) == {
        "Service": len(COMMANDS),
        "CheckCommand": len(COMMANDS),
        "Notification": len(COMMANDS),
    }


@pytest.mark.parametrize("services", ["services", "nrpe-services", "passive-services"])
def test_nagios(place: tuple[pathlib.Path, Account], services: str) -> None:
    directory, user = place
    nagios = program("nagios4-core", "/usr/sbin/nagios4")
    configuration = stock("nagios4-common", "/etc/nagios4", directory)
    main = configuration / "nagios.cfg"
    text = main.read_text().replace("/etc/nagios4", str(configuration)).replace("/var/lib/nagios4", str(directory))
    for name in ("/var/log/nagios4", "/var/cache/nagios4", "/run/nagios4", "/var/run/nagios4"):
        text = text.replace(name, str(directory))
    text = re.sub(r"(?m)^(nagios_user|nagios_group|temp_path)=.*", "", text)
    main.write_text(text + f"nagios_user={user.name}\nnagios_group={user.group}\ntemp_path={directory}\n")
    (directory / "spool/checkresults").mkdir(parents=True)
    give(directory, user)

    def objects() -> Counter[str]:
        done = user.run(nagios, "-v", main)
        assert done.returncode == 0, done.stdout
        return Counter({kind: int(number) for number, kind in re.findall(r"Checked (\d+) ([\w ]+)\.", done.stdout)})

    before = objects()
    assert before["services"] > 4 and before["commands"] > 10
    names = [name for name, to in COPIED if to == "/etc/nagios4/conf.d/"]
    every = [name for name in names if not name.endswith("services.cfg")]
    copy([*every, f"nagios/tcp-headroom-{services}.cfg"], configuration / "conf.d")
    own = len(COMMANDS) + 2
    groups = {} if services == "services" else {"host groups": 1}
    assert grown(before, objects()) == {"services": len(COMMANDS), "commands": own, **groups}


def test_nrpe(place: tuple[pathlib.Path, Account]) -> None:
    """The daemon knows what it knew, and ours."""
    directory, user = place
    nrpe = program("nagios-nrpe-server", "/usr/sbin/nrpe")
    client = program("nagios-nrpe-plugin", f"{INSTALLED}/check_nrpe")
    configuration = stock("nagios-nrpe-server", "/etc/nagios", directory)
    main = configuration / "nrpe.cfg"
    port = free_port()
    settings = {
        "disable_syslog": "1", "nrpe_user": user.name, "nrpe_group": user.gid, "pid_file": directory / "nrpe.pid",
        "server_port": port, "server_address": "127.0.0.1",
    }  # fmt: skip
    text = re.sub(rf"(?m)^({'|'.join(settings)})=.*", "", main.read_text()).replace("/etc/nagios", str(configuration))
    main.write_text(text + "\n" + "".join(f"{name}={value}\n" for name, value in settings.items()))
    theirs = set(re.findall(r"(?m)^command\[(\w+)\]", text))
    give(directory, user)

    def known() -> set[str]:
        with daemon([nrpe, "-n", "-c", main, "-f"], directory / "output", user.rights) as running:
            running.until(lambda: listens(port), "nrpe answers")
            asked = (client, "-n", "-2", "-H", "127.0.0.1", "-p", str(port), "-c")
            answers = {name: user.run(*asked, name).stdout for name in (*theirs, *COMMANDS)}
        return {name for name, answer in answers.items() if answer != f"NRPE: Command '{name}' not defined\n"}

    assert known() == theirs and len(theirs) > 2
    copy([name for name, to in COPIED if to == "/etc/nagios/nrpe.d/"], configuration / "nrpe.d")
    assert known() == theirs | set(COMMANDS)
