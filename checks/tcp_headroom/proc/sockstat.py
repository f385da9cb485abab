"""``/proc/net/sockstat``: how many TCP orphans there are and how much memory TCP holds.

The ``TCP:`` line has the keys ``inuse orphan tw alloc mem`` in every kernel from
2.6.11 to 6.19 (net/ipv4/proc.c, ``sockstat_seq_show``). ``orphan`` and ``mem``
count the whole machine, IPv4 and IPv6 and every network namespace, also when
read inside a container; so does ``alloc``, while ``inuse`` counts the IPv4 sockets of
the reader's network namespace that are in the kernel's tables. Those of IPv6 are in
``sockstat6``.
OpenVZ differs, see ``beancounters``; 2.6.18 of it prints nothing
at all inside a container (``sockstat_seq_show``: ``if (!ve_is_super(get_exec_env())) return 0``).
"""

from __future__ import annotations

from tcp_headroom import namedtuple
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

FILE = "net/sockstat"


class Sockstat(namedtuple("Sockstat", "orphans mem inuse alloc", defaults=[0, 0])):
    """The figures of the ``TCP:`` line: the first two are judged, and needed."""

    __slots__ = ()
    orphans: int
    """Sockets closed by their program that the kernel still has to finish."""
    mem: int
    """Memory of all TCP sockets; its unit depends on the kernel, see ``tcp_mem``."""
    inuse: int
    """IPv4 sockets of this network namespace that are in a list; 0 if unknown."""
    alloc: int
    """All TCP sockets of the machine, closed ones that a program keeps included; 0 if unknown."""


def read(root: str) -> Sockstat:
    """Read and parse it below ``root``. Raises ``Blind``."""
    text = reading.read(root, FILE)
    if not text and _silent(root):
        raise Blind(f"{FILE} is empty, by design in a container of OpenVZ 2.6.18", remedy="run the check on the node")
    return parse(text)


def _silent(root: str) -> bool:
    """Whether the kernel is OpenVZ 2.6.18 by its name, or a host of OpenVZ that has none."""
    from tcp_headroom.proc import beancounters, osrelease  # not for a file that is as it should be

    name = osrelease.name(root)
    return beancounters.orphans_of(root) == beancounters.NOBODY if name else beancounters.present(root)


def parse(text: str) -> Sockstat:
    """Raises ``Blind`` if there is no ``TCP:`` line with ``orphan`` and ``mem``.

    A negative ``mem``, which kernels before 6.0 could print, is 0, as later
    kernels print it (``proto_memory_allocated``).
    """
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["TCP:"]:
            pairs = dict(zip(words[1::2], words[2::2]))
            try:
                return Sockstat(
                    max(0, reading.integer(pairs["orphan"])),
                    max(0, reading.integer(pairs["mem"])),
                    _enriching(pairs.get("inuse", "")),
                    _enriching(pairs.get("alloc", "")),
                )
            except (KeyError, ValueError):
                raise Blind(f"the TCP line of {FILE} has no readable orphan and mem") from None
    raise Blind(f"{FILE} has no TCP line" if text else f"{FILE} is empty")


def _enriching(word: str) -> int:
    """A number that nothing is judged by; 0 if it is none."""
    try:
        return max(0, reading.integer(word))
    except ValueError:
        return 0
