"""A host to be checked whose state a test chooses, and a plugin directory that any user can run."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import time

import nagiosplugin

import tcp_headroom
from tcp_headroom.boot.sysctl_rules import SYSTEMD
from workbench.command import COMMANDS
from workbench.daemons import Account
from workbench.sysctl_trees import INITS, plant

OK, WARNING, CRITICAL, UNKNOWN = range(4)

SHARES = {OK: 1, WARNING: 30, CRITICAL: 95}
"""Orphans, and pages, of a limit of 100, by the state they mean to both gauges."""

ENTRIES = {OK: 200, WARNING: 666, CRITICAL: 4000}
"""Entries of the established-hash table, by the state that a limit of 100 orphans then means to check_tcp_limits."""

COUNTERS = ("TCPAbortOnMemory", "TCPMemoryPressures", "TCPMemoryPressuresChrono", "PruneCalled", "TCPRcvQDrop")

MESSAGES = {
    OK: "Linux version",
    WARNING: "TCP: too many orphaned sockets",
    CRITICAL: "TCP: out of memory -- consider tuning tcp_mem",
}


AHEAD = 240
"""Seconds; a capture of more than 300 s ahead is refused."""


class WatchedHost:
    """A /proc tree, a root and a capture of the kernel ring. All checks have the same state on it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.proc = directory / "proc"
        self.kmsg = directory / "kmsg"
        self.root = directory / "root"
        if not self.root.exists():
            plant(self.root, INITS[SYSTEMD])
        self.become(OK)

    def become(self, state: int) -> None:
        """Change to ``state``; UNKNOWN is a host of which nothing can be read."""
        fresh = self.proc.with_name("proc.new")
        fresh.mkdir()
        if state == UNKNOWN:
            self.kmsg.unlink(missing_ok=True)
        else:
            (fresh / "net").mkdir()
            (fresh / "sys/net/ipv4").mkdir(parents=True)
            share = SHARES[state]
            (fresh / "net/sockstat").write_text(f"TCP: inuse 5 orphan {share} tw 0 alloc 8 mem {share}\n")
            counted = " ".join(str(number * state) for number in range(len(COUNTERS)))
            (fresh / "net/netstat").write_text(f"TcpExt: {' '.join(COUNTERS)}\nTcpExt: {counted}\n")
            (fresh / "net/protocols").write_text("protocol size sockets memory press\nTCP 2304 1 309 no\n")
            (fresh / "sys/net/ipv4/tcp_max_orphans").write_text("100\n")
            (fresh / "sys/net/ipv4/tcp_mem").write_text("10\t20\t100\n")
            # By its table the kernel would set 100, 333, 2000 orphans; in 4 MiB it sets the least of tcp_mem, 192 pages.
            (fresh / "sys/net/ipv4/tcp_ehash_entries").write_text(f"{ENTRIES[state]}\n")
            (fresh / "meminfo").write_text("MemTotal: 4096 kB\n")
            (fresh / "cmdline").write_text("quiet\n")
            self.write_ring(MESSAGES[state])
        if self.proc.exists():
            self.proc.rename(self.proc.with_name("proc.old"))
        fresh.rename(self.proc)
        shutil.rmtree(self.proc.with_name("proc.old"), ignore_errors=True)

    def write_ring(self, message: str) -> None:
        """Three records, the message half an hour old.

        The newest record of a capture counts as being as old as the file: here it lies
        ahead, so that the whole window stays covered while a test goes on.
        """
        records = ((0, "Booting"), (10_000 - AHEAD - 1800, message), (10_000, "eth0: link up"))
        text = "".join(f"6,{number},{second * 1_000_000},-;{line}\n" for number, (second, line) in enumerate(records))
        fresh = self.kmsg.with_name("kmsg.new")
        fresh.write_text(text)
        os.utime(fresh, (time.time() + AHEAD,) * 2)
        fresh.rename(self.kmsg)

    def options(self, command: str) -> list[str]:
        """What makes ``command`` look at this host."""
        own = {
            "check_tcp_kernel_log": ["--kmsg", str(self.kmsg)],
            "check_tcp_limits": ["--sysctl-root", str(self.root)],
        }
        return ["--procfs", str(self.proc), *own.get(command, [])]


def interpreter(user: Account) -> str:
    """A Python that ``user`` may run: that of the tests, or the system's where that is in a private directory."""
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        try:
            if user.run(path, "-c", "").returncode == 0:
                return path
        except OSError:
            continue
    raise AssertionError(f"no Python that {user.name} may run")


def plugin_directory(directory: pathlib.Path, user: Account, host: WatchedHost | None) -> pathlib.Path:
    """The commands as files in a directory of plugins; with ``host``, they look at it whatever else they are told."""
    library = directory / "library"
    plugins = directory / "plugins"
    for package in (tcp_headroom, nagiosplugin):
        source = pathlib.Path(package.__file__ or "").parent
        shutil.copytree(source, library / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    # Nobody but its owner may read in a checkout made under umask 077.
    subprocess.run(["chmod", "-R", "a+rX", library], check=True)
    plugins.mkdir()
    for command in COMMANDS:
        path = plugins / command
        options = host.options(command) if host else []
        path.write_text(
            f"#!{interpreter(user)} -EsB\nimport sys\nsys.path.insert(0, {str(library)!r})\n"
            f"from tcp_headroom.commands.{command} import main\nmain([*sys.argv[1:], *{options!r}])\n"
        )
        path.chmod(0o755)
    return plugins


def direct(plugin: pathlib.Path, user: Account, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a plugin run by hand as ``user``, once two runs agree: ages are told to the minute."""
    end = time.monotonic() + 20
    last: tuple[int, str] | None = None
    while time.monotonic() < end:
        done = user.run(plugin, *arguments)
        assert done.stderr == ""
        if last == (done.returncode, done.stdout):
            return last
        last = (done.returncode, done.stdout)
    raise AssertionError(f"{plugin} never printed the same twice")
