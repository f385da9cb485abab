"""Who holds them: orphans and TCP memory by port, peer network and process; for ``-v`` only.

Counts what ``sock_diag`` lists while it is read: what is kept grows with the number of
ports and networks, each bounded, and not with that of sockets. All of it enriches
a result that stands already, so whatever goes wrong becomes a line.

A connection goes by the port of its service. That is the local port, unless it is
ephemeral and nobody listens on it: then this host is the client, which has another
local port for each connection, and the remote port is named.

What can be seen are the sockets of this network namespace, while the numbers that
are judged count the whole machine; the difference is said.
"""

from __future__ import annotations

import _socket
import os
import time
from collections import namedtuple

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.proc import osrelease, reading, sysctl
from tcp_headroom.sockets import sock_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    Key = TypeVar("Key", bytes, str, "Service")

PROC = "/proc"
"""Never another tree: the sockets are this machine's."""

TOP = 5
"""Ports that are named."""

NAMES = 3
"""Peer networks or holders that are named for each port."""

NETWORKS = 20_000
"""Counts kept before networks are no longer told apart; sockets come in no order, so large networks are among them."""

INODES = 50_000
"""Sockets remembered in order to look for their processes."""

DESCRIPTORS = 1000
"""Looked at in one process; of more, as many at random stand for all."""

ORPHANED = {
    sock_diag.FIN_WAIT1: "FIN_WAIT1",
    sock_diag.FIN_WAIT2: "FIN_WAIT2",
    sock_diag.CLOSING: "CLOSING",
    sock_diag.LAST_ACK: "LAST_ACK",
}
"""The states of orphans; FIN_WAIT2 only where ``tcp_fin_timeout`` or TCP_LINGER2 is above 60 s."""

CHARGED = (*ORPHANED, sock_diag.ESTABLISHED, sock_diag.SYN_SENT, sock_diag.SYN_RECV, sock_diag.CLOSE_WAIT)
"""The states with queues. A listening socket has none: connections not yet accepted are sockets of their own."""

ELSEWHERE = "other network namespaces (containers)"

_MAPPED = bytes(10) + b"\xff\xff"


class Service(namedtuple("Service", "port local")):
    """What connections have in common."""

    __slots__ = ()
    port: bytes
    """In network order."""
    local: bool
    """Whether this is a port of this host, or one that it connects to."""

    def __str__(self) -> str:
        number = int.from_bytes(self.port, "big")
        return f"port {number}" if self.local else f"connections to port {number}"


class Holding:
    """The memory of one service, in bytes, and who has it."""

    __slots__ = ("sockets", "received", "reserve", "queued", "holders")

    def __init__(self) -> None:
        self.sockets = 0
        self.received = 0
        self.reserve = 0
        self.queued = 0
        self.holders: dict[str, int] = {}

    @property
    def held(self) -> int:
        return self.received + self.reserve + self.queued

    def add(self, holder: str, held: int) -> None:
        self.holders[holder] = self.holders.get(holder, 0) + held


class _Listing:
    """One dump of each family, and what went wrong in it."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.troubles: list[str] = []

    def sockets(self, states: Iterable[int], attribute: int = 0) -> Iterator[tuple[bool, Iterable[sock_diag.Socket]]]:
        """Whether these are IPv4, and some sockets."""
        wanted = tuple(states)
        for family in (_socket.AF_INET, _socket.AF_INET6):
            try:
                for some in sock_diag.dump(family, wanted, self.deadline, attribute):
                    yield family == _socket.AF_INET, some
            except Blind as reason:
                if str(reason) not in self.troubles:
                    self.troubles.append(str(reason))


def _ephemeral() -> tuple[bytes, bytes]:
    """The lowest and the highest ephemeral port in network order, which sorts like numbers."""
    ports = sysctl.ephemeral_ports(PROC)
    return ports.start.to_bytes(2, "big"), (ports.stop - 1).to_bytes(2, "big")


def of_orphans(total: int | None, patience: float) -> Iterator[str]:
    """Lines that say whose the orphans are, within ``patience`` seconds; ``total`` is what the machine has."""
    listing = _Listing(time.monotonic() + patience)
    low, high = _ephemeral()
    listening: set[bytes] = set()
    counts: dict[tuple[bytes, bool, int, bytes], int] = {}
    penalised = 0
    # In the loops over sockets, names that are looked up once show in the time.
    listen, silent = sock_diag.LISTEN, _silence_rule()
    for ipv4, sockets in listing.sockets((*ORPHANED, sock_diag.LISTEN), sock_diag.INFO):
        crowded = len(counts) > NETWORKS
        for state, timer, here, there, address, inode, info in sockets:
            if state == listen:
                listening.add(here)
            elif not inode:
                local = here < low or here > high or here in listening
                network = b"" if crowded else address[:3] if ipv4 else _network(address)
                key = (here if local else there, local, state, network)
                counts[key] = counts.get(key, 0) + 1
                if silent(state, timer, info):
                    penalised += 1
    yield from _orphans_by_port(counts)
    seen = sum(counts.values())
    if penalised:
        verb = "is" if penalised == 1 else "are"
        yield (
            f"at least {penalised} of them {verb} penalised now: no data was sent for more than "
            f"{sysctl.silence_ms(PROC) / 1000:g} s; ICMP errors and lost routes cannot be seen from here"
        )
    for trouble in listing.troubles:
        yield f"not shown, owners{' of further orphans' if seen else ''}: {trouble}"
    if total is not None and total > seen and not listing.troubles:
        more = f"{total - seen} more" if seen else wording.count(total, "orphan")
        yield f"{more}: in {ELSEWHERE}, or short-lived"


def _silence_rule() -> Callable[[int, int, bytes], bool]:
    """Whether the kernel would penalise an orphan for silence, by its state, timer and ``INFO``.

    It is asked by ``tcp_write_timeout`` and ``tcp_probe_timer`` (net/ipv4/tcp_timer.c) alone, never by the keepalive
    timer of FIN_WAIT2. Since 4.0 the second gives an orphan up before it asks, once the wait between probes has grown to
    the longest timeout and as many probes as ``tcp_orphan_retries`` were sent. What has an ICMP error or lost its
    route (``sk_err_soft``) is not shown, so what the rule finds is a lower bound.
    """
    longest, allowed = sysctl.rto_max_ms(PROC), sysctl.silence_ms(PROC)
    retries = sysctl.orphan_retries(PROC)
    gives_up = (osrelease.read(PROC) or (4, 0)) >= (4, 0)
    retransmitting, probing, fin_wait2 = sock_diag.RETRANSMITTING, sock_diag.PROBING, sock_diag.FIN_WAIT2
    timing = sock_diag.timing

    def silent(state: int, timer: int, info: bytes) -> bool:
        if timer not in (retransmitting, probing) or state == fin_wait2:
            return False
        backoff, timeout, milliseconds = timing(info)
        if milliseconds <= allowed:
            return False
        alive = (timeout << backoff) < 1000 * longest
        return timer == retransmitting or alive or backoff < retries or not gives_up

    return silent


def _orphans_by_port(counts: dict[tuple[bytes, bool, int, bytes], int]) -> Iterator[str]:
    services: dict[Service, int] = {}
    states: dict[tuple[Service, int], int] = {}
    networks: dict[Service, dict[bytes, int]] = {}
    for (port, local, state, network), count in counts.items():
        service = Service(port, local)
        services[service] = services.get(service, 0) + count
        states[service, state] = states.get((service, state), 0) + count
        peers = networks.setdefault(service, {})
        peers[network] = peers.get(network, 0) + count
    seen = sum(services.values())
    ranked = _largest(services)
    for service, count in ranked[:TOP]:
        found = ", ".join(f"{name} {states[service, state]}" for state, name in ORPHANED.items() if (service, state) in states)  # fmt: skip
        peers_named = ", ".join(f"{_shown(peer)} ({number})" for peer, number in _largest(networks[service])[:NAMES])
        share = wording.percent(100 * count / seen)
        yield f"{service}: {wording.count(count, 'orphan')}, {share}; {found}; peers {peers_named}"
    if ranked[TOP:]:
        rest = sum(count for _service, count in ranked[TOP:])
        yield f"{wording.count(len(ranked) - TOP, 'more port')}: {wording.count(rest, 'orphan')}"


def of_memory(total: int | None, kept: int, patience: float, elsewhere: bool = True) -> Iterator[str]:
    """Lines that say who holds TCP memory, within ``patience`` seconds.

    ``total`` is what the machine has, ``kept`` what of it the kernel may keep in reserve for each CPU, in bytes;
    ``elsewhere``: whether there are sockets that this network namespace does not list.
    """
    listing = _Listing(time.monotonic() + patience)
    low, high = _ephemeral()
    listening: set[bytes] = set()
    found: dict[tuple[bytes, bool], Holding] = {}
    inodes: dict[int, tuple[Holding, int]] = {}
    listen, charged = sock_diag.LISTEN, sock_diag.charged
    for _ipv4, sockets in listing.sockets((*CHARGED, sock_diag.LISTEN), sock_diag.MEMORY):
        full = len(inodes) > INODES
        for state, _timer, here, there, _address, inode, memory in sockets:
            if state == listen:
                listening.add(here)
                continue
            received, reserve, queued = charged(memory) if memory else (0, 0, 0)
            held = received + reserve + queued
            if held <= 0:
                continue
            local = here < low or here > high or here in listening
            key = (here if local else there, local)
            holding = found.get(key)
            if holding is None:
                holding = found[key] = Holding()
            holding.sockets += 1
            holding.received += received
            holding.reserve += reserve
            holding.queued += queued
            if not inode:
                holding.add("orphans" if state in ORPHANED else "not yet accepted", held)
            elif not full:
                inodes[inode] = holding, held
    ranked = _largest({Service(*key): holding.held for key, holding in found.items()})
    if ranked[TOP:]:
        named = {id(found[service]) for service, _held in ranked[:TOP]}
        inodes = {inode: where for inode, where in inodes.items() if id(where[0]) in named}
    left_out = _find_processes(inodes, listing.deadline)
    seen = sum(held for _service, held in ranked)
    whole = max(total or 0, seen)
    for service, held in ranked[:TOP]:
        holding = found[service]
        line = (
            f"{service}: {wording.size(held)}, {wording.percent(100 * held / whole)}, in "
            f"{wording.count(holding.sockets, 'socket')}; {wording.size(holding.received)} received, "
            f"{wording.size(holding.queued)} to be sent"
        )
        # A sample may come out larger than all there is.
        largest = _largest({name: min(size, held) for name, size in holding.holders.items()})
        holders = ", ".join(f"{name} {wording.size(size)}" for name, size in largest[:NAMES])
        yield f"{line}; held by {holders}" if holders else line
    if ranked[TOP:]:
        rest = sum(held for _service, held in ranked[TOP:])
        share = wording.percent(100 * rest / whole)
        yield f"{wording.count(len(ranked) - TOP, 'more port')}: {wording.size(rest)}, {share}"
    if left_out:
        yield f"not shown, processes: {left_out}"
    for trouble in listing.troubles:
        yield f"not shown, owners{' of further memory' if seen else ''}: {trouble}"
    if total is not None and total > seen and not listing.troubles:
        yield f"{wording.size(total - seen)}{' more' if seen else ''}, {wording.percent(100 * (total - seen) / whole)}: {_rest(total - seen, kept, elsewhere)}"


def _rest(held: int, kept: int, elsewhere: bool) -> str:
    """Where memory may be that no socket in the list holds, the likeliest place first."""
    places = [*([f"in {ELSEWHERE}", "in closed sockets"] if elsewhere else []), "in MPTCP (ss -M)"]
    if kept:
        reserve = f"in the kernel's reserve, up to {wording.size(kept)} for each CPU"
        places.insert(0 if held <= kept * (os.cpu_count() or 1) else len(places), reserve)
    return ", ".join(places) + ", or short-lived"


def _find_processes(wanted: dict[int, tuple[Holding, int]], deadline: float) -> str:
    """Add the processes that hold ``wanted`` inodes to their holdings, each inode to one process.

    Returns why some could not be found, if so.

    Reading a link below ``/proc/PID/fd`` takes the rights of ptrace, and asks no file system.
    """
    unreadable = sampled = 0
    asked = len(wanted)
    try:
        pids = sorted(filter(str.isdigit, os.listdir(PROC)), key=int) if wanted else []
    except OSError as error:
        return f"cannot list {PROC}: {wording.clean(error.strerror or str(error))}"
    for pid in pids:
        if not wanted:
            break
        if time.monotonic() > deadline:
            return "the time was too short; allow more with -t"
        try:
            folder = os.open(f"{PROC}/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            unreadable += 1
            continue
        except OSError:  # It has ended.
            continue
        try:
            sampled += _look_into(folder, pid, wanted)
        except PermissionError:  # Of the same user, but with more rights: the links are closed, the folder is not.
            unreadable += 1
        except OSError:  # It has ended.
            pass
        finally:
            os.close(folder)
    if wanted and unreadable:
        return f"{unreadable} cannot be read by this user; root or CAP_SYS_PTRACE can"
    # A few are always closed meanwhile.
    if 2 * len(wanted) > asked and not sampled:
        return (
            f"no process found for {len(wanted)} of {wording.count(asked, 'socket')}: hidden (hidepid, another PID "
            "namespace), held by the kernel itself, or closed since"
        )
    return ""


def _look_into(folder: int, pid: str, wanted: dict[int, tuple[Holding, int]]) -> bool:
    """Returns whether only a sample of the descriptors was looked at."""
    descriptors, step = _descriptors(folder, pid)
    name = ""
    for descriptor in descriptors:
        try:
            link = os.readlink(descriptor, dir_fd=folder)
        except PermissionError:
            raise
        except OSError:  # Closed in between.
            continue
        inode = link[len("socket:[") : -1]
        if link.startswith("socket:[") and inode.isdigit():
            holding, held = wanted.pop(int(inode), (None, 0))
            if holding:
                name = name or ("about " if step > 1 else "") + _name(pid)
                holding.add(name, round(held * step))
    return step > 1


def _descriptors(folder: int, pid: str) -> tuple[Iterable[str], float]:
    """The descriptors to look at, and for how many each stands.

    To list thousands takes the kernel longer than to read the links that are needed.
    ``st_size`` is their number since 6.2, and 0 before; FDSize is that of the table.
    """
    if not 0 < os.fstat(folder).st_size <= DESCRIPTORS:
        try:
            status = reading.read(PROC, f"{pid}/status")
            size = reading.integer(status.partition("\nFDSize:")[2].partition("\n")[0].strip())
        except (Blind, ValueError):
            size = 0
        if size > DESCRIPTORS:
            import random  # for processes like this alone

            # A program hands out descriptors in patterns: a pair for each connection, one listener in eight. Seeded, so
            # that two runs that see the same say the same.
            return map(str, random.Random(int(pid)).sample(range(size), DESCRIPTORS)), size / DESCRIPTORS
    return os.listdir(folder), 1


def _name(pid: str) -> str:
    try:
        return f"{wording.clean(reading.read(PROC, f'{pid}/comm'), 20)}[{pid}]"
    except Blind:
        return f"process {pid}"


def _largest(counts: dict[Key, int]) -> list[tuple[Key, int]]:
    """The largest first; of equal ones always in the same order."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _network(address: bytes) -> bytes:
    """The part of an IPv6 address that names the network: 8 bytes, or 3 of a mapped IPv4 address."""
    return address[12:15] if address.startswith(_MAPPED) else address[:8]


def _shown(network: bytes) -> str:
    if not network:
        return "further networks"
    if len(network) == 3:
        return ".".join(map(str, network)) + ".0/24"
    return _socket.inet_ntop(_socket.AF_INET6, network + bytes(8)) + "/64"
