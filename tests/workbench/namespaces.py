"""A network namespace of a test's own, and the maker of orphans in it."""

from __future__ import annotations

import subprocess

from workbench.command import ROOT

MAKER = ROOT / "tests" / "workbench" / "orphans.py"
UNSHARE = ["unshare", "--user", "--map-root-user", "--net"]


def namespaces_allowed() -> bool:
    """Whether this user may make one."""
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
