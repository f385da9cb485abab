"""A database host of 256 GiB with 240 GiB of huge pages: the kernel counts them, but no network buffer comes from them."""

from __future__ import annotations

import pytest

from workbench.limits_host import GIB, Host, host, levels

__all__ = ["host"]

MEMORY = f"MemTotal: {252 * GIB >> 10} kB\nMemAvailable: {4 * GIB >> 10} kB\nHugetlb: {240 * GIB >> 10} kB\n"
BESIDE = "memory without huge pages"
LEFT = "393216 524288 786432"
"""A quarter of the 12 GiB that are left."""


@pytest.fixture
def database(host: Host) -> Host:
    host.put("meminfo", MEMORY)
    host.put("sys/net/ipv4/tcp_ehash_entries", "524288\n")
    host.put("sys/net/ipv4/tcp_max_orphans", "262144\n")
    host.put("net/protocols", "protocol size sockets memory press\nTCP 2304 1 309 no\n")
    host.levels(*levels(252 * GIB))
    return host


def test_what_the_kernel_sets_is_no_reason_for_a_word(database: Host) -> None:
    output = database.check()
    assert (output.code, "the default" in output.lines[0]) == (0, True), output.text


@pytest.mark.parametrize(
    "pages, code, text",
    [
        ((10_000_000, 20_000_000, 30_000_000), 2, f"tcp_mem is no limit: min 38.1 GiB, {BESIDE} 12.0 GiB"),
        ((1_000_000, 2_000_000, 30_000_000), 1, f"tcp_mem is no limit: max 114.4 GiB, {BESIDE} 12.0 GiB"),
        ((36_000, 50_000, 76_000), 2, "tcp_mem far below the default: max 296.9 MiB"),
    ],
)
def test_a_limit_is_measured_by_what_is_left(database: Host, pages: tuple[int, ...], code: int, text: str) -> None:
    database.levels(*pages)
    output = database.check()
    assert (output.code, text in output.lines[0]) == (code, True), output.text
    assert f"Next: set tcp_mem to {LEFT} (see -v)" in output.lines[0], output.text
    database.levels(*map(int, LEFT.split()))
    assert database.check().code == 0


@pytest.mark.parametrize("held, code", [(5, 0), (7, 1), (10, 2)])
def test_what_tcp_holds_is_measured_by_what_is_left(database: Host, held: int, code: int) -> None:
    """The maximum of 23.6 GiB, which the kernel has set, is twice what there is."""
    database.put("net/sockstat", f"TCP: inuse 5 orphan 0 tw 0 alloc 8 mem {held * GIB >> 12}\n")
    output = database.run("check_tcp_mem", "--procfs", str(database.proc), "--no-state", "--no-owners", "-v")
    assert output.code == code, output.text
    if code:
        assert f"of the {BESIDE} of this machine: {held}.0 GiB" in output.lines[0]
        assert f'sysctl -w net.ipv4.tcp_mem="{LEFT}"' in output.text
