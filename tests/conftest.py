"""What every test shares: a run of a command in this process, and skips that fail under CI."""

from __future__ import annotations

import importlib
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import hypothesis
import nagiosplugin
import pytest

from tcp_headroom import state

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
CI = os.environ.get("CI") == "true"

# No deadline: a machine that does other things, too, is slow at times. CI repeats itself, other runs explore.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=CI)
hypothesis.settings.load_profile("tests")

COMMANDS = ("check_tcp_kernel_log", "check_tcp_limits", "check_tcp_mem", "check_tcp_orphans")


class Output(NamedTuple):
    """What a monitoring server gets of a command."""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def verdict(self) -> str:
        """The verdict of ``-v``: the last line, before the perfdata if there are any."""
        lines = [line for line in self.lines if not line.startswith("| ")]
        assert sum(line.startswith("Verdict: ") for line in lines) == 1
        assert lines[-1].startswith("Verdict: ") and lines[-1].isprintable() and "|" not in lines[-1]
        assert self.lines[-1] == lines[-1] or (self.lines[-2], self.lines[-1][:2]) == (lines[-1], "| ")
        return lines[-1]

    @property
    def case(self) -> str:
        """The case that the verdict names."""
        return self.verdict.removeprefix("Verdict: ").partition(" - ")[0]

    @property
    def perfdata(self) -> dict[str, str]:
        """The perfdata by label, each as printed after the equals sign."""
        _text, _bar, data = self.text.partition("| ")
        return dict(word.split("=", 1) for word in data.split())


Run = Callable[..., Output]


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
        main = importlib.import_module(f"tcp_headroom.{command}").main
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
