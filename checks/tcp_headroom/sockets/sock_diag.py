"""``sock_diag``: the TCP sockets of this network namespace, as the kernel lists them over netlink.

What ``ss`` asks for, asked the same way and with no rights: a dump of one address
family, filtered by state in the kernel, with at most one attribute beside the fixed
part of each socket. Sockets are handed on while they are read and never collected,
so a million of them cost time but no memory; the time is bounded by the caller.

The kernel's answers are checked like any other foreign data: a length that leads
out of the datagram, a sender that is not the kernel, or an error it reports ends the
dump with ``Blind``, and an answer that never comes with ``Incomplete``.
"""

from __future__ import annotations

import _socket  # what the module socket wraps; making its enumerations takes as long as listing 3000 sockets
import errno
import os
import struct
import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    Socket = tuple[int, int, bytes, bytes, bytes, int, bytes]
    """State, timer, local port, remote port, remote address, inode, attribute.

    Plain, as hundreds of thousands are made in a second. Ports have two bytes in network
    order, addresses 16, of which 4 count for IPv4. The inode is what ``/proc/PID/fd``
    shows, and 0 when no process holds the socket: closed, or not yet accepted. The
    attribute, ``MEMORY`` or ``INFO``, is empty if the kernel did not send it. A mini-socket of TIME_WAIT is never
    among them, although the kernel lists those that came from FIN_WAIT2 as FIN_WAIT2.
    """

ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT = range(1, 7)
CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = range(8, 12)
"""States, as in include/net/tcp_states.h; those that ``/proc/net/tcp`` prints."""

RETRANSMITTING, PROBING = 1, 4
"""``idiag_timer`` of a socket that waits for an ACK, or for its zero window to open (``inet_sk_diag_fill``,
net/ipv4/inet_diag.c)."""

_TIMEWAIT = 3
"""``idiag_timer`` of a mini-socket (``inet_twsk_diag_fill``), which shows TIME_WAIT or FIN_WAIT2 as its state."""

MEMORY = 7
"""The attribute ``INET_DIAG_SKMEMINFO`` (linux/inet_diag.h); see ``charged``."""
INFO = 2
"""The attribute ``INET_DIAG_INFO``, a ``struct tcp_info``; see ``timing``."""

# linux/netlink.h, linux/sock_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 1, 0x300, 0x10
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SEQUENCE = 1

ORDER = "="
"""Netlink speaks in the byte order of the machine, without gaps (netlink(7))."""

_REQUEST = struct.Struct(ORDER + "IHHII BBBxI48x")
"""``nlmsghdr`` and ``inet_diag_req_v2``: family, protocol, ext, states, and an empty ``inet_diag_sockid``."""
_HEADER = struct.Struct(ORDER + "IHHI")
"""The first four fields of ``nlmsghdr``: length with the header, type, flags, sequence."""
_HEADER_SIZE = 16
_TIMER_AT = 18
_FIXED = 88
"""Size of ``nlmsghdr`` and ``inet_diag_msg``; attributes follow."""
_FIELDS = "17xBBx2s2s16x16s28xI"
"""Of these: ``idiag_state``, ``idiag_timer``, both ports, ``idiag_dst``, ``idiag_inode``."""
_SOCKET = struct.Struct(ORDER + _FIELDS)
_ATTRIBUTE = struct.Struct(ORDER + "HH")
"""``nlattr``: length with this header, type with two flag bits at the top."""
_ERROR = struct.Struct(ORDER + "i")

_DATAGRAM = 64 << 10
"""Room for one datagram; a dump has at most 32 KiB (``netlink_recvmsg``)."""

# linux/sock_diag.h: RMEM_ALLOC, RCVBUF, WMEM_ALLOC, SNDBUF, FWD_ALLOC, WMEM_QUEUED of int each.
_SKMEMINFO = struct.Struct(ORDER + "i12xii")
# linux/tcp.h: tcpi_backoff is the fifth of eight bytes, tcpi_rto the first and tcpi_last_data_sent the tenth __u32.
_TIMING = struct.Struct(ORDER + "4xB3xI32xI")
_NEEDED = {MEMORY: _SKMEMINFO.size, INFO: _TIMING.size}
"""How much of an attribute is handed on; one that has less, in an old kernel, is as good as none."""


class Incomplete(Blind):
    """The dump ended early; the sockets seen until then were real."""


def charged(memory: bytes) -> tuple[int, int, int]:
    """Bytes of ``mem`` in sockstat that are a socket's, from its attribute ``MEMORY``, which must not be empty.

    They are held by its receive queue, by its reserve, and by its send queue.
    ``__sk_mem_raise_allocated`` (net/core/sock.c) adds to ``mem`` when the reserve,
    ``sk_forward_alloc``, runs out, and ``sk_mem_charge`` takes from the reserve what
    enters the receive queue (``sk_rmem_alloc``) or the send queue (``sk_wmem_queued``):
    so ``mem`` is the sum of the three. Buffers on their way to the device
    (``sk_wmem_alloc``), the backlog and option memory are not charged.
    ``sk_get_meminfo`` fills the array; ``ss -m`` calls the three r, f and w.
    """
    return _SKMEMINFO.unpack(memory)


def timing(info: bytes) -> tuple[int, int, int]:
    """Of a socket's attribute ``INFO``: how often its timer was doubled, what it was then, and how long it is silent.

    ``tcpi_backoff``; ``tcpi_rto`` in microseconds, which a probe doubles for each backoff and a retransmission has
    doubled already; ``tcpi_last_data_sent`` in milliseconds, the time since ``lsndtime``. ``tcp_get_info``
    (net/ipv4/tcp.c) fills them in every state but LISTEN. Only a segment with data ends the silence: a FIN
    does not, and a window probe does not. All 0 if ``info`` is empty.
    """
    return _TIMING.unpack(info) if info else (0, 0, 0)


def dump(
    family: int, states: Iterable[int], deadline: float, attribute: int = 0
) -> Generator[Iterable[Socket], None, None]:
    """The TCP sockets of ``family`` in ``states``, a datagram at a time; listening ones come first.

    Goes on until ``deadline`` of ``time.monotonic``. Raises ``Incomplete`` or another
    ``Blind``, perhaps after sockets, which remain valid.
    """
    request = _REQUEST.pack(
        _REQUEST.size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, _SEQUENCE, 0,
        family, _socket.IPPROTO_TCP, 1 << (attribute - 1) if attribute else 0, sum(1 << state for state in states),
    )  # fmt: skip
    kernel = None
    try:
        kernel = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        kernel.settimeout(_left(deadline))
        kernel.sendto(request, (0, 0))
        yield from _answers(kernel, attribute, deadline)
    except _socket.timeout:
        raise _gave_up() from None
    except OSError as error:
        raise _refused(error.errno or 0) from None
    finally:
        if kernel:
            kernel.close()


def _answers(kernel: _socket.socket, attribute: int, deadline: float) -> Generator[Iterable[Socket], None, None]:
    buffer = memoryview(bytearray(_DATAGRAM))
    interrupted = done = False
    while not done:
        kernel.settimeout(_left(deadline))
        # With MSG_TRUNC the size is that of the datagram, even where there was no room for it.
        size, sender = kernel.recvfrom_into(buffer, _DATAGRAM, _socket.MSG_TRUNC)
        if not isinstance(sender, tuple) or sender[0] != 0:
            raise Blind("sock_diag: an answer did not come from the kernel")
        if size > _DATAGRAM:
            raise Incomplete("sock_diag: an answer of the kernel was cut off")
        sockets, flags, done = parse(bytes(buffer[:size]), attribute)
        interrupted = interrupted or bool(flags & _NLM_F_DUMP_INTR)
        yield sockets
    if interrupted:
        raise Incomplete("sock_diag: the sockets changed while they were listed")


def parse(data: bytes, attribute: int) -> tuple[Iterable[Socket], int, bool]:
    """The sockets in one datagram, all ``nlmsg_flags`` set in it, and whether the dump ends here.

    Raises ``Blind`` for what cannot be an answer, and for an error the kernel reports.
    """
    if len(data) < _HEADER_SIZE:
        raise Blind("sock_diag: an answer of the kernel is too short")
    alike = _alike(data, attribute)
    if alike is not None:
        return alike, _HEADER.unpack_from(data)[2], False
    sockets: list[Socket] = []
    at = seen = 0
    while len(data) - at >= _HEADER_SIZE:
        length, kind, flags, sequence = _HEADER.unpack_from(data, at)
        end = at + length
        if length < _HEADER_SIZE or end > len(data):
            raise Blind("sock_diag: an answer of the kernel has a wrong length")
        if sequence == _SEQUENCE:
            seen |= flags
            if kind == _SOCK_DIAG_BY_FAMILY and length >= _FIXED:
                if data[at + _TIMER_AT] != _TIMEWAIT:
                    start, stop = _find(data, at + _FIXED, end, attribute)
                    sockets.append((*_SOCKET.unpack_from(data, at), data[start:stop]))
            elif kind in (_NLMSG_DONE, _NLMSG_ERROR):
                # A dump that fails, for want of tcp_diag for instance, may say so in its NLMSG_DONE, too.
                code = _ERROR.unpack_from(data, at + _HEADER_SIZE)[0] if length >= _HEADER_SIZE + _ERROR.size else 0
                if code < 0 or kind == _NLMSG_ERROR:
                    raise _refused(-code)
                return sockets, seen, True
        at += (length + 3) & ~3
    return sockets, seen, False


def _alike(data: bytes, attribute: int) -> Iterable[Socket] | None:
    """The same for a datagram whose messages are all laid out like the first, the usual case; four times as fast."""
    length, kind, _flags, sequence = _HEADER.unpack_from(data)
    stride = (length + 3) & ~3
    if kind != _SOCK_DIAG_BY_FAMILY or sequence != _SEQUENCE or length < _FIXED or len(data) % stride:
        return None
    start, stop = _find(data, _FIXED, length, attribute)
    if attribute and start == stop:
        return None
    # Column by column: each byte of the headers has to be the same in every message.
    headers = [*range(_HEADER.size), *range(start - _ATTRIBUTE.size if attribute else start, start)]
    count = len(data) // stride
    if any(data[at::stride] != data[at : at + 1] * count for at in headers) or _TIMEWAIT in data[_TIMER_AT::stride]:
        return None
    layout = f"{ORDER}{_FIELDS}{start - _FIXED}x{stop - start}s{stride - stop}x"
    return struct.iter_unpack(layout, data)


def _find(data: bytes, at: int, end: int, wanted: int) -> tuple[int, int]:
    """Where the part of an attribute that is needed begins and ends; twice the same place if it is not there."""
    while wanted and end - at >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or length > end - at:
            break
        if kind & 0x3FFF == wanted:
            at += _ATTRIBUTE.size
            return at, at + (_NEEDED[wanted] if length - _ATTRIBUTE.size >= _NEEDED[wanted] else 0)
        at += (length + 3) & ~3
    return at, at


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _gave_up()
    return left


def _gave_up() -> Incomplete:
    return Incomplete("sock_diag: the time was too short; allow more with -t")


def _refused(code: int) -> Blind:
    """What the kernel said, with what helps."""
    if code == errno.ENOBUFS:
        return Incomplete("sock_diag: answers of the kernel were lost, no buffer space left")
    remedies = {
        errno.ENOENT: "the kernel has no tcp_diag; load the module, modprobe tcp_diag",
        errno.EPROTONOSUPPORT: "the kernel has no sock_diag",
        errno.EAFNOSUPPORT: "AF_NETLINK is missing in RestrictAddressFamilies of the unit, or in the kernel",
        errno.EPERM: "a security policy forbids it to this user",
        errno.EACCES: "a security policy forbids it to this user",
    }
    remedy = remedies.get(code)
    reason = wording.clean(os.strerror(code)) if code else "no reason given"
    return Blind(f"sock_diag: the kernel refused, {reason}" + (f"; {remedy}" if remedy else ""))
