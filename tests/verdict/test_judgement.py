"""Which case it is, by evidence alone: no file is read here."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcp_headroom.blind import Blind
from tcp_headroom.limits.tcp_mem import TcpMem
from tcp_headroom.proc.sockstat6 import Unlisted
from tcp_headroom.proc.sysctl import Hidden
from tcp_headroom.verdict import cases, judgement
from tcp_headroom.verdict.evidence import Counter, Evidence, Grant, Log, Starved

LEVELS = TcpMem(100, 200, 400)
WHY = Blind("net/x cannot be read")
AWAY = Hidden("this is a child network namespace")
LATE = Log(gap="the log begins too late")
LOST = Counter(5, gap="when it rose is not known")


def evidence(**changes: Any) -> Evidence:
    """A host at rest whose whole hour was seen, but for the ``changes``."""
    return Evidence(3, 100, 50, LEVELS, False, Log(), Counter())._replace(**changes)


def grant(**changes: Any) -> Grant:
    """A container at rest, but for the ``changes``."""
    return Grant("101", "numtcpsock", 20, 400, 0, watched=True)._replace(**changes)


CASES: list[tuple[dict[str, Any], str, str]] = [
    # The limit: strict, as the kernel compares.
    ({"orphans": 25}, judgement.NOTHING, "25 orphans, 25.0 % of the limit 100"),
    ({"orphans": 26}, judgement.PENALISED, "26 orphans, 26.0 % of the limit 100, over the 25 % line (4x penalty): only orphans with both"),
    ({"orphans": 50}, judgement.PENALISED, "50.0 %"),
    ({"orphans": 51}, judgement.ORPHAN_LIMIT, "over the 50 % line: an orphan with one penalty (ICMP error, lost route, long silence) would be reset, even"),
    ({"orphans": 51}, judgement.ORPHAN_LIMIT, "; with 50 more orphans every closed socket is reset"),
    ({"orphans": 100}, judgement.ORPHAN_LIMIT, "over the 50 % line"),
    ({"orphans": 100}, judgement.ORPHAN_LIMIT, "; with 1 more orphans every closed socket is reset"),
    ({"orphans": 101}, judgement.ORPHAN_LIMIT, "101.0 % of the limit 100: every socket that is closed is reset"),
    ({"orphans": 101, "levels": AWAY, "pages": WHY}, judgement.ORPHAN_LIMIT, "; tcp_mem cannot be seen from here"),
    ({"orphans": 101, "pages": WHY}, judgement.ORPHAN_LIMIT, "; the rest is not known: net/x cannot be read"),
    ({"orphans": 1, "limit": 1}, judgement.ORPHAN_LIMIT, "over the 50 % line"),
    # TCP memory.
    ({"pages": 200}, judgement.NOTHING, "TCP holds 200 pages, 50.0 % of the maximum 400"),
    ({"pages": 201}, judgement.MEMORY, "50.2 % of the maximum 400: above pressure 200, so TCP slows down: windows stop growing"),
    ({"pages": 360}, judgement.MEMORY, "maximum 400: above pressure 200, so TCP slows down: windows stop growing, queues are made smaller"),
    ({"pages": 400}, judgement.MEMORY, "queues are made smaller; above 90 % of the maximum; at 100 % memory is refused"),
    ({"pages": 401}, judgement.MEMORY, "memory is refused, data is dropped, and orphans that hold data are reset"),
    ({"pages": 361, "levels": TcpMem(1, 390, 400)}, judgement.MEMORY, "above 90 % of the maximum; at 100 % memory is refused"),
    ({"pages": 360, "levels": TcpMem(1, 390, 400)}, judgement.NOTHING, "90.0 %"),
    ({"under_pressure": True}, judgement.MEMORY, "the kernel is under memory pressure, so TCP slows down"),
    ({"limit": 0, "pages": WHY, "under_pressure": True}, judgement.CONFIGURATION, "; already short now: the kernel is under memory pressure"),
    ({"orphans": 51, "pages": WHY, "under_pressure": True}, judgement.BOTH, "socket is reset; the kernel is under memory pressure"),
    ({"under_pressure": True, "levels": AWAY}, judgement.MEMORY, "; tcp_mem cannot be seen from here"),
    ({"under_pressure": True, "limit": AWAY, "levels": AWAY}, judgement.MEMORY, "; tcp_max_orphans and tcp_mem cannot"),
    ({"pages": 201, "orphans": 30}, judgement.MEMORY, "; 30 orphans, 30.0 % of the limit 100, over the 25 % line (4x penalty)"),
    ({"pages": 201, "log": Log(memory=4)}, judgement.MEMORY, "; the log shows at least 4 resets (cause: 4 memory)"),
    # Both.
    ({"pages": 401, "orphans": 51}, judgement.BOTH, "over the 50 % line"),
    ({"pages": 401, "orphans": 101}, judgement.BOTH, "memory is refused"),
    ({"under_pressure": True, "orphans": 101}, judgement.BOTH, "every socket that is closed is reset"),
    # Settings.
    ({"limit": 0}, judgement.CONFIGURATION, "every orphan is reset: tcp_max_orphans is 0"),
    ({"limit": -1, "pages": WHY, "levels": AWAY}, judgement.CONFIGURATION, "every orphan is reset: tcp_max_orphans is -1"),
    ({"levels": TcpMem(0, 0, 0)}, judgement.CONFIGURATION, "all TCP memory is refused: the maximum of tcp_mem is 0"),
    ({"levels": TcpMem(1, 2, -1), "limit": 0}, judgement.CONFIGURATION, "the maximum of tcp_mem is -1"),
    ({"levels": TcpMem(100, 500, 400)}, judgement.CONFIGURATION, "tcp_mem not in rising order: 100 500 400; pressure is above max, so"),
    ({"levels": TcpMem(300, 200, 400)}, judgement.CONFIGURATION, "tcp_mem not in rising order: 300 200 400; min is above pressure, so"),
    ({"levels": TcpMem(1, 1, 1), "pages": 0}, judgement.NOTHING, "0 pages"),
    ({"levels": TcpMem(100, 500, 400), "pages": 401}, judgement.CONFIGURATION, "; already short now: TCP holds 401 pages"),
    ({"limit": 0, "log": Log(memory=3)}, judgement.CONFIGURATION, "every orphan is reset"),
    # A container of OpenVZ whose orphans are its own: the limit knows no penalties, the share of numtcpsock does.
    ({"own": True, "orphans": 50}, judgement.NOTHING, "50 orphans, 50.0 % of the limit 100"),
    ({"own": True, "orphans": 51}, judgement.NEAR, "51 orphans, 51.0 % of the limit 100, of this container alone: nobody is reset before"),
    ({"own": True, "orphans": 100}, judgement.NEAR, "100.0 % of the limit 100"),
    ({"own": True, "orphans": 101}, judgement.ORPHAN_LIMIT, "every socket that is closed is reset"),
    ({"own": True, "orphans": 24, "grants": [grant()]}, judgement.NOTHING, ""),
    ({"own": True, "orphans": 25, "grants": [grant()]}, judgement.CONTAINER, "25 orphans of the 99 that numtcpsock leaves this container, a quarter of its barrier 400: only orphans with both"),
    ({"own": True, "orphans": 50, "grants": [grant()]}, judgement.CONTAINER, ": an orphan with one penalty would be reset at its next timer"),
    ({"own": True, "orphans": 100, "grants": [grant()]}, judgement.CONTAINER, ": every socket that is closed would be reset"),
    ({"own": True, "orphans": 50, "grants": [grant(uid="0", barrier=2**63 - 1), grant(uid="102")]}, judgement.NOTHING, ""),
    ({"own": True, "orphans": 50, "grants": [grant(uid="101"), grant(uid="102")]}, judgement.NOTHING, ""),
    ({"own": True, "orphans": 50, "grants": [grant(barrier=2**63 - 1)]}, judgement.NOTHING, ""),
    # A container of OpenVZ.
    ({"grants": [grant()]}, judgement.NOTHING, ""),
    ({"grants": []}, judgement.NOTHING, ""),
    ({"grants": [grant(failcnt=7)]}, judgement.NOTHING, ""),
    (
        {"grants": [grant(failcnt=7, grown=2, minutes=9)]},
        judgement.CONTAINER,
        "numtcpsock of container 101 was refused 2 times within 9 min (failcnt 7; held 20, barrier 400)",
    ),
    (
        {"grants": [grant(), grant(resource="tcpsndbuf", failcnt=1, grown=1, minutes=1)], "log": Log(unclear=1)},
        judgement.CONTAINER,
        "; the log shows at least 1 reset (cause: 1 unclear)",
    ),
    ({"grants": [grant(held=400)]}, judgement.CONTAINER, "numtcpsock of container 101 has reached its barrier: 400 of 400 held"),
    ({"grants": [grant(held=399)]}, judgement.NOTHING, ""),
    ({"grants": [grant()], "orphans": 49, "limit": 10**4}, judgement.NOTHING, ""),
    ({"grants": [grant()], "orphans": 50, "limit": 10**4}, judgement.CONTAINER, "container 101 may have 100 orphans, 25 % of its barrier 400"),
    ({"grants": [grant()], "orphans": 24, "limit": 10**4, "log": Log(1)}, judgement.SPIKE, ""),
    ({"grants": [grant()], "orphans": 25, "limit": 10**4, "log": Log(1)}, judgement.CONTAINER, "sockstat shows 25"),
    ({"grants": [grant(), grant(uid="102")], "orphans": 50, "limit": 10**4}, judgement.NOTHING, ""),
    ({"grants": [grant(barrier=2**63 - 1)], "orphans": 10**9, "limit": 10**12}, judgement.NOTHING, ""),
    ({"grants": [grant(held=400)], "orphans": 101}, judgement.ORPHAN_LIMIT, "; numtcpsock of container 101 has reached its barrier"),
    ({"grants": [grant(failcnt=7, watched=False)]}, judgement.NO_SHORTAGE, "numtcpsock of container 101 7 times"),
    ({"grants": WHY}, judgement.NO_SHORTAGE, "the limits of this container are not known: net/x cannot be read"),
    # Refused now is more telling than not to see the node's limits.
    ({"grants": [grant(held=400)], "limit": AWAY, "levels": AWAY}, judgement.CONTAINER, "has reached its barrier: 400 of 400 held"),
    ({"grants": [grant(failcnt=7, watched=False)], "counter": LOST}, judgement.NO_SHORTAGE, "container 101 7 times"),
    # What cannot be seen.
    ({"limit": AWAY, "levels": AWAY}, judgement.HIDDEN, "tcp_max_orphans and tcp_mem cannot be seen from here"),
    ({"starved": Starved(40, 0, 0, True)}, judgement.NOTHING, ""),
    ({"starved": Starved(40, 12, 5, True)}, judgement.STARVED, "cgroups slowed down their sockets 12 times within 5 min, for lack of memory in the cgroup (sock_throttled); 3 orphans, 3.0 % of the limit 100; TCP holds 50 pages"),
    ({"starved": Starved(40, 1, 5, True, "shop.service", 1)}, judgement.STARVED, "sockets 1 time within 5 min, for lack of memory in the cgroup (sock_throttled), 1 of them in cgroup shop.service; 3"),
    ({"starved": Starved(40, 12, 5, True), "limit": AWAY, "levels": AWAY}, judgement.STARVED, "; 3 orphans; TCP holds 50 pages"),
    ({"starved": Starved(40, 12, 5, True), "pages": 401}, judgement.MEMORY, "reset; cgroups slowed down their sockets 12 times"),
    ({"starved": Starved(40, 12, 5, True), "log": Log(orphans=3)}, judgement.STARVED, "12 times within 5 min"),
    # What the gauge and the lists leave out.
    ({"bypass": True}, judgement.NOTHING, "50 pages, 12.5 % of the maximum 400, without sockets that net.core.bypass_prot_mem exempts"),
    ({"bypass": True, "levels": AWAY}, judgement.HIDDEN, "TCP holds 50 pages, without sockets that net.core.bypass_prot_mem exempts"),
    ({"pages": 401, "unlisted": Unlisted(51, 51, 100)}, judgement.MEMORY, "are reset; 51 of 100 TCP sockets are in no list here"),
    ({"pages": 401, "unlisted": Unlisted(50, 100, 100)}, judgement.MEMORY, "and orphans that hold data are reset"),
    ({"unlisted": Unlisted(99, 99, 100)}, judgement.NOTHING, ""),
    ({"levels": AWAY}, judgement.HIDDEN, "; 3 orphans, 3.0 % of the limit 100; TCP holds 50 pages"),
    ({"levels": AWAY, "orphans": 30}, judgement.HIDDEN, "; 30 orphans, 30.0 % of the limit 100, over the 25 % line (4x penalty); TCP holds 50 pages"),
    ({"limit": AWAY, "log": Log(2)}, judgement.HIDDEN, "; but in the last 1h the log shows at least 2 resets"),
    ({"limit": AWAY, "counter": LOST}, judgement.HIDDEN, "; 5 orphans of this network namespace reset since it"),
    ({"limit": AWAY, "pages": WHY}, judgement.CANNOT_SAY, "this is a child network namespace; net/x"),
    ({"orphans": WHY, "pages": WHY}, judgement.CANNOT_SAY, "net/x cannot be read"),
    ({"orphans": WHY, "log": Log(2)}, judgement.CANNOT_SAY, "; but in the last 1h the log shows at least 2 resets"),
    ({"under_pressure": WHY, "pages": 99}, judgement.NOTHING, ""),
    ({"under_pressure": WHY, "pages": 100}, judgement.CANNOT_SAY, "perhaps under memory pressure"),
    ({"under_pressure": False, "pages": 100}, judgement.NOTHING, ""),
    # What is over.
    ({"log": Log(orphans=3)}, judgement.SPIKE, "in the last 1h the log shows at least 3 resets (cause: 3 orphans)"),
    ({"log": Log(memory=1)}, judgement.SPIKE, "(cause: 1 memory)"),
    ({"log": Log(1, 2, 3, 4, "gap"), "window": "2d"}, judgement.SPIKE, "in the last 2d the log shows at least 6 resets"),
    ({"log": Log(1, 2, 3)}, judgement.SPIKE, "(cause: 1 orphans, 2 memory, 3 unclear)"),
    ({"counter": Counter(9, 2, 7)}, judgement.SPIKE, "the counter of this network namespace shows 2 resets within 7 min"),
    ({"log": Log(1), "counter": Counter(9, 2, 7)}, judgement.SPIKE, "(cause: 1 orphans) and the counter"),
    ({"orphans": 26, "log": Log(memory=1)}, judgement.SPIKE, "there are few, as usual after a spike: 26 orphans, 26.0 % of the limit 100, over the 25 % line (4x penalty); TCP"),
    ({"orphans": 26, "log": Log(orphans=9)}, judgement.PENALISED, "which fits unless there was a short peak"),
    ({"orphans": 26, "counter": Counter(9, 2, 7)}, judgement.PENALISED, "shows 2 resets within 7 min, which fits unless"),
    ({"orphans": 51, "log": Log(orphans=9)}, judgement.ORPHAN_LIMIT, "; the log shows at least 9 resets"),
    # Health, as far as it was seen.
    ({}, judgement.NOTHING, "no shortage now, and none in the log of the last 1h: 3 orphans, 3.0 % of the limit 100"),
    ({"counter": LOST}, judgement.NOTHING, "none in the log"),
    ({"log": LATE}, judgement.NO_SHORTAGE, "no reset in this network namespace in the last 1h; containers"),
    ({"log": LATE}, judgement.NO_SHORTAGE, "containers are not known: the log begins too late"),
    ({"log": LATE, "counter": LOST}, judgement.NO_SHORTAGE, "the last 1h is not fully known: the log begins too late; when"),
    ({"log": Log(suppressed=8)}, judgement.NO_SHORTAGE, "8 messages of unknown kind were suppressed by the rate limit"),
]  # fmt: skip


@pytest.mark.parametrize("changes, case, part", CASES)
def test_case(changes: dict[str, Any], case: str, part: str) -> None:
    judged = judgement.judge(evidence(**changes))
    assert judged.case == case
    assert part in judged.text


def test_every_case_is_in_the_table() -> None:
    assert {case for _changes, case, _part in CASES} == set(cases.CASES)


@pytest.mark.parametrize(
    "changes, unsaid",
    [
        # Where the log shows all, the age of the counter does not matter.
        ({"grants": [grant(failcnt=7, watched=False)], "counter": LOST}, "not known when"),
        # What is known to be of this hour is not said to be of an unknown one.
        ({"grants": [grant(failcnt=7, grown=2, minutes=9, watched=False)]}, "at an unknown time"),
    ],
)
def test_nothing_superfluous(changes: dict[str, Any], unsaid: str) -> None:
    assert unsaid not in str(judgement.judge(evidence(**changes)))


def test_what_is_short_leaves_no_room_for_all_the_rest() -> None:
    most: dict[str, Any] = {"orphans": 60, "pages": Blind("x" * 900), "under_pressure": True, "log": Log(10, 10, 10)}
    part = "; the rest is not known: xxx"
    assert part in judgement.judge(evidence(**most)).text
    judged = judgement.judge(evidence(counter=Counter(9, 9, 60), **most))
    assert judged.case == judgement.BOTH and len(judged.text) < judgement.ROOM
    assert "the log shows" in judged.text and "the counter" in judged.text and part not in judged.text


def test_steps_are_those_for_what_is_missing() -> None:
    """Nothing is asked for that would not help, and nothing is left out."""
    steps = {
        "run check_tcp_kernel_log -v": {"log": LATE},
        "look at aborts_on_memory": {"log": Log(suppressed=8)},
        "run this as a user": {"grants": WHY},
        "run this again": {"grants": [grant(failcnt=7, watched=False)]},
    }
    for wanted, changes in steps.items():
        for alarm in (False, True):
            said = judgement.judge(evidence(alarm=alarm, **changes)).next_step
            assert [step in said for step in steps] == [step == wanted for step in steps]
            assert said.endswith("and only they raise this alarm") == alarm
    both = judgement.judge(evidence(log=LATE, grants=WHY)).next_step
    assert both.startswith("run check_tcp_kernel_log -v") and both.endswith(
        "; run this as a user who can read user_beancounters"
    )


@pytest.mark.parametrize(
    "changes, step",
    [
        ({}, "nothing to do"),
        ({"orphans": 26}, "nothing now; if it lasts, find the service that closes with unsent data"),
        ({"orphans": 51}, "find the service that closes with unsent data (ss -tan state fin-wait-1); if it needs so many and memory allows, raise"),
        ({"orphans": 101}, "if memory allows, raise net.ipv4.tcp_max_orphans; then find the service"),
        ({"pages": 401}, "find the sockets that hold the memory (ss -tm), and programs that read too slowly; if memory allows, raise net.ipv4.tcp_mem"),
        ({"limit": 0}, "set net.ipv4.tcp_max_orphans to 4096 for each GiB of memory, at most 262144; check_tcp_limits -v"),
        # What is short comes first, unless the setting itself makes it so.
        (
            {"levels": TcpMem(100, 500, 400), "orphans": 101},
            "first raise net.ipv4.tcp_max_orphans; then set net.ipv4.tcp_mem to three page counts above 0, smallest first; check",
        ),
        ({"levels": TcpMem(100, 500, 400), "orphans": 51}, "first raise net.ipv4.tcp_max_orphans; then set net.ipv4.tcp_mem"),
        ({"levels": TcpMem(100, 500, 400), "orphans": 50}, "set net.ipv4.tcp_mem to three page counts above 0, smallest first; check"),
        (
            {"levels": TcpMem(100, 500, 400), "pages": 401},
            "set net.ipv4.tcp_mem to three page counts above 0, smallest first, the last well above the 401 in use; check_tcp_limits -v",
        ),
        ({"limit": 0, "pages": 401}, "first set net.ipv4.tcp_max_orphans to 4096 for each GiB of memory, at most 262144; then find the sockets"),
        ({"limit": 0, "levels": AWAY, "under_pressure": True}, "first set net.ipv4.tcp_max_orphans to 4096"),
        ({"levels": TcpMem(0, 0, 0), "orphans": 101}, "first set net.ipv4.tcp_mem to three page counts above 0, smallest first; then raise"),
        ({"grants": [grant(held=400)]}, "find who holds the sockets (ss -tanp) and the buffers (ss -tm); do not change tcp_max_orphans or tcp_mem, they do not"),
        ({"starved": Starved(9, 9, 1, True)}, "do not change tcp_mem, it does not help here; raise memory.max or memory.high"),
        ({"pages": 401, "unlisted": Unlisted(51, 51, 100)}, "find what ss does not show: containers (check_tcp_mem -v), closed sockets"),
        ({"limit": AWAY}, "run the checks on the host, or give them its limits: check_tcp_orphans"),
        ({"orphans": WHY}, "run check_tcp_orphans -v and check_tcp_mem -v on that host"),
        ({"log": Log(orphans=1)}, "look at the graph of orphans; find what closed many connections at once; if the spike"),
        ({"log": Log(memory=1)}, "look at the graph of pages; find what took the memory (ss -tm); if the spike comes back"),
        ({"log": Log(1, 1)}, "compare the graphs of orphans and pages: both limits were reached; if the spike"),
        ({"log": Log(unclear=1)}, "compare the graphs of orphans and pages at that time; check_tcp_kernel_log -v may show"),
        ({"levels": AWAY}, "run the checks on the host, or give them its limits: check_tcp_mem --tcp-mem M"),
        ({"log": LATE}, "run check_tcp_kernel_log -v on that host, every few minutes, as a user who can read its kernel log"),
        ({"log": Log(suppressed=8)}, "look at aborts_on_memory of check_tcp_orphans in each container"),
        ({"grants": WHY}, "run this as a user who can read user_beancounters"),
        ({"grants": [grant(failcnt=7, watched=False)]}, "run this again with -v: the second run sees"),
        # An alarm of thresholds that are stricter than the kernel.
        ({"alarm": True}, "check -w and -c: they are stricter"),
        ({"alarm": True, "orphans": 26}, "nothing now; if it lasts, find the service that closes"),
    ],
)  # fmt: skip
def test_next_step(changes: dict[str, Any], step: str) -> None:
    assert judgement.judge(evidence(**changes)).next_step.startswith(step)


NUMBER = st.sampled_from(
    [0, 1, 24, 25, 26, 50, 51, 100, 101, 199, 200, 201, 361, 400, 401, 2**31 - 1, 2**63 - 1, 2**64 - 1]
)
LIMIT = st.one_of(NUMBER, st.sampled_from([-1, -(2**31)]))
# As hostile as a reason can be.
REASON = st.sampled_from([WHY, AWAY, Blind("x" * 900), Blind("a|b\nc\0\x1b[2J'`"), Hidden("y; " * 300)])
COUNT = st.sampled_from([0, 0, 1, 10, 2**64 - 1])
GAP = st.sampled_from(["", "", "the log begins too late", "z|" * 500])
GRANTS = st.lists(
    st.builds(
        Grant, st.just("101"), st.sampled_from(["numtcpsock", "tcpsndbuf", "tcprcvbuf"]),
        NUMBER, NUMBER, COUNT, COUNT, st.just(59), st.booleans(),
    ),
    max_size=5,
)  # fmt: skip
VALUES = {
    "orphans": st.one_of(NUMBER, REASON),
    "limit": st.one_of(LIMIT, REASON),
    "pages": st.one_of(NUMBER, REASON),
    "levels": st.one_of(st.builds(TcpMem, LIMIT, LIMIT, LIMIT), st.just(LEVELS), REASON),
    "under_pressure": st.one_of(st.booleans(), REASON),
    "log": st.builds(Log, COUNT, COUNT, COUNT, COUNT, GAP),
    "counter": st.builds(Counter, COUNT, COUNT, st.just(2**31), GAP),
    "grants": st.one_of(st.none(), GRANTS, REASON),
    "window": st.sampled_from(["1h", "999999s"]),
    "alarm": st.booleans(),
    "bypass": st.booleans(),
    "unlisted": st.builds(Unlisted, NUMBER, NUMBER, NUMBER),
    "starved": st.one_of(
        st.none(), st.builds(Starved, COUNT, COUNT, st.just(60), st.booleans(), st.sampled_from(["", "x" * 90]), COUNT)
    ),
    "own": st.booleans(),
}
# Anything at all is hardly ever healthy: so others are healthy but for a few values, too.
ANY = st.one_of(st.fixed_dictionaries(VALUES), st.fixed_dictionaries({}, optional=VALUES)).map(lambda changes: evidence(**changes))  # fmt: skip


@settings(max_examples=300)
@given(ANY)
def test_any_evidence_has_one_verdict_that_claims_no_more_than_was_seen(found: Evidence) -> None:
    judged = judgement.judge(found)
    line = str(judged)
    assert judged.case in cases.CASES
    assert line.isprintable() and "|" not in line
    assert len(line) < 1000
    assert re.fullmatch(r"Verdict: [A-Za-z0-9 ,:%_]+ - [^:; ].+\. Next: [^:; ].+", line)
    assert not re.search(r"[:;,] ?[:;,]", line)
    healthy = judged.case in (judgement.NOTHING, judgement.NO_SHORTAGE)
    if healthy or judged.case in (judgement.PENALISED, judgement.SPIKE):
        orphans, limit, pages, levels = found[:4]
        assert not any(isinstance(value, Blind) for value in (orphans, limit, pages, levels))
        assert limit > 0 and orphans << (1 if found.own else 2 if healthy else 1) <= limit
        assert levels.in_order and pages <= levels.pressure and 10 * pages <= 9 * levels.max
        assert found.under_pressure is False or (isinstance(found.under_pressure, Blind) and pages < levels.min)
    if healthy:
        assert not found.log.hits and not found.counter.grown
        assert not (found.starved and found.starved.grown)
        if isinstance(found.grants, list):
            assert not any(grant.grown or grant.full for grant in found.grants)
    if judged.case == judgement.NOTHING:
        assert not found.log.gap and not found.log.suppressed
        assert found.grants is None or all(grant.watched for grant in found.grants)
    assert not (found.alarm and "nothing to do" in line)
