"""The penalties of orphans with the settings a user has: who is reset at 67 and 33 % of the limit, and who is spared."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from . import checks, kernel, sockets
from .checks import CRITICAL, OK, WARNING, expect
from .table import scenario

NUMBER = 64
SPARED_HALF, KILLED_HALF = 160, 96
"""Limits of which they are 40 and 67 %."""
SPARED_QUARTER, KILLED_QUARTER = 320, 192
"""Limits of which they are 20 and 33 %."""
FREE = 65536
"""A limit that nobody passes: for as long as the check looks."""

WORDS = {
    SPARED_HALF: (WARNING, "over 25 %"),
    KILLED_HALF: (CRITICAL, "over 50 %"),
    SPARED_QUARTER: (OK, "16 below 25 %"),
    KILLED_QUARTER: (WARNING, "over 25 %"),
}


@scenario("idle-then-closed")
def idle_then_closed() -> None:
    """Idle, then closed towards a peer that is gone: after 250 s one penalty, with an ICMP error two; after 5 s none."""
    listed = kernel.list_sockets()
    for idle, answered, limit, killed in (
        (5, False, KILLED_HALF, False),
        (250, False, SPARED_HALF, False),
        (250, False, KILLED_HALF, True),
        (250, True, SPARED_QUARTER, False),
        (250, True, KILLED_QUARTER, True),
    ):
        with sockets.remote(NUMBER) as host:
            host.send(100)
            time.sleep(idle)
            router = host.vanish()
            if answered:
                router.answer()
            host.sink.close()
            _expect(limit, NUMBER if idle > 240 and listed else 0)
            # Each is asked at the next timer of its FIN.
            _judged(limit, 4 if answered else 2, killed, kernel.retransmissions)


@scenario("window-long-closed")
def window_long_closed() -> None:
    """Written into a window that had been closed for 250 s: one penalty, though the peer answers; after 30 s none."""
    listed = kernel.list_sockets()
    for idle, limit, killed in ((30, KILLED_HALF, False), (250, SPARED_HALF, False), (250, KILLED_HALF, True)):
        sink = sockets.Sink(receive=4096, send=0)
        try:
            sink.connect(NUMBER)
            sink.close_windows()
            time.sleep(idle)
            for client in sink.clients:
                client.send(bytes(1000))
            sink.close()
            _expect(limit, NUMBER if idle > 240 and listed else 0)
            _judged(limit, 2, killed, lambda: kernel.counter("TCPWinProbe"))
        finally:
            sink.release()
            kernel.wait(lambda: kernel.orphans() == 0, "all orphans to be gone", 600)


@scenario("window-closes-on-data")
def window_closes_on_data() -> None:
    """A window that closes on waiting data: never a penalty, whatever the silence; the orphan ends by time-out."""
    listed = kernel.list_sockets()
    with sockets.orphans(NUMBER):
        began, given_up = time.monotonic(), kernel.counter("TCPAbortOnTimeout")
        kernel.limit(KILLED_HALF)
        _expect(KILLED_HALF, 0)
        kernel.wait(lambda: time.monotonic() - began > 250, "the orphans to have been silent for 240 s", 600)
        expect((kernel.orphans(), kernel.aborts()) == (NUMBER, 0), "the kernel acted on silence")
        _expect(KILLED_HALF, 0)
        kernel.wait(lambda: kernel.counter("TCPAbortOnTimeout") - given_up == NUMBER, "all to be given up", 600)
        checks.report(listed=listed, seconds=round(time.monotonic() - began, 1))
        expect((kernel.orphans(), kernel.aborts()) == (0, 0), f"{kernel.aborts()} were reset for the limit")
    checks.orphans("--no-state").expect(OK, "0 orphans").expect_data(aborts_on_memory=0)


@scenario("raised-tcp-orphan-retries", quick=False)
def raised_orphan_retries() -> None:
    """With tcp_orphan_retries at 15 a window that closes on waiting data brings the penalty, and an ICMP error at the end both."""
    kernel.set_sysctl("net/ipv4/tcp_orphan_retries", 15)
    listed = kernel.list_sockets()
    for limit, killed in ((SPARED_HALF, False), (KILLED_HALF, True)):
        _silent_at_last(limit, killed, listed)
        _answered_orphans(limit, killed, longest=False)
    for limit, killed in ((SPARED_QUARTER, False), (KILLED_QUARTER, True)):
        _answered_orphans(limit, killed, longest=True)


def _silent_at_last(limit: int, killed: bool, listed: bool) -> None:
    with sockets.orphans(NUMBER):
        began = time.monotonic()
        kernel.wait(lambda: time.monotonic() - began > 245, "the orphans to have been silent for 240 s", 600)
        _expect(limit, NUMBER if listed else 0)
        _judged(limit, 2, killed, lambda: kernel.counter("TCPWinProbe"))


def _answered_orphans(limit: int, killed: bool, longest: bool) -> None:
    """An ICMP error is one penalty, in answer to a retransmission at the ``longest`` timeout it is two."""
    aborts, given_up = kernel.aborts(), kernel.counter("TCPAbortOnTimeout")
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(sockets.remote(NUMBER))
        router = host.vanish()
        host.send(6000)
        host.sink.close()
        kernel.limit(limit)
        stack.callback(kernel.limit, FREE)
        _expect(limit, 0)
        expect(kernel.aborts() == aborts, f"reset without a penalty at limit {limit}")
        router.answer()
        if killed:
            kernel.wait(lambda: kernel.aborts() > aborts, "penalised orphans to be reset", 600)
            expect(not longest or kernel.counter("TCPAbortOnTimeout") == given_up, "some gave up before")
        elif longest:
            # Past the last retransmission the kernel gives them up for the time that has gone.
            kernel.wait(lambda: kernel.counter("TCPAbortOnTimeout") > given_up, "orphans to be given up", 600)
            expect(kernel.aborts() == aborts, f"reset at limit {limit}")
        else:
            kernel.wait(lambda: router.answers >= 3 * NUMBER, "three answers to each orphan", 600)
            expect((kernel.orphans(), kernel.aborts()) == (NUMBER, aborts), f"reset at limit {limit}")


def _expect(limit: int, penalised: int) -> None:
    """What the check says of them at ``limit``, and that it counts so many as penalised for silence."""
    expect(kernel.orphans() == NUMBER, f"{kernel.orphans()} orphans instead of {NUMBER}")
    state, words = WORDS[limit]
    said = checks.run("check_tcp_orphans", "-v", "--no-state", "--max-orphans", limit)
    said.expect(state, words, f"{NUMBER} orphans, ")
    if penalised:
        said.expect(state, f"at least {penalised} of them are penalised now: no data was sent for more than 240 s")
    else:
        said.expect_not("penalised now")


def _judged(limit: int, factor: int, killed: bool, asked: Callable[[], int]) -> None:
    """Set ``limit``: they are reset, or each of them was ``asked`` twice and is still there."""
    before, aborts = asked(), kernel.aborts()
    kernel.limit(limit)
    try:
        if killed:
            kernel.wait(lambda: kernel.orphans() <= limit // factor, "penalised orphans to be reset", 300)
            expect(kernel.aborts() - aborts == NUMBER - kernel.orphans(), "not all ended for the limit")
        else:
            kernel.wait(lambda: asked() >= before + 2 * NUMBER, "two timers of each orphan", 600)
            expect((kernel.orphans(), kernel.aborts()) == (NUMBER, aborts), f"reset at limit {limit}")
            checks.orphans("--no-state").expect(WORDS[limit][0])
    finally:
        kernel.limit(FREE)
