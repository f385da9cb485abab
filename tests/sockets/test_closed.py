"""Sockets in no list that a program keeps: real ones of this kernel, and descriptors that are something else."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tcp_headroom.proc.sockstat6 import Unlisted
from tcp_headroom.sockets import closed
from workbench.machine import program
from workbench.namespaces import UNSHARE, namespaces_allowed
from workbench.netlink import Kernel, Refusing, done, install, message
from workbench.tenants import tenant

EXPLANATION = "ss does not show them, lsof does (protocol: TCP); closed ones keep their memory"
KEPT = (
    " keeps {} TCP sockets in no list here: closed (reset, timed out or ended), never connected, or of another network "
    "namespace; not known which. " + EXPLANATION
)


CLONE_NEWNET = 0x40000000

MANY = Unlisted(0, 1000, 2000)
"""So many that looking is worth while, and so few for certain that they need no sentence."""
SURE = Unlisted(1000, 1000, 2000)
POSSIBLE = (
    "1000 of the 2000 TCP sockets of this machine are in no list here: they are in other network namespaces (containers), "
    "closed (reset, timed out or ended) and kept by their program, or never connected. " + EXPLANATION
)


def test_a_number_where_nothing_can_be_looked_up() -> None:
    assert list(closed.lines(SURE, None)) == [POSSIBLE]


@pytest.mark.parametrize("least, most", [(0, 0), (9, 9), (0, 9), (0, 5000)])
def test_a_few_are_not_worth_a_sentence(least: int, most: int) -> None:
    assert list(closed.lines(Unlisted(least, most, 10000), None)) == []


def test_what_is_left_is_said() -> None:
    """Of 1000 in no list 150 are proven; where all processes can be seen, the others are not of this namespace."""
    with tenant("--closed", 150, "--send", 4) as pid:
        said = list(closed.lines(Unlisted(1000, 1000, 2000), 20))
    mine = [line for line in said if f"[{pid}]" + KEPT.format(150) in line]
    assert len(mine) == 1
    # Other programs of this machine may keep some, too.
    assert 0 < int(said[-1].partition(" ")[0]) <= 850
    sees_all = os.readlink("/proc/self/ns/pid") == "pid:[4026531836]"
    rest = POSSIBLE
    if sees_all and not any("not shown" in line for line in said):
        most_likely = (
            "most likely they are in other network namespaces (containers), as no process of this one has them"
        )
        rest = f"{POSSIBLE.partition(': ')[0]}: {most_likely}"
    assert said[-1].partition(" of ")[2] == rest.partition(" of ")[2]


def test_sockets_reset_by_the_peer() -> None:
    """Named with process and number, and nothing else of this machine is named instead."""
    with tenant("--closed", 150, "--send", 4) as pid, tenant("--tcp", 30, "--send", 4) as other:
        (line,) = (line for line in closed.lines(MANY, 20) if "keeps" in line)
    assert f"[{pid}]" + KEPT.format(150) in line
    assert f"[{other}]" not in line


@contextlib.contextmanager
def connected(family: socket.AddressFamily, address: str, number: int) -> Iterator[tuple[list[socket.socket], ...]]:
    server = socket.create_server((address, 0), family=family, backlog=number)
    clients = [socket.create_connection(server.getsockname()[:2]) for _ in range(number)]
    others = [server.accept()[0] for _ in range(number)]
    try:
        yield clients, others
    finally:
        for one in [server, *clients, *others]:
            one.close()


def reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def own(patience: float = 60) -> str:
    """What is said of this process; empty if nothing."""
    found = [line for line in closed.lines(MANY, patience) if f"[{os.getpid()}] keeps" in line]
    return found[0] if found else ""


def keeps(line: str) -> int:
    return int(line.partition(f"[{os.getpid()}] keeps ")[2].partition(" ")[0])


@pytest.mark.parametrize("family, address", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_both_families(family: socket.AddressFamily, address: str) -> None:
    with connected(family, address, 25) as (clients, others):
        assert own() == ""
        for client in clients[:20]:
            reset(client)
        for other in others[:20]:
            with pytest.raises(ConnectionResetError):
                other.recv(1)
        assert keeps(own()) == 20
        for other in others[:15]:
            other.close()
        assert own() == ""


def test_ended_by_both_sides() -> None:
    """Not reset: shut down, and the descriptor forgotten. TIME_WAIT is of the kernel alone."""
    with connected(socket.AF_INET, "127.0.0.1", 20) as (clients, others):
        for client, other in zip(clients, others):
            client.shutdown(socket.SHUT_WR)
            assert other.recv(1) == b""
            other.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        # Both ends of each connection.
        assert keeps(own()) == 40


def reset_by_peer() -> list[socket.socket]:
    with connected(socket.AF_INET, "127.0.0.1", 25) as (clients, others):
        for client in clients:
            reset(client)
        return [other.dup() for other in others]


def never_connected() -> list[socket.socket]:
    return [socket.socket() for _ in range(25)]


def bound() -> list[socket.socket]:
    kept = never_connected()
    for one in kept:
        one.bind(("127.0.0.1", 0))
    return kept


def of_another_namespace() -> list[socket.socket]:
    """They listen there, in a list of that namespace, as those of HAProxy do; the thread that made it has ended."""
    kept: list[socket.socket] = []

    def make() -> None:
        if ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
            kept.extend(socket.create_server(("", 0)) for _ in range(25))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return kept or pytest.skip("this user may make no network namespace")


@pytest.mark.parametrize("make", [reset_by_peer, never_connected, bound, of_another_namespace])
def test_no_cause_is_claimed(make: Callable[[], list[socket.socket]]) -> None:
    """From outside they are all the same, so the sentence has all the causes."""
    kept = make()
    said = own()
    for one in kept:
        one.close()
    assert said.endswith(f"[{os.getpid()}]" + KEPT.format(25))


def test_other_sockets_are_none() -> None:
    """Unix, UDP, netlink, listening and open ones, and two descriptors of one socket."""
    kept: list[socket.socket] = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    kept += [one for _ in range(20) for one in socket.socketpair()]
    kept += [socket.create_server(("127.0.0.1", 0)) for _ in range(20)]
    with connected(socket.AF_INET, "127.0.0.1", 9) as (clients, others):
        for client in clients:
            reset(client)
        kept += [other.dup() for other in others]
        # 9 closed sockets with 18 descriptors: too few to be said.
        assert own() == ""
    for one in kept:
        one.close()


@pytest.mark.skipif(not namespaces_allowed(), reason="this machine allows no namespaces")
def test_other_network_namespaces_are_left_alone() -> None:
    """What they have in no list here is in a list of theirs."""
    with tenant("--own-network", "--tcp", 30, "--send", 4, prefix=(*UNSHARE[:3],)) as pid:
        assert not [line for line in closed.lines(MANY, 20) if f"[{pid}]" in line]


def test_without_rights(request: pytest.FixtureRequest) -> None:
    """The processes of others cannot be seen, and that is said, with the possibility."""
    with tenant("--closed", 20, "--send", 4) as pid:
        request.getfixturevalue("powerless")
        seen = list(closed.lines(SURE, 20))
    # Without root the processes of the test are those of this user.
    assert [line for line in seen if f"[{pid}]" in line] == [] or os.geteuid() != 0
    *_named, why, possible = seen
    assert why.startswith("not shown, ") and "processes with sockets in no list: " in why
    assert why.endswith(" of the processes cannot be read by this user; root or CAP_SYS_PTRACE can")
    assert possible.startswith(POSSIBLE.partition(" of ")[0]) or os.geteuid() != 0
    assert possible.partition(" of ")[2] == POSSIBLE.partition(" of ")[2]


TOO_SHORT = "not shown, processes with sockets in no list: the time was too short; allow more with -t"


@pytest.mark.parametrize("number, said", [(SURE, [TOO_SHORT, POSSIBLE]), (MANY, [])])
def test_no_time(number: Unlisted, said: list[str]) -> None:
    with connected(socket.AF_INET, "127.0.0.1", 20):
        assert list(closed.lines(number, -1)) == said


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed, "DESCRIPTORS", 3)
    assert list(closed.lines(SURE, 20)) == [
        "not shown, processes with sockets in no list: there are more than 3 descriptors, or 50000 TCP sockets", POSSIBLE
    ]  # fmt: skip


def test_what_the_kernel_does_not_list_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the whole list nothing is claimed."""
    with connected(socket.AF_INET, "127.0.0.1", 20):
        for kernel in (Refusing(errno.EACCES), Kernel([]), Kernel([message(1, 1, 1)])):
            install(monkeypatch, kernel)
            why, possible = closed.lines(SURE, 20)
            assert why.startswith("not shown, processes with sockets in no list: sock_diag: ") and possible == POSSIBLE


def test_no_question_without_candidates(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    kernel = Kernel([done()])
    install(monkeypatch, kernel)
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/net").symlink_to("net:[1]")
    monkeypatch.setattr(closed, "PROC", str(tmp_path))
    assert list(closed.lines(MANY, 20)) == [] and not kernel.asked


def test_hostile_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Names are cleaned, links that are no sockets are none, and the largest are named."""
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/net").symlink_to("net:[1]")
    for pid, number in ((10, 3), (11, 9), (12, 5), (13, 1), (14, 2)):
        (tmp_path / f"{pid}/ns").mkdir(parents=True)
        (tmp_path / f"{pid}/ns/net").symlink_to("net:[1]")
        (tmp_path / f"{pid}/fd").mkdir()
        (tmp_path / f"{pid}/comm").write_text("a|b\x1b[31m\n")
        for descriptor in range(number):
            (tmp_path / f"{pid}/fd/{descriptor}").symlink_to(f"socket:[{pid}0{descriptor}]")
        for descriptor, link in enumerate(["socket:[", "socket:[\u0664]", "socket:[-1]", "/dev/null"], 100):
            (tmp_path / f"{pid}/fd/{descriptor}").symlink_to(link)
    (tmp_path / "11/comm").unlink()
    (tmp_path / "99").mkdir()
    monkeypatch.setattr(closed, "PROC", str(tmp_path))
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"TCP\0")
    install(monkeypatch, Kernel([message(1, 1, 1, inode=1008), done()]))
    (line,) = closed.lines(MANY, 20)
    assert line.startswith(
        "process 11 keeps 9 TCP sockets in no list here, a?b?[31m[12] 5, a?b?[31m[10] 3, others 3: closed (reset, "
    )


def test_nothing_of_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed, "PROC", "/nonexistent")
    assert list(closed.lines(SURE, 20)) == [
        "not shown, processes with sockets in no list: cannot read /nonexistent: No such file or directory", POSSIBLE
    ]  # fmt: skip


def test_ss_does_not_show_them() -> None:
    """The reason for all of this."""
    with connected(socket.AF_INET, "127.0.0.1", 12) as (clients, others):
        # A port may have been another's a minute ago, whose TIME_WAIT is still shown: so both ends count.
        ends = {(other.getpeername()[1], other.getsockname()[1]) for other in others}
        for client in clients:
            reset(client)
        shown = subprocess.run([program("iproute2", "ss"), "-Htan"], capture_output=True, text=True, check=True).stdout
        pairs = [line.split()[3:5] for line in shown.splitlines()]
        assert not {(int(here.rpartition(":")[2]), int(there.rpartition(":")[2])) for here, there in pairs if there[-1] != "*"} & ends  # fmt: skip
        assert keeps(own()) == 12
