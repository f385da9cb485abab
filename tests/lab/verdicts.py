"""Running cells of the table, scenario by kernel, and printing them."""

from __future__ import annotations

import concurrent.futures
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from lab import boot, initramfs, kernels
from lab.debian import Missing
from lab.guest.table import SCENARIOS, Scenario
from lab.kernels import Image

OK = "ok"
UNTRUE = "UNTRUE"
NOT_RUN = "not run"
NOT_ASKED = "-"


class Verdict(NamedTuple):
    """What came of one scenario on one kernel."""

    kernel: str
    scenario: str
    result: str
    """``OK``, ``UNTRUE`` or ``NOT_RUN``."""
    reason: str
    seconds: float
    reports: Sequence[Mapping[str, object]]


def judge(kernel: str, image: Image, scenario: Scenario, package: Mapping[str, bytes]) -> Verdict:
    """Boot ``image`` and run ``scenario`` in it on ``package``."""
    began = time.monotonic()
    command = {"scenario": scenario.name, "reports": f"/dev/{image.machine.reports}"}
    initrd = initramfs.build(image.machine, package, kernels.modules(image.path), command)
    run = boot.boot(image, initrd, scenario.ram or _least_ram(initrd), scenario.seconds, scenario.words)
    reason = "" if run.verdict == OK else run.verdict
    return Verdict(kernel, scenario.name, UNTRUE if reason else OK, reason, time.monotonic() - began, run.reports)


def _least_ram(initrd: bytes) -> int:
    """MiB in which the newest kernel just boots: its own, and the initrd packed and unpacked."""
    return 96 + 2 * (len(initrd) >> 20)


Cell = tuple[str, str]
"""Kernel and scenario, by their names."""


def run(
    images: Mapping[str, Image | Missing], cells: Sequence[Cell], jobs: int, done: Callable[[Verdict], None]
) -> list[Verdict]:
    """Every cell, ``jobs`` at a time; ``done`` hears of each as it ends."""
    package = initramfs.package()
    verdicts = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = []
        for kernel, scenario in cells:
            image = images[kernel]
            if isinstance(image, Missing):
                verdicts.append(Verdict(kernel, scenario, NOT_RUN, str(image), 0, ()))
            else:
                waiting.append(pool.submit(judge, kernel, image, SCENARIOS[scenario], package))
        for future in concurrent.futures.as_completed(waiting):
            verdicts.append(future.result())
            done(verdicts[-1])
    return verdicts


def by_kernel(verdicts: Sequence[Verdict], images: Mapping[str, Image | Missing]) -> str:
    """A table of the kernels that were booted, each with what it is and how it fared."""
    rows = [("kernel", "release", "machine", "CPUs", "scenarios", "ok", "minutes")]
    for name, image in images.items():
        if isinstance(image, Image):
            found = [verdict for verdict in verdicts if verdict.kernel == name]
            good, minutes = sum(one.result == OK for one in found), sum(one.seconds for one in found) / 60
            machine = image.machine.architecture
            rows.append((name, image.release, machine, str(image.cpus), str(len(found)), str(good), f"{minutes:.1f}"))
    return _table(rows)


def by_scenario(verdicts: Iterable[Verdict], kernels: Sequence[str]) -> str:
    """A table of the scenarios by ``kernels``: the seconds of what is ok, and of the rest the result."""
    cells = {(verdict.scenario, verdict.kernel): verdict for verdict in verdicts}

    def cell(scenario: str, kernel: str) -> str:
        verdict = cells.get((scenario, kernel))
        if verdict is None:
            return NOT_ASKED
        return f"{verdict.seconds:.0f}" if verdict.result == OK else verdict.result

    asked = {scenario for scenario, _kernel in cells}
    rows = [(name, *(cell(name, kernel) for kernel in kernels)) for name in SCENARIOS if name in asked]
    return _table([("scenario, seconds", *kernels), *rows])


def _table(rows: Sequence[Sequence[str]]) -> str:
    """In Markdown, the columns as wide as what is in them."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def save_captures(verdicts: Iterable[Verdict], releases: Mapping[str, str], directory: pathlib.Path) -> None:
    """Write what the guests captured as ``DIRECTORY/kernel-VERSION/STATE/FILE``, for other machines with their name."""
    for verdict in verdicts:
        version = ".".join(releases[verdict.kernel].split("-")[0].split("+")[0].split(".")[:2])
        version += "".join(f"-{part}" for part in verdict.kernel.split("-")[1:])
        for report in verdict.reports:
            if "capture" in report:
                files: Mapping[str, str] = report["files"]  # type: ignore[assignment]
                for name, text in files.items():
                    home = directory / f"kernel-{version}" / str(report["capture"])
                    path = home / name if name == "kmsg" else home / "host" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
