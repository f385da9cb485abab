"""What every test shares: a run of a command in this process, and skips that fail under CI."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator

import hypothesis
import nagiosplugin
import pytest

from tcp_headroom.memory import state
from workbench.command import CI, FIXTURES, Output, Run

# No deadline: a machine that does other things, too, is slow at times. CI repeats itself, other runs explore.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=CI)
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def fresh_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """nagiosplugin keeps the output of the last check in a singleton."""
    monkeypatch.setattr(nagiosplugin.Runtime, "instance", None)


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
        return Output(exit.value.code, printed.out)

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
def nobody() -> Iterator[None]:
    """The test runs without the rights of root, which it gives up for as long if it has them."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under CI a test that could not run is a failure, not a pass."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if CI and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
