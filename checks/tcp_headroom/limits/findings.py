"""What is wrong with the two limits, in sentences; ``advice`` has the next step of each."""

from __future__ import annotations

from tcp_headroom import wording
from tcp_headroom.limits import kernel_defaults, tcp_max_orphans, tcp_mem
from tcp_headroom.limits.advice import SHORT, idle, listed, where
from tcp_headroom.limits.review import ABSURD, MAX_ABOVE, MIN_ABOVE, OFF, PRESSURE_ABOVE, SAFETY, Refused, Review

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.limits import drift


def findings(review: Review) -> dict[str, tuple[str, str]]:
    """What is wrong: ``OFF`` or ``ABSURD`` and the sentence, by a name, for which ``next_steps`` has the step."""
    found: dict[str, tuple[str, str]] = {}
    for name, fault in (
        ("limit", None if review.limit is None else tcp_max_orphans.fault(review.limit)),
        ("levels", None if review.levels is None else tcp_mem.fault(review.levels)),
    ):
        if fault:
            fatal, text = fault
            found[name] = (ABSURD if fatal else OFF, text)
    nothing = found.get("levels", ("",))[0] == ABSURD
    if review.grown:
        found["grown"] = (OFF, grown(review))
    # A limit that is no limit at all is not small, too.
    if review.orphans_off and "limit" not in found and not review.grown:
        text = off("tcp_max_orphans", review.orphans_share, usual_orphans(review))
        found["off_limit"] = (review.orphans_off, text)
    if review.mem_off and not nothing and not review.grown:
        found["off_levels"] = (review.mem_off, off("the maximum of tcp_mem", review.mem_share, usual_max(review)))
    text = high(review)
    if text and not nothing:
        how = ABSURD if review.too_high == MIN_ABOVE else OFF
        found["high"] = (how, text)
    if review.below_peak and "limit" not in found:
        found["peak"] = (OFF, f"the limit should be {SAFETY} times the peak, at least")
    lines = [line for line in map(drifted, review.drifts) if line]
    if lines:
        found["drift"] = (OFF, "; ".join(lines))
    lines = [refused(one) for one in idle(review)]
    if lines:
        found["refused"] = (OFF, "; ".join(lines))
    return found


def off(name: str, share: float | None, default: str) -> str:
    """The sentence on a value whose share of the default is not in the ranges."""
    if share is None or share >= 100:
        return f"{name} is outside the range of -w or -c; the kernel sets {default} by itself"
    return f"{name} is {'far ' if share < 50 else ''}below what the kernel sets by itself, {default}"


def usual_orphans(review: Review) -> str:
    """The default of tcp_max_orphans, with its span where it is an estimate."""
    around = review.defaults.orphans_around
    if review.defaults.entries or around is None or around[0] == around[1]:
        return f"{'' if review.defaults.entries else 'about '}{review.defaults.orphans}"
    return f"about {review.defaults.orphans} ({around[0]} to {around[1]})"


def usual_max(review: Review) -> str:
    """The default of the maximum of tcp_mem, always an estimate, with its span."""
    default, around = review.defaults.levels(review.page), review.defaults.around(review.page)
    if default is None or around is None:
        return ""
    least, most = (wording.size(levels.max * review.page) for levels in around)
    return f"about {wording.size(default.max * review.page)} ({least} to {most})"


def usual_levels(review: Review) -> str:
    """The span of the default of tcp_mem."""
    around = review.defaults.around(review.page)
    return f"from {listed(around[0])} to {listed(around[1])}" if around else "of no known span"


def grown(review: Review) -> str:
    """The sentence on limits that are both those of a smaller machine."""
    now = review.defaults.memory.known
    return (
        f"both limits are those of a machine with {wording.size(review.grown or 0)} of memory, and this one has "
        f"{wording.size(now or 0)}: memory was added after the boot, or somebody lowered both"
    )


def high(review: Review) -> str:
    """The sentence on levels that are too high for the memory, or are no levels."""
    levels, page = review.levels, review.page
    if levels is None:
        return ""
    memory = wording.size(review.machine or 0)
    texts = []
    if review.too_high == MIN_ABOVE:
        texts.append(
            f"tcp_mem min {wording.size(levels.min * page)} is above the memory, {memory}: tcp_mem limits nothing"
        )
    elif review.too_high == MAX_ABOVE:
        texts.append(
            f"tcp_mem max {wording.size(levels.max * page)} is above the memory, {memory}: the OOM killer comes first"
        )
    elif review.too_high == PRESSURE_ABOVE:
        texts.append(
            f"tcp_mem pressure {wording.size(levels.pressure * page)} is above half of the memory, {memory}: "
            "TCP slows down too late"
        )
    if review.floored:
        texts.append(
            f"tcp_mem pressure {levels.pressure} pages is below {kernel_defaults.LEAST_PRESSURE}, the least that the "
            "kernel sets: TCP is slowed down all the time"
        )
    if review.pasted:
        texts.append(f"tcp_mem has the numbers of {review.pasted}, which are bytes; tcp_mem counts pages")
    elif review.like_bytes:
        texts.append("the numbers look like the bytes of tcp_rmem or tcp_wmem; tcp_mem counts pages")
    return "; ".join(texts)


def drifted(one: drift.Drift) -> str | None:
    """What a line in a file would change; None where there is no line."""
    if not one.setting:
        return None
    line = where(one.setting, SHORT)
    return f"a reboot sets {short(one.name)} {listed(one.boot)} " + (
        f"as the kernel refuses {line}" if one.refused else f"({line})"
    )


def refused(one: Refused) -> str:
    """What the kernel does not take, though a reboot changes nothing."""
    line, name = where(one.setting, SHORT), short(one.setting.name)
    value = wording.clean(one.setting.value, 40)
    if not one.taken:
        return f"the kernel refuses {name} = {value} ({line})"
    return f"of {name} = {value} the kernel takes the first {wording.count(one.taken, 'number')} only ({line})"


def short(name: str) -> str:
    return name.rpartition(".")[2]
