"""What every test shares: a run of a command in this process, and skips that fail under CI."""

from __future__ import annotations

import collections
import ctypes
import importlib
import os
import re
import time
from collections.abc import Iterator

import hypothesis
import nagiosplugin
import pytest

from tcp_headroom.memory import state
from workbench.command import CI, FIXTURES, Output, Run, assert_grammar
from workbench.documents import STATUS, entries_of

# No deadline: a machine that does other things, too, is slow at times. One commit has one result, on whatever machine;
# --hypothesis-profile=explore looks for examples that nobody has tried.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def fresh_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """nagiosplugin keeps the output of the last check in a singleton; 1.3.2 also keeps the standard output it was imported with."""
    monkeypatch.setattr(nagiosplugin.Runtime, "instance", None)
    monkeypatch.setattr(nagiosplugin.Runtime, "stdout", None)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Calls the ``main`` of a command among the fixture trees; standard error must stay empty.

    What it remembers by default is kept away from the home of whoever runs the tests.
    """

    directory = state.directory
    default = str(tmp_path_factory.mktemp("home") / "state")
    monkeypatch.setattr(state, "directory", lambda option: directory(option or default))

    def call(command: str, *arguments: str | os.PathLike[str]) -> Output:
        monkeypatch.chdir(FIXTURES)
        monkeypatch.setattr(nagiosplugin.Runtime, "instance", None)
        main = importlib.import_module(f"tcp_headroom.commands.{command}").main
        with pytest.raises(SystemExit) as exit:
            main([os.fspath(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert printed.err == ""
        assert exit.value.code in (0, 1, 2, 3)
        output = Output(exit.value.code, printed.out)
        if re.match(STATUS, printed.out):
            if output.status.startswith("TCP "):
                assert_grammar(output.status)
            assert entries_of(output.status)[0], f"contrib/doc/runbook.md has no entry for: {output.status}"
        return output

    return call


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def powerless() -> Iterator[None]:
    """The test runs without the rights of root, which it gives up for as long if it has them: modes count for it, too.

    It stays the owner of its files, as the checkout may be in a directory that nobody else may enter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # capabilities(7): version 3, this thread; effective, permitted, inheritable, the lower 32 bits and then the upper.
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    none = (ctypes.c_uint32 * 6)(0, *held[1:3], 0, *held[4:])
    assert libc.capset(header, none) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


def pytest_configure() -> None:
    """The trees that the tests plant have the modes of a system, whoever runs the tests."""
    os.umask(0o022)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under CI a test that could not run is a failure, not a pass."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if CI and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not run, and the packages that change it."""
    reasons = collections.Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    if not reasons:
        return
    terminalreporter.section("not run")
    packages: set[str] = set()
    for reason, number in sorted(reasons.items()):
        text, _colon, wanted = reason.partition(": apt-get install ")
        packages.update(wanted.split())
        terminalreporter.line(f"{number:4} {text}")
    if packages:
        terminalreporter.line(f"more of them run after: apt-get install {' '.join(sorted(packages))}")
