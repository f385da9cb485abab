"""Containers of OpenVZ, made by the rules of its kernels: what the checks say is what such a kernel does."""

from __future__ import annotations

import pathlib
import random
import re
import shutil

import pytest

from tcp_headroom.limits import tcp_max_orphans
from tcp_headroom.verdict import judgement
from workbench import openvz
from workbench.command import FIXTURES, Output, Run
from workbench.openvz import STAB028, STAB042, UNLIMITED, Container

OK, WARNING, CRITICAL, UNKNOWN = range(4)

BY_DESIGN = ", by design in a container of OpenVZ 2.6.18."


@pytest.mark.parametrize("tree", openvz.TREES)
def test_the_fixtures_are_made_by_the_rules(tmp_path: pathlib.Path, tree: str) -> None:
    made, kept = openvz.TREES[tree]().write(tmp_path), FIXTURES / "openvz" / tree
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
    for name in names:
        assert (made / name).read_text() == (kept / name).read_text(), name


def test_every_fixture_is_made() -> None:
    assert {path.name for path in (FIXTURES / "openvz").iterdir()} == set(openvz.TREES)


@pytest.mark.parametrize("barrier", [0, 1, 4, 7, 8, 9, 80, 81, 83, 84, 360, (1 << 33) - 1])
def test_the_share_of_numtcpsock(barrier: int) -> None:
    """As many orphans as the share are spared, one more is not, whatever the penalty."""
    share = tcp_max_orphans.share(barrier)
    assert share is not None
    for shift, margin in enumerate(tcp_max_orphans.margins(0, share)):
        kernel = Container(numtcpsock=barrier)
        assert margin.left < 0 or not kernel.too_many(margin.limit << shift)
        assert kernel.too_many((margin.limit + 1) << shift)


@pytest.mark.parametrize("barrier", [UNLIMITED, 1 << 33])
def test_no_share(barrier: int) -> None:
    """No int that counts orphans, shifted or not, is as large as the quarter."""
    assert tcp_max_orphans.share(barrier) is None
    assert not Container(numtcpsock=barrier).too_many((1 << 31) - 1)


def check(run: Run, container: Container, root: pathlib.Path, command: str, *arguments: str) -> Output:
    return run(command, "--procfs", container.write(root), *arguments)


@pytest.mark.parametrize(
    "orphans, state, words",
    [
        (0, OK, "0 orphans, 0.0 % of tcp_max_orphans 1000. 1000 below 100 %"),
        (251, OK, "251 orphans, 25.1 %"),
        (500, OK, "500 orphans, 50.0 %"),
        (501, WARNING, "over 50 %, every closed socket is reset at 100 %: 501 orphans, 50.1 % of tcp_max_orphans 1000. Next"),
        (900, WARNING, "over 50 %, every closed socket"),
        (901, CRITICAL, "over 90 %, every closed socket is reset at 100 %"),
        (1000, CRITICAL, "over 90 %, every closed socket is reset at 100 %"),
        (1001, CRITICAL, "over 90 %, every closed socket is reset at 100 %: 1000 orphans"),
    ],
)  # fmt: skip
def test_tcp_max_orphans_is_compared_unshifted(
    run: Run, tmp_path: pathlib.Path, orphans: int, state: int, words: str
) -> None:
    container = Container(numtcpsock=UNLIMITED, max_orphans=1000)
    container.open(2000)
    container.close(orphans)
    container.timers(silent=True, icmp=True)
    assert container.orphans == min(orphans, 1000)
    output = check(run, container, tmp_path, "check_tcp_orphans")
    assert output.code == state and words in output.lines[0]
    assert {label for label in output.perfdata if "headroom" in label} == {"headroom_1x"}
    assert output.perfdata["usage"].endswith("%;50;90;0")
    assert not container.aborts or container.orphans == 1000


@pytest.mark.parametrize(
    "orphans, state, words",
    [
        (22, OK, "22 orphans"),
        (23, WARNING, "over 25 %, only dead peers at risk: 23 orphans, 25.8 % of the 89 that numtcpsock leaves the container"),
        (44, WARNING, "over 25 %"),
        (45, CRITICAL, "over 50 %, live peers at risk: 45 orphans, 50.6 % of the 89"),
        (89, CRITICAL, "over 50 %"),
        (200, CRITICAL, "over 50 %, live peers at risk: 89 orphans, 100.0 % of the 89"),
    ],
)  # fmt: skip
def test_the_share_is_compared_with_the_penalties(
    run: Run, tmp_path: pathlib.Path, orphans: int, state: int, words: str
) -> None:
    container = Container(numtcpsock=360)
    container.open(300)
    container.close(orphans)
    output = check(run, container, tmp_path, "check_tcp_orphans", "-v")
    assert output.code == state and words in output.lines[0]
    assert output.code == OK or "raise numtcpsock on the node" in output.text
    assert output.case == (judgement.NO_SHORTAGE if state == OK else judgement.CONTAINER)
    # The kernel resets none or some at the margin that the check names, and none at the next.
    standing = container.orphans
    for factor, penalties in ((4, (True, True)), (2, (True, False)), (1, (False, False))):
        left = int(output.perfdata[f"container_headroom_{factor}x"])
        container.timers(*penalties)
        assert (container.orphans < standing) == (left < 0)
        container.orphans = standing


def test_any_container(run: Run, tmp_path: pathlib.Path) -> None:
    """A life at random: never an alarm while no penalty of this kernel resets, never none where one does."""
    dice = random.Random(42)
    states = []
    for _life in range(60):
        barrier = dice.choice([8, 80, 360, 1000, UNLIMITED])
        container = Container(numtcpsock=barrier, max_orphans=dice.choice([50, 500, 65536]))
        container.open(dice.randrange(1, 600))
        container.close(dice.randrange(0, 400))
        output = check(run, container, tmp_path, "check_tcp_orphans")
        standing, quarter = container.orphans, barrier >> 2
        full = container.held["numtcpsock"] >= barrier
        used = standing / container.max_orphans
        worst = (
            CRITICAL
            if standing << 1 >= quarter and standing
            else WARNING
            if standing << 2 >= quarter and standing
            else OK
        )
        worst = max(worst, CRITICAL if used > 0.9 else WARNING if used > 0.5 or full else OK)
        assert output.code == worst, (barrier, container.max_orphans, standing, output.text)
        states.append(worst)
    assert set(states) == {OK, WARNING, CRITICAL}


@pytest.mark.parametrize("release", [STAB042, "2.6.32-5-openvz-amd64", "3.10.0-042stab120.19", "2.6.32-openvz-042stab093.5-amd64"])  # fmt: skip
def test_all_containers_included_is_not_said(run: Run, tmp_path: pathlib.Path, release: str) -> None:
    container = openvz.many_orphans()
    container.kernel = STAB042
    container.write(tmp_path)
    (tmp_path / "sys/kernel/osrelease").write_text(release + "\n")
    output = run("check_tcp_orphans", "--procfs", tmp_path, "-v")
    assert output.code == OK
    assert "those of containers included" not in output.text
    assert "Only orphans of this container count." in output.text


def test_later_kernels_count_the_machine(run: Run, tmp_path: pathlib.Path) -> None:
    """OpenVZ 7 is 3.10: its sockstat is that of every kernel (net/ipv4/proc.c, tcp_orphan_count)."""
    openvz.many_orphans().write(tmp_path)
    (tmp_path / "sys/kernel/osrelease").write_text("3.10.0-1160.90.1.vz7.200.7\n")
    output = run("check_tcp_orphans", "--procfs", tmp_path, "-v")
    assert output.code == WARNING and "headroom_4x" in output.perfdata


def test_a_user_without_rights(run: Run, tmp_path: pathlib.Path, powerless: None) -> None:
    """user_beancounters is root's alone; that it is there anyone sees, so the limit is compared unshifted."""
    openvz.many_orphans().write(tmp_path)
    (tmp_path / "user_beancounters").chmod(0)
    output = run("check_tcp_orphans", "--procfs", tmp_path, "-v")
    assert output.code == OK
    assert "The limit numtcpsock is not seen: cannot open /" in output.lines[0]
    assert output.lines[0].endswith("/user_beancounters: Permission denied")
    seen = run("check_tcp_mem", "--procfs", tmp_path).lines[0]
    assert "The limits of tcpsndbuf and tcprcvbuf are not seen: cannot open /" in seen
    assert any(line.startswith("not shown, limits of the container: cannot open ") for line in output.lines)


@pytest.mark.parametrize("resource, command", [("numtcpsock", "check_tcp_orphans"), ("tcpsndbuf", "check_tcp_mem"), ("tcprcvbuf", "check_tcp_mem")])  # fmt: skip
def test_what_is_refused_is_an_alarm(run: Run, tmp_path: pathlib.Path, resource: str, command: str) -> None:
    """Of the check it belongs to, for as long as an hour; what was refused before anyone looked is none."""
    root, state = tmp_path / "proc", str(tmp_path / "state")
    container = openvz.quiet()
    container.failcnt[resource] = 7
    other = ({"check_tcp_orphans", "check_tcp_mem"} - {command}).pop()
    assert check(run, container, root, command, "--state-dir", state).code == OK
    container.charge(resource, UNLIMITED)
    output = check(run, container, root, command, "--state-dir", state)
    assert output.code == WARNING
    assert f" refused 1 times within 1 min: container 101 holds {container.held[resource]} of " in output.lines[0]
    assert (
        f" {resource}. Next: find who " in output.lines[0] and f", then raise {resource} on the node" in output.lines[0]
    )
    assert check(run, container, root, other, "--state-dir", state).code == OK
    assert check(run, container, root, command, "--no-state").code == OK


def test_a_node_of_many_containers(run: Run, tmp_path: pathlib.Path) -> None:
    """A refusal in any one of them is seen, though the state has many to remember."""
    root, state = tmp_path / "proc", str(tmp_path / "state")
    container = openvz.quiet()
    container.write(root)
    header, line, rows = container.user_beancounters().partition("failcnt\n")
    for refused, expected in ((0, OK), (3, WARNING), (3, WARNING)):
        texts = [rows.replace(f"{container.uid}:", f"{uid}:") for uid in range(1000, 1700)]
        texts[400] = re.sub(r"(tcpsndbuf(?: +[0-9]+){4} +)[0-9]+", rf"\g<1>{refused}", texts[400])
        (root / "user_beancounters").write_text(header + line + "".join(texts))
        output = run("check_tcp_mem", "--procfs", root, "--state-dir", state)
        assert output.code == expected, output.text
    assert "send buffers refused 3 times within 1 min: container 1400 holds " in output.lines[0]


def test_a_node_names_the_container_that_is_refused_most(run: Run, tmp_path: pathlib.Path) -> None:
    """And its own orphans are those of container 0."""
    texts = []
    for uid, refused in ((0, 0), (102, 5), (103, 37)):
        container = Container(uid=uid, numtcpsock=80 if uid else UNLIMITED)
        container.open(80 + refused)
        texts.append(container.user_beancounters().partition("failcnt\n")[2])
    container.write(tmp_path)
    header = container.user_beancounters().partition("failcnt\n")
    (tmp_path / "user_beancounters").write_text(header[0] + header[1] + "".join(texts))
    output = run("check_tcp_orphans", "--procfs", tmp_path)
    assert output.code == WARNING
    assert ": container 103 holds 80 of 80 numtcpsock, and of 1 more container. Next: " in output.lines[0]
    assert "container_usage" not in output.perfdata


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
def test_2_6_18_is_silent_by_design(run: Run, command: str) -> None:
    output = run(command, "--procfs", "openvz/container-2.6.18")
    assert output.code == UNKNOWN
    assert "net/sockstat is empty, by design in a container of OpenVZ 2.6.18. Next: " in output.lines[0]


@pytest.mark.parametrize(
    "release, there, said",
    [
        ("6.1.0-56-amd64", False, "."),
        ("2.6.32-042stab113.5", True, "."),
        ("2.6.18-028stab056", False, BY_DESIGN),
        ("3.10.0-028stab056", True, BY_DESIGN),
        (None, True, BY_DESIGN),
        (None, False, "."),
    ],
)
@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
def test_an_empty_sockstat(
    run: Run, tmp_path: pathlib.Path, command: str, release: str | None, there: bool, said: str
) -> None:
    """By design where that kernel is proved, or nothing is known of it but that it is OpenVZ; elsewhere it is just empty."""
    shutil.copytree(FIXTURES / "openvz/container-2.6.18", tmp_path, dirs_exist_ok=True)
    (tmp_path / "sys/kernel/osrelease").unlink()
    if release:
        (tmp_path / "sys/kernel/osrelease").write_text(f"{release}\n")
    if not there:
        (tmp_path / "user_beancounters").unlink()
    output = run(command, "--procfs", tmp_path)
    assert output.code == UNKNOWN and f"UNKNOWN - net/sockstat is empty{said} Next: " in output.status


def test_2_6_18_at_its_barrier(run: Run) -> None:
    output = run("check_tcp_orphans", "--procfs", "openvz/container-2.6.18-full", "-v")
    assert output.code == WARNING
    assert output.lines[0].startswith(
        "TCP ORPHANS WARNING - TCP sockets refused: container 1234 holds 80 of 80 numtcpsock. "
    )
    assert any("net/sockstat is empty, by design" in line for line in output.lines)
    assert "numtcpsock of container 1234 has reached its barrier" in output.verdict


def test_the_node_of_2_6_18(run: Run, tmp_path: pathlib.Path) -> None:
    """Its sockstat is there, and has the memory; orphans are counted where nobody prints them."""
    container = Container(uid=0, numtcpsock=UNLIMITED)
    container.write(tmp_path)
    (tmp_path / "sys/kernel/osrelease").write_text(STAB028 + "\n")
    output = run("check_tcp_orphans", "--procfs", tmp_path, "-v")
    assert output.code == UNKNOWN and "OpenVZ 2.6.18 shows no orphans in net/sockstat" in output.lines[0]
    assert output.case == judgement.CANNOT_SAY
    output = run("check_tcp_mem", "--procfs", tmp_path, "-v")
    assert output.code == OK and output.case == judgement.CANNOT_SAY
