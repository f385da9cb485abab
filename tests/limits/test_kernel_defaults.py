"""The defaults of both limits by version and memory; the lab holds them against real kernels."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcp_headroom.blind import Blind
from tcp_headroom.limits import drift, kernel_defaults, memory_at_boot
from tcp_headroom.limits.memory_at_boot import Memory
from tcp_headroom.limits.tcp_mem import TcpMem
from tcp_headroom.proc import meminfo, osrelease

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    "release, memory, default",
    [
        ("6.18.44", 24684084 << 10, 131072),
        ("5.10.0-32-cloud-amd64", 24684084 << 10, 131072),
        ("3.10.0-1160.el7.x86_64", 32 * GIB, 131072),
        ("6.12.0", 32 * GIB + 1, 262144),
        ("6.12.0", 4096 * GIB, 262144),
        ("6.12.0", 1 * GIB, 4096),
        ("3.6.0", 1 * GIB, 4096),
        ("3.5.0", 1 * GIB, 65536),
        ("3.5.0", 511 * MIB, 8192),
        ("3.2.0-4-amd64", 32 * GIB, 262144),
        ("2.6.37", 4 * GIB, 262144),
        ("2.6.36", 32 * GIB, None),
        ("2.6.32-754.el6.x86_64", 32 * GIB, None),
        ("none of the kind", 24684084 << 10, 131072),
    ],
)
def test_max_orphans(release: str, memory: int, default: int | None) -> None:
    assert kernel_defaults.max_orphans(osrelease.version(release), memory) == default


@pytest.mark.parametrize(
    "release, pages, levels",
    [
        # The article's host of 32 GiB.
        ("2.6.32", 8 << 20, (3145728, 4194304, 6291456)),
        ("2.6.38.8", 8 << 20, (3145728, 4194304, 6291456)),
        ("2.6.39", 8 << 20, (786432, 1048576, 1572864)),
        ("3.10.0-1160.el7.x86_64", 8 << 20, (786432, 1048576, 1572864)),
        ("4.0.5", 8 << 20, (786432, 1048576, 1572864)),
        ("4.1.0", 8 << 20, (393216, 524288, 786432)),
        ("6.18.44", 24684084 // 4, (289266, 385688, 578532)),
        ("6.18.44", 100, (96, 128, 192)),
        ("", 8 << 20, (393216, 524288, 786432)),
        ("2.6.18-028stab056", 8 << 20, None),
    ],
)
def test_tcp_mem(release: str, pages: int, levels: tuple[int, int, int] | None) -> None:
    assert kernel_defaults.tcp_mem(osrelease.version(release), pages) == levels


@pytest.mark.parametrize(
    "text, version",
    [("5.10", (5, 10, 0)), ("6.1.0-rc3\n", (6, 1, 0)), ("4.18.0-147.el8", (4, 18, 0)), ("6", None), ("v6.1.2", None)],
)
def test_release(text: str, version: tuple[int, ...] | None) -> None:
    assert osrelease.version(text) == version


@given(st.integers(1, 1 << 60))
def test_power_of_two(least: int) -> None:
    found = kernel_defaults.power_of_two(least)
    assert found & (found - 1) == 0 and found // 2 < least <= found


def tree(root: pathlib.Path, total: int | None = None, entries: str | None = None, cmdline: str = "") -> str:
    (root / "sys/net/ipv4").mkdir(parents=True, exist_ok=True)
    if total is not None:
        (root / "meminfo").write_text(f"MemTotal:       {total >> 10} kB\nMemFree:        1 kB\n")
    if entries is not None:
        (root / memory_at_boot.EHASH).write_text(entries)
    (root / "cmdline").write_text(cmdline)
    return str(root)


def test_memory_is_the_smaller_of_what_is_known(tmp_path: pathlib.Path) -> None:
    """262144 entries are 32 GiB at most: of more, the rest was plugged in later, or is made up."""
    assert kernel_defaults.read(tree(tmp_path, 24 * GIB)).memory == Memory(24 * GIB, None, False)
    assert kernel_defaults.read(tree(tmp_path)).memory.agreed is None
    found = kernel_defaults.read(tree(tmp_path, 24 * GIB, "262144\n"))
    assert (found.orphans, found.memory.known, found.memory.agreed) == (131072, 24 * GIB, 24 * GIB)
    found = kernel_defaults.read(tree(tmp_path, 256 * GIB, "262144\n"))
    assert (found.orphans, found.memory.known, found.memory.agreed) == (131072, 32 * GIB, 32 * GIB)
    found = kernel_defaults.read(tree(tmp_path, 1 * GIB, "-262144\n"))
    assert (found.orphans, found.memory.known, found.memory.agreed) == (131072, 1 * GIB, 1 * GIB)


def test_a_table_at_its_cap_says_at_least(tmp_path: pathlib.Path) -> None:
    found = kernel_defaults.read(tree(tmp_path, 1024 * GIB, "524288\n"))
    assert (found.orphans, found.memory.known, found.memory.agreed) == (262144, 1024 * GIB, 64 * GIB)


def test_a_table_sized_by_hand_says_nothing_of_memory(tmp_path: pathlib.Path) -> None:
    found = kernel_defaults.read(tree(tmp_path, 24 * GIB, "1024\n", "quiet thash_entries=1024 ro\n"))
    assert (found.orphans, found.memory) == (512, Memory(24 * GIB, None, False))


@pytest.mark.parametrize(
    "total, entries, levels, drifts",
    [
        # Guests of 1 GiB and 256 MiB, where initrd and watermarks are a large part, and a machine of 24 GiB.
        (996624, 8192, (10248, 13665, 20496), False),
        (1002476, None, (10326, 13770, 20652), False),
        (223632, 2048, (1953, 2604, 3906), False),
        (214500, 2048, (1833, 2446, 3666), False),
        (24684084, 262144, (287844, 383795, 575688), False),
        # What is smaller or larger still, somebody has set.
        (996624, 8192, (8100, 10800, 16200), True),
        (996624, 8192, (10248, 13665, 25800), True),
        (24684084, 262144, (287844, 340000, 575688), True),
        (24684084, 262144, (96, 128, 192), True),
        # So small a machine that nothing is too little.
        (131072, 1024, (96, 128, 192), False),
    ],
)
def test_what_nobody_touched_does_not_drift(
    tmp_path: pathlib.Path, total: int, entries: int | None, levels: tuple[int, int, int], drifts: bool
) -> None:
    found = kernel_defaults.read(tree(tmp_path, total << 10, f"{entries}\n" if entries else None))
    assert found.sets_levels(4096, TcpMem(*levels)) != drifts


def test_of_a_release_without_a_rule_there_is_nothing_around(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/osrelease").write_text("2.6.18\n")
    found = kernel_defaults.read(tree(tmp_path, 1 * GIB))
    assert (found.levels(4096), found.around(4096)) == (None, None)
    assert drift.of("net.ipv4.tcp_mem", (1, 2, 3), None, found.levels(4096), found.around(4096)) is None


@pytest.mark.parametrize("entries", ["", "many\n", "0\n", "1 2\n"])
def test_without_any_size_nothing_is_known(tmp_path: pathlib.Path, entries: str) -> None:
    found = kernel_defaults.read(tree(tmp_path, None, entries))
    assert (found.orphans, found.levels(4096)) == (None, None)
    assert found.reasons[0] == f"{tmp_path}/meminfo does not exist"


@pytest.mark.parametrize(
    "text, kib",
    [
        ("MemTotal:       24684084 kB\nMemFree: 1 kB\n", 24684084),
        ("MemTotal: 8388608 kB\nHighTotal: 7340032 kB\nLowTotal: 1048576 kB\n", 1048576),
        # Of huge pages no network buffer comes; surplus ones are in the total, and what is no part of all tells nothing.
        ("MemTotal: 8192 kB\nHugePages_Total:       3\nHugepagesize:       2048 kB\n", 2048),
        ("MemTotal: 8192 kB\nHugePages_Total: 1\nHugepagesize: 2048 kB\nHugetlb: 6144 kB\n", 2048),
        ("MemTotal: 8192 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\nHugetlb: 0 kB\n", 8192),
        ("MemTotal: 8192 kB\nHugePages_Total: 9\nHugepagesize: 2048 kB\n", 8192),
        ("MemTotal: 8192 kB\nHugePages_Total: -1\nHugepagesize: 2048 kB\n", 8192),
        ("MemTotal: 0 kB\n", None),
        ("MemTotal: -5 kB\n", None),
        ("MemTotal: 5 MB\n", None),
        ("MemTotal: 1_000 kB\n", None),
        ("", None),
    ],
)
def test_meminfo(text: str, kib: int | None) -> None:
    if kib is None:
        with pytest.raises(Blind, match="meminfo has no readable MemTotal"):
            meminfo.parse(text)
    else:
        assert meminfo.parse(text).buffers == kib << 10
