"""What tcp_mem may be raised to, and whether the memory is there."""

from __future__ import annotations

import pathlib

import pytest

from tcp_headroom.limits import raising
from tcp_headroom.limits.tcp_mem import TcpMem
from workbench.sysctl_trees import plant

PAGE, MIB = 4096, 1 << 20
PAGES = MIB // PAGE

NOW = TcpMem(192 * PAGES, 256 * PAGES, 384 * PAGES)


@pytest.mark.parametrize(
    "memory, available, used, most, text",
    [
        (4096, 2048, 380, 768, "at most 768.0 MiB, twice the maximum of now; needs 388.0 MiB more than TCP holds, 2.0 GiB are available: it is there"),
        (4096, 387, 380, 768, "at most 768.0 MiB, twice the maximum of now; needs 388.0 MiB more than TCP holds, 387.0 MiB are available: it is not there: free memory first"),
        (4096, 388, 380, 768, "at most 768.0 MiB, twice the maximum of now; needs 388.0 MiB more than TCP holds, 388.0 MiB are available: it is there"),
        (4096, 0, 800, 768, "at most 768.0 MiB, twice the maximum of now; needs 0 B more than TCP holds, 0 B are available: it is there"),
        (2048, None, 380, 512, "at most 512.0 MiB, a quarter of the memory"),
        (2048, 100, None, 512, "at most 512.0 MiB, a quarter of the memory"),
        (1536, 100, 1, None, "tcp_mem already allows 25.0 % of the memory; more than a quarter is not recommended"),
        (512, 100, 1, None, "tcp_mem already allows 75.0 % of the memory; more than a quarter is not recommended"),
        (256, 100, 1, 64, "at most 64.0 MiB, a quarter of the memory; now 150.0 % are allowed"),
    ],
)  # fmt: skip
def test_of(memory: int, available: int | None, used: int | None, most: int | None, text: str) -> None:
    found = raising.of(
        NOW, PAGE, memory * MIB, None if available is None else available * MIB, None if used is None else used * PAGES
    )
    assert found.text == text
    assert found.lower == (memory < 384)
    if most is None:
        assert found.levels is None and found.command == "" and raising.line(found) == text
        assert raising.step(found) == raising.step(None) == "if memory allows, raise net.ipv4.tcp_mem"
    else:
        assert found.levels and found.levels.max == most * PAGES and found.levels.in_order
        assert found.command == 'sysctl -w net.ipv4.tcp_mem="{} {} {}"'.format(*found.levels)
        assert found.command in raising.line(found) and found.command in raising.step(found)


@pytest.mark.parametrize("level", [-(2**63), -1, 0])
def test_without_a_maximum_there_is_nothing_to_raise(tmp_path: pathlib.Path, level: int) -> None:
    plant(tmp_path, {"meminfo": "MemTotal: 4194304 kB\n"})
    assert raising.read(str(tmp_path), TcpMem(level, level, level), PAGE) is None
    assert raising.read(str(tmp_path), NOW, PAGE) is not None


def test_memory_that_is_not_known(tmp_path: pathlib.Path) -> None:
    assert raising.read(str(tmp_path), NOW, PAGE) is None


def test_movable_memory_does_not_count(tmp_path: pathlib.Path) -> None:
    zone = f"Node 0, zone  Movable\n        managed  {2048 * PAGES}\n"
    plant(tmp_path, {"meminfo": "MemTotal: 4194304 kB\nMemAvailable: 1048576 kB\n", "zoneinfo": zone})
    plant(tmp_path, {"net/sockstat": f"TCP: inuse 1 orphan 0 tw 0 alloc 1 mem {200 * PAGES}\n"})
    found = raising.read(str(tmp_path), NOW, PAGE)
    assert found and found.text == (
        "at most 512.0 MiB, a quarter of the memory outside ZONE_MOVABLE; needs 312.0 MiB more than TCP holds, 1.0 GiB are available: it is there"
    )


@pytest.mark.parametrize(
    "kib, place, text",
    [
        (32 << 20, "", ": sysctl -w net.ipv4.tcp_max_orphans=262144 (4 times, rounded up)"),
        (4 << 20, "", ": sysctl -w net.ipv4.tcp_max_orphans=262144 (4 times, rounded up)"),
        (None, "", ": sysctl -w net.ipv4.tcp_max_orphans=262144 (4 times, rounded up)"),
        (
            487632,
            "",
            ", the limit would have to be 262144, but so many may take 1.0 GiB, their data not counted, and there are "
            "476.2 MiB of memory: find the service that makes them",
        ),
        (
            487632,
            "on the host: ",
            ": on the host: sysctl -w net.ipv4.tcp_max_orphans=262144 (4 times, rounded up), if its memory allows",
        ),
    ],
)
def test_the_limit_that_orphans_need(tmp_path: pathlib.Path, kib: int | None, place: str, text: str) -> None:
    plant(tmp_path, {"meminfo": f"MemTotal: {kib} kB\n"} if kib else {})
    assert raising.orphans(str(tmp_path), 40000, place) == f"to stay below every line with so many{text}"


def test_few_orphans_below_a_limit_that_is_too_low(tmp_path: pathlib.Path) -> None:
    """The resets keep them few, so what they need is no less than the kernel's default."""
    plant(tmp_path, {"meminfo": f"MemTotal: {4 << 20} kB\n", "sys/net/ipv4/tcp_ehash_entries": "32768\n"})
    said = raising.orphans(str(tmp_path), 17, "")
    assert said == (
        "to stay below every line with so many: sysctl -w net.ipv4.tcp_max_orphans=16384 (the kernel's default)"
    )
    assert "=128 (4 times" in raising.orphans(str(tmp_path), 17, "on the host: ")
