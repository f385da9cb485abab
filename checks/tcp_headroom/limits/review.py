"""What is to be said of tcp_max_orphans and tcp_mem, given everything that was read.

No reading here: ``Review`` holds the values, None for what is not known, and calculates
from them. A default that is an estimate may be wrong, as memory is plugged in and made
up, so by it alone a limit is never ``ABSURD``; and what the kernel may have set by
itself is never judged, however it looks.
"""

from __future__ import annotations

from collections import namedtuple

from tcp_headroom.limits import drift, kernel_defaults, tcp_max_orphans, tcp_mem
from tcp_headroom.limits.raising import SHARE
from tcp_headroom.limits.tcp_mem import TcpMem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import nagiosplugin

    from tcp_headroom.boot.sysctl_rules import Setting
    from tcp_headroom.memory.orphan_peak import Peak

MAX_ORPHANS, MEM = "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem"

OFF, ABSURD = "off", "absurd"
"""Outside the range of -w, or of -c and not quite sure; and surely outside that of -c."""

MIN_ABOVE, MAX_ABOVE, PRESSURE_ABOVE = "min", "max", "pressure"
"""Which level of tcp_mem is too high for the memory, the gravest first."""

MOST_ORPHANS = (1 << 31) - 1
"""tcp_max_orphans is an int."""

FEW = 256
"""So few orphans are the kernel's own limit on no machine of today; else the default may be an estimate that is far off."""

TINY = 16 << 20
"""A maximum of TCP memory, in bytes, that is too little for any machine of today."""

BUFFERS = (
    ("tcp_rmem", (4096, 87380, 4194304)),
    ("tcp_rmem", (4096, 87380, 6291456)),
    ("tcp_rmem", (4096, 131072, 6291456)),
    ("tcp_wmem", (4096, 16384, 4194304)),
)
"""What kernels set by themselves where there is enough memory (``tcp_init``, net/ipv4/tcp.c)."""

SAFETY, ONCE = 4, 2
"""The limit should be so many times the peak of at least two days: the 4x margin is left then; and of one day alone."""


class Refused(namedtuple("Refused", "setting taken")):
    """A line of which the kernel takes nothing, or only the first numbers."""

    __slots__ = ()
    setting: Setting
    taken: int
    """How many numbers."""


class Review:
    """The limits beside all that they can be measured by."""

    def __init__(
        self,
        limit: int | None,
        levels: TcpMem | None,
        page: int,
        defaults: kernel_defaults.Defaults,
        peak: Peak | None,
        settings: dict[str, Setting] | None,
        ranges: tuple[nagiosplugin.Range, nagiosplugin.Range],
        buffers: Iterable[tuple[str, tuple[int, ...]]] = (),
        with_memory: bool = True,
        unread: dict[str, Setting] | None = None,
    ) -> None:
        self.limit = limit
        self.levels = levels
        self.page = page
        """Bytes of a page."""
        self.defaults = defaults
        self.peak = peak
        self.settings = settings
        """What a reboot sets, by name; None if that is not known."""
        self.unread = unread or {}
        """What stands by name in a file that a reboot does not read."""
        self.warning, self.critical = ranges
        self.buffers = (*BUFFERS, *buffers)
        """What tcp_rmem and tcp_wmem usually are, and what they are here: name and bytes."""
        self.machine = defaults.memory.machine if with_memory else None
        """The memory that nothing may exceed; None where that is not known, or not to be judged."""

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
    def too_high(self) -> str | None:
        """Which level of tcp_mem is no limit for this memory."""
        return None if self.levels is None else self._too_high(self.levels)

    @property
    def floored(self) -> bool:
        """Whether the pressure level is below what the kernel itself would set at least, though more is allowed."""
        return self.levels is not None and self._floored(self.levels)

    @property
    def pasted(self) -> str | None:
        """``tcp_rmem`` or ``tcp_wmem`` if tcp_mem, in pages, has the numbers of that, in bytes."""
        return None if self.levels is None else self._pasted(self.levels)

    @property
    def like_bytes(self) -> bool:
        """Whether they look as if they were written for ``tcp_rmem`` or ``tcp_wmem``, each far above the one before."""
        if self.levels is None or not (self.pasted or self.too_high):
            return False
        low, pressure, high = self.levels
        return self.pasted is not None or (low <= 16384 and 4 * low <= pressure and 8 * pressure <= high)

    @property
    def below_peak(self) -> bool:
        """Whether a margin was gone at the peak."""
        return self.limit is not None and self._below_peak(self.limit)

    @property
    def other_boot(self) -> int | None:
        """The memory for which the kernel would have set both limits as they are, if no file has set them."""
        return None if {MAX_ORPHANS, MEM} & set(self.settings or ()) else self._fits

    @property
    def _fits(self) -> int | None:
        """The memory for which the kernel would set both limits as they are."""
        if self.limit is None or self.levels is None:
            return None
        return self.defaults.other_boot(self.page, self.limit, self.levels)

    @property
    def grown(self) -> int | None:
        """The memory that both limits are right for, where they are small for what there is now."""
        before, now = self.other_boot, self.defaults.memory.known
        small = before is not None and now is not None and 2 * before < now
        both = self.mem_off and (self.orphans_off or self.at_default(MAX_ORPHANS))
        return before if small and both else None

    def at_default(self, name: str) -> bool:
        """Whether the kernel may have set what runs by itself, as far as ``defaults`` tell."""
        if name == MAX_ORPHANS:
            return self.limit is not None and self.defaults.sets_orphans(self.limit)
        return self.levels is not None and self.defaults.sets_levels(self.page, self.levels)

    def sound(self, name: str, values: Sequence[int]) -> bool:
        """Whether there would be nothing to say of ``values`` by themselves."""
        if name == MAX_ORPHANS:
            (limit,) = values
            return not (tcp_max_orphans.fault(limit) or self._orphans_off(limit) or self._below_peak(limit))
        levels = TcpMem(*values)
        high = self._too_high(levels) or self._floored(levels) or self._pasted(levels)
        return not (tcp_mem.fault(levels) or self._mem_off(levels) or high)

    def _orphans_share(self, limit: int) -> float | None:
        usual = self.defaults.orphans
        if not usual:
            return None
        return 100 if self.defaults.sets_orphans(limit) else 100 * max(0, limit) / usual

    def _mem_share(self, levels: TcpMem, memory: int | None) -> float | None:
        default = self.defaults.levels(self.page, memory) if memory else None
        if default is None:
            return None
        return 100 if self.defaults.sets_levels(self.page, levels) else 100 * max(0, levels.max) / default.max

    def _orphans_off(self, limit: int) -> str | None:
        share = self._orphans_share(limit)
        return self._off(share, share if self.defaults.entries or limit < FEW else None)

    def _mem_off(self, levels: TcpMem) -> str | None:
        memory = self.defaults.memory
        share = self._mem_share(levels, memory.known)
        # The default counts huge pages, too: a quarter of what is beside them is not too little.
        if memory.huge and memory.machine and share is not None and share < 100:
            share = 100 if levels.max >= memory.machine // SHARE // self.page else share
        tiny = levels.max * self.page < TINY
        return self._off(share, share if tiny else self._mem_share(levels, memory.agreed))

    def _off(self, share: float | None, agreed: float | None) -> str | None:
        if share is None:
            return None
        if not self.critical.match(share):
            return ABSURD if agreed is not None and not self.critical.match(agreed) else OFF
        return None if self.warning.match(share) else OFF

    def _too_high(self, levels: TcpMem) -> str | None:
        machine = self.machine
        if machine is None or self._untouched(levels):
            return None
        low, pressure, high = (level * self.page for level in levels)
        if low > machine:
            return MIN_ABOVE
        return MAX_ABOVE if high > machine else PRESSURE_ABOVE if 2 * pressure > machine else None

    def _floored(self, levels: TcpMem) -> bool:
        least = kernel_defaults.LEAST_PRESSURE
        return levels.pressure < least <= levels.max and not self.defaults.sets_levels(self.page, levels)

    def _pasted(self, levels: TcpMem) -> str | None:
        return next((name for name, values in self.buffers if values == tuple(levels)), None)

    def _untouched(self, levels: TcpMem) -> bool:
        """Whether the kernel may have set them by itself, at this size of the machine or, as a whole, at another."""
        if self.defaults.sets_levels(self.page, levels):
            return True
        return levels == self.levels and MEM not in (self.settings or ()) and self._fits is not None

    def _below_peak(self, limit: int) -> bool:
        return self.peak is not None and (limit < SAFETY * self.peak.usual or limit < ONCE * self.peak.orphans)

    @property
    def peak_level(self) -> int | None:
        """The peak above which the limit is too low for it: a quarter of it where two days went beyond that, else a half."""
        if self.peak is None or self.limit is None or self.limit < 1:
            return None
        return self.limit // (SAFETY if self.limit < SAFETY * self.peak.usual else ONCE)

    @property
    def most_orphans(self) -> int:
        """The most that is recommended: so many orphans take a quarter of the memory, their data not counted."""
        machine = self.defaults.memory.machine
        return MOST_ORPHANS if machine is None else min(MOST_ORPHANS, machine // SHARE // tcp_max_orphans.COST)

    @property
    def most_levels(self) -> TcpMem | None:
        """The most that is recommended: a quarter of the memory, or the default if that is more; None if not known."""
        default, most = self._fitting, self._share
        return max((one for one in (most, default) if one), key=lambda levels: levels.max, default=None)

    @property
    def _share(self) -> TcpMem | None:
        """The levels for a quarter of the memory; None where that is not known."""
        memory = self.defaults.memory
        if memory.machine is None:
            return None
        return kernel_defaults.levels_below(memory.machine // SHARE // self.page)

    @property
    def _fitting(self) -> TcpMem | None:
        """The default, but beside huge pages, which it counts, no more than a quarter of what they leave."""
        default, most = self.defaults.levels(self.page), self._share
        return most if self.defaults.memory.huge and most and default and default.max > most.max else default

    @property
    def recommended(self) -> int | None:
        """What tcp_max_orphans should be: the running value, unless something speaks against it.

        Else what a file sets it to, if that is sound; or the default, or the smallest
        power of two that is four times the peak, whichever is more. Never less than what
        runs, and of what is more never above ``most_orphans``. None where nothing can be said.
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
        return max(*wanted, min(self.peak_needs, self.most_orphans))

    @property
    def peak_needs(self) -> int:
        """The smallest power of two that is four times the peak, where the limit is below that; else 0."""
        if not (self.below_peak and self.peak):
            return 0
        return kernel_defaults.power_of_two(SAFETY * max(1, self.peak.orphans))

    @property
    def recommended_levels(self) -> TcpMem | None:
        """The same for tcp_mem: what a file sets, or the default; where more runs, the levels that belong to its maximum.

        Where that is no limit for this memory: ``most_levels``, but the default for numbers that are bytes.
        """
        if self.levels is None or self.sound(MEM, self.levels):
            return self.levels
        kept = self._kept(MEM, self.levels)
        if kept:
            return TcpMem(*kept)
        default = self._fitting
        if default is None or self.like_bytes or self.levels.max < default.max:
            return default
        if self.levels.in_order and not (self.too_high or self.floored):
            return self.levels
        below = kernel_defaults.levels_below(self.levels.max)
        return below if self.sound(MEM, below) else self.most_levels

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
    def refused(self) -> list[Refused]:
        """The lines that the kernel does not take, or not wholly."""
        found = []
        for name, count in ((MAX_ORPHANS, 1), (MEM, 3)):
            setting = (self.settings or {}).get(name)
            if setting is not None:
                taken = len(drift.numbers(setting.value, count, self.defaults.memory.bits))
                if taken < min(count, len(setting.value.split(" "))):
                    found.append(Refused(setting, taken))
        return found

    @property
    def uncertain(self) -> list[str]:
        """The settings of which a reboot sets something that is not known."""
        return [] if self.settings is None else [name for name in (MAX_ORPHANS, MEM) if self._open(name)]

    def kept(self, name: str) -> bool:
        """Whether a line in a file already has what ``advice`` says."""
        one = self._drift(name)
        line = one is not None and one.setting is not None and not (one.refused or one.unread)
        return line and one is not None and one.boot == self.advice.get(name)

    def _kept(self, name: str, running: Sequence[int]) -> tuple[int, ...] | None:
        """What a reboot sets where there is a line for it, if that is sound and no less than what runs."""
        one = self._drift(name)
        if one is None or one.setting is None or one.unread:
            return None
        enough = one.boot[-1] >= running[-1] or (name == MEM and self.too_high)
        return one.boot if enough and self.sound(name, one.boot) else None

    def _drift(self, name: str) -> drift.Drift | None:
        running = self._running(name)
        if running is None or self.settings is None:
            return None
        setting, bits = self.settings.get(name), self.defaults.memory.bits
        found = drift.of(name, running, setting, self._left(name), self._around(name), bits)
        unread = self.unread.get(name)
        if found and not setting and unread and drift.numbers(unread.value, len(running), bits) == tuple(running):
            # Somebody believes that it is kept.
            return found._replace(setting=unread, unread=True)
        return found

    def _around(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """The least and the most that ``_left`` may be; None where it is exact, or what runs is not among them."""
        if name == MEM:
            return self.defaults.around(self.page) if self.at_default(MEM) else None
        around = self.defaults.orphans_around
        if around is None or self.limit is None or not self.defaults.sets_orphans(self.limit):
            return None
        return (around[0],), (around[1],)

    def _open(self, name: str) -> bool:
        running = self._running(name)
        setting = (self.settings or {}).get(name)
        bits = self.defaults.memory.bits
        given = drift.numbers(setting.value, len(running), bits) if setting and running else ()
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
