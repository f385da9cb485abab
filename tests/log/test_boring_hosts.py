"""Hosts on which nothing is wrong: no minute of a day with a rotation and a reboot makes the check UNKNOWN.

Without state this holds while the counter is 0, or while a daemon has written in the second half of the window; with
state always. ``python -m workbench.boring_day --every-minute`` leaves out no minute.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from workbench import journals
from workbench.boring_hosts import HOSTS, Host
from workbench.command import ROOT
from workbench.faulty_days import CASES, Case
from workbench.machine import require_namespaces

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace and an agent's rights"),
]


def wrong(module: str, name: str) -> str:
    """What the days of that name did wrong."""
    if journals.MISSING:
        pytest.skip(journals.MISSING)
    require_namespaces("unshare", "--mount")
    path = os.pathsep.join(str(ROOT / folder) for folder in ("checks", "tests"))
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-m", f"workbench.{module}", name],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": "/root"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == "" and done.returncode == bool(done.stdout), done
    return done.stdout


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_boring(host: Host) -> None:
    assert wrong("boring_day", host.name) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_faulty(case: Case) -> None:
    """What looks boring in one place is not where another shows or hides a message."""
    assert wrong("faulty_days", case.name) == ""
