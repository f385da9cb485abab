"""Running against persisted: which settings would a reboot change, and to what?

What a reboot sets comes from ``sysctl_files``; where no file sets it, the kernel's
own default is what is left (``kernel_defaults``).
"""

from __future__ import annotations

import re

from tcp_headroom import namedtuple
from tcp_headroom.limits import tcp_mem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcp_headroom.boot.sysctl_rules import Setting


class Drift(namedtuple("Drift", "name running boot setting refused unread", defaults=[False])):
    """A setting that a reboot would change."""

    __slots__ = ()
    name: str
    """``net.ipv4.tcp_mem``."""
    running: tuple[int, ...]
    boot: tuple[int, ...]
    """What the reboot would set; of a default that is reckoned, about so much."""
    setting: Setting | None
    """The line that says so, or says what the kernel refuses; None where there is none."""
    refused: bool
    """Whether there is a line, but the kernel takes nothing from it."""
    unread: bool
    """Whether ``setting`` is what runs, but stands in a file that no boot reads."""


def numbers(text: str, count: int, bits: int = 64) -> tuple[int, ...]:
    """What a kernel takes of ``text`` for a setting of ``count`` numbers; nothing if it refuses the first.

    ``bits``: those of a long.

    It stops at the first word that is no number, having set those before, and ignores
    what follows the last it needs (measured). As in C, ``0x10`` and ``010`` are 16 and
    8, and no word has more than 20 characters (``proc_get_long``, kernel/sysctl.c). A
    single one must fit into an int (``proc_dointvec``, measured). Of several none may be
    negative or take more than a long has: ``tcp_mem`` is unsigned (``proc_doulongvec_minmax``),
    but compared as signed, and returned so.
    """
    found = []
    for word in text.split(" ")[:count]:
        match = re.fullmatch(r"(-?)(?:(0[xX][0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))", word[:21], re.ASCII)
        if not match or len(word) > 20 or (match[1] and count > 1):
            break
        value = int(match[1] + match[match.lastindex or 1], {2: 16, 3: 8, 4: 10}[match.lastindex or 1])
        if not (-1 << 31 <= value < 1 << 31 if count == 1 else value < 1 << bits):
            break
        found.append(value if count == 1 else tcp_mem.signed(value, bits))
    return tuple(found)


def of(
    name: str,
    running: Sequence[int],
    setting: Setting | None,
    default: Sequence[int] | None,
    around: tuple[Sequence[int], Sequence[int]] | None = None,
    bits: int = 64,
) -> Drift | None:
    """The drift of a running value; None if a reboot gives the same, or if what it gives is not known.

    ``setting``: the line that sets it, if there is one; one that the kernel refuses leaves
    the default, and one of fewer numbers the default of the others. ``default``: what
    the kernel sets by itself; where that is reckoned, ``around``: the least and the most
    it may be. ``bits``: those of a long.
    """
    given = numbers(setting.value, len(running), bits) if setting else ()
    # What is not known is taken to stay.
    usual = default or running
    least, most = around if around and default else (usual, usual)
    rest = list(zip(least, running, most))[len(given) :]
    if tuple(running[: len(given)]) == given and all(low <= value <= high for low, value, high in rest):
        return None
    return Drift(name, tuple(running), given + tuple(usual[len(given) :]), setting, bool(setting and not given))
