"""Memory that no list of sockets shows, by whole runs of check_tcp_mem: by cgroup, in closed sockets, beyond the gauge."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

from tcp_headroom import wording
from workbench.cgroup_trees import CONTAINER, HOSTILE, Tree
from workbench.command import FIXTURES, Output, Run, assert_grammar

MIB = 1 << 20
STARVED = "starved by its own memory limit, not by tcp_mem"


class Host:
    """A /proc tree and cgroups of a host of kernel 6.19, at rest until a test moves them."""

    def __init__(self, run: Run, folder: pathlib.Path) -> None:
        self.run = run
        self.proc = folder / "proc"
        shutil.copytree(FIXTURES / "kernel-7.2/00-idle/host", self.proc)
        (self.proc / "sys/net/core").mkdir(parents=True, exist_ok=True)
        self.cgroups = Tree(folder / "cgroup")
        self.state = folder / "state"

    def bypass(self, value: int) -> None:
        (self.proc / "sys/net/core/bypass_prot_mem").write_text(f"{value}\n")

    def sockets(self, inuse: int, alloc: int, mem: int, orphans: int = 0) -> None:
        (self.proc / "net/sockstat").write_text(
            f"sockets: used 5\nTCP: inuse {inuse} orphan {orphans} tw 2 alloc {alloc} mem {mem}\nUDP: inuse 3 mem 3\n"
        )

    def says(self, *arguments: str, command: str = "check_tcp_mem") -> Output:
        output = self.run(command, "--procfs", str(self.proc), *arguments)
        assert_grammar(output.status)
        for line in output.lines:
            assert line.isprintable()
        return output

    def explains(self, *arguments: str) -> Output:
        return self.says("-v", "--cgroupfs", str(self.cgroups.root), "--state-dir", str(self.state), *arguments)


@pytest.fixture
def host(run: Run, tmp_path: pathlib.Path) -> Host:
    return Host(run, tmp_path)


LEVELS = "--tcp-mem=100,200,400"


@pytest.mark.parametrize(
    "arguments, mem, start",
    [
        ([LEVELS], 10, "TCP MEM OK - 40.0 KiB, 2.5 % of the 1.6 MiB of --tcp-mem. Not counted: sockets that"),
        ([LEVELS], 201, "TCP MEM WARNING - above the pressure level: 804.0 KiB, 50.2 % of the 1.6 MiB of --tcp-mem. Next: "),
        ([LEVELS], 399, "TCP MEM CRITICAL - over 90 %, memory is refused at 100 %: 1.6 MiB, 99.8 %"),
        ([], 10, "TCP MEM UNKNOWN - "),
    ],
)  # fmt: skip
def test_every_state_says_what_the_gauge_leaves_out(host: Host, arguments: list[str], mem: int, start: str) -> None:
    if not arguments:
        (host.proc / "sys/net/ipv4/tcp_mem").unlink()
    host.sockets(1, 1, mem)
    assert "bypass_prot_mem" not in host.says("-v", *arguments).text
    host.bypass(1)
    output = host.says(*arguments)
    assert output.status.startswith(start)
    # Where there is no figure, the reason and its remedy come first.
    seen = output.status if arguments else host.says("-v").text
    assert "Not counted: sockets that net.core.bypass_prot_mem exempts" in seen
    assert ", without sockets that net.core.bypass_prot_mem exempts" in host.says("-v", *arguments).verdict
    assert output.perfdata == host.says("-v", *arguments).perfdata
    host.bypass(0)
    assert "bypass_prot_mem" not in host.says("-v", *arguments).text


def test_the_verdict_of_the_other_checks_knows_it_too(host: Host) -> None:
    host.bypass(1)
    assert (
        ", without sockets that net.core.bypass_prot_mem exempts"
        in host.says("-v", command="check_tcp_orphans").verdict
    )


@pytest.mark.parametrize(
    "inuse, alloc, mem, levels, missing",
    [(7, 100009, 197259, "92049,122732,184098", 100002), (24, 863, 87916, "43257,57676,86514", 839)],
)
def test_a_leak_of_closed_sockets(host: Host, inuse: int, alloc: int, mem: int, levels: str, missing: int) -> None:
    """Two public reports: both possibilities, a number, and a step that finds them; no diagnosis of another host."""
    host.sockets(inuse, alloc, mem)
    (host.proc / "net/sockstat6").unlink(missing_ok=True)
    output = host.says("-v", "--tcp-mem", levels)
    assert output.code == 2
    assert (
        output.lines.count(
            f"{missing} of the {alloc} TCP sockets of this machine are in no list here: they are in other network namespaces "
            "(containers), closed (reset, timed out or ended) and kept by their program, or never connected. ss does not show "
            "them, lsof does (protocol: TCP); closed ones keep their memory"
        )
        == 1
    )
    assert f"are reset; {missing} of {alloc} TCP sockets are in no list here" in output.verdict
    assert "Next: find what ss does not show: containers (check_tcp_mem -v), closed sockets" in output.verdict
    assert "] keeps " not in output.text
    assert "in no list" in host.says("-v", "--tcp-mem", levels, "--no-owners").text


@pytest.mark.parametrize("inuse, alloc, orphans", [(40, 44, 0), (0, 0, 0), (35938, 35942, 21564), (30, 60, 25)])
def test_an_ordinary_host(host: Host, inuse: int, alloc: int, orphans: int) -> None:
    """The last has IPv6 alone, and its orphans may be among those in use."""
    host.sockets(inuse, alloc, 10, orphans)
    assert "in no list" not in host.says("-v").text


def test_by_cgroup(host: Host) -> None:
    host.cgroups.add(f"system.slice/docker-{CONTAINER}.scope", 12 * MIB).add("system.slice/shop.service", 4 * MIB)
    lines = host.explains().lines
    at = lines.index("cgroup docker 0123456789ab: 12.0 MiB, 75.0 %")
    assert lines[at - 1].startswith("Socket memory by cgroup, 16.0 MiB in all (UDP included, ")
    assert lines[at + 1] == "cgroup shop.service: 4.0 MiB, 25.0 %"
    assert host.says("--cgroupfs", str(host.cgroups.root)).lines[1:] == []


def test_not_asked_for(host: Host) -> None:
    """The cgroups of this machine are not those of another's /proc."""
    host.cgroups.add("system.slice/shop.service", 4 * MIB)
    for arguments in (["-v"], ["-v", "--no-owners", "--cgroupfs", str(host.cgroups.root)]):
        assert "cgroup" not in host.says(*arguments).text


def test_a_tree_that_is_none(host: Host, tmp_path: pathlib.Path) -> None:
    output = host.says("-v", "--cgroupfs", str(tmp_path / "no"))
    assert f"not shown, cgroups: no cgroup tree at {tmp_path}/no accounts for the memory of sockets" in output.lines


@pytest.mark.parametrize("part", HOSTILE, ids=map(ascii, range(len(HOSTILE))))
def test_hostile_names(host: Host, part: str) -> None:
    """Neither perfdata nor a terminal sees them, in no line of -v."""
    plain = host.explains()
    host.cgroups.add(f"system.slice/{part}", 5 * MIB, throttled=0)
    host.explains()
    host.cgroups.add(f"system.slice/{part}", 0, throttled=3)
    output = host.explains()
    assert output.perfdata == plain.perfdata and output.code == plain.code == 0
    assert f"Verdict: {STARVED} - " in output.verdict
    named = [line for line in output.lines[1:-1] if "cgroup" in line]
    assert len(named) > 3
    for line in named:
        assert not set(line) & set(wording.ILLEGAL) and len(line) < 900


def test_starved_by_a_cgroup(host: Host) -> None:
    """Growth between two runs is a case of the verdict, and no alarm; what was before the first is of unknown age."""
    host.cgroups.add("system.slice/shop.service", MIB, throttled=40).add("user.slice", 0, throttled=0)
    output = host.explains()
    assert "sock_throttled of all cgroups is 40: the next run with -v sees whether it rises" in output.lines
    assert STARVED not in output.text
    assert "sock_throttled of all cgroups is 40, as it was at the last run with -v" in host.explains().lines
    host.cgroups.add("system.slice/shop.service", 0, throttled=9).add("user.slice", 0, throttled=3)
    for _run in range(2):
        output = host.explains()
        text = (
            "cgroups slowed down their sockets 12 times within 1 min, for lack of memory in the cgroup (sock_throttled), "
            "9 of them in cgroup shop.service"
        )
        assert output.code == 0 and f"{text}: their memory limit does that, not tcp_mem" in output.lines
        assert output.verdict.startswith(f"Verdict: {STARVED} - {text}; ")
        assert ". Next: do not change tcp_mem, it does not help here; raise memory.max" in output.verdict


def test_starved_in_a_cgroup_that_is_new(host: Host) -> None:
    """It was 0 at the last run, since it was not there."""
    host.cgroups.add("system.slice/shop.service", 0, throttled=5)
    host.explains()
    host.cgroups.add(f"system.slice/docker-{CONTAINER}.scope", 0, throttled=7)
    assert "12 times" not in host.explains().text
    assert "7 times within 1 min" in host.explains().text
    assert "7 of them in cgroup docker 0123456789ab" in host.explains().text


def test_a_removed_cgroup_is_no_growth(host: Host) -> None:
    host.cgroups.add("system.slice/shop.service", 0, throttled=5).add("user.slice", 0, throttled=8)
    host.explains()
    shutil.rmtree(host.cgroups.root / "user.slice")
    for _run in range(2):
        assert STARVED not in host.explains().text


def test_without_memory_nothing_rises(host: Host) -> None:
    host.cgroups.add("system.slice", 0, throttled=5)
    for _run in range(2):
        output = host.says("-v", "--cgroupfs", str(host.cgroups.root), "--no-state")
        assert "sock_throttled of all cgroups is 5: the next run with -v sees whether it rises" in output.lines
    assert not host.state.exists()


def test_a_state_that_cannot_be_used(host: Host) -> None:
    host.cgroups.add("system.slice", 0, throttled=5)
    host.state.mkdir(mode=0o777)
    host.state.chmod(0o777)
    for _run in range(2):
        assert "sock_throttled of all cgroups is 5: the next run" in host.explains().text


NEVER = {
    "tcp_headroom.cgroups.holders", "tcp_headroom.cgroups.throttled", "tcp_headroom.sockets.closed",
    "tcp_headroom.commands.holders", "tcp_headroom.proc.sockstat6", "tcp_headroom.memory.growth",
}  # fmt: skip


def test_a_plain_run_pays_nothing() -> None:
    code = (
        "import sys\nfrom tcp_headroom.commands.check_tcp_mem import main\ntry:\n    main(sys.argv[1:])\n"
        f"except SystemExit:\n    print(sorted({NEVER!r} & set(sys.modules)))"
    )
    for arguments, imported in (([], set()), (["-v", "--no-state"], NEVER)):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert set(eval(done.stdout.splitlines()[-1])) == imported
