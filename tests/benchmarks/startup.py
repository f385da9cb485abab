"""What an ordinary run costs beside the start of Python and of the library."""

from __future__ import annotations

import json
import time

from benchmarks import measure
from benchmarks.measure import BIN, Command

RUNS = 40
LIMIT = 1.15
PEAK_LIMIT = 1.03


def main(runs: int) -> None:
    with measure.workplace(0) as folder:
        log = [str(BIN / "check_tcp_kernel_log"), "--source", "kmsg"]
        orphans = [str(BIN / "check_tcp_orphans")]
        # A peak that no run reaches: the state is read each time, and never written.
        peak = {"/proc": {time.strftime("%Y-%m-%d"): [2**31 - 1, time.time()]}}
        (folder / "peak").mkdir(0o700)
        (folder / "peak/peaks.json").write_text(json.dumps({"format": 1, "orphan_peaks": peak}))
        checks = [
            Command("check_tcp_orphans", [*orphans, "--state-dir", str(folder / "peak")], "TCP ORPHANS"),
            Command("check_tcp_orphans, --no-state", [*orphans, "--no-state"], "TCP ORPHANS"),
            Command("check_tcp_mem", [str(BIN / "check_tcp_mem")], "TCP MEM"),
            Command("check_tcp_kernel_log, kmsg", [*log, "--state-dir", str(folder / "state")], "hits="),
            Command("check_tcp_kernel_log, kmsg, --no-state", [*log, "--no-state"], "hits="),
        ]
        # Once an hour it may take longer.
        hourly = [Command("check_tcp_limits", [str(BIN / "check_tcp_limits")], "TCP LIMITS")]
        base = [Command("pass", measure.PASS), Command("library", measure.LIBRARY)]
        title = "start-up (library: import argparse, nagiosplugin)"
        costs = measure.table(title, [*base, *checks, *hourly], runs, "pass", "library")
        for check in checks:
            measure.target(f"{check.name} / library", costs[check.name], [costs["library"]], LIMIT)
        without = costs["check_tcp_orphans, --no-state"]
        measure.target("the peak that does not rise / --no-state", costs["check_tcp_orphans"], [without], PEAK_LIMIT)
