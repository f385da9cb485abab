"""Where in time a place of a log file lies: by several lines around it, as no single stamp is believed.

A stamp of the future and one of a clock that was not set say nothing by themselves; uptime that runs backwards is a
boot; a stamp without a zone may be of another.
"""

from __future__ import annotations

import re

from tcp_headroom.log import formats, stamps
from tcp_headroom.log.block_reader import LONGEST
from tcp_headroom.log.proof import FUTURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcp_headroom.log.block_reader import Block
    from tcp_headroom.log.formats import Line
    from tcp_headroom.log.proof import Window

DISORDER = 3600.0
"""How far, in seconds, lines may run backwards (a clock step, two writers) without being lost."""
ALONE = 180 * 86400.0
"""So many seconds before the next line, the first one of a file does not say when it begins."""
NEIGHBOURS = 50
"""How many lines are tried for some with a stamp."""
SAMPLES = 8
"""How many lines with a stamp say where in time a place of the file lies."""

_UPTIMES = re.compile(
    rb"^(?:<[0-9]+>|[a-z0-9]+ *:[a-z]+ *: )?(?:\[ *([0-9]{1,10}\.[0-9]{6})[\] ]|[0-9]+,[0-9]+,([0-9]+)[,;])", re.M
)


class Wanted:
    """Whose lines are wanted, and of when."""

    def __init__(self, window: Window, accepts: Callable[[str | None], bool], name: str, booted: float | None) -> None:
        self.window = window
        self.accepts = accepts
        """Whether a line of this host counts."""
        self.name = name
        """The host, where it is one of many; else empty."""
        self.booted = booted
        """Since when a kernel record shows that a hit would; None for any time."""
        self.shift = 0.0
        """Seconds to add to stamps without a zone."""
        self.shifted: set[str | None] | None = None
        """The hosts for whose stamps that is; None for all."""

    @property
    def local(self) -> bool:
        """Whether the log is this host's own: only then its boot matters."""
        return self.booted is not None

    def parse(self, line: bytes, zero: float) -> Line:
        made = formats.parse(line, self.window.now, zero)
        if not self.shift or made.when is None or made.zoned:
            return made
        if self.shifted is None or made.host in self.shifted:
            return made._replace(when=made.when + self.shift)
        return made

    def strange(self, when: float) -> bool:
        """Whether a stamp must be dated by its neighbours."""
        return when > self.window.now + FUTURE or stamps.unset(when, self.window.now)


def lines(data: bytes, start: int, step: int, limit: int = NEIGHBOURS) -> Iterator[bytes]:
    """Up to ``limit`` lines of ``data`` from ``start`` on, forwards or backwards."""
    for _line in range(limit):
        if step > 0:
            if start >= len(data):
                return
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            yield data[start : min(end, start + LONGEST)]
            start = end + 1
        else:
            if start <= 0:
                return
            begin = data.rfind(b"\n", 0, start - 1) + 1
            yield data[begin : min(start, begin + LONGEST)].rstrip(b"\n")
            start = begin


def samples(data: bytes, start: int, step: int, wanted: Wanted, zero: float, count: int = SAMPLES) -> list[Line]:
    """The next lines with a stamp, in the order they are met."""
    found: list[Line] = []
    for text in lines(data, start, step):
        line = wanted.parse(text, zero)
        if line.when is not None:
            found.append(line)
            if len(found) == count:
                break
    return found


def trusted(found: list[Line], wanted: Wanted) -> list[float]:
    """The times of those lines whose stamps need no neighbour."""
    return [line.when for line in found if line.when is not None and not wanted.strange(line.when)]


def beginning(found: list[Line], wanted: Wanted) -> float | None:
    """When the first of these lines was written: strange stamps at the beginning are no older than what follows."""
    times = trusted(found, wanted)
    if times:
        hosts = [line.host for line in found if line.when is not None and not wanted.strange(line.when)][:2]
        # Another host's clock may be late; and a stamp without a year that is ahead looks like one of last year.
        most = ALONE if hosts[0] == hosts[-1] else DISORDER
        return times[1] if len(times) > 1 and times[1] - times[0] > most else times[0]
    # Without another stamp beside them, those of a New Year are right as they are.
    times = [line.when for line in found if line.when is not None and stamps.EPOCH <= line.when <= wanted.window.now]
    return times[0] if times and max(times) - min(times) < DISORDER else None


def before(block: Block, wanted: Wanted, zero: float) -> bool:
    """Whether the lines at the beginning of ``block`` are all older than the window."""
    limit = wanted.window.start - DISORDER
    for count in (1, SAMPLES):
        times = trusted(samples(block.data, block.lead, 1, wanted, zero, count), wanted)
        if not times or max(times) >= limit:
            # A strange first line says nothing.
            if times or count > 1:
                return False
    return True


def segments(block: Block, zero: float, after: float | None) -> list[tuple[int, float]]:
    """From which place of a block of uptimes on which zero holds, newest first; ``after``: the first uptime behind it.

    Uptime that runs backwards is a boot. When the machine was off between is not
    written: the lines before it are dated as if it had not been.
    """
    found = [(match.start(), _uptime(match)) for match in _UPTIMES.finditer(block.data, block.lead)]
    made = []
    for place, uptime in reversed(found):
        if after is not None and uptime > after + 1:
            zero += after - uptime
            made.append((place, zero))
        elif not made:
            made.append((place, zero))
        else:
            made[-1] = (place, made[-1][1])
        after = uptime
    return made


def _uptime(match: re.Match[bytes]) -> float:
    return float(match[1]) if match[1] else int(match[2]) / 1e6


def alive(data: bytes, wanted: Wanted, zero: float) -> float | None:
    """The newest time among the last lines of a wanted host."""
    times = []
    for text in _of_host(data, wanted):
        line = wanted.parse(text, zero)
        if line.when is not None and wanted.accepts(line.host):
            times.append(line)
            if len(times) == SAMPLES:
                break
    return max(trusted(times, wanted), default=None)


def _of_host(data: bytes, wanted: Wanted) -> Iterator[bytes]:
    """The last lines; where one host of many is wanted, those that mention it."""
    if not wanted.name:
        yield from lines(data, len(data), -1)
        return
    places = [match.start() for match in named(wanted.name).finditer(data)]
    for place in places[: -NEIGHBOURS - 1 : -1]:
        start = data.rfind(b"\n", 0, place) + 1
        yield data[start : min(start + LONGEST, end_of(data, place))]


def named(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"(?i)[ @\[]" + re.escape(name.strip("[]").encode("utf-8", "replace")) + rb"(?![\w-])")


def end_of(data: bytes, place: int) -> int:
    """Where the line around ``place`` ends."""
    end = data.find(b"\n", place)
    return len(data) if end < 0 else end
