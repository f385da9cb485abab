"""What an ordinary run costs beside the start of Python and of the library."""

from __future__ import annotations

from benchmarks import measure
from benchmarks.measure import BIN, Command

RUNS = 40
LIMIT = 1.15


def main(runs: int) -> None:
    with measure.workplace(0) as folder:
        log = [str(BIN / "check_tcp_kernel_log"), "--source", "kmsg"]
        checks = [
            Command("check_tcp_orphans", [str(BIN / "check_tcp_orphans")], "TCP ORPHANS"),
            Command("check_tcp_mem", [str(BIN / "check_tcp_mem")], "TCP MEM"),
            Command("check_tcp_kernel_log, kmsg", [*log, "--state-dir", str(folder / "state")], "hits="),
            Command("check_tcp_kernel_log, kmsg, --no-state", [*log, "--no-state"], "hits="),
        ]
        base = [Command("pass", measure.PASS), Command("library", measure.LIBRARY)]
        title = "start-up (library: import argparse, nagiosplugin)"
        costs = measure.table(title, [*base, *checks], runs, "pass", "library")
        for check in checks:
            measure.target(f"{check.name} / library", costs[check.name], [costs["library"]], LIMIT)
