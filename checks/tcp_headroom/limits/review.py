"""What is to be said of tcp_max_orphans and tcp_mem, given everything that was read.

No reading here: ``Review`` holds the values, None for what is not known, and reckons
from them. A default that is reckoned from today's memory may be wrong, as memory is
plugged in and made up, so by it alone a limit is never ``ABSURD``.
"""

from __future__ import annotations

from tcp_headroom.limits import drift, kernel_defaults, tcp_max_orphans, tcp_mem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    import nagiosplugin

    from tcp_headroom.boot.sysctl_rules import Setting
    from tcp_headroom.memory.orphan_peak import Peak

MAX_ORPHANS, MEM = "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem"

OFF, ABSURD = "off", "absurd"
"""Outside the range of -w, or of -c and not quite sure; and surely outside that of -c."""

MOST_ORPHANS = (1 << 31) - 1
"""tcp_max_orphans is an int."""

TINY = 16 << 20
"""A maximum of TCP memory, in bytes, that is too little for any machine of today."""

ORPHAN_BYTES = 64 << 10
"""What an orphan can pin (Documentation/networking/ip-sysctl.rst, tcp_max_orphans)."""

SAFETY = 4
"""The limit should be so many times the peak: the 4x margin is left then."""


class Review:
    """The limits beside all that they can be measured by."""

    def __init__(
        self,
        limit: int | None,
        levels: tcp_mem.TcpMem | None,
        page: int,
        defaults: kernel_defaults.Defaults,
        peak: Peak | None,
        settings: dict[str, Setting] | None,
        ranges: tuple[nagiosplugin.Range, nagiosplugin.Range],
    ) -> None:
        self.limit = limit
        self.levels = levels
        self.page = page
        """Bytes of a page."""
        self.defaults = defaults
        self.peak = peak
        self.settings = settings
        """What a reboot sets, by name; None if that is not known."""
        self.warning, self.critical = ranges

    @property
    def orphans_share(self) -> float | None:
        """tcp_max_orphans in percent of the kernel's default."""
        return None if self.limit is None else self._orphans_share(self.limit)

    @property
    def mem_share(self) -> float | None:
        """The maximum of tcp_mem in percent of the kernel's default."""
        return None if self.levels is None else self._mem_share(self.levels, self.defaults.memory.known)

    @property
    def orphans_off(self) -> str | None:
        """``OFF`` or ``ABSURD`` by the share; where the kernel tells the size of its table, the default is exact."""
        return None if self.limit is None else self._orphans_off(self.limit)

    @property
    def mem_off(self) -> str | None:
        """The same by the share of the smaller memory; ``ABSURD`` if the other one agrees, or below ``TINY``."""
        return None if self.levels is None else self._mem_off(self.levels)

    @property
    def below_peak(self) -> bool:
        """Whether a margin was gone at the peak."""
        return self.limit is not None and self._below_peak(self.limit)

    def sound(self, name: str, values: Sequence[int]) -> bool:
        """Whether there would be nothing to say of ``values`` by themselves."""
        if name == MAX_ORPHANS:
            (limit,) = values
            return not (tcp_max_orphans.fault(limit) or self._orphans_off(limit) or self._below_peak(limit))
        levels = tcp_mem.TcpMem(*values)
        return not (tcp_mem.fault(levels) or self._mem_off(levels))

    def _orphans_share(self, limit: int) -> float | None:
        usual = self.defaults.orphans
        return 100 * max(0, limit) / usual if usual else None

    def _mem_share(self, levels: tcp_mem.TcpMem, memory: int | None) -> float | None:
        default = self.defaults.levels(self.page, memory) if memory else None
        return None if default is None else 100 * max(0, levels.max) / default.max

    def _orphans_off(self, limit: int) -> str | None:
        share = self._orphans_share(limit)
        return self._off(share, share if self.defaults.entries else None)

    def _mem_off(self, levels: tcp_mem.TcpMem) -> str | None:
        memory = self.defaults.memory
        share = self._mem_share(levels, memory.known)
        tiny = levels.max * self.page < TINY
        return self._off(share, share if tiny else self._mem_share(levels, memory.agreed))

    def _off(self, share: float | None, agreed: float | None) -> str | None:
        if share is None:
            return None
        if not self.critical.match(share):
            return ABSURD if agreed is not None and not self.critical.match(agreed) else OFF
        return None if self.warning.match(share) else OFF

    def _below_peak(self, limit: int) -> bool:
        return self.peak is not None and limit < SAFETY * self.peak.orphans

    @property
    def recommended(self) -> int | None:
        """What tcp_max_orphans should be: the running value, unless something speaks against it.

        Else what a file sets it to, if that is sound; or the default, or the smallest
        power of two that is four times the peak, whichever is more. Never less than what
        runs, and never more than the kernel takes. None where nothing can be said.
        """
        if self.limit is None or self.sound(MAX_ORPHANS, (self.limit,)):
            return self.limit
        kept = self._kept(MAX_ORPHANS, (self.limit,))
        if kept:
            return kept[0]
        usual = self.defaults.orphans
        if tcp_max_orphans.fault(self.limit) and not usual:
            # With such a limit no peak tells what is needed.
            return None
        wanted = [self.limit, usual or 0] if self.orphans_off or tcp_max_orphans.fault(self.limit) else [self.limit]
        if self.below_peak and self.peak:
            wanted.append(kernel_defaults.power_of_two(SAFETY * max(1, self.peak.orphans)))
        return min(max(wanted), MOST_ORPHANS)

    @property
    def recommended_levels(self) -> tcp_mem.TcpMem | None:
        """The same for tcp_mem: what a file sets, or the default; where more runs, the levels that belong to its maximum."""
        if self.levels is None or self.sound(MEM, self.levels):
            return self.levels
        kept = self._kept(MEM, self.levels)
        if kept:
            return tcp_mem.TcpMem(*kept)
        default = self.defaults.levels(self.page)
        if default is None or self.levels.max < default.max:
            return default
        return self.levels if self.levels.in_order else kernel_defaults.levels_below(self.levels.max)

    @property
    def advice(self) -> dict[str, tuple[int, ...]]:
        """The values to set, by setting."""
        found: dict[str, tuple[int, ...]] = {}
        if self.recommended is not None and self.recommended != self.limit:
            found[MAX_ORPHANS] = (self.recommended,)
        if self.recommended_levels is not None and self.recommended_levels != self.levels:
            found[MEM] = tuple(self.recommended_levels)
        return found

    @property
    def drifts(self) -> list[drift.Drift]:
        """The settings that a reboot would change, as far as that is known."""
        found = (self._drift(MAX_ORPHANS), self._drift(MEM))
        return [one for one in found if one]

    @property
    def uncertain(self) -> list[str]:
        """The settings of which a reboot sets something that is not known."""
        return [] if self.settings is None else [name for name in (MAX_ORPHANS, MEM) if self._open(name)]

    def kept(self, name: str) -> bool:
        """Whether a line in a file already has what ``advice`` says."""
        one = self._drift(name)
        return one is not None and one.setting is not None and not one.refused and one.boot == self.advice.get(name)

    def _kept(self, name: str, running: Sequence[int]) -> tuple[int, ...] | None:
        """What a reboot sets where there is a line for it, if that is sound and no less than what runs."""
        one = self._drift(name)
        if one is None or one.setting is None:
            return None
        return one.boot if one.boot[-1] >= running[-1] and self.sound(name, one.boot) else None

    def _drift(self, name: str) -> drift.Drift | None:
        running = self._running(name)
        if running is None or self.settings is None:
            return None
        return drift.of(name, running, self.settings.get(name), self._left(name), self._around(name))

    def _around(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """The least and the most that ``_left`` may be; None where it is exact."""
        if name == MEM:
            return self.defaults.around(self.page)
        orphans, far = self.defaults.orphans, kernel_defaults.TOLERANCE
        if self.defaults.entries is not None or orphans is None:
            return None
        return (int(orphans * (1 - far)),), (int(orphans * (1 + far)),)

    def _open(self, name: str) -> bool:
        running = self._running(name)
        setting = (self.settings or {}).get(name)
        given = drift.numbers(setting.value, len(running)) if setting and running else ()
        return running is not None and len(given) < len(running) and self._left(name) is None

    def _running(self, name: str) -> tuple[int, ...] | None:
        if name == MAX_ORPHANS:
            return None if self.limit is None else (self.limit,)
        return self.levels

    def _left(self, name: str) -> tuple[int, ...] | None:
        """What the kernel will set by itself; None where the memory of the boot is not the one there is now."""
        if name == MAX_ORPHANS:
            return (self.defaults.orphans,) if self.defaults.orphans else None
        return self.defaults.levels(self.page) if self.defaults.memory.consistent else None
