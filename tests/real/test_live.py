"""The checks on the running kernel: real orphans, a real child namespace, the real ring."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

from tcp_headroom.log import kmsg, views
from workbench.command import BIN, Output, Run
from workbench.namespaces import MAKER, UNSHARE, namespaces_allowed


def test_orphans_are_seen() -> None:
    """25 orphans of the test's own; others on the machine only add to the number."""
    command = [*UNSHARE, sys.executable, MAKER, "--own-loopback"] if namespaces_allowed() else [sys.executable, MAKER]
    with subprocess.Popen([*command, "25"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdin and maker.stdout
        assert maker.stdout.readline() == "25 orphans\n"
        seen = subprocess.run(
            [BIN / "check_tcp_orphans", "--max-orphans", "1000000", "--no-state"], capture_output=True, text=True
        )
        maker.stdin.close()
        # From its own sockets: the number of the machine says nothing about these.
        assert maker.stdout.readline() == "0 orphans\n"
    assert maker.returncode == 0
    found = re.search(r"orphans=(\d+);", seen.stdout)
    assert found and int(found[1]) >= 25
    assert seen.returncode == 0


@pytest.mark.skipif(not namespaces_allowed(), reason="this machine allows no user namespaces")
@pytest.mark.parametrize(
    "command, override, limit",
    [
        ("check_tcp_orphans", "--max-orphans=131072", "tcp_max_orphans"),
        ("check_tcp_mem", "--tcp-mem=287832,383779,575664", "tcp_mem"),
    ],
)
def test_child_namespace(command: str, override: str, limit: str) -> None:
    inside = subprocess.run([*UNSHARE, BIN / command], capture_output=True, text=True)
    assert inside.returncode == 3
    assert (
        f"UNKNOWN - {limit} cannot be seen in a container (a child network namespace). Next: run the check on the host, or give "
        "--"
    ) in inside.stdout
    judged = subprocess.run([*UNSHARE, BIN / command, override], capture_output=True, text=True)
    assert judged.returncode in (0, 1, 2)


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
def test_live_numbers_are_the_kernels(run: Run, command: str) -> None:
    output = run(command)
    if output.code == 3:
        assert "child network namespace" in output.text or "is hidden or not complete" in output.text
        return
    limits = [int(word) for word in pathlib.Path("/proc/sys/net/ipv4/tcp_max_orphans").read_text().split()]
    if command == "check_tcp_mem":
        limits = [int(word) for word in pathlib.Path("/proc/sys/net/ipv4/tcp_mem").read_text().split()]
    label = {"check_tcp_orphans": "orphans", "check_tcp_mem": "pages"}[command]
    assert output.perfdata[label].endswith(f";{limits[-1]}")


def assert_honest(output: Output) -> None:
    """What the check says of the ring is what opening it says to this user."""
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        assert output.code == 3
        assert f"cannot open /dev/kmsg: {error.strerror}. Next: {kmsg.remedy(error.errno, views.DEVICE)}" in output.text
    else:
        assert "hits" in output.perfdata


def test_kernel_ring(run: Run) -> None:
    assert_honest(run("check_tcp_kernel_log", "--source", "kmsg"))


def test_kernel_ring_without_rights(run: Run, powerless: None) -> None:
    assert_honest(run("check_tcp_kernel_log", "--source", "kmsg"))
