"""Memory that no list of sockets shows: in other network namespaces, in closed sockets, beyond the global gauge."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator

from . import checks, kernel
from .checks import OK, expect
from .owners import MODULES
from .table import scenario

ROOT = pathlib.Path("/sys/fs/cgroup")
TENANT = pathlib.Path(__file__).with_name("tenant.py")


@contextlib.contextmanager
def tenant(*arguments: object) -> Iterator[int]:
    """A process as of ``tenant``; yields its number once it is ready."""
    command = [sys.executable, str(TENANT), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        expect(process.stdout.readline() == "ready\n", f"{command} is not ready")
        yield process.pid
        process.stdin.close()


def mounted() -> None:
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", str(ROOT)], check=True)


def cgroup(path: str, *more: str) -> pathlib.Path:
    """A new cgroup that accounts for memory; of those above it that do not yet, too."""
    folder = ROOT
    for part in path.split("/"):
        (folder / "cgroup.subtree_control").write_text("+memory")
        folder = folder / part
        folder.mkdir(exist_ok=True)
    return folder


def sock(folder: pathlib.Path) -> int:
    return int(re.findall(r"^sock (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)[0])


@scenario(41, "probe", quick=False)
def probe() -> None:
    """What the kernel says."""
    mounted()
    out = []
    kernel.levels(30000, 40000, 50000)
    e = cgroup("system.slice/shop.service")
    (e / "memory.max").write_text(str(16 << 20))
    subprocess.run(
        ["insmod", *map(str, pathlib.Path("/lab/modules").glob("*brd.ko")), "rd_nr=1", "rd_size=24576"], check=True
    )
    with (
        tenant("--cgroup", e, "--fight", "/dev/ram0"),
        tenant("--cgroup", e, "--own-network", "--tcp", 20, "--flood") as pid,
    ):
        for _ in range(3):
            time.sleep(1)
            out.append(
                (
                    (e / "memory.events").read_text(),
                    sock(e),
                    (e / "memory.current").read_text(),
                    os.path.exists(f"/proc/{pid}"),
                    kernel.pages(),
                )
            )
    for o in out:
        checks.report(text=str(o))
        print(o)
