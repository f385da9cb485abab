"""Sysctls that the kernel is told to set before it starts init, on its command line.

``sysctl.NAME=VALUE``, from 5.8 on (``do_sysctl_args``, fs/proc/proc_sysctl.c). It is
the command line of this boot; the boot loader may have another one for the next.
"""

from __future__ import annotations

import os

from tcp_headroom import wording
from tcp_headroom.boot.sysctl_rules import Setting, folded
from tcp_headroom.proc import cmdline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SINCE = (5, 8)
"""Earlier kernels leave such words to init, which does nothing with them."""


def settings(root: str, names: Iterable[str]) -> dict[str, Setting]:
    """What it sets of ``names``, the last of each, below the /proc root. Raises ``Blind``.

    Dots and slashes separate alike. Words end at ``--`` (``parse_args``,
    kernel/params.c). An empty value is refused.
    """
    wanted = {name.replace(".", "/"): name for name in names}
    found = {}
    for word in cmdline.read(root):
        key, _assigned, value = word.partition("=")
        if word == "--":
            break
        name = wanted.get(key[len("sysctl.") :].replace(".", "/")) if key[:7] in ("sysctl.", "sysctl/") else None
        if name and value:
            found[name] = Setting(name, folded(value), wording.path(os.path.join(root, cmdline.FILE)), 0)
    return found
