"""Scenario of several processors: how far the kernel's two numbers are from what the sockets hold."""

from __future__ import annotations

import contextlib
import os
import time

from . import checks, kernel, sockets, unit
from .checks import expect
from .table import scenario

EACH = 40
"""Connections, and then orphans, on each processor."""

PENDING = 1 << 20
"""Bytes that each processor may have charged or given back since it last told the machine (``SK_MEMORY_PCPU_RESERVE``)."""


@scenario("several-cpus", quick=False, ram=1024)
def several_cpus() -> None:
    """Sockets on every processor: mem is not exact by 1 MiB for each, orphans are, and a limit is noticed late at most."""
    expect(kernel.list_sockets(), "the sockets cannot be listed")
    kernel.levels(1 << 20, 1 << 20, 1 << 20)
    everywhere = os.sched_getaffinity(0)
    with contextlib.ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, everywhere)
        sinks = []
        for cpu in sorted(everywhere):
            os.sched_setaffinity(0, {cpu})
            sinks.append(sockets.Sink(receive=0, send=65536))
            stack.callback(sinks[-1].release)
            sinks[-1].connect(EACH)
            sinks[-1].fill()
        charged = unit.charged()
        pending = charged - kernel.held()
        expect(abs(pending) <= PENDING * kernel.CPUS, f"{charged} bytes are charged, and mem is {kernel.held()}")
        for sink in sinks:
            sink.close()
        number = EACH * kernel.CPUS
        expect(kernel.orphans() == number, f"{kernel.orphans()} orphans instead of {number}")
        checks.orphans("--no-state").expect_data(orphans=number)
        kernel.limit(number)
        late, began = 0, time.monotonic()
        more = sockets.Sink()
        stack.callback(more.release)
        while not kernel.aborts():
            os.sched_setaffinity(0, {late % kernel.CPUS})
            more.orphan(1)
            late += 1
            # The count that the kernel compares with is renewed every 100 ms.
            seconds = time.monotonic() - began
            expect(seconds < 2, f"nobody is reset within {seconds:.1f} s, though {late} orphans are over the limit")
        checks.report(cpus=kernel.CPUS, charged=charged, pending=pending, late=late, orphans=kernel.orphans())
