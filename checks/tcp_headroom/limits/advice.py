"""What to do about tcp_max_orphans and tcp_mem: the next step of each finding, and where a line belongs.

What is to be set ``review`` calculates; here it is put into words fit for the status
line, and into commands to type.
"""

from __future__ import annotations

import os

from tcp_headroom import wording
from tcp_headroom.limits.review import MAX_ORPHANS, SAFETY, Refused, Review

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tcp_headroom.boot.sysctl_rules import Setting
    from tcp_headroom.limits import drift

PLACES = ("/etc/sysctl.d/90-tcp-headroom.conf", "/etc/sysctl.d/zz-tcp-headroom.conf")
"""Where the line belongs for a setting that no file of the administrator's has: the first that comes late enough."""


_OF_ORPHANS, _OF_LEVELS = ("limit", "off_limit", "peak"), ("levels", "high", "off_levels")


def next_steps(review: Review) -> dict[str, str]:
    """The step for each of ``findings``."""
    steps = {}
    for name, values in review.advice.items():
        step = f"set {name.rpartition('.')[2]} to {listed(values)} (see -v)"
        if name == MAX_ORPHANS and review.peak_needs > values[0]:
            step = f"run check_tcp_orphans -v first, as {SAFETY} times the peak can fill the memory; then {step}"
        steps.update(dict.fromkeys(_OF_ORPHANS if name == MAX_ORPHANS else _OF_LEVELS, step))
    if review.grown:
        steps["grown"] = "reboot, so that the kernel sets both limits again; until then set them (see -v)"
    for setting in [one.setting for one in idle(review)][:1]:
        name = setting.name.rpartition(".")[2]
        steps["refused"] = f"write digits only: {name} = {listed(meant(review, setting.name))} (see -v)"
    steps.setdefault("levels", "set net.ipv4.tcp_mem to three page counts above 0, smallest first")
    steps.setdefault("high", "set net.ipv4.tcp_mem to three page counts, the last at most a quarter of the memory")
    steps.setdefault("limit", "set net.ipv4.tcp_max_orphans to 4096 for each GiB of memory, at most 262144")
    steps.setdefault("peak", "find the service that makes them: check_tcp_orphans -v")
    for name in ("off_limit", "off_levels"):
        steps.setdefault(name, "change the setting, or the range")
    for one in undecided(review):
        assert one.setting
        file = "that file" if place(review, one.name) == where(one.setting) else "a file of /etc/sysctl.d"
        keep = f"write {one.name.rpartition('.')[2]} = {listed(one.running)} into {file} (see -v)"
        now = f"set it to {listed(one.boot)} now, or " if review.sound(one.name, one.boot) else ""
        steps[f"drift {one.name}"] = now + keep
    return steps


def undecided(review: Review) -> list[drift.Drift]:
    """Those that a file sets to something else, while nothing speaks against the running value."""
    return [one for one in review.drifts if one.setting and review.sound(one.name, one.running)]


def idle(review: Review) -> list[Refused]:
    """The lines that the kernel does not take, or not wholly, and yet a reboot changes nothing."""
    changed = {one.name for one in review.drifts}
    return [one for one in review.refused if one.setting.name not in changed]


def meant(review: Review, name: str) -> tuple[int, ...]:
    """What a line should have that the kernel refuses: nobody knows, so what runs, or should."""
    running = (review.limit,) if name == MAX_ORPHANS else review.levels
    return review.advice.get(name, tuple(value for value in running or () if value is not None))


def bounded(review: Review) -> str:
    """Why so many orphans as four times the peak are not recommended."""
    return (
        f"{SAFETY} times the peak is {review.peak_needs}, and so many may take more than a quarter of the {review.defaults.memory.noun}, "
        "their data not counted"
    )


def reason(review: Review, name: str) -> str:
    """How the value of ``advice`` was found."""
    if review.kept(name):
        return f"as {place(review, name)} has it"
    if name == MAX_ORPHANS:
        value = review.recommended
        if value == review.peak_needs:
            return f"the smallest power of two that is {SAFETY} times the peak"
        return bounded(review) if review.peak_needs > (value or 0) else "the kernel's default"
    levels = review.recommended_levels
    if levels == review.defaults.levels(review.page):
        return "the kernel's default, an estimate"
    most = f"a quarter of the {review.defaults.memory.noun} at most"
    return most if levels == review.most_levels else "the maximum that runs, in order"


def place(review: Review, name: str) -> str:
    """Where the line for a setting belongs: where it is now, unless that is no file of the administrator's."""
    if review.settings is None:
        # Nobody knows what else is there.
        return PLACES[-1]
    setting = review.settings.get(name)
    if setting is None or not setting.line:
        return PLACES[0]
    if setting.path.startswith("/etc/"):
        return where(setting)
    before = os.path.basename(setting.path)
    return next((path for path in PLACES if os.path.basename(path) > before), where(setting))


def where(setting: Setting) -> str:
    path = wording.path(setting.path)
    return f"{path} line {setting.line}" if setting.line else path


def listed(values: Iterable[int]) -> str:
    return " ".join(map(str, values))


def quoted(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(values) == 1 else f'"{listed(values)}"'


def commands(review: Review) -> Iterator[str]:
    """What to type, ready to be pasted."""
    for name, values in review.advice.items():
        yield f"{name} = {listed(values)} is {reason(review, name)}"
        yield f"now: sysctl -w {name}={quoted(values)}"
        if not review.kept(name):
            yield f"for good, in {place(review, name)}: {name} = {listed(values)}"
    for name in (one.setting.name for one in idle(review)):
        if name not in review.advice:
            yield f"for good, in {place(review, name)}: {name} = {listed(meant(review, name))}"
    for one in undecided(review):
        sound = review.sound(one.name, one.boot)
        if sound:
            yield f"either: sysctl -w {one.name}={quoted(one.boot)}"
        yield f"{'or' if sound else 'for good'}, in {place(review, one.name)}: {one.name} = {listed(one.running)}"
