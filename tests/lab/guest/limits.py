"""Scenarios of the limits themselves: the kernel's own defaults, what a reboot sets, the peak of days."""

from __future__ import annotations

import contextlib
import pathlib
import struct
import time

from . import checks, kernel, sockets
from .checks import CRITICAL, OK, WARNING, expect
from .logs import STATE
from .table import scenario

HOST = pathlib.Path("/tmp/host")
"""A root that systemd boots."""
FILE = "etc/sysctl.d/50-lab.conf"


def _plant() -> tuple[str, ...]:
    """Make ``HOST``. The options that name it."""
    for name in ("usr/lib/systemd/systemd", FILE):
        (HOST / name).parent.mkdir(parents=True)
        (HOST / name).touch()
    (HOST / "sbin").mkdir()
    (HOST / "sbin/init").symlink_to("/usr/lib/systemd/systemd")
    return ("--no-state", "--sysctl-root", str(HOST))


def _defaults() -> tuple[int, list[int]]:
    """What the kernel of this fresh guest has set by itself, held against what is known of it."""
    orphans = int(kernel.sysctl("net/ipv4/tcp_max_orphans"))
    levels = [int(word) for word in kernel.sysctl("net/ipv4/tcp_mem").split()]
    counted = _counted_at_boot()
    expect(0.9 < 16 * levels[1] / counted < 1.01, f"pressure {levels[1]} is no sixteenth of {counted} pages")
    return orphans, levels


def _total() -> int:
    """Pages of memory now."""
    (line,) = [line for line in (kernel.PROC / "meminfo").read_text().splitlines() if line.startswith("MemTotal:")]
    return int(line.split()[1]) // 4


def _counted_at_boot() -> int:
    """Pages that tcp_mem was made of: managed, above the high watermark, without the initrd and a little more."""
    rows = [line.split() for line in (kernel.PROC / "zoneinfo").read_text().splitlines()]
    sums = {name: sum(int(row[1]) for row in rows if row[:1] == [name]) for name in ("managed", "high")}
    # The field ramdisk_size of struct setup_header, at 0x21c of the boot parameters.
    (initrd,) = struct.unpack_from("<I", pathlib.Path("/sys/kernel/boot_params/data").read_bytes(), 0x21C)
    return sums["managed"] - sums["high"] - initrd // 4096


def _tells_size() -> bool:
    """Whether the kernel tells the size of its hash table, so that the default of the orphans is exact."""
    return (kernel.PROC / "sys/net/ipv4/tcp_ehash_entries").exists()


def _reckoned() -> int:
    """The pressure level by all of the memory there is."""
    return _total() // 16


def _expect_share(said: checks.Said, levels: list[int]) -> None:
    share = 100 * levels[1] / _reckoned()
    expect(abs(said.perfdata["mem_limit_pct"] - share) < 0.5, f"{share} % of the kernel default, but: {said.text}")
    checks.report(mem_limit_pct=said.perfdata["mem_limit_pct"])


@scenario(15, "limits")
def limits() -> None:
    """The limits against what this kernel has set by itself: too low, absurd, out of order, changed by a reboot."""
    options = _plant()
    orphans, levels = _defaults()
    said = checks.limits("--no-state", "--no-drift").expect(OK, f"tcp_max_orphans {orphans} (100.0 % of the default)")
    _expect_share(said.expect_data(orphans_limit_pct=100, orphans_recommended=orphans), levels)
    exact = "half the entries of its hash table" if _tells_size() else "about, from the memory"
    checks.limits("-v", *options).expect(
        OK, f"the kernel's default is {orphans} ({exact})", "Both limits survive a reboot"
    )
    _too_few_orphans(orphans)
    _too_little_memory(levels)
    _after_a_reboot(orphans, levels, options)


def _too_few_orphans(orphans: int) -> None:
    """Where the default is only reckoned, it is never sure that a limit is absurd."""
    absurd = CRITICAL if _tells_size() else WARNING
    for limit, state in ((orphans // 2, OK), (orphans // 2 - 1, WARNING), (orphans // 10, absurd)):
        kernel.limit(limit)
        said = checks.limits("--no-state", "--no-drift").expect(state, *("far below",) * (state != OK))
        said.expect_data(orphans_limit_pct=round(100 * limit / orphans, 4))
        said.expect_data(orphans_recommended=limit if state == OK else orphans)
    kernel.limit(0)
    checks.limits("--no-state", "--no-drift").expect(CRITICAL, f"set tcp_max_orphans to {orphans} (see -v)")
    checks.verdict(checks.CONFIGURATION, "tcp_max_orphans is 0", commands=checks.BY_LOG)
    kernel.limit(orphans)


def _too_little_memory(levels: list[int]) -> None:
    usual = 2 * (_reckoned() // 4 * 3)
    # So small a guest has less than 16 MiB then: that is absurd, whatever its memory.
    for high, state in ((usual // 2 - 1, WARNING), (usual // 10 + 1, WARNING), (usual // 10 - 1, CRITICAL)):
        kernel.levels(high // 2, high * 3 // 4, high)
        checks.limits("--no-state", "--no-drift").expect(state, "tcp_mem far below")
    kernel.levels(levels[0], levels[2] + 1, levels[2])
    said = (
        checks.limits("--no-state", "--no-drift").expect(WARNING, "tcp_mem not in rising order").expect_not("far below")
    )
    expect("set tcp_mem to " in said.text, f"no remedy: {said.text}")
    kernel.levels(0, 0, 0)
    checks.limits("--no-state", "--no-drift").expect(CRITICAL)
    kernel.levels(levels[0], levels[1], levels[2])


def _after_a_reboot(orphans: int, levels: list[int], options: tuple[str, ...]) -> None:
    """A file that differs from what runs, one way and the other; each of both ways out ends it."""
    kernel.limit(2 * orphans)
    checks.limits(*options).expect(OK, "A reboot changes 1 setting").expect_data(drift=1)
    (HOST / FILE).write_text(f"# lab\nnet.ipv4.tcp_max_orphans = {2 * orphans}\n")
    checks.limits(*options).expect(OK, "Both limits survive a reboot").expect_data(drift=0)
    kernel.limit(orphans)
    line = f"a reboot sets tcp_max_orphans {2 * orphans} (/{FILE} line 2)"
    checks.limits(*options).expect(WARNING, line).expect_data(drift=1)
    (HOST / FILE).write_text(f"net.ipv4.tcp_max_orphans = {orphans}\nnet.ipv4.tcp_mem = 1 2 {levels[2]}\n")
    checks.limits(*options).expect(WARNING, f" to 1 2 {levels[2]} (/{FILE} line 2)", "a reboot changes tcp_mem")
    kernel.levels(1, 2, levels[2])
    checks.limits(*options).expect(OK, "Both limits survive a reboot").expect_data(drift=0)


AT_BOOT = 5000


@scenario(16, "limits-at-boot", ram=1024, words=f"sysctl.net.ipv4.tcp_max_orphans={AT_BOOT}")
def limits_at_boot() -> None:
    """A limit on the kernel's command line, in a guest of 1 GiB: it runs, a reboot keeps it, and a file would win."""
    options = _plant()
    orphans, levels = _defaults()
    expect(orphans == AT_BOOT, f"the kernel runs {orphans} instead of {AT_BOOT}")
    default = 4096
    said = checks.limits(*options).expect(OK, f"tcp_max_orphans {AT_BOOT}", "Both limits survive a reboot")
    said.expect_data(drift=0, orphans_limit_pct=round(100 * AT_BOOT / default, 4))
    _expect_share(said, levels)
    kernel.limit(default)
    checks.limits(*options).expect(WARNING, f" to {AT_BOOT} (/proc/cmdline)", "a reboot changes tcp_max_orphans")
    (HOST / FILE).write_text(f"net.ipv4.tcp_max_orphans = {default}\n")
    checks.limits(*options).expect(OK, "100.0 % of the default").expect_data(drift=0)


DAY = 86400


@scenario(17, "peak-of-days", quick=False)
def peak_of_days() -> None:
    """The peak of orphans, remembered by plain runs: the limit must be four times as much until two weeks have gone."""
    kernel.limit(600)
    with contextlib.ExitStack() as stack:
        # 150 are a quarter of 600, 160 are more.
        for number, state in ((150, OK), (160, WARNING)):
            stack.enter_context(sockets.orphans(number - kernel.orphans()))
            checks.orphans(*STATE).expect(state)
            checks.limits("--no-drift", *STATE).expect(state, "eak").expect_data(orphans_peak=number)
    checks.orphans(*STATE).expect(OK).expect_data(orphans=0)
    said = checks.limits("--no-drift", *STATE).expect(WARNING, "4 times the peak", "set tcp_max_orphans to 1024")
    said.expect_data(orphans_peak=160, orphans_recommended=1024)
    checks.run("check_tcp_orphans", "-v", *STATE).expect(OK, "Peak of 14 days: 160 orphans")
    for limit, state in ((640, OK), (639, WARNING)):
        kernel.limit(limit)
        checks.limits("--no-drift", *STATE).expect(state).expect_data(orphans_peak=160)
    began = time.time()
    for days in (1, 13):
        time.clock_settime(time.CLOCK_REALTIME, began + days * DAY)
        checks.orphans(*STATE).expect(OK)
        checks.limits("--no-drift", *STATE).expect(WARNING).expect_data(orphans_peak=160)
        checks.limits("--no-drift", "--peak-days", days, *STATE).expect(OK).expect_data(orphans_peak=0)
    time.clock_settime(time.CLOCK_REALTIME, began + 14 * DAY)
    checks.limits("--no-drift", *STATE).expect(OK).expect_data(orphans_peak=0, orphans_recommended=639)
