"""What is wrong with the two limits, in sentences; ``advice`` has the next step of each."""

from __future__ import annotations

from tcp_headroom import wording
from tcp_headroom.limits import kernel_defaults, tcp_max_orphans, tcp_mem
from tcp_headroom.limits.advice import idle, listed, where
from tcp_headroom.limits.review import ABSURD, MAX_ABOVE, MIN_ABOVE, OFF, PRESSURE_ABOVE, SAFETY, Refused, Review

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.limits import drift


def findings(review: Review, sure: bool = True, tuner: str = "") -> dict[str, tuple[str, str]]:
    """What is wrong: ``OFF`` or ``ABSURD`` and the sentence, by a name, for which ``next_steps`` has the step.

    ``sure``: whether all was read that a reboot reads. ``tuner``: what shows that a program changes the limits, or empty.
    """
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
        text = off("tcp_max_orphans", f"{review.limit}", review.orphans_share, usual_orphans(review))
        found["off_limit"] = (review.orphans_off, text)
    if review.levels and review.mem_off and not nothing and not review.grown:
        largest = f"max {wording.size(max(0, review.levels.max) * review.page)}"
        found["off_levels"] = (review.mem_off, off("tcp_mem", largest, review.mem_share, usual_max(review)))
    text = high(review)
    if text and not nothing:
        how = ABSURD if review.too_high == MIN_ABOVE else OFF
        found["high"] = (how, text)
    if review.peak and review.below_peak and "limit" not in found:
        text = f"tcp_max_orphans below {SAFETY} times the peak: {review.limit}, peak {review.peak.orphans}"
        found["peak"] = (OFF, text)
    for one in review.drifts:
        if one.setting:
            text = drifted(one, "changes" if sure else "may change")
            found[f"drift {one.name}"] = (OFF, f"{text}; {tuner}" if tuner else text)
    lines = [refused(one) for one in idle(review)]
    if lines:
        found["refused"] = (OFF, "; ".join(lines))
    return found


def off(name: str, value: str, share: float | None, default: str) -> str:
    """The sentence on a value whose share of the default is not in the ranges."""
    figure = f"{value}, {wording.percent(share or 0)} of {default}"
    if share is None or share >= 100:
        return f"{name} outside -w or -c: {figure}"
    return f"{name} {'far ' if share < 50 else ''}below the default: {figure}"


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
        f"limits too small, memory added after the boot: they fit {wording.size(review.grown or 0)}, the machine has "
        f"{wording.size(now or 0)}{' of low memory' if review.defaults.memory.low else ''} (or both were lowered)"
    )


def high(review: Review) -> str:
    """The sentence on levels that are too high for the memory, or are no levels."""
    levels, page = review.levels, review.page
    if levels is None:
        return ""
    noun = review.defaults.memory.noun
    memory = f"{noun} {wording.size(review.machine or 0)}"
    texts = []
    if review.too_high == MIN_ABOVE:
        texts.append(f"tcp_mem is no limit: min {wording.size(levels.min * page)}, {memory}")
    elif review.too_high == MAX_ABOVE:
        texts.append(f"tcp_mem is no limit: max {wording.size(levels.max * page)}, {memory}")
    elif review.too_high == PRESSURE_ABOVE:
        texts.append(f"tcp_mem too high: pressure {wording.size(levels.pressure * page)}, over half of the {memory}")
    if review.floored:
        least = kernel_defaults.LEAST_PRESSURE
        texts.append(f"TCP always slowed down: tcp_mem pressure {levels.pressure} pages, default at least {least}")
    if review.pasted:
        figure = "" if texts else f": max {levels.max}"
        texts.append(f"tcp_mem has the bytes of {review.pasted}, but counts pages{figure}")
    elif review.like_bytes:
        texts.append("its numbers look like the bytes of tcp_rmem, but tcp_mem counts pages")
    return "; ".join(texts)


def drifted(one: drift.Drift, verb: str) -> str:
    """What a line in a file would change."""
    assert one.setting
    line = where(one.setting)
    why = f"the kernel refuses {line}" if one.refused else f"no boot reads {line}" if one.unread else line
    return f"a reboot {verb} {short(one.name)}: {listed(one.running)} to {listed(one.boot)} ({why})"


def refused(one: Refused) -> str:
    """What the kernel does not take, though a reboot changes nothing."""
    name, value, line = short(one.setting.name), wording.clean(one.setting.value, 40), where(one.setting)
    if not one.taken:
        return f"the kernel refuses a setting: {name} = {value} ({line})"
    return f"the kernel takes only {wording.count(one.taken, 'number')} of a setting: {name} = {value} ({line})"


def short(name: str) -> str:
    return name.rpartition(".")[2]
