"""A week of a front end, told by the checks themselves: a rhythm of days, and on the last one a climb and a spike.

The host is a /proc tree and a ring that are moved through virtual time; what a monitoring server would have been told is
what the commands print about them.
"""

from __future__ import annotations

import importlib
import math
import os
import pathlib
import random
from collections.abc import Iterator
from typing import NamedTuple

from tcp_headroom.boot.sysctl_rules import SYSTEMD
from workbench.command import Output
from workbench.log_command import Moment, at, run
from workbench.sysctl_trees import INITS, plant

MINUTE, HOUR, DAY = 60, 3600, 86400

LIMIT = 65536
TCP_MEM = (381414, 508555, 762828)
"""What the kernel sets in 32 GiB."""
MEMORY = 32 << 20
"""KiB."""

CLIMB = (9.5 * HOUR, 7 * HOUR)
SPIKE = (6 * HOUR, 5.6 * HOUR)
"""From when to when, in seconds before the end."""


class Told(NamedTuple):
    """One result."""

    when: int
    """Seconds since the epoch."""
    service: str
    output: Output


def week(host: FrontEnd) -> Iterator[Told]:
    """The results of its seven days in their order, each service at its own interval."""
    end = host.end
    for when in range(end - 7 * DAY, end + 1, MINUTE):
        age = end - when
        host.become(when)
        for service in SERVICES:
            if age % interval(service, age) == 0:
                yield Told(when, service, host.check(service, when))


SERVICES = ("tcp_orphans", "tcp_mem", "tcp_kernel_log", "tcp_limits")


def interval(service: str, age: int) -> int:
    """Seconds between two checks: on the last day every minute, five minutes and hour, before it seldom, to save time."""
    if service == "tcp_limits":
        return HOUR
    if age > DAY:
        return 30 * MINUTE
    return MINUTE if service == "tcp_orphans" else 5 * MINUTE


class FrontEnd:
    """The host."""

    def __init__(self, place: pathlib.Path, end: int) -> None:
        self.place, self.end = place, end
        self.booted = end - 30 * DAY
        self.random = random.Random(0)
        self.aborts = self.pruned = self.pressures = 0
        self.pressed = False
        self.ring = [(0, "Linux version 6.1")]
        self.proc = place / "proc"
        fixed = {
            "meminfo": f"MemTotal: {MEMORY} kB\nMemAvailable: {MEMORY // 2} kB\n",
            "cmdline": "quiet\n",
            "sys/net/ipv4/tcp_max_orphans": f"{LIMIT}\n",
            "sys/net/ipv4/tcp_mem": "\t".join(map(str, TCP_MEM)) + "\n",
            "sys/net/ipv4/tcp_ehash_entries": f"{2 * LIMIT}\n",
            "sys/kernel/osrelease": "6.1.0-40-amd64\n",
        }
        plant(self.proc, fixed)
        plant(place / "root", INITS[SYSTEMD])
        (place / "state").mkdir(mode=0o700)

    def become(self, when: int) -> None:
        """Move on to ``when``."""
        age = self.end - when
        busy = 1 + 0.6 * math.sin(2 * math.pi * (when % DAY) / DAY - 2)
        noise = self.random.uniform(0.95, 1.05)
        orphans, pages = 1900 * busy * noise, 80_000 * busy * noise
        if CLIMB[1] < age < CLIMB[0]:
            orphans += 20_000 * min(1.0, (CLIMB[0] - age) / HOUR, (age - CLIMB[1]) / HOUR)
        if SPIKE[1] < age < SPIKE[0]:
            part = math.sin(math.pi * (SPIKE[0] - age) / (SPIKE[0] - SPIKE[1]))
            orphans, pages = orphans + 69_000 * part, pages + 650_000 * part
        count, held = min(round(orphans), LIMIT + 40), round(pages)
        if count > LIMIT:
            self.aborts += self.random.randrange(7000, 12_000)
            self.ring.append((when - 7, "TCP: too many orphaned sockets"))
        elif count > LIMIT // 2:
            self.aborts += self.random.randrange(300, 900)
        if self.pressed != (held > TCP_MEM[0 if self.pressed else 1]):
            self.pressed = not self.pressed
            self.pressures += self.pressed
        self.pruned += 900 if self.pressed else 0
        counters = {
            "TCPAbortOnMemory": self.aborts, "TCPMemoryPressures": self.pressures, "TCPMemoryPressuresChrono": 0,
            "PruneCalled": self.pruned, "TCPRcvQDrop": self.pruned // 3,
        }  # fmt: skip
        names, values = " ".join(counters), " ".join(map(str, counters.values()))
        moving = {
            "net/sockstat": f"sockets: used 9000\nTCP: inuse 8000 orphan {count} tw 9000 alloc 8100 mem {held}\n",
            "net/protocols": f"protocol size sockets memory press\nTCP 2304 8100 {held} {'yes' if self.pressed else 'no'}\n",
            "net/netstat": f"TcpExt: {names}\nTcpExt: {values}\n",
        }
        plant(self.proc, moving)
        # A record of user space tells how old the others are: it counts as being as old as the file.
        records = [*((6, stamp, text) for stamp, text in self.ring), (14, when, "agent: alive")]
        lines = [
            f"{level},{number},{max(0, stamp - self.booted) * 1_000_000},-;{text}\n"
            for number, (level, stamp, text) in enumerate(records)
        ]
        kmsg = self.place / "kmsg"
        kmsg.write_text("".join(lines))
        os.utime(kmsg, (when, when))

    def options(self, service: str) -> dict[str, pathlib.Path]:
        """What makes the command of ``service`` look at this host."""
        own = {
            "tcp_kernel_log": {"--kmsg": self.place / "kmsg"},
            "tcp_limits": {"--sysctl-root": self.place / "root"},
        }
        return {"--procfs": self.proc, "--state-dir": self.place / "state", **own.get(service, {})}

    def check(self, service: str, when: int) -> Output:
        main = importlib.import_module(f"tcp_headroom.commands.check_{service}").main
        with at(Moment(when, when - self.booted)):
            return run(main, *(word for option in self.options(service).items() for word in option))


def front_end(place: pathlib.Path, now: int, age: int) -> FrontEnd:
    """Such a host, whose bad day ends ``age`` seconds after ``now``; it has lived through its last hour."""
    host = FrontEnd(place, now + age)
    for when in range(now - HOUR, now + 1, MINUTE):
        host.become(when)
    return host
