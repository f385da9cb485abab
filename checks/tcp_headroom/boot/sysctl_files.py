"""Which value a reboot gives a sysctl, and which file and line says so.

First, what boots the tree (``init_system``); then its files in the order in which that
reads them (``_files``), each by the rules of its tool (``sysctl_rules``); where no
file says anything, the command line of the kernel (``kernel_arguments``), which acts
before init does.

* systemd-sysctl and ``sysctl --system`` read ``*.conf`` of /etc/sysctl.d,
  /usr/local/lib/sysctl.d, /usr/lib/sysctl.d and /lib/sysctl.d, sorted by name
  (strcmp) across all; of one name only the first counts, be it empty, a link to
  /dev/null or to nothing (sysctl.d(5); ``conf_files_list_strv``,
  src/basic/conf-files.c, systemd 252; ``PreloadSystem``, src/sysctl.c, procps-ng 4).
* systemd passes over names that begin with a dot. It does not read
  /etc/sysctl.conf, unless a link among those files leads there.
* ``sysctl --system`` reads /etc/sysctl.conf after all of them.
* Alpine (main/openrc/sysctl.initd of aports) reads /lib and /usr/lib without the
  names that /etc/sysctl.d has, then /etc/sysctl.d, then /etc/sysctl.conf; OpenWrt's
  script reads the last two of these. Both apply each file with ``sysctl -p``.

All of them read /run/sysctl.d, too, whose files hide others of the same name. It is
left out here, with a note: it is empty after a reboot, and what writes it anew
would have to do so before the sysctls are set.

Not seen: an initramfs with settings of its own, /boot/sysctl.conf-* of SUSE, which
comes before all files, and whatever sets a sysctl later (a unit, a script, an agent),
but for ufw and ``tuned``. A value that the kernel refuses counts like any other here,
while after procps and busybox, which write one after the other, the one before stays,
and busybox reads no further in that file (``xwrite_str``), whatever the key was.
"""

from __future__ import annotations

import errno
import os
import re
from collections import namedtuple

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.boot import host_root, init_system, kernel_arguments, tuned
from tcp_headroom.boot.sysctl_rules import BUSYBOX, PROCPS, SYSTEMD, Rules, Setting, folded
from tcp_headroom.proc import cmdline, osrelease, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAMES = ("net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem")

CONF = "/etc/sysctl.conf"
DIRECTORIES = ("/etc/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
VOLATILE = "/run/sysctl.d"
UFW = ("/etc/default/ufw", "/etc/ufw/ufw.conf")
"""Two files of shell variables of Ubuntu's firewall, without which it does not start."""

LIMIT = 1 << 20
"""Most bytes read of a file. No line of systemd's is longer (LONG_LINE_MAX, src/basic/fileio.h)."""

TOTAL = 4 << 20
"""Most bytes read of all files together."""

FILES = 1000
"""Most files read: the last ones, which win."""

SENTENCES = 20
"""Most notes, and most doubts."""

_VARIABLE = re.compile("""\\s*(ENABLED|IPT_SYSCTL)=["']?([^"'\\s#;]*)""")

_UNIT = "systemd-sysctl.service"
_UNITS = (
    "/etc/systemd/system.control", "/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
    "/lib/systemd/system",
)  # fmt: skip
"""Where systemd looks for a unit, in this order, of what a reboot leaves (systemd.unit(5))."""
_CREDENTIALS = (
    "/run/credentials/@system/sysctl.extra",
    "/etc/credstore/sysctl.extra",
    "/etc/credstore.encrypted/sysctl.extra",
    "/usr/lib/credstore/sysctl.extra",
)


class Found(namedtuple("Found", "boots settings notes blind unread")):
    """What a reboot does to the sysctls asked for."""

    __slots__ = ()
    boots: str
    """``SYSTEMD``, ``PROCPS`` or ``BUSYBOX``: by whose rules the files were read."""
    settings: dict[str, Setting]
    """By name; the kernel chooses the value of those that are not in it."""
    notes: list[str]
    """What else was seen of the names; changes no answer."""
    blind: list[str]
    """What could not be seen, or decided, and may give another answer."""
    unread: dict[str, Setting]
    """What /etc/sysctl.conf has, by name, where systemd does not read it, as since Debian 13."""


class _Doubts:
    """Sentences on what could not be read, with the place of a file in the order; None: it could be any."""

    def __init__(self) -> None:
        self._all: list[tuple[int | None, str]] = []

    def add(self, sentence: str, order: int | None = None) -> None:
        self._all.append((order, sentence))

    def unsettled(self, rules: Rules) -> list[str]:
        return [sentence for order, sentence in self._all if order is None or not rules.settled(order)]


def read(root: str = "/", procfs: str = "/proc", names: Iterable[str] = NAMES, running: bool = False) -> Found:
    """What the next boot of the machine whose root is ``root`` does to the sysctls ``names``.

    ``procfs`` is where the /proc of that machine is, for the command line of the kernel. ``running``: ``root`` is that
    of this process, so its PID namespace and first process tell whether that is the machine's. Raises ``Blind`` if nothing tells what
    applies sysctls at boot.
    """
    names = tuple(names)
    with host_root.Root(root) as tree:
        tool = init_system.tool(tree, procfs, running)
        doubts = _Doubts()
        notes: list[str] = []
        rules = Rules(tool, names)
        masked = _masked(tree, procfs) if tool == SYSTEMD else ""
        unread: list[Setting] = []
        if masked:
            notes.append(
                f"{masked}, so no file is applied at boot; a line in a file has no effect before that is undone"
            )
        else:
            files = _files(tree, tool, doubts)
            _feed(tree, rules, files, doubts)
            notes += rules.notes
            notes += _passed_over(tree, tool, names)
            unread = _unread(tree, tool, files, names)
            notes += (
                f"{one.path} line {one.line} sets {one.name}, but that file is not read by systemd" for one in unread
            )
        settings = rules.answer()
        release = osrelease.read(procfs)
        old = bool(release and release < kernel_arguments.SINCE)
        try:
            early = kernel_arguments.settings(procfs, names)
        except Blind as error:
            early = {}
            if len(settings) < len(names) and not old:
                doubts.add(f"{error}; it may set what no file sets")
        if old:
            notes += (
                f"{given.path} sets {name}, but this kernel is too old to use that" for name, given in early.items()
            )
            early = {}
        for name in (name for name in early if name in settings):
            notes.append(f"{early[name].path} sets {name}, but {settings[name].path} sets it later")
        settings = {**early, **settings}
        try:
            settings.update(_of_ufw(tree, names, notes))
        except OSError as error:
            doubts.add(f"cannot read what ufw sets: {host_root.reason(error)}")
        if tool == SYSTEMD:
            for path in (path for path in _CREDENTIALS if init_system.exists(tree, path)):
                doubts.add(f"{path} exists, which systemd applies after all files; this check does not read it")
        overrides, blind = tuned.overrides(tree, names)
        for sentence in (*_of_tuned(overrides, settings, procfs), *blind):
            doubts.add(sentence)
        return Found(tool, settings, _few(notes), _few(doubts.unsettled(rules)), {one.name: one for one in unread})


def _masked(tree: host_root.Root, procfs: str) -> str:
    """What keeps systemd-sysctl from running; empty if nothing does.

    A unit file that is empty masks like a link to /dev/null (``null_or_empty``, src/basic/stat-util.c), and so does
    ``systemd.mask=`` on the kernel's command line (kernel-command-line(7)).
    """
    try:
        words = set(cmdline.read(procfs))
    except Blind:
        words = set()
    if words & {f"systemd.mask={_UNIT}", f"systemd.mask={_UNIT.partition('.')[0]}"}:
        return f"the command line of the kernel has systemd.mask={_UNIT}"
    for path in (f"{folder}/{_UNIT}" for folder in _UNITS):
        try:
            if tree.leads_to(path) == "/dev/null":
                return f"{path} is a link to /dev/null"
            if tree.kind(path) == host_root.FILE:
                return "" if tree.read(path, 1) else f"{path} is empty"
        except OSError:
            continue
    return ""


def _files(tree: host_root.Root, tool: str, doubts: _Doubts) -> list[str]:
    """The paths of the files to read, in the order in which the tool reads them."""
    if tool == BUSYBOX:
        own = _conf(tree, "/etc/sysctl.d", tool, doubts)
        hidden = {os.path.basename(path) for path in own if _exists_as_file(tree, path)}
        files = [
            path for folder in ("/lib/sysctl.d", "/usr/lib/sysctl.d") for path in _conf(tree, folder, tool, doubts)
        ]
        files = [path for path in files if os.path.basename(path) not in hidden] + own
    else:
        first: dict[str, str] = {}
        for folder in DIRECTORIES:
            for path in _conf(tree, folder, tool, doubts):
                first.setdefault(os.path.basename(path), path)
        files = [first[name] for name in sorted(first, key=os.fsencode)]
    if tool != SYSTEMD and _exists_as_file(tree, CONF):
        files.append(CONF)
    if len(files) > FILES:
        doubts.add(f"there are {len(files)} files of sysctls, and only the last {FILES} were read", -1)
    return files[-FILES:]


def _conf(tree: host_root.Root, folder: str, tool: str, doubts: _Doubts | None = None) -> list[str]:
    """The paths of the ``*.conf`` in a directory, sorted by name."""
    try:
        names = tree.names(folder)
    except NotADirectoryError:
        return []
    except OSError as error:
        if doubts:
            doubts.add(f"cannot read {folder}: {host_root.reason(error)}")
        return []
    if len(names) > host_root.ENTRIES and doubts:
        doubts.add(f"{folder} has more than {host_root.ENTRIES} entries, and not all were looked at")
    names = [name for name in names if name.endswith(".conf") and (tool == PROCPS or not name.startswith("."))]
    return [f"{folder}/{name}" for name in sorted(names, key=os.fsencode)]


def _exists_as_file(tree: host_root.Root, path: str) -> bool:
    """What ``test -f`` says."""
    try:
        return tree.kind(path) == host_root.FILE
    except OSError:
        return False


def _feed(tree: host_root.Root, rules: Rules, files: list[str], doubts: _Doubts) -> None:
    """Read the files as far as they can be read, and add what cannot to the doubts."""
    left = TOTAL
    for order, path in enumerate(files):
        shown = wording.path(path)
        try:
            data = tree.read(path, min(LIMIT, left) + 1)
        except IsADirectoryError:
            rules.notes.append(f"{shown} is a directory, so nothing is read from it")
            continue
        except OSError as error:
            if error.errno == errno.ELOOP:
                # The tools cannot open it either.
                rules.notes.append(f"{shown} is a link that leads to itself, so nothing is read from it")
            else:
                doubts.add(f"cannot read {shown}: {host_root.reason(error)}", order)
            continue
        room = min(LIMIT, left)
        if len(data) > room:
            doubts.add(f"{shown} was read up to byte {room} only", order)
            # The last line is cut off somewhere, perhaps in the middle of a number.
            data = data[: data.rfind(b"\n", 0, room) + 1]
        left -= len(data)
        if not rules.feed(order, shown, data):
            doubts.add(f"{shown} was not read to its end: there are too many patterns", order)


def _of_tuned(overrides: list[tuned.Override], settings: dict[str, Setting], procfs: str) -> Iterator[str]:
    """Sentences on profiles that set another value than the files, or than what runs where no file sets any.

    What runs because a profile has set it, and no file has, is what a reboot sets: it comes into ``settings``.
    """
    for name in sorted({one.setting.name for one in overrides}):
        lines = [one for one in overrides if one.setting.name == name]
        value = settings[name].value if name in settings else _running(procfs, name)
        if any(one.setting.value != value for one in lines):
            yield from (one.doubt for one in lines)
        else:
            settings.setdefault(name, lines[-1].setting)


def _running(procfs: str, name: str) -> str:
    try:
        return folded(reading.read(procfs, f"sys/{name.replace('.', '/')}"))
    except Blind:
        return ""


def _of_ufw(tree: host_root.Root, names: tuple[str, ...], notes: list[str]) -> dict[str, Setting]:
    """What ufw sets when it starts, after all files: ``sysctl -p $IPT_SYSCTL``, if it is enabled.

    ``ufw_start`` (src/ufw-init-functions, 0.36). Raises ``OSError`` if that cannot be read.
    """
    variables: dict[str, str] = {}
    for path in UFW:
        lines = tree.read(path, LIMIT).decode("utf-8", "replace").splitlines()
        variables.update((match[1], match[2]) for match in map(_VARIABLE.match, lines) if match)
    file = variables.get("IPT_SYSCTL", "")
    settings = _settings(tree, PROCPS, file, names) if file else []
    if variables.get("ENABLED") in ("yes", "YES"):
        return {setting.name: setting for setting in settings}
    notes += (f"{setting.path} line {setting.line} sets {setting.name}, but ufw is not enabled" for setting in settings)
    return {}


def _passed_over(tree: host_root.Root, tool: str, names: tuple[str, ...]) -> Iterator[str]:
    """Sentences on settings in folders that a boot does not read, though one may think so."""
    places = [(path, "is empty after a reboot", VOLATILE) for path in _conf(tree, VOLATILE, tool)]
    if tool == BUSYBOX:
        folder = "/usr/local/lib/sysctl.d"
        places += [(path, "is not read at boot", "that directory") for path in _conf(tree, folder, tool)]
    for path, why, what in places[:SENTENCES]:
        try:
            settings = _settings(tree, tool, path, names)
        except OSError:
            # It sets nothing at boot, whatever is in it.
            continue
        for setting in settings:
            yield f"{setting.path} line {setting.line} sets {setting.name}, but {what} {why}"


def _unread(tree: host_root.Root, tool: str, files: list[str], names: tuple[str, ...]) -> list[Setting]:
    """What /etc/sysctl.conf sets where systemd reads no link to it, and so not that."""
    if tool != SYSTEMD or _leads_to(tree, CONF) in {_leads_to(tree, path) for path in files} - {None}:
        return []
    try:
        return _settings(tree, tool, CONF, names)
    except OSError:
        return []


def _settings(tree: host_root.Root, tool: str, path: str, names: tuple[str, ...]) -> list[Setting]:
    """What the first ``LIMIT`` bytes of one file set. Raises ``OSError``."""
    rules = Rules(tool, names)
    rules.feed(0, wording.path(path), tree.read(path, LIMIT))
    return list(rules.answer().values())


def _leads_to(tree: host_root.Root, path: str) -> str | None:
    try:
        return tree.leads_to(path)
    except OSError:
        return None


def _few(sentences: list[str]) -> list[str]:
    """The first ``SENTENCES`` of them, and how many more there are."""
    more = len(sentences) - SENTENCES
    return sentences if more <= 0 else [*sentences[:SENTENCES], f"and {more} more of this kind"]
