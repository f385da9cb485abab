"""What OpenVZ refused between runs: the growth of each ``failcnt`` of ``/proc/user_beancounters``."""

from __future__ import annotations

from tcp_headroom.memory import growth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.memory.abort_growth import Watch
    from tcp_headroom.proc.beancounters import Row
    from tcp_headroom.proc.clock import Clock

SECTION = "beancounters"
"""Part of the state: what ``failcnt`` was, by row. Only hosts with the file have it."""


def watched(rows: list[Row], path: str | None, root: str, clock: Clock, start: float) -> dict[str, Watch]:
    """What is known of the growth of each ``failcnt``, by ``Row.key``; the parameters are those of ``growth.watched``."""
    return growth.watched(SECTION, {row.key: row.failcnt for row in rows}, path, root, clock, start)
