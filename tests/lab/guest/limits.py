"""Scenarios of the limits themselves: the kernel's own defaults, what a reboot sets, the peak of days."""

from __future__ import annotations

import contextlib
import pathlib
import re
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
    """Pages of memory now that network buffers can come from."""
    rows = [line.split() for line in (kernel.PROC / "meminfo").read_text().splitlines()]
    kib = {row[0]: int(row[1]) for row in rows if len(row) > 1}
    return (kib.get("LowTotal:") or kib["MemTotal:"]) * 1024 // kernel.PAGE


def _counted_at_boot() -> int:
    """Pages that tcp_mem was made of: managed, above the high watermark, without the initrd and a little more."""
    counted, zone = -checks.command()["initrd"] // kernel.PAGE, ""
    for row in [line.split() for line in (kernel.PROC / "zoneinfo").read_text().splitlines()]:
        if row[:1] == ["Node"]:
            zone = row[-1]
        elif row[:1] in (["managed"], ["high"]) and zone not in ("HighMem", "Movable"):
            counted += int(row[1]) * (1 if row[0] == "managed" else -1)
    return counted


def _tells_size() -> bool:
    """Whether the kernel tells the size of its hash table, so that the default of the orphans is exact."""
    return (kernel.PROC / "sys/net/ipv4/tcp_ehash_entries").exists()


def _reckoned() -> int:
    """The pressure level by all of the memory there is."""
    return _total() // 16


def _expect_untouched(said: checks.Said, levels: list[int]) -> None:
    """Nothing is said of what this kernel has set by itself, and the span of the estimate holds it."""
    said.expect(OK, ", tcp_mem max ", "(about the default)", "Both limits survive a reboot")
    said.expect_data(mem_limit_pct=100, orphans_limit_pct=100, drift=0)
    (line,) = [
        line for line in said.text.splitlines() if line.startswith("net.ipv4.tcp_mem: the kernel's default is about ")
    ]
    numbers = [int(word) for word in re.findall(r"\d+", line.partition(" about ")[2].partition(";")[0])]
    estimate, least, most = numbers[:3], numbers[3:6], numbers[6:9]
    inside = all(low <= level <= high for low, level, high in zip(least, levels, most))
    expect(inside, f"{levels} is not within the span: {line}")
    checks.report(
        machine=[_total() * kernel.PAGE >> 20, *levels], estimate=estimate, share=round(100 * levels[1] / estimate[1], 1),
        span=[least[1], most[1]], orphans=int(kernel.sysctl("net/ipv4/tcp_max_orphans")),
    )  # fmt: skip


@scenario("limits")
def limits() -> None:
    """The limits against what this kernel has set by itself: too low, absurd, out of order, changed by a reboot."""
    options = _plant()
    orphans, levels = _defaults()
    said = checks.limits("-v", *options)
    _expect_untouched(said.expect_data(orphans_recommended=orphans), levels)
    exact = "half the entries of its hash table" if _tells_size() else "an estimate, from the memory"
    said.expect(OK, f"tcp_max_orphans {orphans} (", f" ({exact})")
    _too_few_orphans(orphans)
    _too_little_memory(levels)
    _after_a_reboot(orphans, levels, options)


def _too_few_orphans(orphans: int) -> None:
    """Where the default is only reckoned, it is not sure that a limit is absurd, unless it is tiny."""
    absurd = CRITICAL if _tells_size() or orphans // 10 < 256 else WARNING
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
    kernel.limit(4 * orphans)
    checks.limits(*options).expect(OK, "A reboot changes 1 setting").expect_data(drift=1)
    (HOST / FILE).write_text(f"# lab\nnet.ipv4.tcp_max_orphans = {4 * orphans}\n")
    checks.limits(*options).expect(OK, "Both limits survive a reboot").expect_data(drift=0)
    kernel.limit(orphans)
    line = f"a reboot changes tcp_max_orphans: {orphans} to {4 * orphans} (/{FILE} line 2)"
    checks.limits(*options).expect(WARNING, line).expect_data(drift=1)
    (HOST / FILE).write_text(f"net.ipv4.tcp_max_orphans = {orphans}\nnet.ipv4.tcp_mem = 200 300 {levels[2]}\n")
    checks.limits(*options).expect(WARNING, f" to 200 300 {levels[2]} (/{FILE} line 2)", "a reboot changes tcp_mem")
    kernel.levels(200, 300, levels[2])
    checks.limits(*options).expect(OK, "Both limits survive a reboot").expect_data(drift=0)


AT_BOOT = 5000


@scenario("limits-at-boot", ram=1024, words=f"sysctl.net.ipv4.tcp_max_orphans={AT_BOOT}")
def limits_at_boot() -> None:
    """A limit on the kernel's command line, in a guest of 1 GiB: it runs, a reboot keeps it, and a file would win."""
    options = _plant()
    orphans, levels = _defaults()
    expect(orphans == AT_BOOT, f"the kernel runs {orphans} instead of {AT_BOOT}")
    default = 4096
    said = checks.limits(*options).expect(OK, f"tcp_max_orphans {AT_BOOT}", "Both limits survive a reboot")
    said.expect_data(drift=0, orphans_limit_pct=round(100 * AT_BOOT / default, 4), mem_limit_pct=100)
    kernel.limit(default)
    checks.limits(*options).expect(WARNING, f" to {AT_BOOT} (/proc/cmdline)", "a reboot changes tcp_max_orphans")
    (HOST / FILE).write_text(f"net.ipv4.tcp_max_orphans = {default}\n")
    checks.limits(*options).expect(OK, f"tcp_max_orphans {default} (").expect_data(drift=0, orphans_limit_pct=100)


UNTOUCHED = (
    ("192", 192, "", True),
    ("512", 512, "", False),
    ("1024", 1024, "", False),
    ("2048", 2048, "", False),
    ("4096", 4096, "", False),
    ("kernelcore", 2048, "kernelcore=512M", True),
    ("movablecore", 2048, "movablecore=1G", False),
    ("thash", 1024, "thash_entries=1024", False),
    # More than 2 GiB, of which the kernel keeps less than 2.
    ("crashkernel", 2176, "crashkernel=256M", True),
    ("hugepages", 4096, "hugepagesz=1G hugepages=2", False),
    ("cma", 2176, "cma=512M", False),
)
"""Machines of which nobody has touched a limit: name, MiB, words for the command line, whether of every day."""


def untouched() -> None:
    """What the kernel sets by itself, whatever the memory and the words of its command line, is no reason for a word."""
    options = _plant()
    _expect_untouched(checks.limits("-v", *options), [int(word) for word in kernel.sysctl("net/ipv4/tcp_mem").split()])


for _name, _ram, _words, _quick in UNTOUCHED:
    scenario(f"untouched-{_name}", quick=_quick, ram=_ram, words=_words)(untouched)


DAY = 86400


@scenario("peak-of-days", quick=False)
def peak_of_days() -> None:
    """The peak of orphans, remembered by plain runs: on two days, the limit must be four times as much for two weeks."""
    kernel.limit(600)
    with contextlib.ExitStack() as stack:
        # 150 are a quarter of 600, 160 are more.
        for number, state in ((150, OK), (160, WARNING)):
            stack.enter_context(sockets.orphans(number - kernel.orphans()))
            checks.orphans(*STATE).expect(state)
            # One day is no reason, as long as it is below the half.
            checks.limits("--no-drift", *STATE).expect(OK, f"Peak {number} orphans").expect_data(orphans_peak=number)
        began = time.time()
        time.clock_settime(time.CLOCK_REALTIME, began + DAY)
        checks.orphans(*STATE).expect(WARNING)
    checks.orphans(*STATE).expect(OK).expect_data(orphans=0)
    said = checks.limits("--no-drift", *STATE).expect(WARNING, "4 times the peak", "set tcp_max_orphans to 1024")
    said.expect_data(orphans_peak=160, orphans_recommended=1024)
    checks.run("check_tcp_orphans", "-v", *STATE).expect(OK, "Peak of 14 days: 160 orphans")
    for limit, state in ((640, OK), (639, WARNING)):
        kernel.limit(limit)
        checks.limits("--no-drift", *STATE).expect(state).expect_data(orphans_peak=160)
    for days in (2, 13):
        time.clock_settime(time.CLOCK_REALTIME, began + days * DAY)
        checks.orphans(*STATE).expect(OK)
        checks.limits("--no-drift", *STATE).expect(WARNING).expect_data(orphans_peak=160)
        checks.limits("--no-drift", "--peak-days", days - 1, *STATE).expect(OK).expect_data(orphans_peak=0)
    time.clock_settime(time.CLOCK_REALTIME, began + 14 * DAY)
    checks.limits("--no-drift", *STATE).expect(OK).expect_data(orphans_peak=160)
    time.clock_settime(time.CLOCK_REALTIME, began + 15 * DAY)
    checks.limits("--no-drift", *STATE).expect(OK).expect_data(orphans_peak=0, orphans_recommended=639)
