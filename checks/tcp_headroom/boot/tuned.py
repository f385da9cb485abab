"""tuned: whether its active profile sets a sysctl, after the boot has set it from files.

The names of the active profiles are in /etc/tuned/active_profile; a profile is a
tuned.conf in a directory of its name, and its ``include`` names others that it
builds on (tuned.conf(5); tuned/profiles/locator.py). Settings are in ``[sysctl]``, or
in a section of ``type=sysctl``. Unless ``reapply_sysctl`` in
/etc/tuned/tuned-main.conf is 0, tuned afterwards applies the files of /etc and /run
again (tuned/plugins/plugin_sysctl.py), so a file there wins over the profile.

Whether tuned runs at all is not looked at, nor what it computes: values may hold
variables and functions. So this only says that there is something to look at.
"""

from __future__ import annotations

import errno
import os

from tcp_headroom import wording
from tcp_headroom.boot import host_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ACTIVE = "/etc/tuned/active_profile"
FOLDERS = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")

PROFILES = 100
"""Most names of profiles that are looked up."""

LIMIT = 1 << 16
"""Most bytes read of a file of tuned."""


def overrides(tree: host_root.Root, names: Iterable[str]) -> list[str]:
    """A sentence on each line of the active profile that sets one of ``names``, or on why that cannot be told."""
    found = []
    wanted = {name.replace(".", "/"): name for name in names}
    try:
        todo = _text(tree, ACTIVE).split()
        seen: set[str] = set()
        for _lookup in range(PROFILES):
            if not todo:
                break
            profile = os.path.basename(todo.pop(0))
            path = _file(tree, profile)
            if path is None or path in seen:
                continue
            seen.add(path)
            for number, section, key, value in list(_assignments(_text(tree, path))):
                if section == "main" and key == "include":
                    todo += value.replace(",", " ").replace(";", " ").split()
                name = wanted.get(key.replace(".", "/"))
                if name and section == "sysctl":
                    found.append(
                        f"the tuned profile {wording.clean(profile, 40)} sets {name} in {wording.path(path)} line "
                        f"{number}; whether it wins depends on reapply_sysctl in /etc/tuned/tuned-main.conf"
                    )
        if todo:
            found.append(f"the active profile of tuned includes too many others, and only {PROFILES} were read")
    except OSError as error:
        found.append(f"cannot read the active profile of tuned: {host_root.reason(error)}")
    return found


def _file(tree: host_root.Root, profile: str) -> str | None:
    paths = [f"{folder}/{profile}/tuned.conf" for folder in FOLDERS]
    return next((path for path in paths if tree.kind(path) == host_root.FILE), None)


def _text(tree: host_root.Root, path: str) -> str:
    data = tree.read(path, LIMIT + 1)
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, f"{wording.path(path)} is longer than {LIMIT} bytes")
    return data.decode("utf-8", "replace")


def _assignments(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Line, section, key and value; a section of ``type=sysctl`` is called so."""
    section = ""
    lines = text.split("\n")
    kinds: dict[str, str] = {}
    for line in lines:
        section = _section(line, section)
        key, _assigned, value = line.partition("=")
        if key.strip() == "type":
            kinds[section] = value.strip()
    section = ""
    for number, line in enumerate(lines, 1):
        section = _section(line, section)
        key, assigned, value = line.partition("=")
        if assigned:
            yield number, kinds.get(section, section), key.strip(), value.strip()


def _section(line: str, before: str) -> str:
    line = line.strip()
    return line[1:-1].strip() if line.startswith("[") and line.endswith("]") else before
