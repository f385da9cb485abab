"""What is to be said of tcp_max_orphans and tcp_mem, given everything that was read.

No reading here: ``Review`` holds the values, None for what is not known, and reckons
from them. A default that is reckoned from today's memory may be wrong, as memory is
plugged in and made up, so by it alone a limit is never ``ABSURD``.
"""

from __future__ import annotations

from tcp_headroom import drift, kernel_defaults, orphan_limit, tcp_mem

TYPE_CHECKING = False
if TYPE_CHECKING:
    import nagiosplugin

    from tcp_headroom.orphan_peak import Peak
    from tcp_headroom.sysctl_rules import Setting

MAX_ORPHANS, MEM = "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem"

LOW, ABSURD = "low", "absurd"
"""Below the range of -w, or of -c and not quite sure; and surely below that of -c."""

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
        if self.limit is None or not self.defaults.orphans:
            return None
        return 100 * max(0, self.limit) / self.defaults.orphans

    @property
    def mem_share(self) -> float | None:
        """The maximum of tcp_mem in percent of the kernel's default."""
        return self._mem_share(self.defaults.memory.known)

    def _mem_share(self, memory: int | None) -> float | None:
        default = self.defaults.levels(self.page, memory) if memory else None
        return None if self.levels is None or default is None else 100 * max(0, self.levels.max) / default.max

    @property
    def orphans_low(self) -> str | None:
        """``LOW`` or ``ABSURD`` by the share; where the kernel tells the size of its table, the default is exact."""
        return self._low(self.orphans_share, self.orphans_share if self.defaults.entries else None)

    @property
    def mem_low(self) -> str | None:
        """The same by the share of the smaller memory; ``ABSURD`` if the other one agrees, or below ``TINY``."""
        tiny = self.levels is not None and self.levels.max * self.page < TINY
        return self._low(self.mem_share, self.mem_share if tiny else self._mem_share(self.defaults.memory.agreed))

    def _low(self, share: float | None, agreed: float | None) -> str | None:
        if share is None:
            return None
        if not self.critical.match(share):
            return ABSURD if agreed is not None and not self.critical.match(agreed) else LOW
        return None if self.warning.match(share) else LOW

    @property
    def below_peak(self) -> bool:
        """Whether a margin was gone at the peak."""
        return self.limit is not None and self.peak is not None and self.limit < SAFETY * self.peak.orphans

    @property
    def recommended(self) -> int | None:
        """What tcp_max_orphans should be: the running value, unless something speaks against it.

        Else the default if it is far below that, or the smallest power of two that is
        four times the peak, whichever is more. None where neither is known.
        """
        if self.limit is None:
            return None
        wanted = [self.limit]
        if orphan_limit.fault(self.limit) or self.orphans_low:
            wanted.append(self.defaults.orphans or 0)
        if self.below_peak and self.peak:
            wanted.append(kernel_defaults.power_of_two(SAFETY * self.peak.orphans))
        return max(wanted) if max(wanted) > 0 else None

    @property
    def advice(self) -> dict[str, tuple[int, ...]]:
        """The values to set, by setting."""
        found: dict[str, tuple[int, ...]] = {}
        if self.recommended is not None and self.recommended != self.limit:
            found[MAX_ORPHANS] = (self.recommended,)
        default = self.defaults.levels(self.page)
        if self.levels and default and (tcp_mem.fault(self.levels) or self.mem_low):
            found[MEM] = tuple(default)
        return found

    @property
    def drifts(self) -> list[drift.Drift]:
        """The settings that a reboot would change, as far as that is known."""
        if self.settings is None:
            return []
        orphans = (self.defaults.orphans,) if self.defaults.orphans else None
        found = []
        if self.limit is not None:
            found.append(drift.of(MAX_ORPHANS, (self.limit,), self.settings.get(MAX_ORPHANS), orphans))
        if self.levels is not None:
            default, around = self.defaults.levels(self.page), self.defaults.around(self.page)
            found.append(drift.of(MEM, self.levels, self.settings.get(MEM), default, around))
        return [one for one in found if one]
