"""Memory in ZONE_MOVABLE, of the boot and added later, also beside huge pages: no network buffer comes from it."""

from __future__ import annotations

import re

import pytest

from workbench.limits_host import GIB, Host, host, levels

__all__ = ["host"]

OUTSIDE = "memory outside ZONE_MOVABLE"


def become(host: Host, total: float, movable: float, huge: float, words: str = "ro") -> None:
    """A machine with so many GiB."""
    host.put("meminfo", f"MemTotal: {int(total * GIB) >> 10} kB\nHugetlb: {int(huge * GIB) >> 10} kB\n")
    host.put("zoneinfo", f"Node 0, zone  Movable\n        managed  {int(movable * GIB) >> 12}\n")
    host.put("cmdline", f"{words}\n")


@pytest.fixture
def grown(host: Host) -> Host:
    """4 GiB at the boot, and 28 GiB that were added as movable."""
    become(host, 31.7, 28, 0)
    host.put("sys/net/ipv4/tcp_ehash_entries", "32768\n")
    host.put("sys/net/ipv4/tcp_max_orphans", "16384\n")
    host.levels(*levels(int(3.7 * GIB)))
    return host


@pytest.mark.parametrize("release", ["6.12.117-amd64", "5.15.0-100-generic"])
def test_added_later(grown: Host, release: str) -> None:
    """The kernel has set its limits by what there was."""
    grown.put("sys/kernel/osrelease", f"{release}\n")
    if release < "6":
        (grown.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
    output = grown.check("-v")
    assert output.code == 0, output
    assert "memory 3.7 GiB, by meminfo, without 28.0 GiB of ZONE_MOVABLE" in output.text


@pytest.mark.parametrize("pages, code", [((500, 1000, 3000), 2), ((4096, 87380, 6291456), 1)])
def test_added_later_and_set_wrong(grown: Host, pages: tuple[int, ...], code: int) -> None:
    grown.levels(*pages)
    output = grown.check()
    assert output.code == code, output
    advised = re.search(r"set tcp_mem to ([0-9 ]+) \(see -v\)", output.text)
    assert advised and advised[1] == " ".join(map(str, levels(int(3.7 * GIB)))), output
    grown.levels(*map(int, advised[1].split()))
    assert grown.check().code == 0


def test_what_is_outside_is_the_memory(host: Host) -> None:
    """kernelcore=4G on a machine of 62 GiB, with a maximum of 20 GiB, and orphans that 4 GiB cannot hold."""
    become(host, 62, 58, 0, "ro kernelcore=4G")
    host.put("sys/net/ipv4/tcp_ehash_entries", "524288\n")
    host.put("sys/net/ipv4/tcp_max_orphans", "262144\n")
    host.levels(2621440, 3932160, 5242880)
    output = host.check("-v")
    assert output.code == 2 and f"tcp_mem is no limit: min 10.0 GiB, {OUTSIDE} 4.0 GiB" in output.text, output
    assert f"all of TCP, orphans included, 20.0 GiB, 500.0 % of the {OUTSIDE}" in output.text
    host.levels(*levels(4 * GIB))
    assert host.check().code == 0
    host.put("net/sockstat", "TCP: inuse 5 orphan 500000 tw 0 alloc 8 mem 5\n")
    said = host.run("check_tcp_orphans", "--procfs", str(host.proc), "--no-state", "--no-owners", "-v").text
    assert f"there are 4.0 GiB of {OUTSIDE}: find the service" in said and "sysctl -w" not in said


@pytest.mark.parametrize("movable, huge", [(16, 59), (38, 24), (46, 24), (61.9, 61.9)])
def test_huge_pages_may_lie_there(host: Host, movable: float, huge: float) -> None:
    """So the larger of the two is missing, and no command sets less than the kernel's least."""
    become(host, 62, movable, huge, "ro kernelcore=100M")
    host.put("sys/net/ipv4/tcp_ehash_entries", "524288\n")
    host.put("sys/net/ipv4/tcp_max_orphans", "262144\n")
    host.put("net/protocols", "protocol size sockets memory press\nTCP 2304 1 309 no\n")
    host.put("net/sockstat", "TCP: inuse 5 orphan 0 tw 0 alloc 8 mem 5\n")
    for pages in ((10_000_000, 20_000_000, 30_000_000), levels(int((62 - movable) * GIB)), levels(62 * GIB), (1, 2, 3)):
        host.levels(*pages)
        for command in ("check_tcp_limits", "check_tcp_mem"):
            options = (
                host.options if command == "check_tcp_limits" else [*host.options[:2], "--no-state", "--no-owners"]
            )
            output = host.run(command, *options, "-v")
            assert "internal error" not in output.text and "-" not in "".join(
                re.findall('tcp_mem="(.*?)"', output.text)
            )
            for advised in re.findall(r'(?:set tcp_mem to |tcp_mem=")([0-9 ]+)', output.text):
                low, pressure, high = map(int, advised.split())
                assert 96 <= low <= pressure <= high and high * 4096 <= max(192 * 4096, (62 - max(movable, huge)) * GIB)


@pytest.mark.parametrize("huge", [18, 21])
def test_huge_pages_set_at_run_time(host: Host, huge: int) -> None:
    """23.45 GiB, whose hash table is for up to 32: what is left is by MemTotal, and a quarter of it is enough."""
    become(host, 23.45, 0, huge)
    host.put("sys/net/ipv4/tcp_ehash_entries", "262144\n")
    left = 23.45 - huge
    host.levels(1048576, 1572864, 2097152)
    output = host.check("-v")
    assert "tcp_mem is no limit: m" in output.text and f"memory without huge pages {left:.1f} GiB" in output.text, (
        output
    )
    advised = re.search(r"set tcp_mem to ([0-9 ]+) \(see -v\)", output.text)
    assert advised and int(advised[1].split()[2]) * 4096 <= left / 4 * GIB
    host.levels(*map(int, advised[1].split()))
    assert host.check().code == 0


@pytest.mark.parametrize("kib", range(0, 16, 4))
def test_advice_clears_its_warning(host: Host, kib: int) -> None:
    """Whatever is left over of a page."""
    total = 252 * GIB + (kib << 10)
    host.put("meminfo", f"MemTotal: {total >> 10} kB\nHugetlb: {240 * GIB >> 10} kB\n")
    host.put("sys/net/ipv4/tcp_ehash_entries", "524288\n")
    host.put("sys/net/ipv4/tcp_max_orphans", "262144\n")
    host.levels(10_000_000, 20_000_000, 30_000_000)
    advised = re.search(r"set tcp_mem to ([0-9 ]+) \(see -v\)", host.text())
    assert advised
    host.levels(*map(int, advised[1].split()))
    assert host.check().code == 0
