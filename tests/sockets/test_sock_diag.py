"""The sockets as the kernel lists them: the running one, and one that answers anything."""

from __future__ import annotations

import collections
import errno
import itertools
import os
import pathlib
import socket
import struct
import sys
import time
import types
from collections.abc import Iterable, Iterator
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tcp_headroom.blind import Blind
from tcp_headroom.sockets import sock_diag
from workbench.command import FIXTURES
from workbench.netlink import (
    Kernel,
    Losing,
    Refusing,
    Silent,
    attribute,
    done,
    error,
    header,
    install,
    memory,
    message,
    timing,
)

ALL = (
    sock_diag.ESTABLISHED, sock_diag.SYN_SENT, sock_diag.FIN_WAIT1, sock_diag.FIN_WAIT2, sock_diag.TIME_WAIT,
    sock_diag.CLOSE_WAIT, sock_diag.LAST_ACK, sock_diag.LISTEN, sock_diag.CLOSING,
)  # fmt: skip


def soon() -> float:
    return time.monotonic() + 30


def listed(family: int, attribute: int = 0, states: tuple[int, ...] = ALL) -> list[sock_diag.Socket]:
    return list(itertools.chain.from_iterable(sock_diag.dump(family, states, soon(), attribute)))


def raw_dump(family: int, wanted: int, states: tuple[int, ...] = ALL) -> list[bytes]:
    """The datagrams in which the running kernel answers."""
    taken = []

    def parse(data: bytes, attribute: int) -> tuple[Iterable[sock_diag.Socket], int, bool]:
        taken.append(data)
        return real(data, attribute)

    real = sock_diag.parse
    with mock.patch.object(sock_diag, "parse", parse):
        listed(family, wanted, states)
    return taken


@pytest.fixture(scope="module")
def connections() -> Iterator[list[tuple[str, socket.socket, socket.socket, socket.socket]]]:
    """Of each kind one: its name, listener, client and server end, with 1000 bytes that nobody has read."""
    made = []
    for family, address, target in (
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "::ffff:127.0.0.1"),
    ):
        listener = socket.create_server((address, 0), family=family, dualstack_ipv6=address == "::")
        client = socket.create_connection((target, listener.getsockname()[1]))
        server = listener.accept()[0]
        client.send(bytes(1000))
        made.append((target, listener, client, server))
    yield made
    for _target, *sockets in made:
        for one in sockets:
            one.close()


def test_the_running_kernel(connections: list[tuple[str, socket.socket, socket.socket, socket.socket]]) -> None:
    for target, listener, client, server in connections:
        found = {(here, there): rest for state, timer, here, there, *rest in listed(client.family)}
        states = {(here, there): state for state, _timer, here, there, *_rest in listed(client.family)}
        for one, state in ((listener, sock_diag.LISTEN), (client, sock_diag.ESTABLISHED), (server, sock_diag.ESTABLISHED)):  # fmt: skip
            here = one.getsockname()[1].to_bytes(2, "big")
            there = bytes(2) if one is listener else one.getpeername()[1].to_bytes(2, "big")
            address, inode, extra = found[here, there]
            assert states[here, there] == state
            assert inode == os.fstat(one.fileno()).st_ino
            assert extra == b""
            if one is not listener:
                assert address == socket.inet_pton(client.family, target).ljust(16, b"\0")


def test_states_are_chosen_by_the_kernel(
    connections: list[tuple[str, socket.socket, socket.socket, socket.socket]],
) -> None:
    for state in (sock_diag.ESTABLISHED, sock_diag.LISTEN):
        assert {entry[0] for entry in listed(socket.AF_INET, states=(state,))} == {state}


@pytest.mark.parametrize("wanted", [0, sock_diag.MEMORY, sock_diag.INFO])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_fast_way_finds_the_same(
    connections: object, monkeypatch: pytest.MonkeyPatch, family: int, wanted: int
) -> None:
    datagrams = [*raw_dump(family, wanted), *raw_dump(family, wanted, (sock_diag.ESTABLISHED,))]
    fast = [list(sock_diag.parse(data, wanted)[0]) for data in datagrams]
    assert any(sock_diag._alike(data, wanted) is not None for data in datagrams)
    monkeypatch.setattr(sock_diag, "_alike", lambda data, attribute: None)
    assert [list(sock_diag.parse(data, wanted)[0]) for data in datagrams] == fast


ONE = message(4, 8080, 40000, inode=7, attributes=memory(1, 2, 3))
MINI = message(5, 8080, 40001, timer=3)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_each_difference_is_noticed(count: int) -> None:
    """A datagram that is not uniform after all is read one by one, with the same result as if it were alone."""
    assert sock_diag._alike(ONE * count, sock_diag.MEMORY) is not None
    other_attribute = message(
        4, 8080, 40000, attributes=attribute(8, b"") + attribute(9, b"") + attribute(1, bytes(36))
    )
    assert len(other_attribute) == len(ONE)
    for odd in (MINI, header(len(ONE), 99) + ONE[16:], header(len(ONE), 20, sequence=9) + ONE[16:], other_attribute):
        for mixed in (ONE * count + odd, odd + ONE * count, ONE + odd + ONE * (count - 1)):
            found = list(sock_diag.parse(mixed, sock_diag.MEMORY)[0])
            alone = [entry for part in (odd, ONE) for entry in sock_diag.parse(part, sock_diag.MEMORY)[0]]
            assert set(found) == set(alone)
            assert found.count(alone[-1]) == count


def test_mini_sockets_are_none() -> None:
    assert list(sock_diag.parse(MINI * 3, 0)[0]) == []
    assert [entry[3] for entry in sock_diag.parse(MINI + message(5, 8080, 2), 0)[0]] == [b"\0\2"]


@pytest.mark.parametrize(
    "attributes, charged",
    [
        (memory(1, 2, 3), (1, 2, 3)),
        (attribute(4711, b"x" * 7) + memory(1, -2, 3), (1, -2, 3)),
        (attribute(7 | 0x8000, struct.pack("=6i", 1, 0, 0, 0, 2, 3)), (1, 2, 3)),
        (attribute(7, struct.pack("=5i", 1, 0, 0, 0, 2)), None),
        (attribute(7, b""), None),
        (b"", None),
        (b"\7\0\0\0", None),
        (struct.pack("=HH", 0, 7), None),
        (struct.pack("=HH", 400, 7), None),
        (struct.pack("=HH", 3, 8) + memory(1, 2, 3), None),
    ],
)
def test_memory(attributes: bytes, charged: tuple[int, int, int] | None) -> None:
    for padding in (b"", MINI):
        entries = list(sock_diag.parse(message(1, 1, 2, attributes=attributes) + padding, sock_diag.MEMORY)[0])
        assert [sock_diag.charged(entry[6]) if entry[6] else None for entry in entries] == [charged]


def test_timing() -> None:
    whole = timing(4711, backoff=9, timeout=1500)[4:]
    for length, wanted in ((len(whole), (9, 1_500_000, 4711)), (48, (9, 1_500_000, 4711)), (47, (0, 0, 0)), (0, (0, 0, 0))):  # fmt: skip
        attributes = attribute(sock_diag.INFO, whole[:length])
        for padding in (b"", MINI):
            ((*_rest, found),) = sock_diag.parse(message(4, 1, 2, attributes=attributes) + padding, sock_diag.INFO)[0]
            assert sock_diag.timing(found) == wanted


def test_silence_of_the_running_kernel() -> None:
    """A socket that sent something knows how long ago; waiting makes it longer."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.send(b"x")
        sent = time.monotonic()
        key = client.getsockname()[1].to_bytes(2, "big")
        while True:
            (info,) = (entry[6] for entry in listed(socket.AF_INET, sock_diag.INFO) if entry[2] == key)
            waited = (time.monotonic() - sent) * 1000
            backoff, timeout, silent = sock_diag.timing(info)
            # In ticks of at most 10 ms each. What was sent to this host is acknowledged at once.
            assert silent <= waited + 20 and not backoff and 10_000 <= timeout <= 1_000_000
            if silent > 200:
                break
            assert waited < 10_000


NOT_THERE = "No such file or directory; the kernel has no tcp_diag; load the module, modprobe tcp_diag"


@pytest.mark.parametrize(
    "kernel, sentence, before",
    [
        (Kernel([ONE, error(errno.ENOENT)]), f"the kernel refused, {NOT_THERE}", 1),
        (Kernel([done(-errno.ENOENT)]), f"the kernel refused, {NOT_THERE}", 0),
        (
            Kernel([error(errno.EPERM)]),
            "the kernel refused, Operation not permitted; a security policy forbids it to this user",
            0,
        ),
        (Kernel([error(0)]), "the kernel refused, no reason given", 0),
        (Kernel([header(17, 2) + b"x"]), "the kernel refused, no reason given", 0),
        (Kernel([error(errno.EINVAL)]), "the kernel refused, Invalid argument", 0),
        (Kernel([ONE * 2, done(flags=0x12)]), "the sockets changed while they were listed", 2),
        (
            Kernel([ONE, message(4, 1, 2, flags=0x12), ONE, done()]),
            "the sockets changed while they were listed",
            3,
        ),
        (Kernel([ONE], says=65537), "an answer of the kernel was cut off", 0),
        (Kernel([ONE], sender=(4711, 0)), "an answer did not come from the kernel", 0),
        (Kernel([ONE], sender=None), "an answer did not come from the kernel", 0),
        (Kernel([b""]), "an answer of the kernel is too short", 0),
        (Kernel([ONE[:15]]), "an answer of the kernel is too short", 0),
        (Kernel([ONE, ONE[:-4]]), "an answer of the kernel has a wrong length", 1),
        (Kernel([header(15, 20) + bytes(80)]), "an answer of the kernel has a wrong length", 0),
        (Kernel([header(0, 20) + bytes(80)]), "an answer of the kernel has a wrong length", 0),
        (Kernel([header(2**32 - 1, 20) + bytes(80)]), "an answer of the kernel has a wrong length", 0),
        (Kernel([ONE] * 3), "the time was too short; allow more with -t", 3),
        (Losing([ONE] * 3), "answers of the kernel were lost, no buffer space left", 3),
        (
            Refusing(errno.EAFNOSUPPORT),
            "the kernel refused, Address family not supported by protocol; AF_NETLINK is missing in "
            "RestrictAddressFamilies of the unit, or in the kernel",
            0,
        ),
        (
            Refusing(errno.EPROTONOSUPPORT),
            "the kernel refused, Protocol not supported; the kernel has no sock_diag",
            0,
        ),
    ],
)
def test_what_a_kernel_may_say(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, sentence: str, before: int) -> None:
    install(monkeypatch, kernel)
    seen = []
    with pytest.raises(Blind) as reason:
        for some in sock_diag.dump(socket.AF_INET, ALL, soon(), sock_diag.MEMORY):
            seen += some
    assert str(reason.value) == f"sock_diag: {sentence}"
    assert len(seen) == before
    assert kernel.open == 0, "the socket is closed"
    partial = ("changed", "cut off", "the time was too short", "lost")
    assert isinstance(reason.value, sock_diag.Incomplete) == any(word in sentence for word in partial)


def test_an_error_of_the_running_kernel() -> None:
    with pytest.raises(Blind, match="^sock_diag: the kernel refused, [A-Z]"):
        listed(200)


def test_a_kernel_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Silent)
    begin = time.monotonic()
    with pytest.raises(sock_diag.Incomplete, match="time was too short"):
        list(sock_diag.dump(socket.AF_INET, ALL, begin + 0.2))
    assert 0.2 <= time.monotonic() - begin < 5


def test_a_dump_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Kernel(itertools.repeat(ONE * 100)))
    begin = time.monotonic()
    count = 0
    with pytest.raises(sock_diag.Incomplete, match="^sock_diag: the time was too short"):
        for some in sock_diag.dump(socket.AF_INET, ALL, begin + 0.2, sock_diag.MEMORY):
            count += len(list(some))
    assert 0.2 <= time.monotonic() - begin < 5
    assert count >= 100


def test_no_time_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel([ONE])
    install(monkeypatch, kernel)
    with pytest.raises(sock_diag.Incomplete, match="time was too short"):
        list(sock_diag.dump(socket.AF_INET, ALL, time.monotonic()))
    assert not kernel.asked


def test_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel([done()])
    install(monkeypatch, kernel)
    assert list(sock_diag.dump(socket.AF_INET6, (4, 11), soon(), sock_diag.MEMORY)) == [[]]
    assert kernel.asked == [struct.pack("=IHHII4BI48x", 72, 20, 0x301, 1, 0, 10, 6, 1 << 6, 0, 1 << 4 | 1 << 11)]


# Of a namespace with 3 orphans of port 8080 and 2 ordinarily closed clients, on Linux 6.18, x86-64; see also orphans.py.
CAPTURED = {path.name: path.read_bytes() for path in sorted((FIXTURES / "sock_diag").iterdir())}
MATERIAL = [*CAPTURED.values(), ONE * 3, MINI + ONE]


@pytest.mark.skipif(sys.byteorder == "big", reason="netlink has the byte order of the machine")
@pytest.mark.parametrize("name", CAPTURED)
def test_captured(name: str) -> None:
    wanted = {"plain": 0, "info": sock_diag.INFO, "memory": sock_diag.MEMORY}[name.partition("-")[2]]
    sockets, _flags, _ended = sock_diag.parse(CAPTURED[name], wanted)
    found = [(state, timer, bool(inode), here == b"\x1f\x90", bool(extra)) for state, timer, here, _there, _address, inode, extra in sockets]  # fmt: skip
    counted = {kind: found.count(kind) for kind in found}
    assert counted == {
        (sock_diag.LISTEN, 0, True, True, bool(wanted)): 1,
        # The last did not fit into the first datagram.
        (sock_diag.ESTABLISHED, 0, True, True, bool(wanted)): 2 if wanted == sock_diag.INFO else 3,
        (sock_diag.CLOSE_WAIT, 0, True, True, bool(wanted)): 2,
        (sock_diag.FIN_WAIT1, sock_diag.PROBING, False, False, bool(wanted)): 3,
    }


@pytest.mark.parametrize(
    "path", sorted((pathlib.Path(__file__).parent / "s390x").iterdir()), ids=lambda path: path.name
)
def test_of_the_other_byte_order(path: pathlib.Path) -> None:
    """What a 6.1 of s390x said of 3 orphans with a closed window, 2 connections, their 5 other ends and a listener."""
    source = pathlib.Path(sock_diag.__file__).read_text()
    big = types.ModuleType("big")
    exec(compile(source.replace('ORDER = "="', 'ORDER = ">"'), sock_diag.__file__, "exec"), big.__dict__)
    wanted = {"plain": 0, "info": sock_diag.INFO, "memory": sock_diag.MEMORY}[path.name.partition("-")[2]]
    data, found = path.read_bytes(), []
    sockets, _flags, ended = big.parse(data, wanted)
    for state, _timer, here, there, address, inode, extra in sockets:
        assert b"\x13\x88" in (here, there) and bool(extra) == bool(wanted)
        assert 0 <= inode < 1 << 20
        found.append((state, bool(inode)))
        if wanted == sock_diag.MEMORY:
            # The kernel charges whole pages.
            assert sum(big.charged(extra)) % 4096 == 0 and all(0 <= size < 1 << 22 for size in big.charged(extra))
        elif wanted == sock_diag.INFO and state == sock_diag.FIN_WAIT1:
            backoff, rto, silent = big.timing(extra)
            assert backoff < 16 and 200_000 <= rto <= 120_000_000 and silent < 600_000
    assert ended and collections.Counter(found) == {
        (sock_diag.LISTEN, True): 1, (sock_diag.ESTABLISHED, True): 7, (sock_diag.FIN_WAIT1, False): 3,
    }  # fmt: skip


@given(data=st.data())
def test_hostile_datagrams(data: st.DataObject) -> None:
    """Whatever is cut, changed, repeated: sockets of the right shape, or Blind; and always an end."""
    datagram = bytearray(data.draw(st.sampled_from(MATERIAL)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(datagram) - 1), st.integers(0, 255)), max_size=8)):
        datagram[at] = value
    for at in data.draw(st.lists(st.integers(0, len(datagram) // 4 - 1), max_size=3)):
        datagram[4 * at : 4 * at + 4] = data.draw(st.sampled_from([bytes(4), b"\xff" * 4, b"\1\0\0\0", b"\0\0\0\x80"]))
    cut = bytes(datagram[: data.draw(st.one_of(st.none(), st.integers(0, len(datagram))))])
    for wanted in (0, sock_diag.INFO, sock_diag.MEMORY):
        try:
            sockets, flags, ended = sock_diag.parse(cut, wanted)
        except Blind:
            continue
        assert isinstance(flags, int) and isinstance(ended, bool)
        for state, timer, here, there, address, inode, extra in sockets:
            assert 0 <= state < 256 and timer != 3 and 0 <= inode < 2**32
            assert (len(here), len(there), len(address)) == (2, 2, 16)
            assert len(extra) in (0, {0: 0, sock_diag.INFO: 48, sock_diag.MEMORY: 24}[wanted])


@given(st.binary(max_size=400))
def test_noise(noise: bytes) -> None:
    try:
        sock_diag.parse(noise, sock_diag.MEMORY)
    except Blind as reason:
        assert str(reason).startswith("sock_diag: ") and str(reason).isprintable()
