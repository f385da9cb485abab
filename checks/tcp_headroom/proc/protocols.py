"""``/proc/net/protocols``: is TCP under memory pressure at this moment?

Column ``press`` of the row ``TCP`` prints ``tcp_memory_pressure`` as yes or no
(net/core/sock.c, ``proto_seq_printf``). It is global, readable by everybody and
right also in a container. It cannot be derived from usage: pressure begins above
``tcp_mem[1]`` and ends only below ``tcp_mem[0]``.
"""

from __future__ import annotations

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

FILE = "net/protocols"


def read(root: str) -> bool:
    """Read and parse it below ``root``. Raises ``Blind``."""
    return parse(reading.read(root, FILE))


def parse(text: str) -> bool:
    """Whether TCP is under memory pressure.

    Raises ``Blind`` if there is no ``TCP`` row, no ``press`` column, or
    something other than yes or no in it.
    """
    lines = text.splitlines()
    header = lines[0].split() if lines else []
    for line in lines[1:]:
        words = line.split()
        if words[:1] == ["TCP"]:
            pressure = dict(zip(header, words)).get("press")
            if pressure in ("yes", "no"):
                return pressure == "yes"
            break
    raise Blind(f"{FILE} has no TCP row that says yes or no to press")
