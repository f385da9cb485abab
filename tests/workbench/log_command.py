"""A command from outside, most often check_tcp_kernel_log, in this process, at a moment that the caller chooses."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import time
from collections.abc import Callable, Iterator

import nagiosplugin

from tcp_headroom.commands import check_tcp_kernel_log
from tcp_headroom.proc import clock
from workbench.command import Output, assert_grammar

LABELS = ("orphan_hits", "memory_hits", "unclear_hits")


class Moment:
    """What the clocks of the host show while a check runs."""

    def __init__(self, now: float, uptime: float, boot: str = "b" * 32) -> None:
        self.now = now
        self.uptime = uptime
        self.boot = boot

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.uptime += seconds


@contextlib.contextmanager
def at(moment: Moment, zone: str = "UTC") -> Iterator[None]:
    """Within, the command finds the time of ``moment``, which may move, and the local zone ``zone``."""
    before = clock.read, time.time, os.fsync, os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    clock.read = lambda root: clock.Clock(moment.now, moment.uptime, moment.uptime, moment.boot)
    time.time = lambda: moment.now
    # What a power cut leaves behind is not the question here, and to wait for the disk takes longest.
    os.fsync = lambda descriptor: None
    try:
        yield
    finally:
        clock.read, time.time, os.fsync = before[:3]
        if before[3] is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before[3]
        time.tzset()


def check(*arguments: str | os.PathLike[str]) -> Output:
    """One run of check_tcp_kernel_log."""
    return run(check_tcp_kernel_log.main, *arguments)


def run(main: Callable[[list[str]], None], *arguments: str | os.PathLike[str]) -> Output:
    """One run of a command. Standard error stays empty, and no error is internal."""
    nagiosplugin.Runtime.instance = None  # type: ignore[assignment]
    # nagiosplugin 1.3.2 keeps the standard output that it was imported with.
    nagiosplugin.Runtime.stdout = None
    printed, complaint = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
        try:
            main([os.fspath(argument) for argument in arguments])
        except SystemExit as exit:
            code = exit.code
    assert complaint.getvalue() == "", complaint.getvalue()
    assert code in (0, 1, 2, 3), code
    assert "internal error" not in printed.getvalue(), printed.getvalue()
    output = Output(code, printed.getvalue())
    if output.status.startswith("TCP "):
        assert_grammar(output.status)
    return output


def counted(output: Output) -> dict[str, int]:
    """The hits of a run by cause; 0 for what it does not print."""
    return {label: int(output.perfdata.get(label, "0").partition(";")[0]) for label in LABELS}


def total(output: Output) -> int:
    return sum(counted(output).values())


def coverage(output: Output) -> float:
    """Percent of the window, 0 if none is printed."""
    return float(output.perfdata.get("coverage", "0").partition("%")[0])


def no_counter(folder: pathlib.Path) -> pathlib.Path:
    """A /proc tree without a counter: the log alone has to show it."""
    tree = folder / "proc-without-counter"
    (tree / "net").mkdir(parents=True, exist_ok=True)
    return tree
