"""A machine whose limits a test chooses."""

from __future__ import annotations

import json
import pathlib
import time

import pytest

from tcp_headroom.boot.sysctl_rules import SYSTEMD
from tcp_headroom.limits import kernel_defaults, tcp_mem
from workbench.command import Output, Run
from workbench.sysctl_trees import INITS, plant

GIB = 1 << 30
PAGE = tcp_mem.page_size()
NOON = time.mktime((2026, 3, 25, 12, 5, 0, 0, 0, -1))


def levels(memory: int) -> tuple[int, int, int]:
    found = kernel_defaults.tcp_mem((6, 12, 0), memory // PAGE)
    assert found
    return found


class Host:
    """A machine of 24 GiB with everything as the kernel sets it, until a test changes it."""

    def __init__(self, folder: pathlib.Path, run: Run) -> None:
        self.proc, self.root, self.state = folder / "proc", folder / "root", folder / "state"
        self.run = run
        self.options: list[str] = ["--procfs", str(self.proc), "--sysctl-root", str(self.root)]
        self.options += ["--state-dir", str(self.state)]
        self.put("sys/kernel/osrelease", "6.12.117-amd64\n")
        self.put("meminfo", f"MemTotal: {24 * GIB >> 10} kB\n")
        self.put("sys/net/ipv4/tcp_ehash_entries", "262144\n")
        self.put("sys/net/ipv4/tcp_max_orphans", "131072\n")
        self.levels(*levels(24 * GIB))
        self.put("cmdline", "quiet ro\n")
        plant(self.root, INITS[SYSTEMD])

    def put(self, name: str, text: str) -> None:
        plant(self.proc, {name: text})

    def levels(self, *pages: int) -> None:
        self.put("sys/net/ipv4/tcp_mem", "\t".join(map(str, pages)) + "\n")

    def persist(self, text: str, path: str = "/etc/sysctl.d/50-web.conf") -> None:
        plant(self.root, {path: text})

    def peak(self, orphans: int, when: float = NOON, days: int = 2) -> None:
        """The same peak on each of so many days, the last of which has ``when``."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        moments = [when - 86400 * day for day in range(days)]
        peaks = {time.strftime("%Y-%m-%d", time.localtime(moment)): [orphans, moment] for moment in moments}
        text = json.dumps({"format": 1, "orphan_peaks": {str(self.proc): peaks}})
        (self.state / "peaks.json").write_text(text)

    def check(self, *options: str) -> Output:
        return self.run("check_tcp_limits", *self.options, *options)

    def text(self, *options: str) -> str:
        """The status line without perfdata."""
        return self.check(*options).lines[0].partition(" | ")[0]


@pytest.fixture
def host(tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(time, "time", lambda: NOON + 3 * 3600)
    return Host(tmp_path, run)
