"""Standard output that takes nothing: nobody has seen the result, so it is UNKNOWN, and standard error stays empty."""

from __future__ import annotations

import os
import subprocess

import pytest

from workbench.command import BIN, COMMANDS

CALLS = {
    "result": ("--no-state",),
    "verbose": ("--no-state", "-vvv"),
    "help": ("--help",),
    "usage": ("--no-such-option",),
}


def ended(command: str, call: str, stdout: int | None) -> None:
    """Run it with this standard output, None for a closed one."""
    closing = ["sh", "-c", 'exec "$@" >&-', "sh"] if stdout is None else []
    done = subprocess.run(
        [*closing, BIN / command, *CALLS[call]], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("command", COMMANDS)
def test_closed(command: str, call: str) -> None:
    ended(command, call, None)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("command", COMMANDS)
def test_full(command: str, call: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        ended(command, call, full)
    finally:
        os.close(full)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_reads(command: str, call: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended(command, call, writer)
    finally:
        os.close(writer)
