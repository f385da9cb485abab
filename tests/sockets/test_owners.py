"""Who holds them: added up from what a kernel, or something worse, answers; by whole runs of the commands."""

from __future__ import annotations

import errno
import itertools
import os
import pathlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator

import nagiosplugin
import pytest

from tcp_headroom.proc.sockstat import Sockstat
from tcp_headroom.sockets import owners, sock_diag
from workbench.command import ROOT, Run
from workbench.netlink import Kernel, Losing, Refusing, done, error, install, memory, message, timing
from workbench.owner_lines import ADDED, OF_CGROUPS, told_at_once


def totals(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """What the machine has; this one's changes at any time."""
    monkeypatch.setattr("tcp_headroom.proc.sockstat.read", lambda root: Sockstat(number, number))


def told(run: Run, command: str, *arguments: str) -> list[str]:
    """The lines that owners add to the output of a whole run, of which nothing else may change."""
    limit = ["--max-orphans", "100000"] if "orphans" in command else ["--tcp-mem", "10000,20000,30000"]
    output = run(command, "-v", *limit, *arguments)
    plain = run(command, "-v", "--no-owners", *limit, *arguments)
    assert (output.code, output.lines[0]) == (plain.code, plain.lines[0]) and output.code != 3
    assert output.perfdata.keys() == plain.perfdata.keys()
    for line in output.lines[1:-1]:
        assert "|" not in line and line.isprintable()
    # The counters may move between the two runs.
    steady = {re.sub(r" is \d+:", "", line) for line in plain.lines}
    told = [line for line in output.lines[1:-1] if re.sub(r" is \d+:", "", line) not in steady]
    return [line for line in told if not OF_CGROUPS.match(line)]


OTHERS = "other network namespaces (containers)"
CROWD = [
    *(message(4, 443, 40000 + number, f"10.1.{number % 3}.{number}") for number in range(6)),
    message(9, 443, 50000, "192.0.2.1"),
    message(11, 443, 50001, "::ffff:192.0.2.2"),
    message(5, 443, 50002, "2001:db8:0:1::2", timer=2),
    message(4, 50003, 5432, "2001:db8:0:2::2"),
    message(4, 50004, 5432, "2001:db8:0:2::3"),
    # No orphans: held by a process, or a mini-socket of TIME_WAIT.
    message(4, 443, 50005, inode=4711),
    message(5, 443, 50006, timer=3),
]
IPV4, IPV6 = [one for one in CROWD if one[16] == 2], [one for one in CROWD if one[16] == 10]


ORPHAN_LINES = [
    "port 443: 9 orphans, 81.8 %; FIN_WAIT1 6, FIN_WAIT2 1, CLOSING 1, LAST_ACK 1; "
    "peers 10.1.0.0/24 (2), 10.1.1.0/24 (2), 10.1.2.0/24 (2)",
    "connections to port 5432: 2 orphans, 18.2 %; FIN_WAIT1 2; peers 2001:db8:0:2::/64 (2)",
]


def test_orphans_are_added_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    totals(monkeypatch, 12)
    install(monkeypatch, Kernel([*IPV4[:3], b"".join(IPV4[3:]), done()], [b"".join(IPV6), done()]))
    assert told(run, "check_tcp_orphans") == [*ORPHAN_LINES, f"1 more: in {OTHERS}, or short-lived"]


def test_mapped_addresses_are_ipv4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    totals(monkeypatch, 2)
    install(monkeypatch, Kernel([message(4, 443, 1, "192.0.2.1") + done()], [message(4, 443, 2, "::ffff:192.0.2.9") + done()]))  # fmt: skip
    assert told(run, "check_tcp_orphans") == ["port 443: 2 orphans, 100.0 %; FIN_WAIT1 2; peers 192.0.2.0/24 (2)"]


@pytest.mark.parametrize("total, more", [(0, []), (1, [f"1 orphan: in {OTHERS}, or short-lived"])])
def test_no_orphans(run: Run, monkeypatch: pytest.MonkeyPatch, total: int, more: list[str]) -> None:
    totals(monkeypatch, total)
    install(monkeypatch, Kernel([done()]))
    assert told(run, "check_tcp_orphans") == more


def test_the_bounds_of_ephemeral_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are among them; one more, on which somebody listens, is a service."""
    monkeypatch.setattr("tcp_headroom.proc.sysctl.ephemeral_ports", lambda root: range(40000, 50000))
    here = [39999, 40000, 45000, 49999, 50000]
    install(monkeypatch, Kernel([message(10, 45000, 0), *(message(4, port, 80) for port in here), done()], [done()]))
    assert [line.partition(";")[0] for line in owners.of_orphans(5, 5)] == [
        "connections to port 80: 2 orphans, 40.0 %", *(f"port {port}: 1 orphan, 20.0 %" for port in here[::2])
    ]  # fmt: skip


FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING = 4, 5, 9, 11
RETRANSMITTING, KEEPALIVE, PROBING, NO_TIMER = 1, 2, 4, 0


@pytest.mark.parametrize(
    "state, timer, silent, backoff, retries, release, penalised",
    [
        # A FIN without data is retransmitted: the silence began before the close.
        (FIN_WAIT1, RETRANSMITTING, 4001, 0, 0, "6.1.0", True),
        (LAST_ACK, RETRANSMITTING, 4001, 7, 0, "6.1.0", True),
        (CLOSING, RETRANSMITTING, 4001, 7, 0, "6.1.0", True),
        (FIN_WAIT1, RETRANSMITTING, 4000, 0, 0, "6.1.0", False),
        # Written into a window that had been closed for long: the first probes ask.
        (FIN_WAIT1, PROBING, 4001, 0, 0, "6.1.0", True),
        (FIN_WAIT1, PROBING, 4001, 3, 0, "6.1.0", True),
        # The wait between probes has reached the longest timeout, 200 ms doubled four times of 2 s: given up unasked.
        (FIN_WAIT1, PROBING, 4001, 4, 0, "6.1.0", False),
        (FIN_WAIT1, PROBING, 4001, 4, 4, "6.1.0", False),
        (FIN_WAIT1, PROBING, 4001, 4, 5, "6.1.0", True),
        (FIN_WAIT1, PROBING, 4001, 4, 0, "3.10.0-1160.el7", True),
        (FIN_WAIT1, PROBING, 4001, 4, 0, "4.0.5", False),
        # Nobody asks.
        (FIN_WAIT2, KEEPALIVE, 4001, 0, 0, "6.1.0", False),
        (FIN_WAIT2, RETRANSMITTING, 4001, 0, 0, "6.1.0", False),
        (FIN_WAIT1, KEEPALIVE, 4001, 0, 0, "6.1.0", False),
        (FIN_WAIT1, NO_TIMER, 4001, 0, 0, "6.1.0", False),
    ],
)
def test_penalised_for_silence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    state: int,
    timer: int,
    silent: int,
    backoff: int,
    retries: int,
    release: str,
    penalised: bool,
) -> None:
    for name, text in (
        ("net/ipv4/tcp_rto_max_ms", 2000), ("net/ipv4/tcp_orphan_retries", retries), ("kernel/osrelease", release)
    ):  # fmt: skip
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(f"{text}\n")
    monkeypatch.setattr(owners, "PROC", str(tmp_path))
    one = message(state, 443, 1, timer=timer, attributes=timing(silent, backoff))
    install(monkeypatch, Kernel([one, one, done()], [done()]))
    assert (
        list(owners.of_orphans(2, 5))[1:]
        == [
            "at least 2 of them are penalised now: no data was sent for more than 4 s; ICMP errors and lost routes cannot be "
            "seen from here"
        ]
        * penalised
    )


def test_networks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "NETWORKS", 10)
    many = [message(4, 443, 40000, f"10.{number}.1.1") for number in range(100)]
    install(monkeypatch, Kernel([b"".join(many[:11]), b"".join(many[11:]), done()], [done()]))
    assert list(owners.of_orphans(100, 5)) == [
        "port 443: 100 orphans, 100.0 %; FIN_WAIT1 100; peers further networks (89), 10.0.1.0/24 (1), 10.1.1.0/24 (1)"
    ]


HELD = [
    message(10, 55555, 0, inode=1),
    message(1, 443, 40000, inode=11, attributes=memory(600_000, 24_000, 0)),
    message(8, 443, 40001, inode=12, attributes=memory(300_000, 0, 100_000)),
    message(1, 443, 40002, inode=0, attributes=memory(10_000, 0, 0)),
    message(4, 443, 40003, inode=0, attributes=memory(0, 0, 90_000)),
    message(1, 55555, 40004, inode=13, attributes=memory(24_000, 1000, 0)),
    message(1, 50000, 5432, inode=14, attributes=memory(0, 0, 24_000)),
    message(1, 50001, 5432, inode=15, attributes=memory(0, 0, 0)),
    message(1, 50002, 5432, inode=15, attributes=memory(0, -1, 0)),
    message(1, 50003, 5432, inode=15),
]
HELD_LINES = [
    "port 443: 1.1 MiB, 68.6 %, in 4 sockets; 888.7 KiB received, 185.5 KiB to be sent; "
    "held by shop?[9] 1000.0 KiB, orphans 87.9 KiB, not yet accepted 9.8 KiB",
    "port 55555: 24.4 KiB, 1.5 %, in 1 socket; 23.4 KiB received, 0 B to be sent; held by process 10 24.4 KiB",
    "connections to port 5432: 23.4 KiB, 1.5 %, in 1 socket; 0 B received, 23.4 KiB to be sent",
]
MORE_MEMORY = (
    "454.5 KiB more, 28.4 %: in the kernel's reserve, up to 1.0 MiB for each CPU, in other network namespaces "
    "(containers), in closed sockets, in MPTCP (ss -M), or short-lived"
)


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """Processes: one with a name to be cleaned, one without, and what else there is below /proc."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        root.chmod(0o755)
        for pid, links in {"9": [11, 12, 99], "10": [13, 12], "self": [14], "77": []}.items():
            (root / pid / "fd").mkdir(parents=True)
            for number, inode in enumerate(links):
                (root / pid / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
        (root / "9/comm").write_text("shop|\n")
        for number, link in enumerate(
            ["/dev/null", "socket:[x]", "socket:[", "anon_inode:[eventfd]", "socket:[\u0664]"]
        ):
            (root / "9/fd" / f"9{number}").symlink_to(link)
        (root / "9/fd/1000").write_text("no link")
        (root / "8").mkdir()
        (root / "7").write_text("")
        monkeypatch.setattr(owners, "PROC", folder)
        yield root


def test_memory_is_added_up(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    """Each inode once, though two processes hold it; an idle socket holds nothing."""
    install(monkeypatch, Kernel([b"".join(HELD), done()], [done()]))
    assert list(owners.of_memory(1_638_400, 1 << 20, 5)) == [
        *HELD_LINES,
        MORE_MEMORY,
    ]


def test_the_documents_show_these_lines() -> None:
    shown = (ROOT / "contrib/doc/checks.md").read_text()
    for block in ("\n".join(ORPHAN_LINES), HELD_LINES[0].replace("shop?", "shop")):
        assert f"\n```\n{block}\n```\n" in shown


def test_less_memory_counted_than_seen(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    """The number of the machine lags behind: a share is never above 100 %."""
    for total in (0, 1, None):
        install(monkeypatch, Kernel([HELD[1], done()], [done()]))
        (line,) = owners.of_memory(total, 0, 5)
        assert line.startswith("port 443: 609.4 KiB, 100.0 %, in 1 socket; ")


def test_processes_of_others(
    monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    (proc / "9/fd").chmod(0)
    request.getfixturevalue("powerless")
    install(monkeypatch, Kernel([b"".join(HELD), done()], [done()]))
    assert list(owners.of_memory(1_638_400, 1 << 20, 5)) == [
        HELD_LINES[0].replace("shop?[9] 1000.0 KiB, orphans 87.9 KiB", "process 10 390.6 KiB, orphans 87.9 KiB"),
        *HELD_LINES[1:],
        "not shown, processes: 1 cannot be read by this user; root or CAP_SYS_PTRACE can",
        MORE_MEMORY,
    ]


def test_a_process_of_the_same_user_with_more_rights(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    """Its folder can be listed, and no link in it be read (``proc_fd_access_allowed``, fs/proc/fd.c)."""
    real = os.readlink

    def readlink(name: str, dir_fd: int) -> str:
        if os.readlink(f"/proc/self/fd/{dir_fd}").endswith("/9/fd"):
            raise PermissionError(13, "Permission denied")
        return real(name, dir_fd=dir_fd)

    monkeypatch.setattr("tcp_headroom.sockets.owners.os", _Os(readlink))
    install(monkeypatch, Kernel([HELD[1] + HELD[5], done()], [done()]))
    *ports, why = owners.of_memory(None, 0, 5)
    assert [line.partition("; held by ")[2] for line in ports] == ["", "process 10 24.4 KiB"]
    assert why == "not shown, processes: 1 cannot be read by this user; root or CAP_SYS_PTRACE can"


class _Os:
    """The module ``os`` with one function of its own."""

    def __init__(self, readlink: Callable[..., str]) -> None:
        self.readlink = readlink

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_processes_cannot_be_listed(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    monkeypatch.setattr(owners, "PROC", "/nonexistent/proc")
    install(monkeypatch, Kernel([HELD[1], done()], [done()]))
    assert list(owners.of_memory(None, 0, 5))[1:] == [
        "not shown, processes: cannot list /nonexistent/proc: No such file or directory"
    ]


def test_no_time_for_processes(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    install(monkeypatch, Kernel([b"".join(HELD), done()], [done()]))
    real = os.listdir

    def slow(path: str | int) -> list[str]:
        time.sleep(0.3)
        return real(path)

    monkeypatch.setattr("tcp_headroom.sockets.owners.os.listdir", slow)
    seen = list(owners.of_memory(None, 0, 0.2))
    assert [line.partition(": ")[0] for line in seen] == ["port 443", "port 55555", "connections to port 5432", "not shown, processes"]  # fmt: skip
    assert seen[-1] == "not shown, processes: the time was too short; allow more with -t"
    assert "[9]" not in seen[0]


def test_a_process_with_many_descriptors(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    """As many as may be looked at stand for all; the result is an estimate, and is called so."""
    _many(monkeypatch, proc, 100, 25, lambda descriptor: True)
    many = [message(1, 443, inode, inode=inode, attributes=memory(1024, 0, 0)) for inode in range(100, 200)]
    install(monkeypatch, Kernel([b"".join(many), done()], [done()]))
    (line,) = owners.of_memory(None, 0, 5)
    assert line == (
        "port 443: 100.0 KiB, 100.0 %, in 100 sockets; 100.0 KiB received, 0 B to be sent; held by about many[1] 100.0 KiB"
    )


def _many(
    monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path, size: int, most: int, socket: Callable[[int], bool]
) -> list[str]:
    """A process with a table of ``size`` descriptors, of which ``most`` may be looked at; those looked at."""
    monkeypatch.setattr(owners, "DESCRIPTORS", most)
    (proc / "1/fd").mkdir(parents=True)
    (proc / "1/comm").write_text("many\n")
    (proc / "1/status").write_text(f"Name:\tmany\nFDSize:\t{size}\nGroups:\n")
    for number in range(size):
        (proc / f"1/fd/{number}").symlink_to(f"socket:[{100 + number}]" if socket(number) else "/dev/null")
    looked: list[str] = []
    real = os.readlink
    monkeypatch.setattr("os.readlink", lambda name, **where: (looked.append(name), real(name, **where))[1])
    return looked


@pytest.mark.parametrize("period", [2, 3, 5, 7, 8, 9, 16])
@pytest.mark.parametrize("phase", [0, 1])
def test_a_pattern_does_not_mislead_a_sample(
    monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path, period: int, phase: int
) -> None:
    """Every second descriptor, or third, is a socket: the estimate is near the truth whatever the period."""
    looked = _many(monkeypatch, proc, 1024, 256, lambda descriptor: descriptor % period == phase % period)
    truth = [number for number in range(1024) if number % period == phase % period]
    many = [message(1, 443, 1, inode=100 + number, attributes=memory(1 << 20, 0, 0)) for number in truth]
    # More elsewhere, so that no estimate is cut to what there is.
    more = [message(1, 443, 1, inode=7, attributes=memory(1 << 30, 0, 0))] * 8
    install(monkeypatch, Kernel([*many, *more, done()], [done()]))
    line = next(iter(owners.of_memory(None, 0, 5)))
    found = re.search(r"held by about many\[1\] ([0-9.]+) ([MG])iB", line)
    assert found, line
    estimate = float(found[1]) * (1024 if found[2] == "G" else 1)
    # Five standard deviations of a binomial sample.
    share = 1 / period
    assert abs(estimate - len(truth)) < 5 * 1024 * (share * (1 - share) / 256) ** 0.5
    assert len([name for name in looked if name.isdigit()]) >= 256


def test_a_sample_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    looked = _many(monkeypatch, proc, 1000, 10, lambda descriptor: True)
    samples = []
    for _run in range(2):
        looked.clear()
        install(monkeypatch, Kernel([message(1, 1, 1, inode=1, attributes=memory(1024, 0, 0)), done()], [done()]))
        list(owners.of_memory(None, 0, 5))
        samples.append(looked[:10])
    assert samples[0] == samples[1] and len(set(samples[0])) == 10


def test_a_sample_is_never_more_than_all(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    """The one socket that holds something is among those looked at, which stand for ten times as many."""
    looked = _many(monkeypatch, proc, 100, 10, lambda descriptor: True)
    install(monkeypatch, Kernel([message(1, 443, 1, inode=7, attributes=memory(1024, 0, 0)), done()], [done()]))
    list(owners.of_memory(None, 0, 5))
    seen, unseen = looked[0], next(str(number) for number in range(100) if str(number) not in looked[:10])
    for descriptor, said in ((seen, "; held by about many[1] 1.0 KiB"), (unseen, "")):
        inode = 100 + int(descriptor)
        install(monkeypatch, Kernel([message(1, 443, 1, inode=inode, attributes=memory(1024, 0, 0)), done()], [done()]))
        lines = list(owners.of_memory(None, 0, 5))
        assert lines == ["port 443: 1.0 KiB, 100.0 %, in 1 socket; 1.0 KiB received, 0 B to be sent" + said]


@pytest.mark.parametrize(
    "rest, reserve, places",
    [
        (
            1 << 20,
            1 << 20,
            ["the kernel's reserve, up to 1.0 MiB for each CPU", OTHERS, "closed sockets", "MPTCP (ss -M)"],
        ),
        (
            4 << 20,
            1 << 20,
            ["the kernel's reserve, up to 1.0 MiB for each CPU", OTHERS, "closed sockets", "MPTCP (ss -M)"],
        ),
        (
            (4 << 20) + 1,
            1 << 20,
            [OTHERS, "closed sockets", "MPTCP (ss -M)", "the kernel's reserve, up to 1.0 MiB for each CPU"],
        ),
        (1 << 20, 0, [OTHERS, "closed sockets", "MPTCP (ss -M)"]),
    ],
)
def test_where_memory_may_be_that_nobody_is_seen_to_hold(
    monkeypatch: pytest.MonkeyPatch, rest: int, reserve: int, places: list[str]
) -> None:
    """On an idle host it is likely the reserve; before 6.0 there is none."""
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    install(monkeypatch, Kernel([done()], [done()]))
    (line,) = owners.of_memory(rest, reserve, 5)
    assert [place.removeprefix("in ") for place in re.split(", (?=in |or short)", line.partition(": ")[2])] == [
        *places, "or short-lived"
    ]  # fmt: skip


@pytest.mark.parametrize("found, said", [(1, True), (2, False)])
def test_processes_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path, found: int, said: bool
) -> None:
    """In a container with the network of the host its processes are missing; a few sockets always are closed since."""
    inodes = [*[11, 12][:found], *range(1000, 1002)]
    held = [message(1, 443, 1, inode=inode, attributes=memory(1024, 0, 0)) for inode in inodes]
    install(monkeypatch, Kernel([*held, done()], [done()]))
    assert (
        list(owners.of_memory(None, 0, 5))[1:]
        == [
            "not shown, processes: no process found for 2 of 3 sockets: hidden (hidepid, another PID namespace), held by the "
            "kernel itself, or closed since"
        ]
        * said
    )


def test_the_five_largest_are_named(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    """And processes are looked for that hold sockets of these."""
    many = [message(1, port, 1, inode=1000 + port, attributes=memory(1024 * port, 0, 0)) for port in range(1, 8)]
    install(monkeypatch, Kernel([*many, done()], [done()]))
    lines = list(owners.of_memory(28 * 1024, 0, 5))
    assert [line.partition(",")[0] for line in lines[:5]] == [f"port {port}: {port}.0 KiB" for port in (7, 6, 5, 4, 3)]
    assert lines[5] == "2 more ports: 3.0 KiB, 10.7 %"
    assert lines[6].startswith("not shown, processes: no process found for 5 of 5 sockets")
    assert len(lines) == 7


def test_inodes_are_bounded(monkeypatch: pytest.MonkeyPatch, proc: pathlib.Path) -> None:
    monkeypatch.setattr(owners, "INODES", 1)
    install(monkeypatch, Kernel([HELD[1] + HELD[2], HELD[5], done()], [done()]))
    assert [line.partition("; held by ")[2] for line in owners.of_memory(None, 0, 5)] == ["shop?[9] 1000.0 KiB", ""]


GAVE_UP = "sock_diag: the time was too short; allow more with -t"


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
@pytest.mark.parametrize(
    "kernel, reason",
    [
        (Kernel([error(errno.EPERM)]), "sock_diag: the kernel refused, Operation not permitted; a security policy forbids it to this user"),
        (Kernel([b"?"]), "sock_diag: an answer of the kernel is too short"),
        (Kernel([]), GAVE_UP),
        (Losing([]), "sock_diag: answers of the kernel were lost, no buffer space left"),
        (Refusing(errno.EACCES), "sock_diag: the kernel refused, Permission denied; a security policy forbids it to this user"),
    ],
)  # fmt: skip
def test_nothing_can_be_seen(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, kernel: Kernel, reason: str
) -> None:
    """One line says why; the rest of the result is as it was."""
    totals(monkeypatch, 2)
    install(monkeypatch, kernel)
    assert told(run, command) == [f"not shown, owners: {reason}"]


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
def test_a_dump_without_end(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """A quarter of --timeout, and what was seen until then; nothing is said of what others have."""
    totals(monkeypatch, 10**9)
    one = message(4, 443, 40000, attributes=memory(0, 0, 4096))
    install(monkeypatch, Kernel(itertools.repeat(one)))
    begin = time.monotonic()
    seen = told_at_once(run, command, "-t", "2")
    assert time.monotonic() - begin >= 0.5
    assert re.match(r"port 443: (\d+ orphans|\d.* [KM]iB), ", seen[0])
    assert seen[1:] == [
        f"not shown, owners of further {command.rpartition('_')[2].replace('mem', 'memory')}: {GAVE_UP}"
    ]


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
def test_the_time_of_the_check_runs_out(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """The alarm of nagiosplugin strikes while the kernel is asked: the result stays."""

    def slow(*arguments: object) -> None:
        raise nagiosplugin.Timeout("1s")

    totals(monkeypatch, 2)
    monkeypatch.setattr(sock_diag, "dump", slow)
    (verdict, line) = told(run, command)
    assert line == "not shown, the rest: the check gave up after 1s; allow more time with -t"
    assert verdict.startswith("Verdict: not known - the check gave up after 1s; ")


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
@pytest.mark.parametrize("arguments", [["--no-owners"], ["--procfs", "kernel-6.18/00-idle/host"]])
def test_no_question(run: Run, monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str]) -> None:
    """Not asked for, or about another machine than the one whose sockets could be listed."""
    kernel = Kernel([done()])
    install(monkeypatch, kernel)
    assert len(run(command, "-v", *arguments).lines) > 4
    assert not kernel.asked
    run(command)
    assert not kernel.asked
    run(command, "-v")
    assert kernel.asked
