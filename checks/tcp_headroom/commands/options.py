"""The options of the commands: those of all, those of some, and their types.

Rules of the monitoring servers are kept here: help, version and usage errors go to
standard output and exit 3 (Monitoring Plugins guidelines).
"""

from __future__ import annotations

import argparse
import functools
import re
import sys

import nagiosplugin

from tcp_headroom import __version__, wording

TYPE_CHECKING = False  # importing typing for this costs a tenth of the start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from tcp_headroom.limits.tcp_mem import TcpMem

# One language for a whole line; and argparse does not import locale and look for translations at every start.
argparse._ = str  # type: ignore[attr-defined]

UNKNOWN = 3

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?"


class Parser(argparse.ArgumentParser):
    """A parser with the groups of ``--help`` that keeps to the exit code of plugins, 3, and to standard output."""

    def __init__(self, command: str, description: str, examples: str) -> None:
        # A fixed width is the same in every terminal, and spares asking for it with every option.
        formatter = functools.partial(argparse.RawDescriptionHelpFormatter, width=80, max_help_position=26)
        super().__init__(
            prog=command, usage=f"{command} [option ...]", description=description, formatter_class=formatter,
            epilog=f"examples:\n{examples}", add_help=False, allow_abbrev=False,
        )  # fmt: skip
        self.judging = self.add_argument_group("what to judge")
        self.reading = self.add_argument_group("where to read")
        self.memory = self.add_argument_group("memory between runs")
        self.output = self.add_argument_group("output")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            print(message.rstrip("\n"))
        sys.exit(UNKNOWN)

    def error(self, message: str) -> NoReturn:
        self.exit(UNKNOWN, f"{self.prog} UNKNOWN - {wording.clean(message, 160)}. Next: see {self.prog} --help")


def parser(command: str, description: str, examples: str, percent: bool, default: tuple[str, str]) -> Parser:
    """The parser of ``command`` with the options that all commands share.

    ``description`` and ``examples`` are printed as they are. ``percent``: whether a number in a range may end in
    ``%``. ``default``: what stands in the help as the default of -w and of -c, in words.
    """
    made = Parser(command, description, examples)
    kind = percent_range if percent else plain_range
    for letter, name, standard in (("-w", "warning", default[0]), ("-c", "critical", default[1])):
        made.judging.add_argument(
            letter, f"--{name}", metavar="RANGE", type=kind, help=f"{name.upper()} outside RANGE; default: {standard}"
        )
    made.reading.add_argument("--procfs", metavar="DIR", default="/proc", help="read this /proc tree; default: /proc")
    made.output.add_argument(
        "-t", "--timeout", metavar="SECONDS", type=whole("of seconds"), default=8,
        help="give up after this time and be UNKNOWN; default: 8",
    )  # fmt: skip
    made.output.add_argument("-v", "--verbose", action="count", default=0, help="explain the result; up to -vvv")
    made.output.add_argument(
        "-V", "--version", action="version", version=f"{command} {__version__}", help="print the version"
    )
    made.output.add_argument("-h", "--help", action="help", help="print this help")
    return made


def plain_range(text: str) -> nagiosplugin.Range:
    """An option's type: a range of the Monitoring Plugins guidelines, in plain decimal numbers."""
    return _range(text, _NUMBER)


def percent_range(text: str) -> nagiosplugin.Range:
    """The same, where a number may carry the unit it has anyway: ``25%``."""
    return _range(text, _NUMBER + "%?")


def _range(text: str, number: str) -> nagiosplugin.Range:
    # nagiosplugin.Range alone also takes 1_000, digits of other scripts and 1.5e3.
    if not re.fullmatch(rf"@?(?:{number}|(?:~|{number})?:(?:{number})?)", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a range; examples: 10 10: 10:20 @10:20")
    try:
        return nagiosplugin.Range(text.replace("%", ""))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a range: {error}") from None


def whole(noun: str = "", most: int = 10**9 - 1) -> Callable[[str], int]:
    """An option's type: a whole number from 1 to ``most``, of what ``noun`` says, as in "of days"."""

    def parse(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,20}", text, re.ASCII) or not 1 <= int(text) <= most:
            end = "on" if most >= 10**9 - 1 else f"to {most}"
            kind = " ".join(filter(None, ["a whole number", noun, "from 1", end]))
            raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not {kind}")
        return int(text)

    return parse


def duration(text: str) -> tuple[str, int]:
    """An option's type: a duration as written and in seconds."""
    number, unit = text[:-1], text[-1:]
    if not (wording.digits(number) and len(number) <= 6 and int(number) and unit in _UNITS):
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a duration; examples: 90s 15m 1h 2d")
    return text, int(number) * _UNITS[unit]


def percentage(text: str) -> float:
    """An option's type: 0 to 100, a percent sign allowed."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?%?", text, re.ASCII) or float(text.rstrip("%")) > 100:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a percentage from 0 to 100")
    return float(text.rstrip("%"))


def levels(text: str) -> TcpMem:
    """An option's type: three page counts from 1 on, in any order the kernel would take."""
    from tcp_headroom.limits import tcp_mem  # no check but one needs these
    from tcp_headroom.proc import reading

    try:
        low, pressure, high = (reading.integer(word) for word in text.split(","))
    except ValueError:
        low = pressure = high = 0
    if min(low, pressure, high) < 1:
        raise argparse.ArgumentTypeError(
            f"{wording.clean(text, 40)} is not three page counts from 1 on, like 100,200,300"
        )
    return tcp_mem.TcpMem(low, pressure, high)


def add_state(parser: Parser) -> None:
    """The options by which a command says where the state lives."""
    parser.memory.add_argument(
        "--state-dir", metavar="DIR",
        help="keep the memory here; default: /var/lib/tcp-headroom if this user owns it, else .local/state/tcp-headroom "
        "in the home; none by default with another --procfs",
    )  # fmt: skip
    parser.memory.add_argument("--no-state", action="store_true", help="remember nothing between runs")


def add_peak_days(parser: Parser) -> None:
    """The option that says how long a peak counts."""
    parser.memory.add_argument(
        "--peak-days", metavar="N", type=whole("of days", 3650), default=14,
        help="count the peak of the last N days; default: 14",
    )  # fmt: skip


def add_no_memory(parser: Parser) -> None:
    """The option that judges nothing by the memory of the machine."""
    parser.judging.add_argument(
        "--no-memory", action="store_true", help="do not compare with the memory of the machine"
    )


def add_cgroupfs(parser: Parser) -> None:
    """The option that says where the cgroups of a mounted host are."""
    parser.reading.add_argument(
        "--cgroupfs", metavar="DIR", help="with -v, read these cgroups; default: /sys/fs/cgroup"
    )


def add_no_owners(parser: Parser, held: str) -> None:
    """The option that spares the lookup of who holds ``held``."""
    parser.output.add_argument("--no-owners", action="store_true", help=f"with -v, do not look up who holds the {held}")


def upper_bound(limits: nagiosplugin.Range | None) -> float | None:
    """N of a range that alarms above N alone, ``N`` or ``~:N``; None of any other."""
    if limits is None or limits.invert or limits.start not in (0, -float("inf")) or limits.end == float("inf"):
        return None
    return float(limits.end)
