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

TOLERANCE = 0.1
"""How far a default that is reckoned may be from the real one, as a share of it."""


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


def numbers(text: str) -> tuple[int, ...] | None:
    """The numbers of a setting as the kernel reads them; None for what it would refuse.

    As in C, ``0x10`` and ``010`` are 16 and 8 (``proc_get_long``, kernel/sysctl.c). Fewer
    numbers than the setting has change the first ones only.
    """
    found = []
    for word in text.split():
        match = re.fullmatch(r"-?(?:(0[xX][0-9a-fA-F]{1,16})|(0[0-7]{0,22})|([1-9][0-9]{0,19}))", word, re.ASCII)
        if not match:
            return None
        value = int(match[match.lastindex or 1], {1: 16, 2: 8, 3: 10}[match.lastindex or 1])
        found.append(-value if word.startswith("-") else value)
    return tuple(found) or None


def of(
    name: str, running: Sequence[int], setting: Setting | None, default: Sequence[int] | None, exact: bool
) -> Drift | None:
    """The drift of a running value; None if a reboot gives the same, or if what it gives is not known.

    ``setting``: the line that sets it, if there is one; one that the kernel would refuse
    counts as none. ``default``: what the kernel sets by itself, ``exact`` or about.
    """
    given = numbers(setting.value) if setting else None
    if given and len(given) <= len(running):
        if tuple(running[: len(given)]) == given:
            return None
        # Fewer numbers change the first ones only.
        return Drift(name, tuple(running), given + tuple((default or running)[len(given) :]), setting)
    far = 0 if exact else TOLERANCE
    if default is None or all(abs(value - usual) <= far * usual for value, usual in zip(running, default)):
        return None
    return Drift(name, tuple(running), tuple(default), None)
