"""What a container shows of itself: real PID namespaces, and a real mount over meminfo."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

from tcp_headroom.boot import init_system
from workbench.command import ROOT

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


def inside(code: str, script: str, *options: str) -> str:
    """What ``code`` prints within namespaces, after ``script``."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    program = f"{script}\nexec {sys.executable} -c '{code}'"
    done = subprocess.run(
        [*UNSHARE, *options, "sh", "-ec", program], env={"PYTHONPATH": str(ROOT / "checks"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode and "unshare:" in done.stderr:
        pytest.skip(f"needs namespaces: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_file_laid_over_meminfo(tmp_path: pathlib.Path) -> None:
    """As lxcfs does, though by another file system."""
    code = 'from tcp_headroom.proc import meminfo; print(meminfo.foreign("/proc"), meminfo.read("/proc").total)'
    fake = tmp_path / "meminfo"
    fake.write_text("MemTotal: 4096 kB\n")
    assert inside(code, f"mount --bind {fake} /proc/meminfo") == f"True {4096 << 10}"
    assert inside(code, ":").startswith("False ")


def test_a_first_process_that_is_not_the_machines() -> None:
    """s6-svscan as the first process of a container that has the host's network; only what lies on the disk is made up."""
    code = (
        'open("/proc/1/comm", "w").write("s6-svscan")\n'
        "from tcp_headroom.boot import host_root, init_system\n"
        "from tcp_headroom.blind import Blind\n"
        "init_system.exists = lambda tree, path: False\n"
        'host_root.Root.kind = lambda tree, path: host_root.FILE if path == "/sbin/sysctl" else host_root.NOTHING\n'
        'try: print(init_system.tool(host_root.Root("/"), "/proc", True))\n'
        "except Blind as reason: print(reason)"
    )
    assert inside(code, "mount -t proc proc /proc", "--pid", "--fork") == (
        "this is a container (own PID namespace), whose files do not boot the "
        "machine; give the root of the host with --sysctl-root (/ if this is the host)"
    )


def test_the_first_pid_namespace() -> None:
    """This process is in one that is the machine's, or is not; a new one never is."""
    code = 'from tcp_headroom.boot import init_system; print(init_system._inside("/proc"))'
    assert inside(code, "mount -t proc proc /proc", "--pid", "--fork") == "True"
    number = pathlib.Path("/proc/self/ns/pid").stat().st_ino
    assert init_system._inside("/proc") == (number != 0xEFFFFFFC)


def test_a_root_that_the_first_process_has_not(tmp_path: pathlib.Path) -> None:
    """A chroot below the root, a file system of its own, and a mount namespace of its own, which changes nothing."""
    asked = 'import os; from tcp_headroom.boot import init_system; {}print(init_system._elsewhere("/proc"))'
    plain, chroot = asked.format(""), asked.format(f'os.chroot("{tmp_path}"); ')
    processes = f"mkdir -p {tmp_path}/proc; mount --rbind /proc {tmp_path}/proc"
    assert inside(plain, ":") == str(init_system._elsewhere("/proc"))
    assert inside(chroot, processes) == "True"
    assert inside(chroot, f"mount -t tmpfs none {tmp_path}; {processes}") == "True"
