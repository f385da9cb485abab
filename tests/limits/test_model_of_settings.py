"""Random machines and settings: a kernel in plain arithmetic boots them, and plain inequalities say whether all is well.

The machines have 16 MiB to 12 TiB, pages of 4, 16 and 64 KiB, kernels of all ages, and now and then what the words of a command line do
to the memory. Nothing here is taken from what is under test.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import nagiosplugin
import pytest

from tcp_headroom.limits import findings, kernel_defaults, tcp_mem
from tcp_headroom.limits.review import Review
from tcp_headroom.limits.tcp_mem import TcpMem
from tcp_headroom.memory.orphan_peak import Peak
from tcp_headroom.proc import reading

SETTINGS = 20000
MIB, GIB = 1 << 20, 1 << 30
RANGES = (nagiosplugin.Range("50:"), nagiosplugin.Range("10:"))
RELEASES = (
    (2, 6, 22), (2, 6, 32), (2, 6, 38), (3, 2, 0), (3, 10, 0), (4, 4, 0), (4, 19, 0), (5, 10, 0), (5, 15, 0), (6, 1, 0),
    (6, 12, 0), (7, 2, 0),
)  # fmt: skip
BYTES = [(4096, 87380, 6291456), (4096, 131072, 6291456), (4096, 16384, 4194304), (8192, 262144, 8388608)]

Seen = tuple[int, str]
"""What a setting is, and what was said of it."""


class Machine:
    """One that has booted: what its kernel has counted, set, and shows in /proc."""

    def __init__(self, dice: random.Random, words: bool) -> None:
        self.release = dice.choice(RELEASES)
        self.page = dice.choice([4096, 4096, 4096, 16384, 65536])
        self.ram = int(2 ** dice.uniform(math.log2(16 * MIB), math.log2(12 << 40)))
        taken = dice.choice(["movable", "crashkernel", "hugepages", "cma", "thash", ""]) if words else ""
        self.words = ["ro", "quiet"]
        kernel = min(dice.randint(12, 45) * MIB, self.ram // 5)
        initrd = dice.choice([0, min(dice.randint(5, 60) * MIB, self.ram // 8)])
        memmap = self.ram // 64
        crash = apart = 0
        if taken == "crashkernel":
            crash = min(dice.choice([64, 128, 256, 512, 1024]) * MIB, self.ram // 4 // MIB * MIB)
            self.words.append(f"crashkernel={crash // MIB}M")
        elif taken == "hugepages" and self.ram > 8 * GIB:
            count = dice.randint(1, int(0.7 * self.ram / GIB))
            apart = count * GIB
            self.words += ["hugepagesz=1G", f"hugepages={count}"]
        elif taken == "cma":
            apart = self.ram // dice.randint(4, 20) // MIB * MIB
            self.words.append(f"cma={apart // MIB}M")
        self.total = self.ram - memmap - kernel - crash
        self.movable = 0
        if taken == "movable" and self.release > (3, 9) and self.total > GIB:
            self.movable = int((self.total - 512 * MIB) * dice.uniform(0.1, 0.95)) // self.page * self.page
            self.words.append("kernelcore=512M")
        # Beyond the high watermark; transparent huge pages raise it.
        kib = (self.total - self.movable) / 1024
        # A twentieth of the memory at most, which huge pages of 512 MiB take wholly (64 KiB pages).
        huge = 66 * 1024 * {4096: 1, 16384: 16, 65536: 256}[self.page]
        above = int(max(min(6 * math.sqrt(kib), 96 * 1024), min(0.075 * kib, huge))) * 1024
        counted = self.ram - memmap - above if self.release < (3, 9) else self.total - initrd - above
        self.levels = self._levels(max(0, counted - self.movable) // self.page)
        tabled = self.ram - memmap if self.release < (6, 10) else self.total - initrd - apart
        self.entries = self._entries(tabled)
        if taken == "thash":
            self.entries = 1 << dice.randint(9, min(20, int(math.log2(self.total // 128))))
            self.words.append(f"thash_entries={self.entries - dice.randint(0, self.entries // 2 - 1)}")
        self.by_hand = taken == "thash"
        self.apart = apart
        self.orphans = self.entries // 2

    def _levels(self, pages: int) -> TcpMem:
        if self.release < (2, 6, 39):
            mib = pages * self.page // MIB
            pressure = (mib * 128 if mib >= 256 else mib * mib // 2) * 4096 // self.page
        else:
            pressure = pages // (8 if self.release < (4, 1) else 16)
        pressure = max(128, pressure)
        return TcpMem(pressure // 4 * 3, pressure, pressure // 4 * 3 * 2)

    def _entries(self, memory: int) -> int:
        pages = -(-memory // MIB) * 256
        each = 32 if self.release >= (3, 6) else 2 if self.total >= 512 * MIB else 8
        entries = self.floor
        while entries < 524288 and entries < pages / each:
            entries *= 2
        return entries

    @property
    def floor(self) -> int:
        """A page of pointers: the least table, which says nothing of the memory."""
        return self.page // 8

    @property
    def files(self) -> dict[str, str]:
        found = {
            "meminfo": f"MemTotal: {self.total // 1024} kB\nMemFree: {self.total // 2048} kB\n",
            "sys/kernel/osrelease": "{}.{}.{}-generic\n".format(*self.release),
            "cmdline": " ".join(self.words) + "\n",
            "zoneinfo": "Node 0, zone   Normal\n        managed  77\nNode 0, zone  Movable\n  pages free 5\n"
            f"        managed  {self.movable // self.page}\n",
        }
        if self.release >= (6, 1):
            found["sys/net/ipv4/tcp_ehash_entries"] = f"{self.entries}\n"
        return found

    def review(self, limit: int, levels: TcpMem, peak: Peak | None = None) -> Review:
        return Review(limit, levels, self.page, kernel_defaults.read("/nonexistent"), peak, {}, RANGES)


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """The /proc of a machine is what is read from now on."""

    def now(machine: Machine) -> None:
        files = machine.files
        monkeypatch.setattr(tcp_mem, "page_size", lambda: machine.page)
        monkeypatch.setattr(kernel_defaults, "page_size", lambda: machine.page)

        def read(_root: str, name: str, limit: int = 0) -> str:
            if name not in files:
                raise reading.Missing(f"{name} does not exist")
            return files[name]

        monkeypatch.setattr(reading, "read", read)

    return now


def estimated(machine: Machine) -> tuple[TcpMem, TcpMem, TcpMem]:
    """The default by what can be seen, and its span, as checks.md tells it."""
    total = machine.total // 1024 * 1024
    least = most = known = total
    if machine.release >= (6, 1) and not machine.by_hand and machine.entries > machine.floor:
        table = machine.entries * 128 * 1024
        floor_only = machine.entries == 524288 or machine.apart > 0
        crash = sum(int(word[12:-1]) * MIB for word in machine.words if word.startswith("crashkernel="))
        if not floor_only:
            known = min(total, table)
        if table * 0.9 >= 2 * (total + crash) or (not floor_only and total * 0.9 - 128 * MIB >= table):
            least, most = min(total, table // 2), total if floor_only else max(total, table)
    reserved = sum(int(word[12:-1]) * MIB for word in machine.words if word.startswith("crashkernel="))
    moved = int(machine.movable * 0.01)
    low = max(1, int((least - machine.movable) * 0.9) - 128 * MIB - moved)
    high = int((most - machine.movable) * 1.1) + moved + 64 * MIB + reserved
    return tuple(machine._levels(memory // machine.page) for memory in (known - machine.movable, low, high))  # type: ignore[return-value]


def memory(machine: Machine) -> int:
    total = machine.total // 1024 * 1024
    if machine.release < (6, 1) or machine.by_hand or machine.entries <= machine.floor:
        return total - machine.movable
    floor_only = machine.entries == 524288 or machine.apart > 0
    return max(total, machine.entries * (64 if floor_only else 128) * 1024) - machine.movable


def in_proportion(levels: TcpMem) -> bool:
    low, pressure, high = levels
    usual = 3 * (pressure // 4)
    return usual - 4 <= low <= usual + 4 and 2 * low - 4 <= high <= 2 * low + 4


def of_another_boot(machine: Machine, levels: TcpMem) -> bool:
    """Whether both limits are those of one other machine: a balloon may have made it this one."""
    pressure = levels.pressure
    if machine.release < (2, 6, 39) or machine.by_hand or pressure <= 128 or not in_proportion(levels):
        return False
    before = pressure * machine.page * (8 if machine.release < (4, 1) else 16)
    least, most = machine._entries(before), machine._entries(int(before * 1.1) + (64 + 128) * MIB)
    return least <= machine.entries <= most


def well(machine: Machine, levels: TcpMem) -> bool:
    """Whether nothing is to be said of these levels."""
    low, pressure, high = levels
    default, least, most = estimated(machine)
    if not low <= pressure <= high or high < 1 or tuple(levels) in BYTES[:3]:
        return False
    if all(a <= b <= c for a, b, c in zip(least, levels, most)) and in_proportion(levels):
        return True
    limit = memory(machine)
    if of_another_boot(machine, levels):
        limit = 1 << 80
    too_high = max(high, pressure * 2, low) * machine.page > limit
    return not (too_high or pressure < 128 <= high or 2 * high < default.max)


def some_levels(dice: random.Random, machine: Machine) -> TcpMem:
    kind = dice.randrange(6)
    if kind == 0:
        factor = 2 ** dice.uniform(-7, 5)
        return TcpMem(*(int(level * factor) for level in machine.levels))
    if kind == 1:
        return TcpMem(*dice.choice(BYTES))
    if kind == 2:
        return TcpMem(*[int(2 ** dice.uniform(0, 40))] * 3)
    found = [int(2 ** dice.uniform(0, math.log2(max(2, 4 * machine.ram / machine.page)))) for _level in range(3)]
    return TcpMem(*(sorted(found) if kind < 5 else found))


def said(review: Review) -> dict[str, tuple[str, str]]:
    return findings.findings(review)


@pytest.mark.parametrize("words", [False, True], ids=["plain", "with words"])
@pytest.mark.slow
def test_settings(show: Callable[[Machine], None], words: bool) -> None:
    dice = random.Random(f"settings {words}")
    for number in range(SETTINGS // 8):
        machine = Machine(dice, words)
        show(machine)
        for _setting in range(4):
            levels = some_levels(dice, machine)
            found = said(machine.review(machine.orphans, levels))
            assert (not found) == well(machine, levels), f"{number}: {vars(machine)} {levels}: {found}"


@pytest.mark.parametrize("words", [False, True], ids=["plain", "with words"])
def test_untouched(show: Callable[[Machine], None], words: bool) -> None:
    """Whatever the kernel has set: nothing to say, no drift, 100 %, nothing recommended."""
    dice = random.Random(f"untouched {words}")
    for number in range(SETTINGS // 8):
        machine = Machine(dice, words)
        show(machine)
        review = machine.review(machine.orphans, machine.levels)
        text = f"{number}: {vars(machine)}"
        assert not said(review), f"{text}: {said(review)}"
        assert not review.drifts and not review.advice, f"{text}: {review.drifts} {review.advice}"
        assert (review.orphans_share, review.mem_share) == (None if machine.release < (2, 6, 37) else 100, 100), text


@pytest.mark.parametrize("share", [0.12, 0.25, 0.4])
def test_sensible_raises(show: Callable[[Machine], None], share: float) -> None:
    """That much of the memory as the maximum, pressure at two thirds, by whatever kernel: nothing to say."""
    dice = random.Random(f"raises {share}")
    for number in range(SETTINGS // 24):
        machine = Machine(dice, words=False)
        most = int(machine.total * share) // machine.page
        # Of old kernels the default is three quarters of the memory, of tiny machines more than what is asked.
        if machine.release < (2, 6, 39) or most < machine.levels.max:
            continue
        show(machine)
        levels = TcpMem(most // 2, most * 2 // 3, most)
        found = said(machine.review(machine.orphans, levels))
        assert not found, f"{number}: {vars(machine)} {levels}: {found}"


def test_balloons(show: Callable[[Machine], None]) -> None:
    """A balloon takes memory away from a guest that nobody touched: the limits stay, and nothing is said of them."""
    dice = random.Random("balloons")
    for number in range(SETTINGS // 24):
        machine = Machine(dice, words=False)
        if machine.release < (2, 6, 39) or machine.ram < 256 * MIB:
            continue
        machine.total = int(machine.total * dice.uniform(0.02, 1))
        show(machine)
        found = said(machine.review(machine.orphans, machine.levels))
        assert not found, f"{number}: {vars(machine)}: {found}"


def test_memory_that_is_added(show: Callable[[Machine], None]) -> None:
    """Four times as much at least: small for what there is now, unless the table tells what there was."""
    dice = random.Random("added")
    told = 0
    for number in range(SETTINGS // 24):
        machine = Machine(dice, words=False)
        if machine.release < (2, 6, 39) or not 256 * MIB < machine.ram < 64 * GIB:
            continue
        machine.total = int(machine.total * dice.uniform(4, 30))
        show(machine)
        found = said(machine.review(machine.orphans, machine.levels))
        text = f"{number}: {vars(machine)}: {found}"
        if machine.release >= (6, 1) and machine.floor < machine.entries < 524288:
            assert not found, text
        elif found:
            told += "grown" in found
            assert all(how == "off" for how, _text in found.values()), text
    assert told > SETTINGS // 200


@pytest.mark.parametrize(
    "levels, kind",
    [
        ((100, 127, 393216), "high"), ((100, 127, 128), "off_levels high"), ((100, 127, 127), "off_levels"),
        ((100, 128, 393216), ""), ((100, 2097152, 4194304), ""), ((100, 2097153, 4194304), "high"),
        ((100, 2097152, 4194305), "high"), ((4194304, 4194304, 4194304), "high"), ((4194305, 4194305, 4194305), "high"),
    ],
)  # fmt: skip
def test_edges(show: Callable[[Machine], None], levels: tuple[int, int, int], kind: str) -> None:
    """16 GiB are 4194304 pages."""
    machine = Machine(random.Random("edges"), words=False)
    machine.release, machine.page = (6, 1, 0), 4096
    machine.total, machine.entries, machine.orphans = 16 * GIB, 131072, 65536
    show(machine)
    found = said(machine.review(machine.orphans, TcpMem(*levels)))
    assert set(found) == set(kind.split())
    assert (found.get("high", ("",))[0] == "absurd") == (levels[0] > 4194304)
