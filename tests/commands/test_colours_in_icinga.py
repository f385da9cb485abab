"""The table of Icinga DB Web: no label is coloured on a healthy host, and one has the colour of the state on others."""

from __future__ import annotations

import pathlib
import re

import hypothesis
import pytest
from hypothesis import strategies

from commands.test_transcripts import CALLS, Call
from workbench.command import Output, Run
from workbench.icinga_table import colour, normalised, parsed, pie
from workbench.watched_host import CRITICAL, OK, UNKNOWN, WARNING, WatchedHost

GAUGES = {"check_tcp_orphans": ("orphans", "usage"), "check_tcp_mem": ("bytes", "pages", "usage")}


def colours(output: Output, before_2_14_5: bool = True) -> dict[str, int]:
    """The colour of each label; one version of Icinga 2 may show fewer than the other, never another."""
    data = {label: normalised(parsed(text), before_2_14_5) for label, text in output.perfdata.items()}
    return {label: colour(datum) for label, datum in data.items()}


def painted(output: Output) -> set[str]:
    return {label for label, state in {**colours(output), **colours(output, before_2_14_5=False)}.items() if state}


@pytest.mark.parametrize(
    "command, state, expected",
    [
        ("check_tcp_orphans", OK, {}),
        ("check_tcp_orphans", WARNING, {"orphans": 1, "usage": 1}),
        ("check_tcp_orphans", CRITICAL, {"orphans": 2, "usage": 2}),
        ("check_tcp_orphans", UNKNOWN, {}),
        ("check_tcp_mem", OK, {}),
        ("check_tcp_mem", WARNING, {"bytes": 1, "pages": 1, "usage": 1}),
        ("check_tcp_mem", CRITICAL, {"bytes": 2, "pages": 2, "usage": 2}),
        ("check_tcp_mem", UNKNOWN, {}),
        ("check_tcp_kernel_log", OK, {}),
        ("check_tcp_kernel_log", WARNING, {"hits": 1}),
        ("check_tcp_kernel_log", CRITICAL, {"hits": 1, "memory_hits": 2}),
        ("check_tcp_kernel_log", UNKNOWN, {}),
        # Its alarms are below a level, or of more than a number.
        ("check_tcp_limits", OK, {}),
        ("check_tcp_limits", WARNING, {}),
        ("check_tcp_limits", CRITICAL, {}),
        ("check_tcp_limits", UNKNOWN, {}),
    ],
)
def test_states(run: Run, tmp_path: pathlib.Path, command: str, state: int, expected: dict[str, int]) -> None:
    host = WatchedHost(tmp_path)
    host.become(state)
    output = run(command, *host.options(command))
    assert output.code == state
    for before_2_14_5 in (True, False):
        assert {label: one for label, one in colours(output, before_2_14_5).items() if one} == expected
    for label in GAUGES.get(command, ()) if state != UNKNOWN else ():
        assert pie(normalised(parsed(output.perfdata[label]), before_2_14_5=True)), label


NO_NUMBER = "TCP LIMITS|tcp_mem not in rising order|every orphan is reset|range 10: of|inside the range|sockets refused"
"""What is an alarm by itself, or below a level."""


@pytest.mark.parametrize("call", {call.output: call for call in CALLS}.values(), ids=lambda call: call.arguments)
def test_transcripts(call: Call) -> None:
    for before_2_14_5 in (True, False):
        output = Output(call.code, call.output)
        seen = colours(output, before_2_14_5)
        if call.code == UNKNOWN:
            seen.pop("under_pressure", None)
        worst = max(seen.values(), default=0)
        assert worst == (call.code if call.code != UNKNOWN else 0) or (
            worst == 0 and re.search(NO_NUMBER, output.status)
        )


class Case:
    """Options, numbers, and what they make of the labels of a gauge."""

    def __init__(self, run: Run, folder: pathlib.Path) -> None:
        self.run, self.host = run, WatchedHost(folder)

    def put(self, held: int, limit: int, pressure: int) -> None:
        put = self.host.proc
        (put / "net/sockstat").write_text(f"TCP: inuse 5 orphan {held} tw 0 alloc 8 mem {held}\n")
        (put / "sys/net/ipv4/tcp_max_orphans").write_text(f"{limit}\n")
        (put / "sys/net/ipv4/tcp_mem").write_text(f"1\t{pressure}\t{limit}\n")

    def gauge(self, command: str, *options: str) -> Output:
        given = [*self.host.options(command), "--no-state", *options]
        return self.run(command, *given, *(["--no-memory"] if command == "check_tcp_mem" else []))


@pytest.fixture
def case(run: Run, tmp_path: pathlib.Path) -> Case:
    return Case(run, tmp_path)


@pytest.mark.parametrize("command", GAUGES)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=60)
@hypothesis.given(
    limit=strategies.integers(1, 10**6),
    share=strategies.sampled_from([0.0, 0.1, 0.25, 0.333, 0.5, 0.9, 1.0, 1.5]),
    beyond=strategies.integers(-1, 1),
    pressure=strategies.sampled_from([0.1, 0.5, 0.9, 0.95, 1.0, 1.2]),
    levels=strategies.sampled_from(["", "-w 25", "-w ~:33.3 -c 50", "-w 90 -c 50", "-c 0:10", "-w 0 -c 0"]),
)
def test_the_levels_are_those_of_the_state(
    case: Case, command: str, limit: int, share: float, beyond: int, pressure: float, levels: str
) -> None:
    """Right at the level, one below and one above; also with levels in falling order."""
    case.put(max(0, int(limit * share) + beyond), limit, int(limit * pressure))
    output = case.gauge(command, *levels.split())
    seen = colours(output)
    exact = {seen[label] for label in GAUGES[command] if label != "usage"}
    assert exact == {output.code} or ("not in rising order" in output.status and (output.code, exact) == (1, {0}))
    # It is printed with four decimals, which may not show what is above a level, or the higher of two.
    assert seen["usage"] <= max(exact)
    assert not painted(output) - set(GAUGES[command])


@pytest.mark.parametrize("levels", ["-w 50: -c 10:", "-w 10:20 -c @30:40", "-w ~: -c 5:"])
@pytest.mark.parametrize("command", [*GAUGES, "check_tcp_limits", "check_tcp_kernel_log"])
def test_no_level_where_the_alarm_is_not_above_it_alone(
    run: Run, tmp_path: pathlib.Path, command: str, levels: str
) -> None:
    host = WatchedHost(tmp_path)
    output = run(command, *host.options(command), *levels.split())
    assert not painted(output)
    assert all(not part or part[-1].isdigit() for text in output.perfdata.values() for part in text.split(";")[1:])


def test_pressure_has_the_colour_of_its_warning(run: Run, tmp_path: pathlib.Path) -> None:
    host = WatchedHost(tmp_path)
    (host.proc / "net/protocols").write_text("protocol size sockets memory press\nTCP 2304 1 309 yes\n")
    output = run("check_tcp_mem", *host.options("check_tcp_mem"))
    assert (output.code, painted(output)) == (1, {"under_pressure"})
    output = run("check_tcp_mem", *host.options("check_tcp_mem"), "-w", "50")
    assert (output.code, painted(output)) == (0, set())


def test_the_share_of_the_memory(run: Run, tmp_path: pathlib.Path) -> None:
    host = WatchedHost(tmp_path)
    (host.proc / "meminfo").write_text("MemTotal: 6 kB\n")
    output = run("check_tcp_mem", *host.options("check_tcp_mem"))
    assert (output.code, painted(output)) == (1, {"memory_usage"})
    output = run("check_tcp_mem", *host.options("check_tcp_mem"), "--no-memory")
    assert (output.code, painted(output)) == (0, set())
