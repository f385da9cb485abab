"""Running against persisted: which settings would a reboot change, and to what?

What a reboot sets comes from ``sysctl_files``; where no file sets it, the kernel's
own default is what is left (``kernel_defaults``).
"""

from __future__ import annotations

import re
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcp_headroom.sysctl_rules import Setting


class Drift(namedtuple("Drift", "name running boot setting")):
    """A setting that a reboot would change."""

    __slots__ = ()
    name: str
    """``net.ipv4.tcp_mem``."""
    running: tuple[int, ...]
    boot: tuple[int, ...]
    """What the reboot would set; of a default that is reckoned, about so much."""
    setting: Setting | None
    """The line that says so; None where it is the kernel's default."""


def numbers(text: str, count: int) -> tuple[int, ...]:
    """What a kernel takes of ``text`` for a setting of ``count`` numbers; nothing if it refuses the first.

    It stops at the first word that is no number, having set those before, and ignores
    what follows the last it needs (measured). As in C, ``0x10`` and ``010`` are 16 and
    8 (``proc_get_long``, kernel/sysctl.c). Of several numbers none may be negative: ``tcp_mem``
    is unsigned (``proc_doulongvec_minmax``).
    """
    found = []
    for word in text.split(" ")[:count]:
        match = re.fullmatch(r"(-?)(?:(0[xX][0-9a-fA-F]{1,16})|(0[0-7]{0,22})|([1-9][0-9]{0,19}))", word, re.ASCII)
        if not match or (match[1] and count > 1):
            break
        value = int(match[match.lastindex or 1], {2: 16, 3: 8, 4: 10}[match.lastindex or 1])
        found.append(-value if match[1] else value)
    return tuple(found)


def of(
    name: str,
    running: Sequence[int],
    setting: Setting | None,
    default: Sequence[int] | None,
    around: tuple[Sequence[int], Sequence[int]] | None = None,
) -> Drift | None:
    """The drift of a running value; None if a reboot gives the same, or if what it gives is not known.

    ``setting``: the line that sets it, if there is one; one that the kernel would refuse
    counts as none. ``default``: what the kernel sets by itself; where that is reckoned,
    ``around``: the least and the most it may be.
    """
    given = numbers(setting.value, len(running)) if setting else ()
    if given:
        if tuple(running[: len(given)]) == given:
            return None
        # Fewer numbers change the first ones only.
        return Drift(name, tuple(running), given + tuple((default or running)[len(given) :]), setting)
    if default is None:
        return None
    least, most = around or (default, default)
    if all(low <= value <= high for low, value, high in zip(least, running, most)):
        return None
    return Drift(name, tuple(running), tuple(default), None)
