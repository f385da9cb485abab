"""The lines of one log file, from its end on: what it says, and by which of its stamps it can be dated.

The blocks of ``block_reader`` are searched for the few byte strings that every wanted line contains; only lines found
so are parsed, and a few at the edges of each block, which say where in time the block lies. So the cost is that of
the bytes inside the window, whatever the size of the file.

No single stamp is believed: the reading ends where all of several lines, and of several more further back, are older
than the window. A stamp of the future and one of a clock that was not set are dated by their neighbours.
"""

from __future__ import annotations

import re

from tcp_headroom import namedtuple, wording
from tcp_headroom.log import formats, messages, stamps
from tcp_headroom.log.block_reader import LONGEST
from tcp_headroom.log.samples import ALONE, DISORDER, SAMPLES, Wanted, end_of, lines, named, samples, trusted
from tcp_headroom.log.views import classify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.log.block_reader import Block
    from tcp_headroom.log.formats import Line
    from tcp_headroom.log.losses import Loss

ATTEMPTS = 300
"""How many lines of a block that mention the kernel are parsed in vain."""
LATE = 600.0
"""By how many seconds the stamps of one host may be behind those of another."""
INFO = 6
"""The level of the family."""

_REPEATED = b"last message repeated "
"""In the line that counts repetitions of the line before it, without saying what that was."""

_SIGNS = (b"kernel", b"kern.info", b"kern  :info", b"<6>", b"\n6,")
"""Where a line that shows a kernel record of level info may be; those without a sign are met at the edges."""
_TAG = re.compile(rb"""(?<![\w/])kernel(?:[:\[\]",\n]| [-\[]| [^ \n]+ [^ \n]+ [-\[])""")
"""The first sign where it may be a tag of a form that ``formats`` knows: other programs speak of kernels, too."""


class Found(namedtuple("Found", "when cause count host printk digits container", defaults=[""])):
    """One message in a file."""

    __slots__ = ()
    when: float
    cause: str
    count: int
    host: str
    printk: str
    digits: str
    container: str


class Scan:
    """What has been found so far in a file, and in those read before it."""

    def __init__(self) -> None:
        self.hosts: dict[str, bool] = {}
        """The hosts of messages, and whether they were counted."""
        self.doubts: list[str] = []
        self.talkers: set[str] = set()
        self.suppressed = False
        self.newest: float | None = None
        """The newest line of a wanted host, by anybody."""
        self.kernel: float | None = None
        """The newest kernel record of a wanted host."""
        self.sight: Line | None = None
        """A kernel record of level info or lower, or of unknown level, that shows that a hit would."""
        self.after: float | None = None
        """When the first line of what was read before, which is newer, was written."""
        self.loss: Loss | None = None
        """The newest loss that a daemon tells of."""
        self.speaks = False
        """Whether the kernel speaks at all, at whatever level."""

    def silent_since_boot(self, wanted: Wanted) -> bool:
        """Whether the newest kernel record is older than the boot, so that no older one helps."""
        return wanted.booted is not None and self.kernel is not None and self.kernel < wanted.booted


def look_for_kernel(block: Block, wanted: Wanted, zero: float, scan: Scan) -> None:
    """Note the newest record of the kernel in this block, and one of level info or lower."""
    data = block.data
    edges = [*lines(data, len(data), -1, SAMPLES), *lines(data, block.lead, 1, SAMPLES)]
    for text in edges:
        _kernel(text, block, wanted, zero, scan, len(data))
    for sign in _SIGNS if scan.sight is None else (b"kernel",):
        place = len(data)
        tags = [tag.start() for tag in _TAG.finditer(data, max(0, block.lead - 1))] if sign == b"kernel" else None
        # Bounded: a line that only mentions the kernel is parsed in vain.
        for _attempt in range(ATTEMPTS):
            place = _sign(data, sign, tags, block.lead, place, wanted)
            if place < 0 or (scan.kernel is not None and (scan.sight or scan.silent_since_boot(wanted))):
                break
            start = data.rfind(b"\n", 0, place + 1) + 1 if sign[:1] != b"\n" else place + 1
            end = end_of(data, place + 1)
            _kernel(data[start : min(end, start + LONGEST)], block, wanted, zero, scan, end)
            place = start - 1


def _sign(data: bytes, sign: bytes, tags: list[int] | None, lead: int, end: int, wanted: Wanted) -> int:
    """The last place of ``sign`` before ``end``, in a line of the wanted host where it is one of many.

    ``tags``: the places to choose from, in order; what is not before ``end`` is taken from them.
    """
    while True:
        if tags is None:
            place = data.rfind(sign, max(0, lead - 1), max(0, end))
        else:
            while tags and tags[-1] >= end:
                tags.pop()
            place = tags[-1] if tags else -1
        if place < 0 or not wanted.name:
            return place
        start = data.rfind(b"\n", 0, place) + 1
        if named(wanted.name).search(data, start, end_of(data, place)):
            return place
        end = start - 1


def _kernel(text: bytes, block: Block, wanted: Wanted, zero: float, scan: Scan, end: int) -> None:
    line = wanted.parse(text, zero)
    if text.startswith((b"SYSLOG_IDENTIFIER=kernel", b"_TRANSPORT=kernel")):
        line = _exported(block.data, end - len(text))
    if line.message is None or not wanted.accepts(line.host):
        return
    when = line.when
    if when is not None and wanted.strange(when):
        # A boot whose clock was set only later lies before the next line that has the right time.
        when = min(trusted(samples(block.data, end + 1, 1, wanted, zero), wanted), default=None)
    scan.speaks = True
    if when is not None and not line.repeats:
        scan.kernel = max(when, scan.kernel or when)
    if scan.sight is None and (line.level is None or line.level >= INFO):
        if wanted.booted is None or (when is not None and when >= wanted.booted):
            scan.sight = line


def found(block: Block, written: float, zeros: list[tuple[int, float]], wanted: Wanted, scan: Scan) -> list[Found]:
    """The messages of the family, and the rate limiter's, within the window."""
    data = block.data
    made = []
    before = -1, formats.NOTHING
    for start, end in _wanted(block):
        zero = next((zero for place, zero in zeros if place <= start), zeros[-1][1])
        raw = data[start : min(end, start + LONGEST)]
        line = _exported(data, start) if raw.startswith(b"MESSAGE=") else wanted.parse(raw, zero)
        said = line
        if line.repeats and before[0] == start:
            # A daemon says so again while the message goes on.
            said = before[1]
        elif line.repeats:
            earlier = (wanted.parse(text, zero) for text in lines(data, start, -1))
            said = next((one for one in earlier if not one.repeats), formats.NOTHING)
        before = end + 1, said
        if line.repeats and said.host != line.host:
            continue
        known = None if said.message is None else classify(said.message)
        formless = (said.message is None and not said.other) or _behind_a_prefix(said)
        torn = None if formless or known else _torn(raw, wanted, zero)
        if formless or torn:
            _doubt(raw, torn or line, block, end, written, zero, wanted, scan)
        if not known:
            continue
        accepted = wanted.accepts(line.host)
        if line.host:
            scan.hosts[line.host] = accepted
        if not accepted:
            continue
        when, digits = _dated(line, data, start, end, written, zero, wanted, scan)
        if when is None or when < wanted.window.start:
            if line.when is None and digits:
                _doubt(raw, line, block, end, written, zero, wanted, scan)
            continue
        cause, count = known
        container = messages.container(said.message or "")
        host = (line.host or "").lower().partition(".")[0]
        made.append(Found(when, cause, count * (line.repeats or said.count), host, line.printk, digits, container))
        if cause not in messages.CAUSES:
            scan.suppressed = True
        elif scan.sight is None:
            scan.sight = line
    if scan.suppressed:
        scan.talkers |= {name for text, name in messages.TALKERS.items() if text in data}
    return made


def _behind_a_prefix(line: Line) -> bool:
    """Whether the kernel's line has something in brackets before a text of the family, which no known kernel writes."""
    prefix = re.match(r"(?:[\[(<][^\])>]{0,60}[\])>]:? *)+", line.message or "")
    return bool(prefix) and classify((line.message or "")[prefix.end() if prefix else 0 :]) is not None


def _torn(raw: bytes, wanted: Wanted, zero: float) -> Line | None:
    """The kernel's line that stands behind what is left of one that was torn, with no end of line between; None for none.

    Forged it would look the same, so it is a doubt and no hit; what quotes a log line puts a gap or a mark before it,
    or quotes one that is older than the window.
    """
    place = stamps.inside(raw)
    line = wanted.parse(raw[place:], zero) if place else formats.NOTHING
    if line.message is None or classify(line.message) is None:
        return None
    return line if line.when is None or line.when >= wanted.window.start else None


def _dated(
    line: Line, data: bytes, start: int, end: int, written: float, zero: float, wanted: Wanted, scan: Scan
) -> tuple[float | None, str]:
    """When a line was written, and the digits of its stamp for its key; None if nobody knows."""
    if line.when is not None and not wanted.strange(line.when):
        return _in_order(line, data, start, end, zero, wanted), line.digits
    sides = (samples(data, start, -1, wanted, zero), samples(data, end + 1, 1, wanted, zero))
    if line.when is None:
        # What follows may be missing in one reading and there in the next, so it gives no name.
        near = next((side[0] for side in sides if side), None)
        if near is None:
            if written >= wanted.window.start:
                _add(scan, "a message about socket memory stands there without a time, and none beside it has one")
            return None, ""
        return near.when, f"-{sides[0][0].digits if sides[0] else ''}"
    if line.when <= wanted.window.now and any(
        near.when is not None and abs(near.when - line.when) < DISORDER for side in sides for near in side
    ):
        return line.when, line.digits
    before, after = (trusted(side, wanted) for side in sides)
    # It is no older than what stands before it; what follows with an older stamp is astray itself.
    floor = max(before, default=0.0)
    when = next((time for time in after if time >= floor - DISORDER), None)
    if when is None and floor:
        # With nothing behind it, it is as old as what was read before or, at the end of a log, as the file.
        when = max(floor, min(wanted.window.now, written if scan.after is None else scan.after))
    if when is None and line.when > wanted.window.now:
        _add(scan, f"a message about socket memory is stamped in the future: {wording.clean(line.digits, 40)}")
    return when if when is not None or line.when > wanted.window.now else line.when, line.digits


def _in_order(line: Line, data: bytes, start: int, end: int, zero: float, wanted: Wanted) -> float:
    """The time of a line; that of its neighbours where it is stamped before the window, and stands behind the window's lines.

    Lines of its own host may all be stamped so, by a slow clock or in another zone: then the next of another host tells.
    """
    when = line.when or 0.0
    if when >= wanted.window.start:
        return when
    before = samples(data, start, -1, wanted, zero, 1)
    if not before:
        # The first line of a file, whose stamp may look like last year's because it is ahead.
        following = max(trusted(samples(data, end + 1, 1, wanted, zero), wanted), default=when)
        return following if following - when > ALONE else when
    # What names its host is not parsed: most logs are of one.
    own = (line.host or "").encode("utf-8", "replace")
    others = (wanted.parse(text, zero) for text in lines(data, start, -1, SAMPLES) if own not in text)
    for near in (before, [one for one in others if one.when is not None][:1]):
        late = DISORDER if near and near[0].host == line.host else LATE
        times = trusted(near, wanted)
        if times and times[0] > when + late:
            after = samples(data, end + 1, 1, wanted, zero, 1)
            # Of two in a row that are out of order, neither is known to be the right one.
            return max(times + trusted(after, wanted))
    return when


def _doubt(
    raw: bytes, line: Line, block: Block, end: int, written: float, zero: float, wanted: Wanted, scan: Scan
) -> None:
    """Say that a text of the family stands in a form that is not known, if it may lie in the window."""
    text = raw.decode("utf-8", "replace")
    if not messages.quoted(text):
        return
    when = line.when
    if when is None or line.uptime is not None:
        # It is no younger than what follows, and no older than what stands before, whatever the file's own time is.
        behind = samples(block.data, end + 1, 1, wanted, zero)
        ahead = samples(block.data, block.data.rfind(b"\n", 0, end) + 1, -1, wanted, zero)
        # A single uptime among dates is dated by nothing else.
        if when is None or any(near.uptime is None for near in (*behind, *ahead)):
            after, earlier = trusted(behind, wanted), trusted(ahead, wanted)
            behind_it = after[0] if after else scan.after if scan.after is not None else written
            when = max([behind_it, *earlier[:1]])
    if when < wanted.window.start:
        return
    before = re.split("M?TCP: |Out of socket|Orphaned socket|Fatal resource", text)[0]
    shape = wording.clean(re.sub("[0-9]", "9", before), 60)
    reasons = ["without a time"] if line.when is None else []
    reasons += [f"in a form that is not known: {shape}"] if shape.strip() else []
    _add(scan, f"a text about socket memory stands there {', '.join(reasons)}")


def _add(scan: Scan, doubt: str) -> None:
    if doubt not in scan.doubts and len(scan.doubts) < 5:
        scan.doubts.append(doubt)


def _exported(data: bytes, start: int) -> Line:
    """The entry of journalctl -o export around a MESSAGE= line."""
    begin = max(0, start - LONGEST)
    gap = data.rfind(b"\n\n", begin, start)
    end = data.find(b"\n\n", start, start + LONGEST)
    entry = data[gap + 2 if gap >= 0 else begin : end if end >= 0 else start + LONGEST].decode("utf-8", "replace")
    pairs = (text.partition("=") for text in entry.splitlines())
    return formats.fields({name: value for name, equals, value in pairs if equals})


def _wanted(block: Block) -> list[tuple[int, int]]:
    """Begin and end, within ``data``, of the lines that contain a needle, and of those that repeat such a line."""
    data = block.data
    places = {}
    for needle in messages.NEEDLES:
        place = data.find(needle, block.lead)
        while place >= 0:
            end = end_of(data, place)
            start = max(block.lead, data.rfind(b"\n", 0, place) + 1)
            # Behind NULs, the hole of a truncated file or what a power cut left of a line, another begins.
            places[max(start, data.rfind(b"\0", start, place) + 1)] = end
            place = data.find(needle, end)
    if places:
        # The line before the first of the block may be such a line, too.
        for start in (block.lead, *(end + 1 for end in places.values())):
            _repetitions(data, start, places)
    elif data.find(_REPEATED, block.lead, end_of(data, block.lead)) >= 0:
        _repetitions(data, block.lead, places)
    return sorted(places.items())


def _repetitions(data: bytes, start: int, places: dict[int, int]) -> None:
    end = end_of(data, start)
    while data.find(_REPEATED, start, end) >= 0:
        places[start] = end
        start = end + 1
        end = end_of(data, start)
