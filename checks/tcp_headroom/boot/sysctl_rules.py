"""The text of sysctl files, and which of several assignments counts, by the tool that applies them at boot.

Encoded and compared with the real tools are systemd-sysctl of systemd 252
(sysctl.d(5); ``parse_file`` and ``apply_all``, src/sysctl/sysctl.c), ``sysctl
--system`` of procps-ng 4 (sysctl.conf(5); ``parse_setting_line`` and
``write_setting_list``, src/sysctl.c), and ``sysctl -p`` of busybox 1.35
(procps/sysctl.c). All skip blank lines and those that begin with ``#`` or ``;``,
cut at the first ``=``, and take a key whose first separator is a dot as dotted, its
slashes being dots, else as a path (``sysctl_normalize``, src/shared/sysctl-util.c).

========  ======================================================================
systemd   CR and NUL end a line, too. One value is kept for each key, the last;
          ``-key=value`` is an assignment whose failure is ignored; ``-key``
          takes back what was said of it. A key with ``*``, ``?`` or ``[`` is
          a pattern for what no key names, not even a ``-key``; of several the
          one that came last wins, but one said again keeps its place.
procps    Likewise, but everything is written in turn, so ``-key`` only bars
          patterns; it may be one itself (from 4.0.5 on). A NUL hides the rest
          of its line. Versions before 4.0 have no patterns.
busybox   Neither patterns nor the dash; a line without a value is skipped, a
          backslash at the end of a line continues it, and dots of a path are
          slashes where that leads to a file.
========  ======================================================================
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SYSTEMD = "systemd"
PROCPS = "procps"
BUSYBOX = "busybox"

PATTERNS = 1000
"""Most patterns that are tried; hostile files are full of them."""

KEY = 4096
"""Longest key, in bytes: PATH_MAX; the file of no longer one can be opened."""

VALUE = 4096
"""How much of a value is kept, in characters."""

NOTES = 50
"""Most notes."""

_WILD = "*?["


class Setting(namedtuple("Setting", "name value path line")):
    """What a boot writes to a sysctl, and where that is said."""

    __slots__ = ()
    name: str
    """With dots, as it was asked for."""
    value: str
    """As written, ``folded``; foreign text, perhaps no number, perhaps empty."""
    path: str
    """The file, seen from its root and fit to print; a link is not followed."""
    line: int
    """From 1 on; 0 where there are no lines, as on the command line of the kernel."""


class _Entry(namedtuple("_Entry", "order setting")):
    __slots__ = ()
    order: int
    setting: Setting


class Rules:
    """Takes in files in the order in which ``tool`` does, and knows what counts in the end.

    ``notes`` are sentences on lines that name a key and yet do not set it.
    """

    def __init__(self, tool: str, names: Iterable[str]) -> None:
        self.tool = tool
        self.notes: list[str] = []
        self._names = {normalised(name, PROCPS): name for name in names}
        self._words = [name.rpartition("/")[2].encode() for name in self._names]
        self._entries: dict[str, _Entry | None] = {}
        self._barred: set[str] = set()
        self._patterns = 0

    def feed(self, order: int, path: str, data: bytes) -> bool:
        """Read ``data``, the file ``path``. False if it holds more patterns than are tried."""
        wild = tuple(char.encode() for char in _WILD) if self.tool != BUSYBOX else ()
        for number, line in _lines(data, self.tool):
            if not any(word in line for word in self._words) and not any(char in line for char in wild):
                continue
            if line[:1] in (b"#", b";"):
                continue
            parsed = parse(line, self.tool)
            key = parsed[0] if parsed else ""
            concerned = key in self._names
            if not concerned and any(char in key for char in _WILD) and self.tool != BUSYBOX:
                self._patterns += 1
                if self._patterns > PATTERNS:
                    return False
                concerned = any(matches(key, name) for name in self._names)
            if parsed and concerned:
                value = parsed[1]
                # The name is put in when it is known which one is asked for.
                setting = None if value is None else Setting("", value, path, number)
                self._take(key, None if setting is None else _Entry(order, setting))
            else:
                self._complain(path, number, line)
        return True

    def answer(self) -> dict[str, Setting]:
        """By name, what is written last to those that are written at all."""
        found = {}
        for name, path in ((name, path) for path, name in self._names.items()):
            entry = self._winner(path)
            if entry is not None:
                found[name] = entry.setting._replace(name=name)
        return found

    def settled(self, order: int) -> bool:
        """Whether nothing in the file that came at ``order`` can count: later ones name every key."""
        entries = [self._entries.get(path) for path in self._names]
        return all(entry is not None and entry.order > order for entry in entries)

    def _take(self, key: str, entry: _Entry | None) -> None:
        if self.tool != SYSTEMD and entry is None:
            self._barred.add(key)
            return
        again = key in self._entries and _value(self._entries[key]) == _value(entry)
        if self.tool != SYSTEMD or not again:
            self._entries.pop(key, None)
        self._entries[key] = entry

    def _winner(self, path: str) -> _Entry | None:
        if path in self._entries:
            return self._entries[path]
        if any(matches(key, path) for key in self._barred):
            return None
        patterns = [entry for key, entry in self._entries.items() if entry is not None and matches(key, path)]
        return patterns[-1] if patterns else None

    def _complain(self, path: str, number: int, line: bytes) -> None:
        if len(self.notes) >= NOTES:
            return
        text = line.partition(b"=")[0].decode("utf-8", "replace")
        for name in self._names.values():
            for spelling in (name, name.replace(".", "/")):
                before, found, after = text.partition(spelling)
                if found and not _goes_on(before[-1:]) and not _goes_on(after[:1]):
                    self.notes.append(f"{path} line {number} names {name}, but {self.tool} ignores the line")
                    return


def parse(line: bytes, tool: str) -> tuple[str, str | None] | None:
    """The key, as a path below /proc/sys, and the value, None for a key taken back or barred.

    None for a line that the tool skips. Comments are the caller's.
    """
    left, assigned, right = line.partition(b"=")
    dash = line.startswith(b"-") and tool != BUSYBOX
    if not assigned and not dash:
        return None
    if dash:
        left = left[1:]
        # procps strips the line, then takes the dash off, twice if need be, and looks for blanks at the end only.
        left = left.strip() if tool == SYSTEMD else left[left.startswith(b"-") :]
    left = left.rstrip()
    if len(left) > KEY:
        return None
    value = folded(right.strip().decode("utf-8", "replace"))
    if tool == BUSYBOX and not value:
        return None
    return normalised(left.decode("utf-8", "replace"), tool), value if assigned else None


def folded(value: str) -> str:
    """``value`` with single blanks for the white space that the kernel takes between numbers.

    Those are blank, tab and newline (``proc_wspace_sep``, kernel/sysctl.c), not CR.
    """
    return " ".join(word for word in value.translate({9: " ", 10: " "}).split(" ") if word)[:VALUE]


def normalised(key: str, tool: str) -> str:
    """``key`` as a path below /proc/sys, without empty parts."""
    dot, slash = key.find("."), key.find("/")
    if 0 <= dot and (slash < 0 or dot < slash):
        key = key.translate({ord("."): "/", ord("/"): "."})
    elif tool == BUSYBOX:
        if slash == 0:
            return key
        key = key.replace(".", "/")
    return "/".join(part for part in key.split("/") if part not in ("", "."))


def matches(pattern: str, path: str) -> bool:
    """Whether glob(3) finds ``path`` by ``pattern``; wildcards do not match a slash."""
    if pattern == path:
        return True
    parts, names = pattern.split("/"), path.split("/")
    if len(parts) != len(names) or not any(char in pattern for char in _WILD):
        return False
    import fnmatch

    return all(fnmatch.fnmatchcase(name, part.replace("[^", "[!")) for part, name in zip(parts, names))


def _lines(data: bytes, tool: str) -> Iterator[tuple[int, bytes]]:
    """Number and text of the lines as the tool sees them, stripped and without the empty ones."""
    held = b""
    first = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line and not held:
            continue
        if tool == SYSTEMD and (b"\r" in line or b"\0" in line):
            for piece in line.replace(b"\0", b"\r").split(b"\r"):
                yield number, piece.strip(b" \t")
            continue
        if tool == BUSYBOX:
            first = first or number
            if line.endswith(b"\\"):
                held += line[:-1]
                continue
            number, line, held, first = first, held + line, b"", 0
        yield number, line.partition(b"\0")[0].strip()
    if held:
        yield first, held.strip()


def _value(entry: _Entry | None) -> str | None:
    return None if entry is None else entry.setting.value


def _goes_on(char: str) -> bool:
    """Whether a name does not end here, but is the beginning or the end of another."""
    return char.isalnum() or char == "_"
