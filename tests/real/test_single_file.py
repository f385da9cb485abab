"""The single file, by every interpreter of this machine: it says what the package says."""

from __future__ import annotations

import functools
import glob
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from commands.test_transcripts import CALLS
from workbench.command import BIN, COMMANDS, FIXTURES, ROOT, Output, Run
from workbench.machine import require_namespaces

WANTED = [(3, minor) for minor in range(6, 15)]
"""What the hosts have that it is for, from EL 8 and Ubuntu 18.04 on."""

PLACES = (
    "/usr/bin/python3*",
    "/usr/libexec/platform-python",
    "/usr/local/bin/python3*",
    "~/.pyenv/versions/*/bin/python",
)


def version(path: str) -> tuple[int, ...]:
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-S", "-c", code], capture_output=True, text=True)
    except OSError:
        return ()
    return tuple(map(int, done.stdout.split("."))) if re.fullmatch(r"\d+\.\d+", done.stdout) else ()


@functools.cache
def interpreters() -> dict[tuple[int, ...], str]:
    """One of each version."""
    found: dict[tuple[int, ...], str] = {}
    for pattern in PLACES:
        for path in sorted(glob.glob(os.path.expanduser(pattern))):
            if not path.endswith("-config"):
                found.setdefault(version(path), path)
    return found


INTERPRETERS = {number: path for number, path in interpreters().items() if number >= (3, 6)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Built of this checkout."""
    target = tmp_path_factory.mktemp("single") / "tcp-headroom.pyz"
    subprocess.run(
        [sys.executable, ROOT / "contrib/package/single_file.py", ROOT, target],
        check=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(int(time.time()))},
    )  # fmt: skip
    return target


def calls(file: pathlib.Path, python: str, state: pathlib.Path, wanted: list[list[str]]) -> list[Output]:
    state.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        [python, "-IS", ROOT / "tests/workbench/single_file_calls.py", file, state],
        input=json.dumps(wanted), capture_output=True, text=True, cwd=FIXTURES, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.stderr == ""
    return [Output(code, text) for code, text in json.loads(done.stdout)]


def test_which_interpreters_are_here(capsys: pytest.CaptureFixture[str]) -> None:
    missing = [f"{major}.{minor}" for major, minor in WANTED if (major, minor) not in INTERPRETERS]
    with capsys.disabled():
        here = [".".join(map(str, number)) for number in sorted(INTERPRETERS)]
        print(f"\nthe single file is run by Python {', '.join(here)}; not here: {', '.join(missing) or 'none'}")
    assert INTERPRETERS


@pytest.mark.parametrize("number", sorted(INTERPRETERS), ids=lambda number: ".".join(map(str, number)))
def test_every_transcript(file: pathlib.Path, number: tuple[int, ...], tmp_path: pathlib.Path) -> None:
    outputs = calls(
        file, INTERPRETERS[number], tmp_path / "state",
        [[call.command, *shlex.split(call.arguments)] for call in CALLS],
    )  # fmt: skip
    for call, output in zip(CALLS, outputs):
        assert output == (call.code, call.output), f"{call.command} {call.arguments}"


EXPLAINED = [
    [command, "--procfs", tree, "-v"]
    for command in ("check_tcp_limits", "check_tcp_mem", "check_tcp_orphans")
    for tree in ("kernel-6.1/15-orphans-over-limit-killed/host", "settings/above-memory-in-use-6.1/proc")
]
LOG = """\
{now} host kernel: [   10.0] eth0: link up
{now} host kernel: [   20.0] TCP: too many orphaned sockets
{now} host kernel: [   30.0] TCP: out of memory -- consider tuning tcp_mem
{now} host kernel: [   40.0] eth0: link down
"""


@pytest.mark.parametrize("number", sorted(INTERPRETERS), ids=lambda number: ".".join(map(str, number)))
def test_explained(file: pathlib.Path, number: tuple[int, ...], tmp_path: pathlib.Path, run: Run) -> None:
    """``-v``, a log, and what is refused."""
    log = tmp_path / "kern.log"
    log.write_text(LOG.format(now=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 60))))
    wanted = [
        *EXPLAINED,
        ["check_tcp_kernel_log", "--file", str(log), "--log-host", "host", "--lookback", "2m", "--no-state", "-v"],
        ["check_tcp_kernel_log", "--file", str(tmp_path / "none"), "--no-state"],
        ["check_tcp_mem", "--wrong"],
        *([command, "-V"] for command in COMMANDS),
    ]
    for words, output in zip(wanted, calls(file, INTERPRETERS[number], tmp_path / "state", wanted)):
        package = run(*words)
        assert (output.code, masked(output.text)) == (package.code, masked(package.text)), words


def masked(text: str) -> list[str]:
    """Without what differs between two moments: the state that is kept, and times."""
    lines = [line for line in text.splitlines() if "remembered" not in line and "eak" not in line]
    return [
        re.sub(r"\d+(\.\d+)?( ?(s|min|h|days?)\b)", "N\\2", re.sub(r"\d\d:\d\d(:\d\d)?", "T", line)) for line in lines
    ]


def started(file: pathlib.Path, *words: str, **kept: str) -> Output:
    done = subprocess.run([*map(str, [file, *words])], capture_output=True, text=True, env=kept)
    assert done.stderr == ""
    return Output(done.returncode, done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_by_link_and_by_word(file: pathlib.Path, tmp_path: pathlib.Path, command: str) -> None:
    link = tmp_path / command
    link.symlink_to(file)
    shutil.copy(file, tmp_path / f"{command}.pyz")
    by_word = started(file, command, "--procfs", str(FIXTURES / "kernel-6.1/00-idle/host"))
    for path in (link, tmp_path / f"{command}.pyz"):
        found = started(path, "--procfs", str(FIXTURES / "kernel-6.1/00-idle/host"))
        assert (found.code, masked(found.text)) == (by_word.code, masked(by_word.text))
        assert started(path, "-V") == started(file, command, "-V")


def test_without_a_check(file: pathlib.Path) -> None:
    """The first word of a check that is not there, none, and the version of all."""
    said = (
        "TCP HEADROOM UNKNOWN - no check is named. Next: put one of these before the options: "
        "check_tcp_kernel_log, check_tcp_limits, check_tcp_mem, check_tcp_orphans\n"
    )
    for words in ((), ("check_tcp",), ("--procfs", "x")):
        assert started(file, *words) == (3, said)
    code, text = started(file, "-V")
    assert code == 0 and re.fullmatch(r"tcp-headroom \d+\.\d+\.\d+\n", text)


def test_older_interpreters_say_so(file: pathlib.Path) -> None:
    """Python 2.7 is what answers to ``python`` on EL 7; where there is none here, the version it sees is lowered."""
    python = interpreters().get((2, 7))
    if python:
        done = subprocess.run([python, file, "check_tcp_mem"], capture_output=True, text=True)
    else:
        lowered = (
            "import runpy, sys; sys.version_info = (2, 7); sys.argv = ['x']; runpy.run_path(%r, run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", lowered % str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == (
        "TCP HEADROOM UNKNOWN - Python 3.6 or later is needed, this is 2.7. "
        "Next: call it with such a one, python3 FILE CHECK\n"
    )


HARDENED = """
mount --make-rprivate /
mount -t tmpfs -o noexec none /tmp
mount -o remount,bind,ro /
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


@pytest.mark.parametrize("command", ["check_tcp_limits --no-drift", "check_tcp_mem", "check_tcp_orphans"])
def test_nothing_to_write_and_no_home(file: pathlib.Path, command: str) -> None:
    """A read-only root, /tmp without programs, no HOME, a user without rights."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount namespace")
    require_namespaces("unshare", "--mount")
    place = pathlib.Path("/var/tmp") / f"tcp-headroom-{os.getpid()}.pyz"
    shutil.copy(file, place)
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-euc", HARDENED, "sh", place, *command.split()], capture_output=True, text=True,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
    finally:
        place.unlink()
    assert done.stderr == "" and re.match(r"TCP [A-Z]+ (OK|WARNING|CRITICAL) - ", done.stdout), done


def test_the_licences_are_inside(file: pathlib.Path) -> None:
    listed = subprocess.run([sys.executable, "-m", "zipfile", "-l", file], capture_output=True, text=True, check=True)
    assert re.search("^LICENSE ", listed.stdout, re.MULTILINE)
    assert re.search("^nagiosplugin/LICENSE ", listed.stdout, re.MULTILINE)


def test_the_source_is_of_python_3_6(tmp_path: pathlib.Path) -> None:
    """Without annotations, as the single file carries it; vermin knows what came with which version."""
    sys.path.insert(0, str(ROOT / "contrib/package"))
    try:
        import single_file
    finally:
        sys.path.pop(0)
    for name, text in single_file.suite(ROOT).items():
        if name.endswith(".py"):
            place = tmp_path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    done = subprocess.run(
        # bytes.decode is taken for str.decode, which Python 3 lacks.
        [BIN / "vermin", "--no-tips", "--violations", "-t=3.6-", "--exclude", "str.decode", tmp_path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
