"""In which time zone was a log written whose stamps name none? The newest of them and the file's own time tell."""

from __future__ import annotations

from tcp_headroom.log import stamps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.log.formats import Line

QUARTER = 900
"""Time zones differ by multiples of so many seconds."""
ZONES = 14 * 3600
"""The most by which a zone differs from UTC, in seconds."""


def shift(lines: list[Line], written: float) -> int:
    """By how many seconds the newest stamp of the last lines misses the file's own time; 0 for none, or if it is no zone."""
    times = [when for _host, when in _unzoned(lines[:3])]
    if not times or max(times) < stamps.EPOCH:
        return 0
    late = written - max(times)
    zone = round(late / QUARTER) * QUARTER
    return 0 if abs(zone) > ZONES or abs(late - zone) > 3 else zone


def here(lines: list[Line], zone: int) -> set[str | None]:
    """The hosts whose stamps are not shifted by that: they fit their neighbours as they are.

    ``lines``: the last ones, newest first. One daemon stamps all that it writes alike, but hosts of several zones may
    stamp for themselves.
    """
    unzoned = _unzoned(lines)
    (leader, _newest) = max(_unzoned(lines[:3]), key=lambda line: line[1])
    places = [place for place, (host, _when) in enumerate(unzoned) if host == leader]
    found: dict[str | None, bool] = {leader: False}
    for place, (host, when) in enumerate(unzoned):
        if host not in found:
            near = unzoned[min(places, key=lambda other: abs(other - place))][1] + zone
            found[host] = abs(when - near) < abs(when + zone - near)
    return {host for host, fits in found.items() if fits}


def _unzoned(lines: list[Line]) -> list[tuple[str | None, float]]:
    return [(line.host, line.when) for line in lines if line.when is not None and not line.zoned]
