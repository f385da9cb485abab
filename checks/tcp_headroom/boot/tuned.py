"""tuned: whether its active profile sets a sysctl, after the boot has set it from files.

The names of the active profiles are in /etc/tuned/active_profile; a profile is a
tuned.conf in a directory of its name, and its ``include`` names others that it
builds on (tuned.conf(5); tuned/profiles/locator.py). Settings are in ``[sysctl]``, or
in a section of ``type=sysctl``. Unless ``reapply_sysctl`` in
/etc/tuned/tuned-main.conf is 0, tuned afterwards applies the files of /etc and /run
again (tuned/plugins/plugin_sysctl.py), so a file there wins over the profile.

Whether tuned runs at all is not looked at, nor what it computes: values may hold
variables and functions. So a profile is no answer by itself, but only beside what a
file sets, or what runs: where they agree, there is nothing to be unsure of.
"""

from __future__ import annotations

import errno
import os
from collections import namedtuple

from tcp_headroom import wording
from tcp_headroom.boot import host_root
from tcp_headroom.boot.sysctl_rules import Setting, folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ACTIVE = "/etc/tuned/active_profile"
FOLDERS = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")

PROFILES = 100
"""Most names of profiles that are looked up."""

LIMIT = 1 << 16
"""Most bytes read of a file of tuned."""


class Override(namedtuple("Override", "profile setting")):
    """A line of a profile that sets a sysctl."""

    __slots__ = ()
    profile: str
    setting: Setting

    @property
    def doubt(self) -> str:
        """Why it is not known what a reboot sets."""
        return (
            f"the tuned profile {wording.clean(self.profile, 40)} sets {self.setting.name} in "
            f"{wording.path(self.setting.path)} line {self.setting.line}; whether it wins depends on reapply_sysctl in "
            "/etc/tuned/tuned-main.conf"
        )


def overrides(tree: host_root.Root, names: Iterable[str]) -> tuple[list[Override], list[str]]:
    """The lines of the active profile that set one of ``names``, and sentences on why others cannot be seen."""
    found, blind = [], []
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
                    found.append(Override(profile, Setting(name, folded(value.strip("\"'")), path, number)))
        if todo:
            blind.append(f"the active profile of tuned includes too many others, and only {PROFILES} were read")
    except OSError as error:
        blind.append(f"cannot read the active profile of tuned: {host_root.reason(error)}")
    return found, blind


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
