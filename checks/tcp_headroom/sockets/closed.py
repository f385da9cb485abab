"""Sockets that no list of the kernel shows: which processes keep the descriptors of them; for ``-v`` only.

A socket that its peer has reset, or that has timed out, is in state CLOSE and in no
table of the kernel, so neither ``ss`` nor ``/proc/net/tcp`` shows it. As long as its
program keeps the descriptor, what waits in its queues stays charged to TCP, and it is
counted in ``alloc`` of sockstat. Its descriptor tells what it is: ``sockfs`` answers
``system.sockprotoname`` (``sockfs_xattr_get``, net/socket.c) with the name of the protocol,
``TCP`` or ``TCPv6``, as ``lsof`` prints it.

A descriptor of such a protocol in a process of this network namespace is proof of a socket
in no list if it was there before sock_diag listed the sockets, is not in that list, and is
still there after it. It is no proof of why. A socket that was never connected, bound or not,
is in the same state; one that was made in another network namespace, as HAProxy does for
``bind ... namespace``, is in a list there, whatever its state. Nothing in ``/proc`` tells
these from each other (``sock_show_fdinfo`` has nothing for TCP), and to ask the socket takes a
second descriptor of it (``pidfd_getfd``), which would put off the FIN of a program that closes
meanwhile. So all three are said, and that it is not known which.
"""

from __future__ import annotations

import _socket
import os
import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcp_headroom.proc.sockstat6 import Unlisted

    Place = tuple[str, str]
    """Process and descriptor."""

PROC = "/proc"
"""Never another tree: the sockets are this machine's."""

FEW = 10
"""So many sockets may be in no list on any host: made and not connected yet, or of another moment."""

NAMES = 3
"""Processes that are named."""

DESCRIPTORS = 200_000
"""Descriptors looked at."""

SOCKETS = 50_000
"""TCP sockets remembered until the kernel has listed its own."""

FIRST_PID_NAMESPACE = 4026531836
"""``PROC_PID_INIT_INO`` (include/linux/proc_ns.h), since 3.8."""

PROTOCOLS = (b"TCP", b"TCPv6")

EXPLANATION = "ss does not show them, lsof does (protocol: TCP); closed ones keep their memory"


def lines(host: Unlisted, patience: float | None) -> Iterator[str]:
    """Lines on the sockets of ``host`` that are in no list, within ``patience`` seconds; raises nothing of its own.

    With None for ``patience`` nothing is looked up: the sockets are another machine's.
    """
    if host.most < FEW:
        return
    search = _Search(time.monotonic() + (patience or 0))
    found: dict[int, Place] = {}
    if patience is not None:
        try:
            found = search.unlisted()
        except Blind as reason:
            search.trouble = str(reason)
    if len(found) >= FEW:
        yield _kept(found)
    if host.least - len(found) >= FEW:
        if search.trouble:
            yield f"not shown, {'further ' if found else ''}processes with sockets in no list: {search.trouble}"
        yield possibility(host.least - len(found), host.alloc, here=not search.complete)


def possibility(number: int, alloc: int, here: bool = True) -> str:
    """The sentence for sockets in no list whose process was not found; ``here``: whether one of this namespace may have them.

    Otherwise only what no descriptor shows may be of this namespace: what waits to be passed on (``SCM_RIGHTS``), and
    the descriptors of a thread that has a table of its own.
    """
    cause = (
        "they are in other network namespaces (containers), closed (reset, timed out or ended) and kept by their program, "
        f"or never connected. {EXPLANATION}"
        if here
        else "most likely they are in other network namespaces (containers), as no process of this one has them"
    )
    return f"{number} of the {alloc} TCP sockets of this machine are in no list here: {cause}"


def _kept(found: dict[int, Place]) -> str:
    counts: dict[str, int] = {}
    for pid, _descriptor in found.values():
        counts[pid] = counts.get(pid, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], int(item[0])))
    (first, most), *further = ranked[:NAMES]
    named = [f"{_name(first)} keeps {wording.count(most, 'TCP socket')} in no list here"]
    named += [f"{_name(pid)} {number}" for pid, number in further]
    if ranked[NAMES:]:
        named.append(f"others {sum(number for _pid, number in ranked[NAMES:])}")
    return (
        f"{', '.join(named)}: closed (reset, timed out or ended), never connected, or of another network namespace; not known "
        f"which. {EXPLANATION}"
    )


class _Search:
    """Looks for the descriptors, then has the kernel list the sockets, then looks whether the descriptors are still there."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.enough = deadline - (deadline - time.monotonic()) / 4
        """When to stop looking, as the kernel's list takes its time, too."""
        self.trouble = ""
        """Why not every process could be looked into; empty if they could."""
        self.complete = False
        """Whether all processes of this network namespace were looked into, also those that another PID namespace hides."""

    def unlisted(self) -> dict[int, Place]:
        """One descriptor of each socket in no list, by inode. Raises ``Blind`` if nothing can be proven."""
        found = self._descriptors()
        if len(found) < FEW:
            self.complete = not self.trouble and _sees_all()
            return {}
        from tcp_headroom.sockets import sock_diag  # not for a host without such descriptors

        listed = (
            *range(sock_diag.ESTABLISHED, sock_diag.TIME_WAIT),
            *range(sock_diag.CLOSE_WAIT, sock_diag.CLOSING + 1),
        )
        for family in (_socket.AF_INET, _socket.AF_INET6):
            for sockets in sock_diag.dump(family, listed, self.deadline):
                for _state, _timer, _here, _there, _address, inode, _attribute in sockets:
                    found.pop(inode, None)
        self.complete = not self.trouble and _sees_all()
        return {
            inode: (pid, number)
            for inode, (pid, number) in found.items()
            if _inode(f"{PROC}/{pid}/fd/{number}") == inode
        }

    def _descriptors(self) -> dict[int, Place]:
        """A descriptor of each TCP socket of the processes in this network namespace, by inode."""
        found: dict[int, Place] = {}
        others: set[int] = set()
        unreadable = looked = 0
        for pid in self._processes():
            try:
                folder = os.open(f"{PROC}/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except PermissionError:
                unreadable += 1
                continue
            except OSError:  # It has ended.
                continue
            try:
                for descriptor in os.listdir(folder):
                    looked += 1
                    if time.monotonic() > self.enough:
                        self.trouble = "the time was too short; allow more with -t"
                    elif looked > DESCRIPTORS or len(found) > SOCKETS:
                        self.trouble = f"there are more than {DESCRIPTORS} descriptors, or {SOCKETS} TCP sockets"
                    if self.trouble:
                        return found
                    inode = _inode(descriptor, folder)
                    if not inode or inode in found or inode in others:
                        continue
                    if _protocol(pid, descriptor) in PROTOCOLS:
                        found[inode] = pid, descriptor
                    elif len(others) < SOCKETS:
                        others.add(inode)
            except PermissionError:  # Of the same user, but with more rights: the links are closed, the folder is not.
                unreadable += 1
            except OSError:
                pass
            finally:
                os.close(folder)
        if unreadable:
            self.trouble = f"{unreadable} of the processes cannot be read by this user; root or CAP_SYS_PTRACE can"
        return found

    def _processes(self) -> list[str]:
        """The processes of this network namespace, and those of which that cannot be said; those with most descriptors first.

        ``st_size`` of the folder is their number since 6.2, and 0 before.
        """
        try:
            pids = list(filter(str.isdigit, os.listdir(PROC)))
            here = os.readlink(f"{PROC}/self/ns/net")
        except OSError as error:
            raise Blind(f"cannot read {PROC}: {wording.failure(error)}") from None
        ranked = []
        for pid in pids:
            try:
                place = os.readlink(f"{PROC}/{pid}/ns/net")
                # A link that may not be read is empty in 5.10.0-46 of Debian, and an error elsewhere (measured).
                if place in (here, ""):
                    ranked.append((-os.stat(f"{PROC}/{pid}/fd").st_size, int(pid)))
            except PermissionError:
                ranked.append((0, int(pid)))
            except OSError:  # It has ended.
                continue
        return [str(pid) for _size, pid in sorted(ranked)]


def _sees_all() -> bool:
    """Whether /proc shows the processes of the machine: whether this is the first PID namespace, by its fixed number."""
    try:
        return os.readlink(f"{PROC}/self/ns/pid") == f"pid:[{FIRST_PID_NAMESPACE}]"
    except OSError:
        return False


def _inode(descriptor: str, folder: int | None = None) -> int:
    """Of the socket that a descriptor is; 0 if it is none. Raises ``PermissionError``."""
    try:
        link = os.readlink(descriptor, dir_fd=folder)
    except PermissionError:
        raise
    except OSError:  # Closed in between.
        return 0
    if not link.startswith("socket:["):
        return 0
    inode = link[len("socket:[") : -1]
    return int(inode) if wording.digits(inode) else 0


def _protocol(pid: str, descriptor: str) -> bytes:
    try:
        return os.getxattr(f"{PROC}/{pid}/fd/{descriptor}", "system.sockprotoname").rstrip(b"\0")
    except OSError:
        return b""


def _name(pid: str) -> str:
    try:
        return f"{wording.clean(reading.read(PROC, f'{pid}/comm'), 20)}[{pid}]"
    except Blind:
        return f"process {pid}"
