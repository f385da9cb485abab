"""Scenario of the runbook's recipe: which connections are reset, and why."""

from __future__ import annotations

import os
import pathlib
import subprocess

from . import kernel
from .checks import expect
from .logs import pass_the_limit
from .table import scenario

TRACING = pathlib.Path("/sys/kernel/tracing")
EVENT = TRACING / "events/tcp/tcp_send_reset/enable"
REASON = "TCP_ABORT_ON_MEMORY"


@scenario("who-is-reset")
def who_is_reset() -> None:
    """The tracepoint of the runbook lists each connection that is reset, from 6.12 on with the reason."""
    subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACING)], check=True)
    EVENT.write_text("1")
    reset = pass_the_limit()
    EVENT.write_text("0")
    shown = [line for line in (TRACING / "trace").read_text().splitlines() if " tcp_send_reset: " in line]
    expect(shown and all("127.0.0.1" in line and "state=" in line for line in shown), f"no addresses: {shown[:1]}")
    release = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
    if release >= (6, 12):
        named = [line for line in shown if line.endswith(f"reason={REASON}")]
        expect(len(named) == reset == kernel.aborts(), f"{len(named)} of {len(shown)} lines for {reset}: {shown[:1]}")
    else:
        expect(len(shown) >= reset and not any("reason=" in line for line in shown), f"{len(shown)}: {shown[:1]}")
