"""10 000 orphans and their peers: what naming the owners adds to a check, beside what ss takes to list them."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks import measure
from benchmarks.measure import BIN, Command, Cost
from workbench.namespaces import MAKER, UNSHARE

RUNS = 21
COUNT = 10_000


@contextmanager
def sockets() -> Iterator[Sequence[str]]:
    """Makes them in a network namespace of their own; yields what starts a command in there."""
    isolated = [*UNSHARE, sys.executable, str(MAKER), "--own-loopback"]
    with subprocess.Popen(
        [*isolated, "--port", "8080", "--small", str(COUNT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdin and maker.stdout
        if maker.stdout.readline() != f"{COUNT} orphans\n":
            sys.exit("the orphans cannot be made: namespaces may be forbidden, or ulimit -Hn too small")
        yield ["nsenter", "--target", str(maker.pid), "--user", "--net", "--preserve-credentials"]
        # Closing them one by one takes longer than giving up the namespace.
        maker.kill()


def less(cost: Cost, other: Cost) -> Cost:
    return Cost(cost.median - other.median, cost.cpu - other.cpu, cost.peak)


def main(runs: int) -> None:
    missing = [tool for tool in ("ss", "unshare", "nsenter") if not shutil.which(tool)]
    if missing:
        print(f"\nnot measured: owners, which need {', '.join(missing)}")
        return
    line = "connections to port 8080"
    with sockets() as inside:
        for check, limit, ss in (
            ("check_tcp_orphans", "--max-orphans=1000000", ["ss", "-tan", "state", "fin-wait-1"]),
            ("check_tcp_mem", "--tcp-mem=1000000,2000000,3000000", ["ss", "-tm"]),
        ):
            argv = [*inside, str(BIN / check), "-v", limit]
            commands = [
                Command("nsenter", [*inside, "true"]),
                Command("check -v --no-owners", [*argv, "--no-owners"], "TCP"),
                Command("check -v", argv, line),
                Command("ss", [*inside, *ss], "FIN-WAIT-1" if ss[-1] == "-tm" else ":8080"),
            ]
            title = f"{check} in a namespace with {COUNT} orphans, {' '.join(ss)}"
            costs = measure.table(title, commands, runs, "ss")
            measure.target(
                "what owners add / ss",
                less(costs["check -v"], costs["check -v --no-owners"]),
                [less(costs["ss"], costs["nsenter"])],
                1,
            )
