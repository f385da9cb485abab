"""The clocks a log's stamps are compared with, read together once a run."""

from __future__ import annotations

import time
from collections import namedtuple


class Clock(namedtuple("Clock", "now monotonic boottime")):
    """One moment on three clocks, in seconds."""

    __slots__ = ()
    now: float
    """Since the epoch."""
    monotonic: float
    """Since boot, suspend not counted: what the stamps of printk follow."""
    boottime: float
    """Since boot, suspend included."""

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


def read() -> Clock:
    """The present moment."""
    return Clock(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))
