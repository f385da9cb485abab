"""A host whose kernel log a test writes and checks, in virtual time."""

from __future__ import annotations

import calendar
import os
import pathlib
import time

import pytest

from tcp_headroom.log import kmsg
from tcp_headroom.proc import clock
from workbench.command import Output, Run

NOW = float(calendar.timegm((2026, 11, 22, 16, 0, 0)))
UPTIME = 10 * 86400.0
BOOT = "b" * 32
ORPHAN = "TCP: too many orphaned sockets"
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"
OF_OLD = "Out of socket memory"
LIMITER = "net_ratelimit: 22 callbacks suppressed"


class Host:
    """A host whose clock, counter, ring and log file the test moves."""

    def __init__(self, run: Run, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.folder = folder
        self.log = folder / "log" / "kern.log"
        self.log.parent.mkdir()
        self.state = folder / "state"
        self.procfs = folder / "proc"
        (self.procfs / "net").mkdir(parents=True)
        self.now, self.uptime, self.boottime, self.boot = NOW, UPTIME, UPTIME, BOOT
        self.ring: list[kmsg.Record] = []
        self.seq = 1000
        self.readable = True
        self.count(0)
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        monkeypatch.setattr(clock, "read", lambda root: clock.Clock(self.now, self.uptime, self.boottime, self.boot))
        monkeypatch.setattr(kmsg, "read", self.read_ring)

    def count(self, value: int) -> None:
        """Set TCPAbortOnMemory."""
        (self.procfs / "net/netstat").write_text(f"TcpExt: A TCPAbortOnMemory\nTcpExt: 5 {value}\n")

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now, self.uptime, self.boottime = self.now + seconds, self.uptime + seconds, self.boottime + seconds

    def reboot(self) -> None:
        """A new boot, a new ring."""
        self.uptime = self.boottime = 0.0
        self.boot = "c" * 32 if self.boot == BOOT else "d" * 32
        self.seq, self.ring = 0, []
        self.say("Linux version 6.1")

    def say(self, *messages: str, priority: int = 6) -> None:
        """The kernel says something: into the ring."""
        for message in messages:
            self.ring.append(kmsg.Record(priority, self.seq, round(self.uptime * 1e6), message))
            self.seq += 1

    def write(self, *messages: str, tag: str = "kernel:") -> None:
        """syslog writes something into the file."""
        stamp = time.strftime("%b %e %H:%M:%S", time.gmtime(self.now))
        with open(self.log, "a") as file:
            file.writelines(f"{stamp} web1 {tag} {message}\n" for message in messages)
        self.touch(self.log)

    def touch(self, path: pathlib.Path) -> None:
        os.utime(path, (self.now, self.now))

    def read_ring(self, path: str) -> kmsg.Ring:
        if not self.readable:
            raise kmsg.Blind("cannot open /dev/kmsg: Operation not permitted; ask for a group")
        lines = [f"{record.priority},{record.seq},{record.usec},-;{record.text}\n".encode() for record in self.ring]
        return kmsg._ring(lines, None)

    def check(self, *options: str, state: bool = True) -> Output:
        memory = ["--state-dir", str(self.state)] if state else ["--no-state"]
        return self.run("check_tcp_kernel_log", "--procfs", self.procfs, *memory, *options)

    def check_ring(self, *options: str, state: bool = True) -> Output:
        return self.check("--source", "kmsg", *options, state=state)

    def check_file(self, *options: str, state: bool = True) -> Output:
        return self.check("--file", str(self.log), *options, state=state)


@pytest.fixture
def host(run: Run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(run, tmp_path, monkeypatch)
    made.sleep(-4 * 3600)
    made.say("eth0: up")
    made.write("eth0: up")
    made.sleep(4 * 3600)
    return made


def hits(output: Output) -> int:
    return int(output.perfdata["hits"].partition(";")[0])


def text(output: Output) -> str:
    return output.text.partition(" | ")[0]
