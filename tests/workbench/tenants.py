"""Processes that hold socket memory: the lab's tenant, on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.command import ROOT

TENANT = ROOT / "tests/lab/guest/tenant.py"


@contextmanager
def tenant(*arguments: object, prefix: tuple[str, ...] = ()) -> Iterator[int]:
    """One that is ready, by its number; what it holds is gone afterwards."""
    command = [*prefix, sys.executable, str(TENANT), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.close()
