"""Programs that change the limits while the machine runs, so that they are not what the boot has set.

bpftune raises what is short (docs/bpftune.rst of its sources), and katalyst, an agent
of Kubernetes, sets tcp_mem by the memory of its node. Both are known by the name of a
process, where other users' processes show, or by a file of sysctl.d that bears their name.
"""

from __future__ import annotations

import os

from tcp_headroom.blind import Blind
from tcp_headroom.boot import host_root
from tcp_headroom.proc import reading

NAMES = ("bpftune", "katalyst-agent")

PROCESSES = 50000
"""Most processes that are looked at."""

FOLDERS = ("/etc/sysctl.d", "/usr/lib/sysctl.d", "/run/sysctl.d")


def running(procfs: str) -> str | None:
    """The name of the first of them among the processes below ``procfs``."""
    try:
        entries = os.listdir(procfs)
    except OSError:
        return None
    for entry in [name for name in entries if name.isdigit()][:PROCESSES]:
        try:
            name = reading.read(procfs, f"{entry}/comm").strip()
        except Blind:
            continue
        if name in NAMES:
            return f"{name} is running"
    return None


def marked(tree: host_root.Root) -> str | None:
    """A file of sysctl.d that bears such a name."""
    for folder in FOLDERS:
        try:
            names = tree.names(folder)
        except OSError:
            continue
        for name in sorted(names):
            tuner = next((tuner for tuner in NAMES if tuner.partition("-")[0] in name), None)
            if tuner and name.endswith(".conf"):
                return f"{folder} has a file of {tuner}"
    return None


def sign(root: str, procfs: str) -> str | None:
    """Why one of them may have changed what the boot has set; None where nothing shows."""
    found = running(procfs)
    if found:
        return found
    try:
        with host_root.Root(root) as tree:
            return marked(tree)
    except Blind:
        return None
