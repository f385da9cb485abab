"""``/proc/user_beancounters``: what OpenVZ grants the TCP sockets of a container.

``Version: 2.5``, a header ``uid resource held maxheld barrier limit failcnt``, then
rows; the first of a container begins with its id and a colon, names may be ``dummy``
(``ub_show_res``, kernel/bc/proc.c of 2.6.32-042stab113; kernel/ub/ub_proc.c of 2.6.18). A
container sees itself, the node sees all (``ub_accessible``); to open it takes the rights of root
there (``ub_open``). ``failcnt`` counts what was refused since the container started.
Elsewhere there is no such file, and nothing here costs anything.
"""

from __future__ import annotations

import os
import re
from collections import namedtuple

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

FILE = "user_beancounters"
SOCKETS = "numtcpsock"
WANTED = (SOCKETS, "tcpsndbuf", "tcprcvbuf")
"""Sockets, and bytes of send and of receive buffers."""

OWN, NOBODY, MACHINE = "own", "nobody", "machine"
"""Whose orphans sockstat shows; see ``orphans_of``."""

LIMIT = 16 << 20
"""Largest file accepted, in bytes: a node has about 2500 for each container."""

MOST = 30_000
"""Rows taken, three for each container."""

_COLUMNS = ["uid", "resource", "held", "maxheld", "barrier", "limit", "failcnt"]


class Row(namedtuple("Row", "uid resource held barrier limit failcnt")):
    """One resource of one container."""

    __slots__ = ()
    uid: str
    """The container's id."""
    resource: str
    held: int
    barrier: int
    limit: int
    failcnt: int
    """How often it was refused since the container started."""

    @property
    def key(self) -> str:
        """What tells this row from others of the host."""
        return f"{self.uid} {self.resource}"


def present(root: str) -> bool:
    """Whether this is a host of OpenVZ, node or container; anyone may see that."""
    return os.path.lexists(os.path.join(root, FILE))


def orphans_of(root: str) -> str:
    """Whose orphans sockstat shows below ``root``, a host of OpenVZ.

    2.6.32: those of the container that reads, or of the node without its containers, ``OWN``
    (``sockstat_seq_show``, net/ipv4/proc.c: ``get_exec_ub_top()->ub_orphan_count``). 2.6.18: those of
    sockets that no container pays for, so nobody's, ``NOBODY`` (``tcp_orphan_count``; ``ub_inc_orphan_count``,
    include/ub/ub_orphan.h, counts the others elsewhere). Later kernels: ``MACHINE``. A container may be told
    another version, but keeps the end of the name, as in 3.10.0-042stab120.19.
    """
    from tcp_headroom.proc import osrelease

    name = osrelease.name(root)
    version = (osrelease.version(name) or ())[:3]
    if "042stab" in name or version == (2, 6, 32):
        return OWN
    return NOBODY if "028stab" in name or version == (2, 6, 18) else MACHINE


def hidden() -> Blind:
    """Why orphans cannot be seen where ``orphans_of`` is ``NOBODY``."""
    return Blind("OpenVZ 2.6.18 shows no orphans in net/sockstat", remedy=f"as root, watch {SOCKETS} in /proc/{FILE}")


def read(root: str) -> list[Row] | None:
    """Read and parse it below ``root``; None where it does not exist, as on every host but those of OpenVZ.

    Raises ``Blind`` if it cannot be read, which is root's alone on many of them.
    """
    try:
        return parse(reading.read(root, FILE, LIMIT))
    except reading.Missing:
        return None


def parse(text: str) -> list[Row]:
    """The rows of the resources in ``WANTED``, in the order of the file.

    Raises ``Blind`` if the header is not the known one, or such a row is damaged.
    """
    lines = iter(text.splitlines())
    if not any(line.split() == _COLUMNS for _number, line in zip(range(3), lines)):
        raise Blind(f"{FILE} has no header with {' '.join(_COLUMNS)}")
    rows: list[Row] = []
    uid = ""
    for line in lines:
        words = line.split()
        if words and words[0].endswith(":"):
            uid = words.pop(0)[:-1]
        if not words or words[0] not in WANTED:
            continue
        try:
            held, _maxheld, barrier, limit, failcnt = (reading.integer(word) for word in words[1:])
        except ValueError:
            held = -1
        if held < 0 or min(barrier, limit, failcnt) < 0 or not re.fullmatch(r"[0-9.]{1,20}", uid, re.ASCII):
            raise Blind(f"{FILE} has a row of {words[0]} that is damaged")
        if len(rows) == MOST:
            raise Blind(f"{FILE} has more than {MOST // len(WANTED)} containers")
        rows.append(Row(uid, words[0], held, barrier, limit, failcnt))
    return rows
