"""``/proc/cmdline``: sysctls that the kernel is told to set before it starts init.

``sysctl.NAME=VALUE``, from 5.8 on (``do_sysctl_args``, fs/proc/proc_sysctl.c). It is
the command line of this boot; the boot loader may have another one for the next.
"""

from __future__ import annotations

import os

from tcp_headroom import procfs, wording
from tcp_headroom.sysctl_rules import Setting, folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SINCE = (5, 8)
"""Earlier kernels leave such words to init, which does nothing with them."""


def settings(root: str, names: Iterable[str]) -> dict[str, Setting]:
    """What it sets of ``names``, the last of each, below the /proc root. Raises ``Blind``.

    Dots and slashes separate alike. Words are told apart as by ``next_arg``
    (lib/cmdline.c), for which blanks between double quotes do not count, and end at
    ``--`` (``parse_args``, kernel/params.c). An empty value is refused.
    """
    wanted = {name.replace(".", "/"): name for name in names}
    found = {}
    for word in _words(procfs.read(root, "cmdline")):
        key, _assigned, value = word.partition("=")
        if word == "--":
            break
        name = wanted.get(key[len("sysctl.") :].replace(".", "/")) if key[:7] in ("sysctl.", "sysctl/") else None
        if name and value:
            found[name] = Setting(name, folded(value), wording.path(os.path.join(root, "cmdline")), 0)
    return found


def _words(text: str) -> Iterator[str]:
    """The words of a command line without the quotes around a word or its value."""
    word = ""
    quoted = False
    for char in text + " ":
        if char.isspace() and not quoted:
            if word:
                yield _unquoted(word)
            word = ""
            continue
        quoted ^= char == '"'
        word += char


def _unquoted(word: str) -> str:
    if word.startswith('"'):
        return word[1:].removesuffix('"')
    key, assigned, value = word.partition("=")
    return key + assigned + (value[1:].removesuffix('"') if value.startswith('"') else value)
