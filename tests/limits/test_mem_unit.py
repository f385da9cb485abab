"""The unit of mem where pages are not 4 KiB: whatever the kernel counts in, the state is right, or UNKNOWN.

A kernel is modelled by what it does (``__sk_mem_raise_allocated``, net/core/sock.c): it holds so many bytes, counts them
in its own unit, and raises the flag of the pressure phase by its own levels.
"""

from __future__ import annotations

import pathlib
import random
from typing import NamedTuple

import pytest

from tcp_headroom.limits import mem_unit
from tcp_headroom.limits.tcp_mem import TcpMem
from tcp_headroom.verdict import judgement
from workbench.command import Output, Run

OK, WARNING, CRITICAL, UNKNOWN = range(4)

USUAL = TcpMem(6000, 8000, 12000)
"""Levels of the proportions that the kernel sets by itself."""


class Host(NamedTuple):
    """A machine with one kernel."""

    page: int
    """KiB of a page."""
    release: str
    unit: int
    """Bytes that its kernel counts mem in."""
    feature: bool = False
    """Whether it has net.core.mem_pcpu_rsv."""


HOSTS = {
    # On 4 KiB pages both units are the same, whatever the name.
    "4 KiB": [Host(4, release, 4096) for release in ("3.10.0-1160.el7.x86_64", "5.14.0-570.el9.x86_64", "6.1.0", "")],
    # Settled by the release, or by a setting that came with the change.
    "settled": [
        Host(64, "6.1.0-56-powerpc64le", 65536),
        Host(64, "7.2.13-arm64-64k", 65536),
        Host(16, "6.12.0-asahi", 16384),
        Host(64, "5.14.0-570.el9.aarch64+64k", 65536, True),
        Host(16, "5.14.0-570.el9.aarch64", 16384, True),
    ],
    # A name that kernels of both units have.
    "either": [
        Host(page, release, unit)
        for page in (16, 64)
        for release in ("5.14.0-70.el9.ppc64le", "5.14.0-503.el9.aarch64+64k", "5.10.0-32-arm64", "4.18.0-553.el8.aarch64",
                        "5.16.20", "3.10.0-1160.el7.ppc64le", "4.9.0-19-arm64", "")
        for unit in (4096, page << 10)
    ],
}  # fmt: skip

# What is held, in pages; whether the kernel is under pressure; the true state by default.
PLACES = [
    (0, False, OK),
    (100, False, OK),
    (5999, False, OK),
    (6001, False, OK),
    (8000, False, OK),
    (6001, True, WARNING),
    (8000, True, WARNING),
    (8001, True, WARNING),
    (10800, True, WARNING),
    (10801, True, CRITICAL),
    (12001, True, CRITICAL),
    (13000, True, CRITICAL),
]

PERHAPS = {
    # The kernel counts 4096-byte units and is under pressure: read as pages, that is far above the maximum, and nothing
    # contradicts it. By a unit that follows the page the same number would be below min, where no pressure lasts.
    (host.page, place)
    for host in HOSTS["either"]
    for place in PLACES
    if place[1] and place[2] == WARNING
}
"""Where UNKNOWN is allowed, of the kernels whose unit is 4096: page in KiB, and the place."""


@pytest.fixture
def check(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> object:
    """Runs check_tcp_mem on a host that holds so many pages."""

    def call(host: Host, levels: TcpMem, held: float, pressure: bool | None, *arguments: str) -> Output:
        monkeypatch.setattr("tcp_headroom.limits.tcp_mem.page_size", lambda: host.page << 10)
        texts = {
            "net/sockstat": f"TCP: inuse 1 orphan 0 tw 0 alloc 1 mem {int(held * (host.page << 10)) // host.unit}\n",
            "net/protocols": "protocol size sockets memory press maxhdr\n"
            + (f"TCP 2560 60 100 {'yes' if pressure else 'no'} 256\n" if pressure is not None else ""),
            "net/netstat": "TcpExt: PruneCalled\nTcpExt: 0\n",
            "sys/net/ipv4/tcp_mem": "\t".join(map(str, levels)) + "\n",
            "sys/net/ipv4/tcp_max_orphans": "65536\n",
            "sys/kernel/osrelease": host.release + "\n",
            mem_unit.PCPU_RSV: "16\n",
        }
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if name != mem_unit.PCPU_RSV or host.feature:
                path.write_text(text)
        return run("check_tcp_mem", "--procfs", tmp_path, *arguments)

    return call


CASES = [
    pytest.param(
        kind, host, place, id=f"{host.page}K-{host.release or 'no-name'}-unit{host.unit}-{place[0]}-{place[1]}"
    )
    for kind, hosts in HOSTS.items()
    for host in hosts
    for place in PLACES
]


@pytest.mark.parametrize("kind, host, place", CASES)
def test_the_state_is_right_or_unknown(check, kind: str, host: Host, place: tuple[int, bool, int]) -> None:  # type: ignore[no-untyped-def]
    held, pressure, state = place
    output = check(host, USUAL, held, pressure)
    if kind == "either" and host.unit == 4096 and (host.page, place) in PERHAPS:
        assert output.code in (state, UNKNOWN)
    else:
        assert output.code == state
    if output.code != UNKNOWN and kind != "either":
        assert output.perfdata["pages"].startswith(f"{held};")
    # Whoever says which unit it is always gets the state.
    given = check(host, USUAL, held, pressure, "--mem-unit", "4096" if host.unit == 4096 else "page")
    assert given.code == state and given.perfdata["pages"].startswith(f"{held};")
    assert given.perfdata.keys() == output.perfdata.keys()


def test_unknown_explains_and_names_the_option(check) -> None:  # type: ignore[no-untyped-def]
    output = check(Host(64, "5.14.0-503.el9.aarch64+64k", 4096), USUAL, 7000, True, "-v")
    assert output.code == UNKNOWN
    assert output.lines[0] == (
        "TCP MEM UNKNOWN - the unit of mem is not known on this kernel: TCP memory is at 58.3 % (unit 4096) or 933.3 % (unit "
        "65536). Next: compare with the sum of ss -tm, then give --mem-unit page or --mem-unit 4096"
    )
    assert "TCP holds 7000 pages, 437.5 MiB, if mem is in units of 4096 bytes" in output.lines
    assert "TCP holds 112000 pages, 6.8 GiB, if mem is in units of 65536 bytes" in output.lines
    # That much is certain.
    assert output.case == judgement.MEMORY and "the kernel is under memory pressure" in output.verdict
    assert "the unit of mem is not known" in output.verdict


def test_two_readings_that_agree_are_said(check) -> None:  # type: ignore[no-untyped-def]
    output = check(Host(64, "5.14.0-503.el9.aarch64+64k", 65536), USUAL, 200, False, "-v")
    assert output.code == OK and output.case != judgement.CANNOT_SAY
    (line,) = [line for line in output.lines if line.startswith("One page has 65536 bytes. ")]
    assert "units of 4096 bytes (4096 bytes, usual in Linux 5.14); or of 65536 bytes (the page size, usual in" in line


def test_nothing_changes_on_small_pages(tmp_path: pathlib.Path) -> None:
    for given in (None, "4096", "page"):
        assert mem_unit.candidates(str(tmp_path), 4096, given) == [(4096, "the page size")]


def test_no_flag_no_contradiction(check) -> None:  # type: ignore[no-untyped-def]
    """Without /proc/net/protocols the readings are not told apart."""
    host = Host(64, "4.18.0-553.el8.aarch64", 4096)
    assert check(host, USUAL, 400, None).code == OK
    assert check(host, USUAL, 7000, None).code == UNKNOWN


@pytest.mark.parametrize(
    "unit, held, pressure, state",
    [
        # Healthy, by levels that somebody has made low long ago: of 4096-byte units there are more than of pages in any level.
        (4096, 1000, False, OK),
        (65536, 13000, True, CRITICAL),
        # Lowered a moment ago, and nothing charged since: the numbers are those of a healthy host with the other unit.
        (65536, 16000, False, OK),
    ],
)
def test_the_flag_of_other_levels(check, unit: int, held: int, pressure: bool, state: int) -> None:  # type: ignore[no-untyped-def]
    """It is right from the next charge on; until then the state may be too good, which is documented, and not UNKNOWN."""
    assert check(Host(64, "5.14.0-503.el9.aarch64+64k", unit), USUAL, held, pressure).code == state


def test_levels_out_of_order_tell_nothing(check) -> None:  # type: ignore[no-untyped-def]
    """With pressure above max the flag stays down whatever is held."""
    host = Host(64, "5.14.0-503.el9.aarch64+64k", 65536)
    assert check(host, TcpMem(6000, 20000, 12000), 13000, False).code == UNKNOWN
    assert check(host, TcpMem(6000, 20000, 12000), 500, False).code == WARNING


def test_levels_by_option_are_judged_in_each_unit(check) -> None:  # type: ignore[no-untyped-def]
    host = Host(64, "5.14.0-503.el9.aarch64+64k", 4096)
    assert check(host, USUAL, 400, False, "-w", "10").code == UNKNOWN
    assert check(host, USUAL, 600, False, "-w", "4", "-c", "90").code == WARNING


def test_any_host(check) -> None:  # type: ignore[no-untyped-def]
    """Levels, usage and the history of the flag at random, as the kernel would have them: never a wrong state."""
    dice = random.Random(15)
    seen = []
    for _turn in range(150):
        kind = dice.choice([*HOSTS])
        host = dice.choice(HOSTS[kind])
        low, middle, high = (dice.randrange(1, 20_000) for _level in range(3))
        levels = TcpMem(*(sorted((low, middle, high)) if dice.random() < 0.8 else (low, middle, high)))
        units = dice.randrange(int(1.2 * levels.max) * (host.page << 10) // host.unit + 1)
        held = units * host.unit / (host.page << 10)
        # Above pressure it is up, below min it is down, between them it is what it was.
        pressure = held > levels.pressure or (levels.min <= held and dice.random() < 0.5)
        if not levels.in_order and held > levels.max:
            pressure = False
        state = (
            CRITICAL
            if held > 0.9 * levels.max
            else WARNING
            if pressure or held > levels.pressure or not levels.in_order
            else OK
        )
        code = check(host, levels, held, pressure).code
        assert code in (state, UNKNOWN), (host, levels, held, pressure)
        assert kind == "either" or code == state, (host, levels, held, pressure)
        seen.append(code)
    assert {OK, WARNING, CRITICAL, UNKNOWN} == set(seen) and seen.count(UNKNOWN) < 30
