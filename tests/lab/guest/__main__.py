"""Runs the one scenario that the host asks for, and tells it the verdict."""

from __future__ import annotations

import json
import os
import time
import traceback

from . import cgroups, cpus, gauges, hours, kernel, limits, logs, owners, penalties, resets, unit  # noqa: F401
from .checks import Untrue, report
from .table import SCENARIOS


def main() -> None:
    with open("/lab/command.json", encoding="ascii") as file:
        command = json.load(file)
    report(release=os.uname().release, booted=round(time.monotonic(), 3))
    try:
        unit.measure()
        report(page=kernel.PAGE, unit=kernel.unit, cpus=os.cpu_count())
        SCENARIOS[command["scenario"]].run()
        verdict = ""
    except Untrue as error:
        verdict = str(error)
    except Exception as error:
        verdict = f"{type(error).__name__}: {error}"
        print(traceback.format_exc(), flush=True)
    report(
        verdict=verdict or "ok", ended=round(time.monotonic(), 3),
        kernel=[kernel.orphans(), kernel.mem(), kernel.aborts(), kernel.lines()],
    )  # fmt: skip


main()
