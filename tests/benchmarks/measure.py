"""Whole processes measured side by side: time and peak memory, as ratios.

The commands of a table are started in turn, so whatever else the machine does
falls on all alike; a ratio is one of medians. CPU time beside it is the least of all
rounds, with that of the processes started by the command: what a busy machine adds
to a median does not show there.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

BIN = pathlib.Path(sys.executable).parent
KERNEL_LOG = [str(BIN / "check_tcp_kernel_log"), "--no-state"]
PASS = [sys.executable, "-I", "-c", "pass"]
LIBRARY = [sys.executable, "-I", "-c", "import argparse, nagiosplugin"]

# A process of its own, smaller than any that is measured: ru_maxrss begins with the size of whoever called exec.
_STARTER = [
    sys.executable, "-I", "-S", "-c",
    "import os, sys, time\n"
    "begin = time.perf_counter()\n"
    "null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]\n"
    "usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null), 0)[2]\n"
    "print(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)\n",
]  # fmt: skip


class Command(NamedTuple):
    """A process to measure."""

    name: str
    argv: Sequence[str]
    says: str = ""
    """What its output must contain: a failure is fast, too."""


class Cost(NamedTuple):
    """What a command costs."""

    median: float
    """Seconds from start to end."""
    cpu: float
    """Seconds of user and system time, the least of all rounds."""
    peak: float
    """MiB of the largest of its processes."""


def cost(commands: Sequence[Command], runs: int) -> dict[str, Cost]:
    """The cost of each command by its name, in ``runs`` rounds in which each has its turn."""
    for command in commands:
        text = subprocess.run(command.argv, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        if command.says not in text.stdout:
            sys.exit(f"{command.name}: {command.says!r} is not in {(text.stdout + text.stderr)[:300]!r}")
    seconds: dict[str, list[float]] = {command.name: [] for command in commands}
    cpus: dict[str, list[float]] = {command.name: [] for command in commands}
    peaks: dict[str, float] = {}
    for _round in range(runs):
        for command in commands:
            path = shutil.which(command.argv[0]) or command.argv[0]
            time, cpu, peak = os.fsdecode(subprocess.check_output([*_STARTER, path, *command.argv[1:]])).split()
            seconds[command.name].append(float(time))
            cpus[command.name].append(float(cpu))
            peaks[command.name] = max(peaks.get(command.name, 0.0), int(peak) / 1024)
    return {name: Cost(statistics.median(taken), min(cpus[name]), peaks[name]) for name, taken in seconds.items()}


def table(title: str, commands: Sequence[Command], runs: int, *references: str) -> dict[str, Cost]:
    """Measure, and print with ratios to the commands named in ``references``."""
    costs = cost(commands, runs)
    print(f"\n{title}; medians of {runs} rounds")
    headings = "".join(f"/ {name}".rjust(len(name) + 4) for name in references)
    print(f"{'':52}{'ms':>8}{'CPU ms':>8}{'MiB':>7}{headings}")
    for name, taken in costs.items():
        ratios = "".join(f"{taken.median / costs[other].median:{len(other) + 4}.2f}" for other in references)
        print(f"{name:52}{taken.median * 1000:8.1f}{taken.cpu * 1000:8.1f}{taken.peak:7.1f}{ratios}", flush=True)
    return costs


def target(what: str, check: Cost, others: Sequence[Cost], limit: float) -> None:
    """Print whether a check is within ``limit`` times what the others cost together."""
    time = check.median / sum(other.median for other in others)
    cpu = check.cpu / sum(other.cpu for other in others)
    print(f"  {_verdict(time, limit)}  {what}: {time:.2f}, target {limit:g}; by CPU time {cpu:.2f}", flush=True)


def memory_target(what: str, check: Cost, other: Cost, limit: float) -> None:
    """Print whether the peak of a check is within ``limit`` MiB of another's."""
    more = check.peak - other.peak
    print(f"  {_verdict(more, limit)}  {what}: {more:.1f} MiB more memory, target {limit:g}", flush=True)


def _verdict(value: float, limit: float) -> str:
    return "met   " if value <= limit else "MISSED"


@contextmanager
def workplace(gib: float) -> Iterator[pathlib.Path]:
    """A new directory with room for ``gib``, removed afterwards; TMPDIR says where."""
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-") as folder:
        free = shutil.disk_usage(folder).free / (1 << 30)
        if free < gib + 1:
            sys.exit(f"{folder} has {free:.1f} GiB free; {gib + 1:.1f} GiB are needed, TMPDIR=... names another place")
        yield pathlib.Path(folder)
