"""Running the monitoring servers' own programs: as whom, where, on which port, until when."""

from __future__ import annotations

import contextlib
import grp
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import pytest

from workbench.machine import program

PATIENCE = 30.0
"""Seconds after which a condition that is waited for counts as failed."""

Found = TypeVar("Found")


class Account(NamedTuple):
    """Whose rights a program runs with."""

    name: str
    uid: int
    gid: int

    @property
    def group(self) -> str:
        """Name of its group."""
        return grp.getgrgid(self.gid).gr_name

    @property
    def rights(self) -> dict[str, object]:
        """Arguments of ``subprocess`` that give up the rights of root; none for who has none."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def run(
        self, *command: str | pathlib.Path, environment: Mapping[str, str] | None = None, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end with these rights, in / and with no other environment; it reads what is ``given``."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command,
            cwd="/",
            env=environment or {},
            input=given,
            capture_output=True,
            text=True,
            **self.rights,
        )  # type: ignore[call-overload]
        return done


def account(name: str = "nobody") -> Account:
    """The account ``name`` if this process is root, else its own; skips if there is no such account."""
    try:
        found = pwd.getpwnam(name) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError:
        pytest.skip(f"there is no user {name}: apt-get install nagios-nrpe-server")
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


@contextlib.contextmanager
def workspace(owner: Account) -> Iterator[pathlib.Path]:
    """A directory that ``owner`` can reach and write, unlike those of pytest, which are root's alone."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tcp-headroom-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        if os.geteuid() == 0:
            os.chown(directory, owner.uid, owner.gid)
        yield directory
    finally:
        shutil.rmtree(directory)


def give(directory: pathlib.Path, owner: Account) -> None:
    """Make ``owner`` the owner of all in ``directory``."""
    if os.geteuid() == 0:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((address, port)) == 0


def wait_for(condition: Callable[[], Found], what: str, patience: float = PATIENCE) -> Found:
    """The first true value of ``condition``, which is asked again and again."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"after {patience:.0f} s still not so: {what}")
        time.sleep(0.05)


class Daemon:
    """A program in the foreground, with a session of its own, so that all it has started can be stopped with it."""

    def __init__(
        self, command: Sequence[str | pathlib.Path], log: pathlib.Path, rights: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.log = log
        # If the tests are killed, the kernel ends the daemon.
        orphaned = [program("util-linux", "/usr/bin/setpriv", "/bin/setpriv"), "--pdeathsig", "TERM"]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*orphaned, *(str(word) for word in command)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})}, start_new_session=True, **rights,
            )  # type: ignore[call-overload]  # fmt: skip

    def until(self, condition: Callable[[], Found], what: str) -> Found:
        """Like ``wait_for``; fails at once, with the end of the log, when the program has ended."""

        def alive() -> Found:
            found = condition()
            if not found and self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}, waiting for {what}: {self.tail()}")
            return found

        try:
            return wait_for(alive, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def signal(self, number: int) -> None:
        """Send a signal to the program and all it has started."""
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def members(self) -> list[int]:
        """The processes of its session, and the groups made by Icinga 2 for its plugins, whose session is the same."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _parent, _group, session = stat.read_text().rpartition(") ")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    def stop(self, *numbers: int) -> None:
        """End it, by SIGTERM unless told otherwise, and whatever is left of it; nothing may survive."""
        for number in numbers or (signal.SIGTERM,):
            if self.process.poll() is None:
                os.kill(self.process.pid, number)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self.signal(signal.SIGKILL)
        self.process.wait(10)
        wait_for(lambda: not self.members(), "every process of the daemon has ended")


@contextlib.contextmanager
def daemon(
    command: Sequence[str | pathlib.Path], log: pathlib.Path, rights: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:  # fmt: skip
    """A ``Daemon`` that is stopped at the end."""
    running = Daemon(command, log, rights, environment)
    try:
        yield running
    finally:
        running.stop()
