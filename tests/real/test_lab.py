"""The kernel lab's run of every day: real kernels under QEMU, every scenario, every fault noticed."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from lab import boot, initramfs, kernels
from lab.__main__ import SCENARIOS, listing
from workbench.command import ROOT

TESTS = ROOT / "tests"
QUICK = [kernel for kernel in kernels.KERNELS if kernel.daily == kernels.quick]
OTHERS = [kernel for kernel in kernels.KERNELS if kernel.daily == kernels.few]
EVERY_DAY = [name for name, scenario in SCENARIOS.items() if scenario.quick]


def lab(*arguments: str, ci: str = "true") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(TESTS), "CI": ci}
    return subprocess.run([sys.executable, "-m", "lab", *arguments], env=environment, capture_output=True, text=True)


def need(kernel: kernels.Kernel) -> None:
    """Skip unless the kernel can be had and booted."""
    try:
        boot.available(kernel.machine)
        kernels.image(kernel)
        initramfs.base(kernel.machine)
    except kernels.Missing as reason:
        pytest.skip(f"kernel {kernel.name}: {reason}")


@pytest.mark.parametrize("kernel", QUICK, ids=lambda kernel: kernel.name)
def test_every_scenario(kernel: kernels.Kernel) -> None:
    need(kernel)
    done = lab("--kernel", kernel.name)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"\n{len(EVERY_DAY)} ok, 0 untrue, 0 not run\n" in done.stdout


@pytest.mark.parametrize("kernel", OTHERS, ids=lambda kernel: kernel.name)
def test_other_machines(kernel: kernels.Kernel) -> None:
    """Pages of 64 KiB, and the other order of bytes."""
    need(kernel)
    done = lab("--kernel", kernel.name, *(word for name in kernels.FEW for word in ("--scenario", name)))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"\n{len(kernels.FEW)} ok, 0 untrue, 0 not run\n" in done.stdout


def test_the_list_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is in the cache is said, what the mirror has is asked, and a kernel that is gone is said to be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = tmp_path / "tcp-headroom/kernels/6.1/vmlinuz-6.1.0-1-cloud-amd64"
    cached.parent.mkdir(parents=True)
    cached.touch()
    two = [kernel for kernel in kernels.KERNELS if kernel.name in ("6.1", "newest")]
    monkeypatch.setattr(kernels, "KERNELS", (*two, two[1]._replace(name="gone", package="linux-image-0.99")))
    monkeypatch.setattr(boot, "available", lambda _machine: None)
    listing()
    found = {line.split()[0]: line.partition("amd64, ")[2] for line in capsys.readouterr().out.splitlines()[1:4]}
    assert found["6.1"] == "in the cache, 6.1.0-1-cloud-amd64"
    assert found["gone"].startswith("not to be had: apt-")
    if found["newest"].startswith("not to be had: "):
        pytest.skip(found["newest"])
    assert found["newest"].startswith("on the mirror, linux-")


def test_what_only_the_newest_kernel_has() -> None:
    """Since 6.19: cgroups that say when they slow down sockets, and sockets that no gauge counts."""
    (kernel,) = (kernel for kernel in kernels.KERNELS if kernel.name == "newest")
    need(kernel)
    done = lab("--kernel", kernel.name, "--scenario", "starved-by-cgroup", "--scenario", "beyond-the-gauge")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "\n2 ok, 0 untrue, 0 not run\n" in done.stdout


def test_every_fault_is_noticed() -> None:
    need(QUICK[0])
    done = lab("--mutations")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "SURVIVED" not in done.stdout


@pytest.mark.parametrize("ci, code", [("true", 1), ("", 0)])
def test_what_was_not_run_is_not_ok(ci: str, code: int) -> None:
    done = lab("--kernel", "/nonexistent/vmlinuz-1.2", "--scenario", "idle", ci=ci)
    assert (done.returncode, done.stderr) == (code, "")
    assert "\n0 ok, 0 untrue, 1 not run\n" in done.stdout


def test_a_guest_that_dies_is_not_ok(tmp_path: pathlib.Path) -> None:
    need(QUICK[0])
    (tmp_path / "vmlinuz-1.2").write_bytes(b"no kernel")
    done = lab("--kernel", str(tmp_path / "vmlinuz-1.2"), "--scenario", "idle")
    assert (done.returncode, done.stderr) == (1, "")
    assert "\n0 ok, 1 untrue, 0 not run\n" in done.stdout


def test_list() -> None:
    done = lab("--list")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("5.10", "6.1", "6.12", "newest", "idle", "little-memory", "owners"):
        assert f"\n  {name}" in done.stdout
