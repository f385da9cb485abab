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


def table(verdicts: Iterable[Verdict], columns: Mapping[str, str]) -> str:
    """Scenarios by kernels; ``columns`` has the heading of each kernel, asked for or not."""
    cells = {(verdict.scenario, verdict.kernel): verdict for verdict in verdicts}
    width = max(map(len, columns.values())) + 2
    lines = ["scenario".ljust(26) + "".join(heading.ljust(width) for heading in columns.values())]
    for scenario in sorted(SCENARIOS.values()):
        line = f"{scenario.number:2} {scenario.name}".ljust(26)
        for kernel in columns:
            cell = cells.get((scenario.name, kernel))
            text = NOT_ASKED if cell is None else cell.result
            line += f"{text} ({cell.seconds:.0f} s)".ljust(width) if cell and cell.seconds else text.ljust(width)
        lines.append(line.rstrip())
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
