"""The clocks a log's stamps are compared with, read together once a run."""

from __future__ import annotations

import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

BOOT_ID = "sys/kernel/random/boot_id"

BOOTTIME = 7
"""CLOCK_BOOTTIME (include/uapi/linux/time.h), which the module ``time`` names since Python 3.7."""


class Clock:
    """One moment on three clocks, in seconds, and the boot it belongs to."""

    def __init__(self, now: float, monotonic: float, boottime: float, boot: str = "") -> None:
        self.now = now
        """Since the epoch."""
        self.monotonic = monotonic
        """Since boot, suspend not counted: what the stamps of printk follow."""
        self.boottime = boottime
        """Since boot, suspend included."""
        self.boot = boot
        """The boot id as the journal writes it, 32 hexadecimal digits; empty if unknown."""

    @property
    def booted(self) -> float:
        """When this machine was booted, in seconds since the epoch."""
        return self.now - self.boottime

    def of_uptime(self, seconds: float) -> float:
        """The time, since the epoch, of a printk stamp of this boot.

        Right for records since the last resume from suspend; older ones come out
        too late by the time suspended, so a hit is shown longer, never lost.
        """
        return self.now - (self.monotonic - seconds)


def read(root: str) -> Clock:
    """The present moment; the boot id is that of the /proc tree at ``root``."""
    try:
        boot = reading.read(root, BOOT_ID).strip().replace("-", "")
    except Blind:
        boot = ""
    monotonic = boottime = time.monotonic()
    try:
        boottime = time.clock_gettime(BOOTTIME)
    except OSError:
        pass  # New in 2.6.39: an older kernel has no better clock.
    offsets = _offsets()
    monotonic, boottime = monotonic - offsets.get("monotonic", 0.0), boottime - offsets.get("boottime", 0.0)
    return Clock(time.time(), monotonic, boottime, wording.clean(boot, 32))


def _offsets() -> dict[str, float]:
    """What a time namespace adds to the clocks of this process, in seconds; printk knows the machine's clocks only.

    ``/proc/self/timens_offsets``, time_namespaces(7), Linux 5.6 and later.
    """
    found = {}
    try:
        with open("/proc/self/timens_offsets", "rb") as file:
            for line in file.read(256).splitlines():
                name, seconds, nanoseconds = line.split()
                found[name.decode("ascii", "replace")] = int(seconds) + int(nanoseconds) / 1e9
    except (OSError, ValueError):
        return {}
    return found
