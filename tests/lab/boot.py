"""Booting a kernel under QEMU, in software emulation and in virtual time, and reading what the guest reports.

With ``-icount`` the guest's clock counts instructions, and jumps when the guest
is idle: hours cost seconds, and a run does the same whenever it is repeated. Of several
processors the clock is this machine's. The console goes to the first serial port, the reports to the second.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from lab.debian import Missing
from lab.kernels import Image
from lab.machines import Machine

# Without tb-size (MiB) the translated code alone may take 1 GiB, more than some hosts of the lab have left.
_MACHINE = (
    "-accel", "tcg,tb-size=128", "-rtc", "clock=vm,base=2026-01-01T12:00:00", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
)  # fmt: skip

_VIRTUAL_TIME = ("-icount", "shift=1,sleep=off")
"""For one processor alone: with it a second one is never brought up."""

_COMMAND_LINE = "quiet rootfstype=ramfs panic=-1 mitigations=off nokaslr printk.devkmsg=on"

_MARK = "@lab "


_NOT_ALONE = ("setpriv", "--pdeathsig", "KILL")
"""Whatever ends the lab ends its guests."""


class Run(NamedTuple):
    """What came back of a guest."""

    reports: list[dict[str, Any]]
    console: str
    """The end of what the guest's console printed."""
    ended: bool
    """Whether the guest powered itself off in time."""

    @property
    def verdict(self) -> str:
        """``ok``, or what is wrong."""
        said = [str(report["verdict"]) for report in self.reports if "verdict" in report]
        if said and self.ended:
            return said[-1]
        reason = "the guest went away without a verdict" if self.ended else "the guest did not end in time"
        return f"{reason}; its console ends: {self.console[-300:].strip()}"


def available(machine: Machine) -> None:
    """Raises ``Missing`` if what boots a guest is not installed."""
    for command, package in ((machine.qemu, machine.package), (_NOT_ALONE[0], "util-linux")):
        if not shutil.which(command):
            raise Missing(f"{command} is missing: apt-get install {package}")


def boot(image: Image, initrd: bytes, ram: int, seconds: int, words: str = "") -> Run:
    """Boot ``image`` with ``ram`` MiB at least and wait, ``seconds`` at most, until the guest powers off.

    ``words``: more for the kernel's command line.
    """
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-lab.") as directory:
        home = pathlib.Path(directory)
        (home / "initrd").write_bytes(initrd)
        machine, ram = image.machine, max(ram, image.ram, image.machine.least)
        ram = -(-ram // machine.step) * machine.step
        options = [word.format(console=home / "console", reports=home / "reports") for word in machine.options]
        command = [
            *_NOT_ALONE, machine.qemu, *_MACHINE, *(_VIRTUAL_TIME if image.cpus == 1 else ()), *options, "-smp", str(image.cpus), "-m", str(ram),
            "-kernel", str(image.path), "-initrd", str(home / "initrd"),
            "-append", f"console={machine.console} {_COMMAND_LINE} {words}".strip(),
        ]  # fmt: skip
        with (
            open(home / "qemu", "wb") as complaints,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=complaints) as guest,
        ):
            try:
                ended = guest.wait(seconds) == 0
            except subprocess.TimeoutExpired:
                ended = False
            finally:
                guest.kill()
        texts = [path.read_text(errors="replace") for path in (home / "qemu", home / "console") if path.exists()]
        lines = (home / "reports").read_text(errors="replace").splitlines() if (home / "reports").exists() else []
    return Run([*_reports(lines)], "".join(texts)[-20000:], ended)


def _reports(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith(_MARK):
            # A guest that died while it wrote leaves half a line.
            with contextlib.suppress(ValueError):
                yield json.loads(line[len(_MARK) :])
