"""Hosts whose settings were once judged wrongly, from public reports and real kernels: state, sentence, next step."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import NamedTuple

import pytest

from tcp_headroom.proc import meminfo
from workbench.command import FIXTURES, ROOT, Output, Run
from workbench.machine import require_namespaces
from workbench.sysctl_trees import plant

HOSTS = FIXTURES / "settings"


class Answer(NamedTuple):
    """What is right."""

    code: int
    sentences: tuple[str, ...] = ()
    """Parts of the status line."""
    step: str = ""
    """How the next step begins; none in an OK."""
    lines: tuple[str, ...] = ()
    """Whole further lines of ``-v``."""


UNTOUCHED = " (the default), tcp_mem max "
ESTIMATED = " (about the default), tcp_mem max "

LIMITS = {
    "kernelcore-6.1": Answer(
        0,
        (UNTOUCHED, "384.0 MiB (about the default). Both limits survive a reboot"),
        lines=(
            "net.ipv4.tcp_mem: the kernel's default is about 56352 75138 112704 (an estimate, from 42057 56076 84114 to "
            "69882 93176 139764; memory 4.6 GiB, by meminfo, without 58.0 GiB of ZONE_MOVABLE)",
        ),
    ),
    "thash-entries-5.10": Answer(
        0, (f"tcp_max_orphans 512{UNTOUCHED}175.0 MiB (about", "Both limits survive a reboot")
    ),
    "crashkernel-5.10": Answer(
        0,
        (f"tcp_max_orphans 32768{ESTIMATED}324.8 MiB (about the default). Both limits survive a reboot",),
        lines=(
            "net.ipv4.tcp_max_orphans: the kernel's default is about 16384 (16384 to 32768) (an estimate, from the memory)",
        ),
    ),
    "huge-pages-at-boot-7.2": Answer(0, (UNTOUCHED, "541.9 MiB (about the default). Both limits survive a reboot")),
    "64-mib-2.6.37": Answer(0, (f"tcp_max_orphans 1024{ESTIMATED}12.0 MiB (about the default)",)),
    "memory-added-5.15": Answer(
        1,
        (
            "limits too small, memory added after the boot: they fit 901.1 MiB, the machine has 15.8 GiB (or both were lowered)",
        ),
        "reboot, so that the kernel sets both limits again; until then set them (see -v)",
        ("now: sysctl -w net.ipv4.tcp_max_orphans=65536", 'now: sysctl -w net.ipv4.tcp_mem="194262 259019 388524"'),
    ),
    "refused-line-6.1": Answer(
        1,
        ("the kernel refuses a setting: tcp_max_orphans = 262,144 (/etc/sysctl.d/60-orphans.conf line 2)",),
        "write digits only: tcp_max_orphans = 16384 (see -v)",
        ("for good, in /etc/sysctl.d/60-orphans.conf line 2: net.ipv4.tcp_max_orphans = 16384",),
    ),
    "empty-unit-6.1": Answer(
        0,
        ("Both limits survive a reboot",),
        lines=(
            "/etc/systemd/system/systemd-sysctl.service is empty, so no file is applied at boot; a line in a file has no effect before that is undone",
        ),
    ),
    "max-of-256-gib-5.4": Answer(
        1,
        (
            "tcp_mem is no limit: max 256.0 GiB, memory 980.5 MiB; its numbers look like the bytes of tcp_rmem, but tcp_mem counts pages",
        ),
        "set tcp_mem to 11763 15687 23526 (see -v)",
        ("net.ipv4.tcp_mem = 11763 15687 23526 is the kernel's default, an estimate",),
    ),
    "above-memory-in-use-6.1": Answer(
        2,
        ("tcp_mem is no limit: min 1.6 GiB, memory 1.0 GiB",),
        "set tcp_mem to 32768 43690 65536 (see -v)",
        ("net.ipv4.tcp_mem = 32768 43690 65536 is a quarter of the memory at most",),
    ),
    "bytes-of-tcp-rmem-5.15": Answer(
        1,
        ("tcp_mem is no limit: max 24.0 GiB, memory 869.1 MiB; tcp_mem has the bytes of tcp_rmem, but counts pages",),
        "set tcp_mem to 10428 13906 20856 (see -v)",
        ('now: sysctl -w net.ipv4.tcp_mem="10428 13906 20856"',),
    ),
    "nearly-full-6.1": Answer(
        0,
        (UNTOUCHED, "Both limits survive a reboot"),
        lines=(
            'if TCP needs more: sysctl -w net.ipv4.tcp_mem="93384 124512 186768" (at most 729.6 MiB, twice the maximum of '
            "now; needs 383.0 MiB more than TCP holds, 1.9 GiB are available: it is there)",
        ),
    ),
}

MEMORY = {
    "above-memory-in-use-6.1": Answer(
        2,
        ("TCP holds over 75 % of the memory of this machine: 898.4 MiB, 93.5 % of 960.9 MiB",),
        "find who holds it (ss -tm); then lower net.ipv4.tcp_mem (see -v)",
        (
            'once TCP holds less than that: sysctl -w net.ipv4.tcp_mem="30750 41000 61500" (at most 240.2 MiB, a quarter of '
            "the memory; now 666.0 % are allowed)",
        ),
    ),
    "nearly-full-6.1": Answer(
        2,
        ("over 90 %, memory is refused at 100 %: 346.5 MiB, 95.0 % of the 364.8 MiB allowed",),
        "find who holds it (ss -tm); if memory allows, raise tcp_mem (see -v)",
        LIMITS["nearly-full-6.1"].lines,
    ),
}


def check(run: Run, command: str, name: str, *options: str) -> Output:
    arguments = ["--procfs", str(HOSTS / name / "proc"), "--no-state", *options]
    root = HOSTS / name / "root"
    if command == "check_tcp_limits":
        arguments += ["--sysctl-root", str(root)] if root.exists() else ["--no-drift"]
    return run(command, *arguments)


def judge(output: Output, explained: Output, answer: Answer) -> None:
    text = output.lines[0].partition(" | ")[0]
    assert (output.code, explained.code) == (answer.code, answer.code), text
    for sentence in answer.sentences:
        assert sentence in text, text
    facts, _next, step = text.partition(". Next: ")
    assert step.startswith(answer.step) and bool(step) == bool(answer.step), text
    for line in answer.lines:
        assert line in explained.lines, explained.text


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_limits(run: Run, name: str) -> None:
    output = check(run, "check_tcp_limits", name)
    judge(output, check(run, "check_tcp_limits", name, "-v"), LIMITS[name])
    if LIMITS[name].code == 0:
        assert output.perfdata["mem_limit_pct"] == output.perfdata["orphans_limit_pct"] == "100%;;;0"
        assert output.perfdata.get("drift", "0;;;0") == "0;;;0"


def test_every_host_is_judged() -> None:
    assert {path.name for path in HOSTS.iterdir()} == set(LIMITS) >= set(MEMORY)


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_memory(run: Run, name: str) -> None:
    """All others are in good order, as far as usage goes."""
    judge(check(run, "check_tcp_mem", name), check(run, "check_tcp_mem", name, "-v"), MEMORY.get(name, Answer(0)))


def test_the_verdict_leads_to_numbers(run: Run) -> None:
    output = check(run, "check_tcp_mem", "nearly-full-6.1", "-v")
    assert 'sysctl -w net.ipv4.tcp_mem="93384 124512 186768"' in output.verdict
    output = check(run, "check_tcp_mem", "above-memory-in-use-6.1", "-v")
    assert output.case == "short of TCP memory" and "93.5 % of the memory of this machine" in output.verdict
    assert 'sysctl -w net.ipv4.tcp_mem="30750 41000 61500"' in output.verdict


class TestSilenced:
    """One option in each check."""

    @pytest.mark.parametrize(
        "name, code", [("max-of-256-gib-5.4", 0), ("above-memory-in-use-6.1", 0), ("bytes-of-tcp-rmem-5.15", 1)]
    )
    def test_limits(self, run: Run, name: str, code: int) -> None:
        """Numbers of another setting stay what they are."""
        output = check(run, "check_tcp_limits", name, "--no-memory")
        assert output.code == code and "no limit" not in output.text

    @pytest.mark.parametrize("options", [("--no-memory",), ("--tcp-mem", "409600,819200,1638400")])
    def test_memory(self, run: Run, options: tuple[str, ...]) -> None:
        output = check(run, "check_tcp_mem", "above-memory-in-use-6.1", *options)
        assert output.code == 0
        assert output.perfdata["memory_usage"] == "93.4959%;;;0"
        verdict = check(run, "check_tcp_mem", "above-memory-in-use-6.1", "-v", *options).verdict
        assert "of the memory of this machine" not in verdict


class TestNotTheHostsMemory:
    """Where lxcfs lays another file over meminfo, it is no measure of the limits of the machine."""

    @pytest.fixture(autouse=True)
    def laid_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tcp_headroom.proc.meminfo.foreign", lambda _root: True)

    def test_limits(self, run: Run) -> None:
        assert check(run, "check_tcp_limits", "above-memory-in-use-6.1").code == 0

    def test_memory(self, run: Run) -> None:
        output = check(run, "check_tcp_mem", "above-memory-in-use-6.1", "-v")
        assert output.code == 0 and "memory_usage" in output.perfdata
        assert not any("sysctl -w" in line for line in output.lines)


def test_a_container_of_openvz_shows_its_own_memory(tmp_path: pathlib.Path) -> None:
    """The node does not, and has ``/proc/bc``."""
    plant(tmp_path, {"meminfo": "", "user_beancounters": ""})
    assert meminfo.foreign(str(tmp_path))
    plant(tmp_path, {"bc/resources": ""})
    assert not meminfo.foreign(str(tmp_path))


def test_nothing_is_laid_over_a_plain_tree(tmp_path: pathlib.Path) -> None:
    (tmp_path / "meminfo").touch()
    assert not meminfo.foreign(str(tmp_path)) and not meminfo.foreign("/proc")
    assert not meminfo.foreign("/nonexistent")


OVERLAY = """
mount -t tmpfs none "$1"; cd "$1"; mkdir lower upper work tree
mount -t tmpfs none lower; touch lower/meminfo
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none tree
[ "$(stat -c %d tree)" != "$(stat -c %d tree/meminfo)" ]
ask='from tcp_headroom.proc import meminfo; print(meminfo.foreign("tree"))'
"$2" -c "$ask"; mount -t tmpfs none upper; touch upper/other; mount --bind upper/other tree/meminfo; "$2" -c "$ask"
"""


def test_a_tree_in_a_container_image_is_a_plain_tree(tmp_path: pathlib.Path) -> None:
    """On overlayfs a file is of another device than its directory; that alone is no other file laid over it."""
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc")
    require_namespaces(*command[:4])
    done = subprocess.run(
        [*command, OVERLAY, "sh", str(tmp_path), sys.executable], env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "checks")},
        capture_output=True, text=True,
    )  # fmt: skip
    if "mount" in done.stderr:
        pytest.skip(f"this machine does not let this user do: {done.stderr.strip()}")
    assert (done.stderr, done.stdout) == ("", "False\nTrue\n")
