"""Programs that change the limits while the machine runs: named where they show, and only where there is a drift."""

from __future__ import annotations

import pathlib

import pytest

from tcp_headroom.boot import live_tuners
from workbench.limits_host import Host, host
from workbench.sysctl_trees import plant

__all__ = ["host"]


@pytest.mark.parametrize(
    "processes, files, sign",
    [
        ({}, {}, None),
        ({"1/comm": "systemd\n", "7/comm": "bpftune\n"}, {}, "bpftune is running"),
        ({"42/comm": "katalyst-agent\n"}, {}, "katalyst-agent is running"),
        ({"7/comm": "bpftuned\n", "x7/comm": "bpftune\n"}, {}, None),
        ({}, {"etc/sysctl.d/50-bpftune.conf": ""}, "/etc/sysctl.d has a file of bpftune"),
        ({}, {"usr/lib/sysctl.d/katalyst.conf": ""}, "/usr/lib/sysctl.d has a file of katalyst-agent"),
        ({}, {"etc/sysctl.d/bpftune.conf.bak": ""}, None),
    ],
)
def test_signs(tmp_path: pathlib.Path, processes: dict[str, str], files: dict[str, str], sign: str | None) -> None:
    plant(tmp_path / "proc", {"cmdline": "ro\n", **processes})
    plant(tmp_path / "root", {"etc/": "", **files})
    assert live_tuners.sign(str(tmp_path / "root"), str(tmp_path / "proc")) == sign


def test_nothing_can_be_seen(tmp_path: pathlib.Path) -> None:
    assert live_tuners.sign(str(tmp_path / "root"), str(tmp_path / "proc")) is None


def test_a_drift_that_it_explains(host: Host) -> None:
    host.levels(400000, 600000, 800000)
    plant(host.proc, {"77/comm": "bpftune\n"})
    said = "bpftune is running: it changes such settings while the machine runs"
    output = host.check("-v")
    assert output.code == 0 and said in output.lines
    host.persist("net.ipv4.tcp_mem = 300000 400000 600000\n")
    assert "(/etc/sysctl.d/50-web.conf line 1); bpftune is running. Next: " in host.text()
    host.levels(300000, 400000, 600000)
    assert "bpftune" not in host.check("-v").text


def test_equal_levels_are_a_sentence(host: Host) -> None:
    """Such tuners and administrators set them on purpose."""
    host.levels(600000, 600000, 600000)
    output = host.check("-v")
    assert output.code == 0
    line = "pressure and max of tcp_mem are equal: TCP does not slow down before memory is refused"
    assert line in output.lines
