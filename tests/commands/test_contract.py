"""What every command promises to a monitoring server: options, exit codes, one line, its length."""

from __future__ import annotations

import pathlib
import re
import shutil

import nagiosplugin
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcp_headroom import __version__, wording
from tcp_headroom.commands import options, plugin
from tcp_headroom.proc import reading
from workbench.command import COMMANDS, FIXTURES, Output, Run, assert_grammar

EVERY = pytest.mark.parametrize("command", COMMANDS)
GAUGES = pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])

PERFDATA = re.compile(r"[a-z0-9_]+=-?[0-9]+(\.[0-9]+)?(%|B|c)?(;-?[0-9.]*){0,4}")


def assert_line(output: Output) -> None:
    """One line that fits NRPE's protocol 2, with perfdata that every server reads, and in the grammar of all lines."""
    assert len(output.lines) == 1
    assert_grammar(output.status)
    assert len(output.text.rstrip("\n").encode()) <= 1023
    for word in output.text.partition("| ")[2].split():
        assert PERFDATA.fullmatch(word), word


@EVERY
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(run: Run, command: str, option: str) -> None:
    output = run(command, option)
    assert output.code == 3
    assert output.text.startswith(f"usage: {command} ")


@EVERY
@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(run: Run, command: str, option: str) -> None:
    assert run(command, option) == (3, f"{command} {__version__}\n")


@EVERY
@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["-w", "x"], "argument -w/--warning: x is not a range; examples: 10 10: 10:20 @10:20"),
        (["-c", "1_000"], "argument -c/--critical: 1_000 is not a range; examples: 10 10: 10:20 @10:20"),
        (["-w", "20:10"], "argument -w/--warning: 20:10 is not a range: start 20 must not be greater than end 10"),
        (["-w", "1e3"], "argument -w/--warning: 1e3 is not a range; examples: 10 10: 10:20 @10:20"),
        (["-w", ""], "argument -w/--warning: is not a range; examples: 10 10: 10:20 @10:20"),
        (["-w", "٣"], "argument -w/--warning: ٣ is not a range; examples: 10 10: 10:20 @10:20"),
        (["-t", "0"], "argument -t/--timeout: 0 is not a whole number of seconds from 1 on"),
        (["-t", "0.5"], "argument -t/--timeout: 0.5 is not a whole number of seconds from 1 on"),
        (["-t", "-1"], "argument -t/--timeout: -1 is not a whole number of seconds from 1 on"),
        (["-w"], "argument -w/--warning: expected one argument"),
        (["extra"], "unrecognized arguments: extra"),
        (["--time", "3"], "unrecognized arguments: --time 3"),
        (["--x\033[2J|y=1"], "unrecognized arguments: --x?[2J?y=1"),
    ],
)
def test_usage_error(run: Run, command: str, arguments: list[str], reason: str) -> None:
    assert run(command, *arguments) == (3, f"{command} UNKNOWN - {reason}. Next: see {command} --help\n")


@EVERY
def test_percent_sign_is_accepted_where_the_unit_is_percent(run: Run, command: str) -> None:
    text = run(command, "-w", "25%", "--procfs", "article/front-end-32g", "-t", "1").text
    assert ("is not a range" in text) == (command == "check_tcp_kernel_log")


@pytest.mark.parametrize("option, bad", [("--max-orphans", ("0", "-1", "1.5", "x", "")), ("--tcp-mem", ("1,2", "0,1,2", "1,2,3,4", "a,b,c", "1 2 3"))])  # fmt: skip
def test_overrides_below_one_are_usage_errors(run: Run, option: str, bad: tuple[str, ...]) -> None:
    command = "check_tcp_orphans" if option == "--max-orphans" else "check_tcp_mem"
    for value in bad:
        output = run(command, f"{option}={value}")
        assert output.code == 3
        assert output.text.startswith(f"{command} UNKNOWN - argument {option}: {value}".rstrip()), value


@EVERY
def test_tree_that_is_missing(run: Run, command: str, tmp_path: pathlib.Path) -> None:
    output = run(command, "--procfs", tmp_path / ("x" * 200 + "|"))
    assert output.code == 3
    assert "... is not a /proc tree. Next: check --procfs, and the rights of this user" in output.text
    assert_line(output)


def test_tree_that_is_missing_and_the_log_as_well(run: Run, tmp_path: pathlib.Path) -> None:
    """The tree is named first: the log may be unreadable for the same reason."""
    output = run("check_tcp_kernel_log", "--procfs", tmp_path / "host", "--kmsg", tmp_path / "host/kmsg")
    assert output.code == 3
    assert "/host is not a /proc tree" in output.text
    assert "Next: check --procfs, and the rights of this user" in output.text
    assert_line(output)


@GAUGES
@pytest.mark.parametrize("spoilt", ["net/sockstat", "net/netstat", "net/protocols", "meminfo", "sys/net/ipv4/tcp_max_orphans", "sys/net/ipv4/tcp_mem"])  # fmt: skip
@pytest.mark.parametrize("how", ["missing", "empty", "directory", "fifo", "garbage", "long"])
def test_spoilt_file(run: Run, command: str, tmp_path: pathlib.Path, spoilt: str, how: str) -> None:
    """What the verdict needs makes it UNKNOWN; what only enriches it costs its own labels alone."""
    tree = tmp_path / "proc"
    shutil.copytree(FIXTURES / "kernel-6.18/00-idle/host", tree)
    (tree / "meminfo").write_text("MemTotal: 24684084 kB\n")
    healthy = run(command, "--procfs", tree)
    file = tree / spoilt
    file.unlink()
    if how == "empty":
        file.touch()
    elif how == "directory":
        file.mkdir()
    elif how == "fifo":
        import os

        os.mkfifo(file)
    elif how == "garbage":
        file.write_bytes(b"\x1b[31m|x=1\0\xff" * 20)
    elif how == "long":
        file.write_bytes(b"1 " * reading.LIMIT)
    output = run(command, "--procfs", tree)
    assert_line(output)
    own = {"check_tcp_orphans": "tcp_max_orphans", "check_tcp_mem": "tcp_mem"}[command]
    # tcp_max_orphans missing beside a readable sys/net/ipv4 means a child namespace to both.
    needed = (
        spoilt == "net/sockstat" or spoilt.endswith(own) or (how == "missing" and spoilt.endswith("tcp_max_orphans"))
    )
    assert output.code == (3 if needed else 0)
    assert set(output.perfdata) <= set(healthy.perfdata)
    if not needed:
        enriching = spoilt == "net/netstat" or (command == "check_tcp_mem" and spoilt in ("net/protocols", "meminfo"))
        assert (output.perfdata == healthy.perfdata) == (not enriching)
        assert ("not shown" in run(command, "--procfs", tree, "-v").text) == enriching
    else:
        assert output.perfdata, "what was read is still reported"


def write_tree(root: pathlib.Path, orphans: int, mem: int, limit: int, levels: tuple[int, int, int]) -> None:
    (root / "net").mkdir(parents=True, exist_ok=True)
    (root / "sys/net/ipv4").mkdir(parents=True, exist_ok=True)
    (root / "net/sockstat").write_text(f"TCP: inuse 1 orphan {orphans} tw 0 alloc 2 mem {mem}\n")
    (root / "sys/net/ipv4/tcp_max_orphans").write_text(f"{limit}\n")
    (root / "sys/net/ipv4/tcp_mem").write_text("\t".join(map(str, levels)) + "\n")
    names = "TCPAbortOnMemory TCPMemoryPressures TCPMemoryPressuresChrono PruneCalled TCPRcvQDrop"
    (root / "net/netstat").write_text(f"TcpExt: {names}\nTcpExt: {' '.join([str(2**64 - 1)] * 5)}\n")
    (root / "net/protocols").write_text("protocol size sockets memory press\nTCP 2304 1 309 yes\n")


BIG = st.one_of(st.sampled_from([0, 1, 2**31 - 1, 2**63 - 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))


@GAUGES
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(orphans=BIG, mem=BIG, limit=st.integers(-(2**31), 2**31 - 1), levels=st.tuples(BIG, BIG, BIG))
def test_any_numbers(
    run: Run, tmp_path: pathlib.Path, command: str, orphans: int, mem: int, limit: int, levels: tuple[int, int, int]
) -> None:
    """Every state fits one line, has the same labels, and agrees with the kernel's arithmetic."""
    write_tree(tmp_path, orphans, mem, limit, levels)
    output = run(command, "--procfs", tmp_path)
    assert_line(output)
    signed = [level - 2**64 if level >= 2**63 else level for level in levels]
    if command == "check_tcp_orphans":
        labels = {"aborts_on_memory", "orphans", "headroom_1x", "headroom_2x", "headroom_4x"} | (
            {"usage"} if limit > 0 else set()
        )
        expected = 2 if limit < 1 or orphans << 1 > limit else 1 if orphans << 2 > limit else 0
    else:
        labels = {
            "pages", "bytes", "under_pressure", "memory_pressures", "memory_pressure_ms", "prune_called", "rcvq_drop"
        } | ({"usage"} if signed[2] > 0 else set())  # fmt: skip
        expected = 2 if signed[2] < 1 or 10 * mem > 9 * signed[2] else 1
    assert set(output.perfdata) == labels
    # 100 * n / m is judged as a float: beside a level only whole percents must be exact.
    if not (command == "check_tcp_mem" and signed[2] > 0 and abs(10 * mem - 9 * signed[2]) * 10**12 < signed[2]):
        assert output.code == expected


@EVERY
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(path=st.text(st.characters().filter("\0".__ne__), max_size=300), orphans=BIG)
def test_any_path(run: Run, tmp_path: pathlib.Path, command: str, path: str, orphans: int) -> None:
    """Foreign names in a line: a tree, a root, a log, that do not exist."""
    more = {"check_tcp_kernel_log": ["--kmsg", f"/{path}"], "check_tcp_limits": ["--sysctl-root", f"/{path}"]}.get(
        command, []
    )
    for procfs in (f"{tmp_path}/{path}", tmp_path):
        write_tree(tmp_path, orphans, 5, 100, (1, 2, 3))
        output = run(command, "--no-state", "--procfs", procfs, *more)
        assert_line(output)
        assert not set(output.status) & set("`~$&|'\"<>") and output.status.isprintable()


@GAUGES
@pytest.mark.parametrize("verbose", ["-v", "-vv", "-vvv"])
def test_verbose_ends_with_perfdata(run: Run, command: str, verbose: str) -> None:
    plain = run(command, "--procfs", "kernel-6.18/13-orphans-60pct/host")
    output = run(command, "--procfs", "kernel-6.18/13-orphans-60pct/host", verbose)
    assert output.code == plain.code
    assert output.lines[0] == plain.text.partition(" |")[0]
    assert output.perfdata == plain.perfdata
    assert output.lines[-1].startswith("| ")
    assert len(output.lines) > 4
    for line in output.lines[1:-1]:
        assert "|" not in line and line.isprintable()


@pytest.mark.parametrize("verbose, traceback", [("-v", False), ("-vv", False), ("-vvv", True)])
def test_internal_error(run: Run, monkeypatch: pytest.MonkeyPatch, verbose: str, traceback: bool) -> None:
    def broken(root: str) -> None:
        raise RuntimeError("oh\n\x1b|no")

    monkeypatch.setattr("tcp_headroom.proc.sockstat.read", broken)
    output = run("check_tcp_mem", verbose)
    assert output.code == 3
    line = (
        "TCP MEM UNKNOWN - internal error, RuntimeError: oh ??no. Next: send the output of -vvv to whoever maintains this "
        "plugin on this host"
    )
    assert output.lines[0] == line
    assert ("Traceback" in output.text) == traceback
    assert (len(output.lines) == 1) == (not traceback)


def test_time_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(root: str) -> None:
        while True:
            pass

    monkeypatch.setattr("tcp_headroom.proc.sockstat.read", endless)
    output = run("check_tcp_orphans", "-t", "1")
    assert output == (
        3, "TCP ORPHANS UNKNOWN - gave up after 1s. Next: allow more time with -t, or look at the load of this host\n"
    )  # fmt: skip


NUMBERS = st.one_of(
    st.integers(-(10**15) + 1, 10**15 - 1).map(str), st.decimals(-(10**9), 10**9, places=3).map(lambda d: f"{d:f}")
)


@given(NUMBERS, NUMBERS, st.sampled_from(["{0}", "{0}:", "~:{0}", "{0}:{1}", "@{0}:{1}", "@{0}"]))
def test_ranges_round_trip(low: str, high: str, form: str) -> None:
    low, high = sorted((low, high), key=float)
    text = form.format(low, high)
    if form in ("{0}", "@{0}") and float(low) < 0:
        with pytest.raises(Exception, match="must not be greater"):
            options.plain_range(text)
        return
    parsed = options.plain_range(text)
    assert nagiosplugin.Range(str(parsed)) == parsed
    assert parsed == options.percent_range("%".join(re.split(r"(?<=[0-9])(?=:|$)", text)))
    assert re.fullmatch(r"@?[-~0-9.:]*", str(parsed))


def test_a_level_has_one_meaning() -> None:
    assert options.upper_bound(options.plain_range("80")) == 80
    assert (
        options.upper_bound(options.plain_range("0:80.5")) == options.upper_bound(options.plain_range("~:80.5")) == 80.5
    )
    assert options.upper_bound(None) is None
    for text in ("10:", "~:", "10:20", "@10"):
        assert options.upper_bound(options.plain_range(text)) is None


@pytest.mark.parametrize(
    "findings, steps, rest, line, more",
    [
        (["a: 1"], ["do b"], ["c", ""], "a: 1. Next: do b. C", []),
        (["a: 1", "d: 2"], ["do b", "do e"], [], "a: 1; d: 2. Next: do b; then do e", []),
        (["a: 1", "d: 2"], ["", "do e"], [], "a: 1; d: 2. Next: do e", []),
        (["a: 1"], [""], ["c"], "a: 1. C", []),
        (["x" * 300], ["do b"], ["c"], "x" * 142 + "... Next: do b. C", ["Found: " + "x" * 300]),
        (["a: 1", "y" * 150], ["do b", "do e"], [], "a: 1. Next: do b", ["Also: " + "y" * 150, "Then: do e"]),
        (["a: 1"], ["z" * 300], ["c"], "a: 1. Next: " + "z" * 224 + "...", ["Next: " + "z" * 300, "C"]),
        (["a: 1"], ["do b"], ["w" * 250, "c"], "a: 1. Next: do b. C", ["W" + "w" * 249]),
        (["/" + "p" * 50 + ": 1"], ["do b"], [], "/" + "p" * 16 + "..." + "p" * 19 + ":. Next", ["Found: /" + "p" * 50 + ": 1"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_in_the_further_lines(
    findings: list[str], steps: list[str], rest: list[str], line: str, more: list[str]
) -> None:
    words = plugin.Wording("", str, list, list, {})
    words.name = "TCP X"
    text = words._line("TCP X OK - ", findings, steps, rest)
    assert len(f"TCP X OK - {text}") <= 250
    assert text.startswith(line.partition(":. ")[0]) if "/p" in line else text.replace("....", "...") == line
    assert words.more == more


def test_paths_leave_room_for_the_reason() -> None:
    name = "/" + "x y" * 4096
    assert len(wording.path(name)) == wording.MAX_LINE and " " not in wording.path(name)
    assert len(wording.shortened(wording.path(name))) == wording.MAX_PATH
