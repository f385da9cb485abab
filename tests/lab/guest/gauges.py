"""Scenarios of the two gauges: orphans against their limit, memory against its levels."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from . import checks, kernel, sockets
from .captures import capture
from .checks import CRITICAL, OK, WARNING, expect
from .table import scenario


@scenario("idle")
def idle() -> None:
    """An idle machine: three checks OK, perfdata complete."""
    default = int(kernel.sysctl("net/ipv4/tcp_max_orphans"))
    low, pressure, high = map(int, kernel.sysctl("net/ipv4/tcp_mem").split())
    capture("00-idle")
    checks.orphans().expect(OK, f"0 orphans, 0.0 % of tcp_max_orphans {default}").expect_data(usage=0)
    said = checks.memory().expect(OK, " allowed. ")
    expect(
        f"pages={kernel.pages()};{pressure};{high * 9 // 10};0;{high} " in said.text, f"levels missing in {said.text}"
    )
    expect({"memory_pressure_ms", "usage"} <= set(said.perfdata), f"perfdata missing in {said.text}")
    said = checks.log("--no-state").expect(OK)
    said.expect_data(
        hits=0, orphan_hits=0, memory_hits=0, unclear_hits=0, suppressed=0, aborts_on_memory=0, coverage=100
    )
    checks.verdict(checks.NOTHING, f"0 orphans, 0.0 % of the limit {default}", f"of the maximum {high}")


@scenario("orphans-climb")
def orphans_climb() -> None:
    """Orphans climb through 25, 50 and 100 % of tcp_max_orphans: a state begins where the kernel's number is passed."""
    kernel.limit(128)
    with contextlib.ExitStack() as stack:
        climb = [
            (32, OK, "0 below 25 %, 32 below 50 %, 96 below 100 %", checks.NOTHING),
            (33, WARNING, "1 over the 25 % line (4x penalty); 31 below 50 %, 95 below 100 %", checks.PENALISED),
            (64, WARNING, "32 over the 25 % line (4x penalty); 0 below 50 %, 64 below 100 %", checks.PENALISED),
            (65, CRITICAL, "1 over the 50 % line (2x penalty); 63 below 100 %", checks.ORPHAN_LIMIT),
            (128, CRITICAL, "64 over the 50 % line (2x penalty); 0 below 100 %", checks.ORPHAN_LIMIT),
        ]
        for number, state, words, case in climb:
            stack.enter_context(sockets.orphans(number - kernel.orphans()))
            expect(kernel.orphans() == number, f"{kernel.orphans()} orphans instead of {number}")
            if number in (33, 65):
                capture("12-orphans-over-25pct" if number == 33 else "13-orphans-over-50pct")
            checks.orphans().expect(state, words).expect_data(usage=round(100 * number / 128, 4))
            checks.verdict(case, f"{number} orphans, ", commands=checks.BY_ALL if number == 65 else checks.BY_ORPHANS)
        # As many as the limit are tolerated, at every timer of every one of them.
        probes = kernel.counter("TCPWinProbe")
        kernel.wait(lambda: kernel.counter("TCPWinProbe") >= probes + 3 * 128, "three probes of each orphan", 600)
        expect((kernel.orphans(), kernel.aborts(), kernel.lines()) == (128, 0, 0), "the kernel acted at the limit")
        checks.orphans().expect(CRITICAL, "; 0 below 100 %")
        checks.log("--no-state").expect(OK).expect_data(hits=0)
        # Kernels without a cached count look at one that may be 31 behind for each CPU.
        stack.enter_context(sockets.orphans(32 * kernel.CPUS))
        kernel.wait(lambda: kernel.aborts() > 0 and kernel.lines(kernel.ORPHANS) > 0, "the kernel to pass its limit")
        checks.log("--no-state").expect(WARNING)
    checks.verdict(
        checks.SPIKE,
        f"the log shows at least {kernel.lines()} reset",
        f"{kernel.aborts()} reset",
        commands=checks.BY_LOG,
    )


@contextlib.contextmanager
def _hoard() -> Iterator[sockets.Sink]:
    """Within it, connections that hold some thousand pages and could take more; tcp_mem is out of the way."""
    kernel.levels(1 << 20, 1 << 20, 1 << 20)
    sink = sockets.Sink(receive=0, send=0)
    sink.connect(12)
    sink.fill()
    try:
        yield sink
    finally:
        sink.release()


def _starve(sink: sockets.Sink) -> None:
    """Make the kernel account for memory: one more connection is filled, on top of those."""
    sink.connect(1)
    sink.fill()


@scenario("memory")
def memory() -> None:
    """tcp_mem: WARNING under pressure, CRITICAL above the maximum with a silent log, memory hits once sockets close."""
    with _hoard() as sink:
        held = kernel.pages()
        expect(kernel.held() > 4 << 20, f"only {held} pages are held")
        kernel.levels(held // 4, held // 2, held * 2)
        _starve(sink)
        kernel.wait(kernel.pressure, "the pressure phase")
        capture("22-mem-above-pressure")
        checks.memory().expect(WARNING, " over the pressure level, ")
        checks.verdict(checks.MEMORY, f"above pressure {held // 2}", commands=checks.BY_MEMORY)
        default = int(kernel.sysctl("net/ipv4/tcp_max_orphans"))
        kernel.limit(16)
        with sockets.orphans(12):
            checks.verdict(checks.BOTH, "12 orphans, 75.0 % of the limit 16", f"above pressure {held // 2}")
        kernel.limit(default)
        kernel.levels(held // 4, held // 2, held * 3 // 4)
        _starve(sink)
        capture("23-mem-above-max-live-sockets")
        checks.memory().expect(CRITICAL, " - memory is refused: ")
        checks.verdict(checks.MEMORY, f"of the maximum {held * 3 // 4}: memory is refused", commands=checks.BY_ORPHANS)
        expect(kernel.lines() == 0, "the kernel logged live sockets")
        checks.log("--no-state").expect(OK).expect_data(hits=0)
        sink.close()
        kernel.wait(lambda: kernel.aborts() and kernel.lines(kernel.MEMORY), "orphans to be reset for memory")
        capture("24-mem-above-max-after-close", log=True)
        said = checks.log("--no-state").expect(CRITICAL, "memory")
        said.expect_data(memory_hits=kernel.lines(kernel.MEMORY), orphan_hits=0, aborts_on_memory=kernel.aborts())
    # Below the first level again, the next charge ends the phase.
    _recover()
    passed = (f"cause: {kernel.lines(kernel.MEMORY)} memory", f"{kernel.aborts()} reset")
    checks.verdict(checks.SPIKE, *passed, commands=checks.BY_LOG)


def _recover() -> None:
    """Wait until the memory is given back; the check must be OK again."""

    def over() -> bool:
        sink = sockets.Sink()
        sink.connect(1)
        sink.fill()
        sink.release()
        return not kernel.pressure()

    kernel.wait(over, "the end of the pressure phase", 300)
    kernel.wait(lambda: kernel.orphans() == 0, "all orphans to be gone", 300)
    checks.memory().expect(OK)


@scenario("memory-out-of-order")
def memory_out_of_order() -> None:
    """tcp_mem out of order: WARNING by itself, and starvation without a pressure phase."""
    low, pressure, high = map(int, kernel.sysctl("net/ipv4/tcp_mem").split())
    kernel.levels(low, high * 2, high)
    checks.memory().expect(WARNING, f" {high * 2} {high}", "tcp_mem not in rising order: ")
    checks.verdict(checks.CONFIGURATION, f" {high * 2} {high}; pressure is above max")
    kernel.levels(high, pressure, high * 2)
    checks.memory().expect(WARNING, "tcp_mem not in rising order")
    with _hoard() as sink:
        held = kernel.pages()
        kernel.levels(held // 4, held * 4, held * 3 // 4)
        _starve(sink)
        checks.memory().expect(CRITICAL, "memory is refused", "not in rising order").expect_data(
            memory_pressures=0, under_pressure=0
        )
        checks.verdict(checks.CONFIGURATION, "already short now: TCP holds", commands=checks.BY_LOG)
        expect(kernel.lines() == 0, "the kernel logged live sockets")
        sink.close()
        kernel.wait(lambda: kernel.aborts() and kernel.lines(kernel.MEMORY), "orphans to be reset for memory")
        checks.log("--no-state").expect(CRITICAL).expect_data(memory_hits=kernel.lines(kernel.MEMORY))
        expect(not kernel.pressure(), "there was a pressure phase")


@scenario("long-of-the-kernel")
def long_of_the_kernel() -> None:
    """A maximum of tcp_mem of 2147483648: no limit in a long of 64 bits, and in one of 32 a negative one, which refuses all."""
    low, pressure, _high = map(int, kernel.sysctl("net/ipv4/tcp_mem").split())
    sink = sockets.Sink()
    sink.connect(12)
    sink.fill()
    kernel.levels(low, pressure, 1 << 31)
    said = checks.memory()
    limits = checks.limits("--no-state", "--no-drift")
    sink.close()
    kernel.wait(lambda: kernel.aborts() or kernel.orphans() == 12, "the sockets to be orphans, or reset")
    sink.release()
    refused = kernel.aborts() > 0
    expect(refused == (sys.maxsize < 1 << 32), f"{kernel.aborts()} orphans were reset")
    words = ("all TCP memory is refused: the maximum of tcp_mem is -2147483648",) if refused else (" allowed", "TiB")
    said.expect(CRITICAL if refused else OK, *words)
    text = words[0] if refused else "tcp_mem is no limit: max "
    limits.expect(CRITICAL if refused else WARNING, text)


@scenario("little-memory", ram=0)
def little_memory() -> None:
    """As little RAM as boots, and most of that taken: all three checks within their time, while TCP is starved too."""
    kernel.limit(16)
    low, pressure, high = map(int, kernel.sysctl("net/ipv4/tcp_mem").split())
    expect(high < 4096, f"tcp_mem allows {high} pages, which is not tiny")
    hog = subprocess.Popen([sys.executable, "-c", _HOG, str(32 << 20)], stdout=subprocess.PIPE)
    assert hog.stdout
    try:
        hog.stdout.readline()
        with sockets.orphans(12):
            said = [checks.orphans().expect(CRITICAL, "4 over the 50 % line")]
        with _hoard() as sink:
            while kernel.pages() <= high:
                _starve(sink)
            kernel.levels(low, pressure, high)
            _starve(sink)
            expect(kernel.pages() > high, f"{kernel.pages()} pages of {high} do not starve TCP")
            said.append(checks.memory().expect(CRITICAL, "memory is refused"))
            checks.verdict(checks.MEMORY, "memory is refused", commands=checks.BY_LOG)
            said.append(checks.log("--no-state").expect(OK))
            sink.close()
            kernel.wait(lambda: kernel.lines(kernel.MEMORY), "orphans to be reset for memory")
            said.append(checks.log("--no-state").expect(CRITICAL))
        for each in said:
            expect(each.seconds < 8, f"{each.command} took {each.seconds} s")
    finally:
        hog.kill()
        hog.wait()


_HOG = """
import sys, time

def free():
    for line in open("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10

taken = []
while free() > int(sys.argv[1]):
    taken.append(bytearray(b"x") * (1 << 20))
print(free(), flush=True)
while True:
    time.sleep(3600)
"""
"""Takes memory until so many bytes are available."""
