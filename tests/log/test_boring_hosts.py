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
from workbench.boring_hosts import HOSTS
from workbench.command import ROOT


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace and an agent's rights")
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_day(host: object) -> None:
    assert isinstance(host, tuple)
    if journals.MISSING:
        pytest.skip(journals.MISSING)
    path = os.pathsep.join(str(ROOT / folder) for folder in ("checks", "tests"))
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-m", "workbench.boring_day", host[0]],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": "/root"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
