"""A host that remembers: its log, its state, and runs of the command in processes of their own or in this one."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import time

import pytest

from workbench.command import ROOT, Output, Run

HIT = "kernel: TCP: too many orphaned sockets"
QUIET = "kernel: eth0: link is up"

CHECKS = ROOT / "checks"
COMMAND = [sys.executable, "-c", "from tcp_headroom.commands.check_tcp_kernel_log import main; main()"]
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": str(CHECKS),
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/root",
    "TZ": "UTC",
}


def line(message: str, ago: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago)) + f" web1 {message}\n"


class Host:
    """A log with hits and a directory for the state."""

    def __init__(self, place: pathlib.Path) -> None:
        self.log = place / "kern.log"
        self.state = place / "state"
        self.file = self.state / "state.json"
        # Another host's as far as the counter goes.
        self.procfs = place / "proc"
        (self.procfs / "net").mkdir(parents=True)

    @property
    def arguments(self) -> list[str]:
        return [
            *("--file", str(self.log), "--state-dir", str(self.state), "--procfs", str(self.procfs)),
            *("--min-coverage", "0", "-v"),
        ]

    def write(self, *messages: str, ago: float = 9) -> None:
        """Begin the log anew, its first message ``ago`` seconds ago."""
        lines = [line(message, ago - number) for number, message in enumerate(messages)]
        self.log.write_text(line(QUIET, 60) + "".join(lines))

    def start(self, *before: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*before, *COMMAND, *self.arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd="/",
        )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> Output:
    text, complaint = process.communicate(timeout=60)
    assert complaint == ""
    return Output(process.returncode, text)


def hits(output: Output) -> int:
    found = re.search(r"\bhits=([0-9]+)", output.text)
    assert found and "internal error" not in output.text, output.text
    count = int(found[1])
    assert output.code == (1 if count else 0), output.text
    return count


def check(host: Host, run: Run) -> Output:
    return run("check_tcp_kernel_log", *host.arguments)


def forgets(host: Host, run: Run, reason: str) -> None:
    """The result is that of the log alone, and -v says why."""
    for _run in range(2):
        output = check(host, run)
        assert hits(output) == 1
        assert re.search("nothing is remembered between runs: .*" + reason, output.text), output.text


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def seen(host: Host, run: Run) -> Host:
    """A host whose state remembers one hit that the log has lost since, for another one."""
    host.write(HIT, ago=30)
    assert hits(run("check_tcp_kernel_log", *host.arguments)) == 1
    host.write("kernel: x", HIT)
    return host
