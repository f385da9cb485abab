"""A node of 300 cgroups, 3000 processes and closed sockets: what ``check_tcp_mem -v`` costs beside ``--no-owners``."""

from __future__ import annotations

import pathlib
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks import measure
from benchmarks.measure import BIN, Command, Cost
from workbench.cgroup_trees import UID, Tree
from workbench.command import ROOT
from workbench.namespaces import UNSHARE

RUNS = 11
CGROUPS, PROCESSES = 300, 3000
CLOSED = 150
SECONDS = 8
"""The time-out, of which a quarter is for all of this."""

MAKER = f"""
import os, socket, subprocess, sys
sys.path.insert(0, {str(ROOT / "tests/lab/guest")!r})
import tenant
tenant.bring_up_loopback()
clients, closed = tenant.connections({CLOSED})
for client in clients:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, tenant.RESET)
    client.close()
clients, servers = tenant.connections(200)
for client in clients:
    client.sendall(bytes(4096))
# What each of the processes has open: sockets of other kinds, and a file.
for pair in [socket.socketpair() for _ in range(5)]:
    for one in pair:
        one.set_inheritable(True)
        os.dup2(one.fileno(), one.fileno() + 1000)
processes = [os.posix_spawn(sys.argv[1], ["sleep", "3600"], {{}}) for _ in range({PROCESSES})]
print("ready", flush=True)
sys.stdin.read()
for process in processes:
    os.kill(process, 9)
"""


@contextmanager
def node() -> Iterator[Sequence[str]]:
    """Yields what starts a command among these processes."""
    sleep = shutil.which("sleep") or "/bin/sleep"
    command = [*UNSHARE, sys.executable, "-I", "-c", MAKER, sleep]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdin and maker.stdout
        if maker.stdout.readline() != "ready\n":
            sys.exit("the processes cannot be made: namespaces may be forbidden, or ulimit -u too small")
        yield ["nsenter", "--target", str(maker.pid), "--user", "--net", "--preserve-credentials"]
        maker.stdin.close()


def cgroups(root: pathlib.Path) -> None:
    """Pods of five containers, all with sockets of their own, in three slices."""
    dice = random.Random(16)
    host = Tree(root)
    for number in range(CGROUPS):
        pod = f"kubepods/{('burstable', 'besteffort', 'guaranteed')[number % 3]}/pod{number // 15:08x}{UID[8:]}"
        host.add(f"{pod}/{number:064x}", dice.randrange(1 << 12, 1 << 24), throttled=number % 7)


def main(runs: int) -> None:
    missing = [tool for tool in ("unshare", "nsenter", "sleep") if not shutil.which(tool)]
    if missing:
        print(f"\nnot measured: a node, which needs {', '.join(missing)}")
        return
    with measure.workplace(0) as folder, node() as inside:
        cgroups(folder / "cgroup")
        argv = [*inside, str(BIN / "check_tcp_mem"), "-v", "-t", str(SECONDS), "--tcp-mem=1000000,2000000,3000000"]
        argv += ["--no-state", "--cgroupfs", str(folder / "cgroup")]
        commands = [
            Command("check -v --no-owners", [*argv, "--no-owners"], "in no list here"),
            Command("check -v", argv, f"keeps {CLOSED} TCP sockets in no list"),
        ]
        title = f"check_tcp_mem on a node of {CGROUPS} cgroups and {PROCESSES} processes"
        costs = measure.table(title, commands, runs, "check -v --no-owners")
        added = Cost(*(a - b for a, b in zip(costs["check -v"], costs["check -v --no-owners"])))
        measure.target("what owners add / a quarter of -t", added, [Cost(SECONDS / 4, SECONDS / 4, 0)], 1)
