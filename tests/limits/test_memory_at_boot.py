"""What the command line of the kernel and ZONE_MOVABLE do to the memory that was counted at boot."""

from __future__ import annotations

import pathlib

import pytest

from tcp_headroom.limits import memory_at_boot
from tcp_headroom.limits.memory_at_boot import Memory
from tcp_headroom.proc import zoneinfo
from workbench.sysctl_trees import plant

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    "words, taken",
    [
        ("", 0),
        ("crashkernel=512M", 512 * MIB),
        ("crashkernel=512M@16M", 512 * MIB),
        ("crashkernel=0x100M", 256 * MIB),
        ("crashkernel=1G,high", GIB + 256 * MIB),
        ("crashkernel=1G,high crashkernel=128M,low", GIB + 384 * MIB),
        ("crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M", 512 * MIB),
        ("crashkernel=auto", 512 * MIB),
        ("crashkernel= crashkernel crashkernel=x nocrashkernel=5G", 0),
    ],
)
def test_crashkernel(words: str, taken: int) -> None:
    assert memory_at_boot.crashkernel(words.split()) == taken


@pytest.mark.parametrize(
    "words, entries",
    [
        ("ro", None),
        ("thash_entries=1024", 1024),
        ("thash_entries=1000", 1024),
        ("thash_entries=0x400", 1024),
        ("thash_entries=02000", 1024),
        ("thash_entries=1k", 1024),
        ("thash_entries=0", None),
        ("thash_entries=many", None),
        ("thash_entries=08", None),
        ("thash_entries=1024 thash_entries=2048", 2048),
        ("dhash_entries=5", None),
    ],
)
def test_thash_entries(words: str, entries: int | None) -> None:
    assert memory_at_boot.thash_entries(words.split()) == entries


@pytest.mark.parametrize(
    "words, apart",
    [
        ("ro", False), ("cma=64M", True), ("hugetlb_cma=1G", True), ("hugepagesz=1G hugepages=4", True),
        ("hugepagesz=1G", False), ("nocma=1", False),
    ],
)  # fmt: skip
def test_memory_set_apart(words: str, apart: bool) -> None:
    assert memory_at_boot.set_apart(words.split()) == apart


ZONES = """Node 0, zone      DMA
  pages free     3840
        managed  3840
Node 0, zone   Normal
  per-node stats
      nr_inactive_anon 5
  pages free     1000
        managed  280000
        cma      0
Node 0, zone  Movable
  pages free     1000
        spanned  1000000
        present  1000000
        managed  900000
  pagesets
    cpu: 0
              count: 12
Node 1, zone   Normal
        managed  7
Node 1, zone  Movable
        managed  100
"""


@pytest.mark.parametrize(
    "text, pages",
    [
        (ZONES, 900100),
        (ZONES.partition("Node 0, zone  Movable")[0], 0),
        (ZONES.replace("managed", "spanned"), 0),
        (ZONES.replace("900000", "-900000"), 100),
        (ZONES.replace("900000", "9x"), 100),
        ("", 0),
        ("Node\nNode 0, zone\n        managed  5\nMovable\n        managed  5\n", 0),
    ],
)
def test_movable(text: str, pages: int) -> None:
    assert zoneinfo.parse(text) == pages


def test_the_largest_machines_are_read(tmp_path: pathlib.Path) -> None:
    """Some thousand lines for each zone."""
    plant(tmp_path, {"zoneinfo": ZONES.replace("    cpu: 0\n", "    cpu: 0\n              count: 12\n" * 50000)})
    assert (tmp_path / "zoneinfo").stat().st_size > 1 << 20
    assert zoneinfo.read(str(tmp_path)) == 900100


def test_high_memory_has_the_movable_zone(tmp_path: pathlib.Path) -> None:
    """On a 32-bit machine LowTotal lacks it already."""
    lines = f"MemTotal: {8 * GIB >> 10} kB\nLowTotal: {900 << 10} kB\n"
    plant(tmp_path, {"meminfo": lines, "zoneinfo": ZONES, "cmdline": "ro\n"})
    memory, _table, _reasons = memory_at_boot.read(str(tmp_path), (5, 10, 0), 4096)
    assert (memory.total, memory.movable) == (900 * MIB, 0)
    # Before 2.6.28 high memory counted, too.
    memory, _table, _reasons = memory_at_boot.read(str(tmp_path), (2, 6, 27), 4096)
    assert memory.total == 8 * GIB
    plant(tmp_path, {"meminfo": f"MemTotal: {8 * GIB >> 10} kB\n", "cmdline": "ro kernelcore=4G\n"})
    memory, _table, _reasons = memory_at_boot.read(str(tmp_path), (5, 10, 0), 4096)
    assert (memory.total, memory.movable, memory.known) == (8 * GIB, 900100 << 12, 8 * GIB - (900100 << 12))


@pytest.mark.parametrize(
    "memory, machine",
    [
        (Memory(4 * GIB, None, False), 4 * GIB),
        (Memory(1 * GIB, 8 * GIB, False), 8 * GIB),
        (Memory(100 * GIB, 64 * GIB, True), 100 * GIB),
        (Memory(1 * GIB, 64 * GIB, True), 32 * GIB),
        (Memory(None, 8 * GIB, False), 8 * GIB),
        (Memory(None, 64 * GIB, True), None),
        (Memory(None, None, False), None),
        (Memory(4 * GIB, None, False, foreign=True), None),
    ],
)
def test_the_memory_that_nothing_may_exceed(memory: Memory, machine: int | None) -> None:
    """The larger of MemTotal and what the hash table implies, where the former is the machine's."""
    assert memory.machine == machine
