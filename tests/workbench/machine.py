"""What this machine has and allows: a test that can do without neither is skipped, and the reason names the remedy."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess

import pytest


def program(package: str, *paths: str) -> str:
    """The first of these programs that exists, by path or name; skips, naming the package, if none does."""
    for path in paths:
        found = shutil.which(path, path=os.defpath + ":/usr/sbin:/sbin")
        if found:
            return found
    pytest.skip(f"{paths[0]} is missing: apt-get install {package}")


@functools.cache
def _refusal(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*command, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        return f"{command[0]} is missing: apt-get install util-linux"
    shown = " ".join(itertools.takewhile(lambda word: word != "sh", command))
    return f"this machine does not let this user do: {shown}" if done.returncode else ""


def require_namespaces(*command: str) -> None:
    """Skip the test unless ``unshare`` with these options can be used by this user."""
    reason = _refusal(command)
    if reason:
        pytest.skip(reason)
