"""Running the real commands in the guest, and holding what they say against the kernel."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from . import kernel

# The verdicts' cases are written out, as the runbook has them.
NOTHING, NO_SHORTAGE, HIDDEN, CONFIGURATION = (
    "nothing wrong", "no shortage now, earlier not known", "limits not visible from here", "wrong setting"
)  # fmt: skip
BOTH = "over 50 % of the orphan limit, and short of TCP memory"
ORPHAN_LIMIT, MEMORY = "over 50 %: live peers at risk", "short of TCP memory"
PENALISED, SPIKE = "over 25 %: only dead peers at risk", "spike, now over"

STARVED = "starved by its own memory limit, not by tcp_mem"

OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"
STATES = (OK, WARNING, CRITICAL, UNKNOWN)

NOBODY = 65534


class Untrue(Exception):
    """A check said something that is not so."""


class Said(NamedTuple):
    """What a check said."""

    command: str
    state: str
    text: str
    seconds: float

    @property
    def status(self) -> str:
        """The status line without the perfdata."""
        return self.text.partition("\n")[0].partition(" | ")[0]

    @property
    def perfdata(self) -> dict[str, float]:
        """The values by label."""
        data = self.text.rpartition("| ")[2]
        pairs = (word.split("=", 1) for word in data.split())
        return {label: float(value.split(";")[0].rstrip("%cBs")) for label, value in pairs}

    def expect(self, state: str, *words: str) -> Said:
        """Itself. Raises ``Untrue`` unless it has this state and the output holds all ``words``."""
        missing = [word for word in words if word not in self.text]
        if self.state != state or missing:
            wanted = " and ".join([state, *map(repr, missing)])
            raise Untrue(f"{self.command} should say {wanted}, but said: {self.text.strip()}")
        return self

    def expect_not(self, words: str) -> Said:
        """Itself. Raises ``Untrue`` if the output holds ``words``."""
        if words in self.text:
            raise Untrue(f"{self.command} should not say {words!r}, but said: {self.text.strip()}")
        return self

    def expect_data(self, **values: float) -> Said:
        """Itself. Raises ``Untrue`` unless the perfdata has these values."""
        for label, value in values.items():
            if self.perfdata.get(label) != value:
                raise Untrue(f"{self.command} should have {label}={value}, but said: {self.text.strip()}")
        return self


def expect(condition: object, text: str) -> None:
    """Raises ``Untrue`` with ``text`` unless ``condition``."""
    if not condition:
        raise Untrue(text)


def command() -> dict[str, Any]:
    """What the host has asked for."""
    with open("/lab/command.json", encoding="ascii") as file:
        found: dict[str, Any] = json.load(file)
    return found


def report(**values: object) -> None:
    """A line for the host, on the serial port that it reads."""
    with open(command()["reports"], "a", encoding="ascii") as line:
        line.write(f"@lab {json.dumps(values)}\n")


def run(command: str, *arguments: object, user: int = 0) -> Said:
    """Run one of the commands as a process of its own."""
    code = f"import sys; sys.argv[0] = '{command}'; from tcp_headroom.commands.{command} import main; main()"
    if command == "check_tcp_mem":
        arguments = (*mem_unit(), *arguments)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", user=user, group=user, extra_groups=[],
    )  # fmt: skip
    seconds = time.monotonic() - began
    report(ran=[command, *map(str, arguments)], code=done.returncode, text=done.stdout, seconds=round(seconds, 3))
    if done.returncode not in range(4) or done.stderr:
        raise Untrue(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr[-500:]}")
    return Said(command, STATES[done.returncode], done.stdout, seconds)


def steady(command: str, numbers: Callable[[], Mapping[str, float]], *arguments: object) -> Said:
    """Run a command while ``numbers`` of the kernel stay the same, so that it must have seen the same; it must say them."""
    for _attempt in range(10):
        before = numbers()
        said = run(command, *arguments)
        if numbers() == before:
            return said.expect_data(**before)
    raise TimeoutError(f"the numbers did not stand still during {command}")


def orphans(*arguments: object) -> Said:
    """check_tcp_orphans, with its numbers held against the kernel's."""
    said = steady(
        "check_tcp_orphans", lambda: {"orphans": kernel.orphans(), "aborts_on_memory": kernel.aborts()}, *arguments
    )
    limit = int(kernel.sysctl("net/ipv4/tcp_max_orphans"))
    for shift in range(3):
        # The kernel's own comparison, without its turned-round form.
        spared = next(number for number in range(limit >> shift, limit + 2) if (number + 1) << shift > limit)
        said.expect_data(**{f"headroom_{1 << shift}x": spared - said.perfdata["orphans"]})
    return said


def memory(*arguments: object) -> Said:
    """check_tcp_mem, with its numbers held against the kernel's."""

    def numbers() -> dict[str, float]:
        return {
            "pages": kernel.pages(),
            "bytes": kernel.held(),
            "under_pressure": int(kernel.pressure()),
            "memory_pressures": kernel.counter("TCPMemoryPressures"),
            "prune_called": kernel.counter("PruneCalled"),
            "rcvq_drop": kernel.counter("TCPRcvQDrop"),
        }

    return steady("check_tcp_mem", numbers, *arguments)


def mem_unit() -> tuple[str, ...]:
    """The option that a kernel needs whose unit is not that of a page, as no file tells."""
    return () if kernel.unit == kernel.PAGE else ("--mem-unit", str(kernel.unit))


def log(*arguments: object, user: int = 0) -> Said:
    """check_tcp_kernel_log."""
    return run("check_tcp_kernel_log", *arguments, user=user)


def limits(*arguments: object) -> Said:
    """check_tcp_limits."""
    return run("check_tcp_limits", *arguments)


BY_ORPHANS, BY_MEMORY, BY_LOG = ("check_tcp_orphans",), ("check_tcp_mem",), ("check_tcp_kernel_log",)
BY_ALL = BY_ORPHANS + BY_MEMORY + BY_LOG
"""The commands whose ``-v`` has a verdict. Each run costs the host a second, so not every moment is asked of all."""


def verdict(
    case: str, *words: str, commands: Sequence[str] = BY_ALL, state: Sequence[str] = ("--no-state",), user: int = 0
) -> None:
    """Run ``commands`` with ``-v``. Raises ``Untrue`` unless each gives the verdict ``case``, and that has ``words``."""
    for command in commands:
        # check_tcp_mem remembers nothing, and it alone can be told the unit of mem: the others may not know how much it is.
        by_memory = command == "check_tcp_mem"
        said = run(command, "-v", *(() if by_memory else state), user=user)
        line = said.text.split("\n")[1]
        asked = words if by_memory or not mem_unit() else ()
        if not line.startswith(f"Verdict: {case} - ") or not all(word in line for word in asked):
            raise Untrue(f"{command} should give the verdict {case!r}, {words}, but said: {said.text.strip()}")
