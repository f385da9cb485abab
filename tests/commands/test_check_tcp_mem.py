"""check_tcp_mem where the kernel's pressure flag cannot be read: OK below min only, and no alarm is hidden."""

from __future__ import annotations

import pathlib

import pytest

from workbench.command import Run
from workbench.watched_host import CRITICAL, OK, UNKNOWN, WARNING, WatchedHost

FLAG = "memory pressure cannot be seen: "


@pytest.mark.parametrize(
    "held, levels, options, code",
    [
        (10, "10 20 100", "", OK),
        (11, "10 20 100", "", UNKNOWN),
        (20, "10 20 100", "", UNKNOWN),
        (21, "10 20 100", "", WARNING),
        (91, "10 20 100", "", CRITICAL),
        # By levels of its own the flag is not asked.
        (11, "10 20 100", "-w 50", OK),
        (15, "10 20 100", "-c 12", CRITICAL),
        (15, "30 20 100", "", WARNING),
        (600, "10 900 1000", "", WARNING),
    ],
)
def test_without_the_pressure_flag(
    run: Run, tmp_path: pathlib.Path, held: int, levels: str, options: str, code: int
) -> None:
    host = WatchedHost(tmp_path)
    (host.proc / "net/protocols").unlink()
    (host.proc / "net/sockstat").write_text(f"TCP: inuse 5 orphan 3 tw 0 alloc 8 mem {held}\n")
    (host.proc / "sys/net/ipv4/tcp_mem").write_text(f"{levels}\n")
    output = run("check_tcp_mem", *host.options("check_tcp_mem"), *options.split())
    assert (output.code, FLAG in output.text) == (code, code == UNKNOWN), output
    assert output.perfdata["pages"].startswith(f"{held};")
