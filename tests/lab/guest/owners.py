"""Who it is: orphans and memory by port, from a kernel that cannot list its sockets yet, and then can."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence

from . import cgroups, checks, kernel, sockets, unit
from .checks import OK, expect
from .table import scenario

COMMANDS: tuple[tuple[str, ...], ...] = (("check_tcp_orphans", "--no-state"), ("check_tcp_mem",))
NO_LIST = "not shown, owners: sock_diag: the kernel refused, No such file or directory; the kernel has no tcp_diag; load the module, modprobe tcp_diag"  # fmt: skip


@scenario("owners")
def owners() -> None:
    """Orphans and memory by port, each with the right number; and one sentence from a kernel that has no tcp_diag."""
    # As on every stock system, so that only the list of sockets is missing.
    cgroups.mounted()
    # So long that FIN_WAIT2 is an orphan, which no limit resets.
    kernel.set_sysctl("net/ipv4/tcp_fin_timeout", 900)
    silent = time.monotonic()
    with contextlib.ExitStack() as stack:
        many, few, held, gone = (sockets.Sink() for _ in range(4))
        for sink in (many, few, held, gone):
            stack.callback(sink.release)
        many.orphan(30)
        few.orphan(10)
        gone.connect(8)
        gone.close()
        # So many that they are among the largest, whatever the page: each socket that holds data has one.
        held.connect(12)
        held.fill()
        with kernel.child_namespace():
            elsewhere = sockets.Sink()
            stack.callback(elsewhere.release)
            elsewhere.orphan(5)
        expect(kernel.orphans() == 53, f"{kernel.orphans()} orphans instead of 53")
        if kernel.MODULES:
            _cannot_list()
            kernel.list_sockets()
        elif NO_LIST in checks.run("check_tcp_orphans", "-v", "--no-state").text:
            _cannot_list()
            return
        shares = ((many, 30, "62.5 %", "FIN_WAIT1"), (few, 10, "20.8 %", "FIN_WAIT1"), (gone, 8, "16.7 %", "FIN_WAIT2"))
        ports = [
            f"connections to port {sink.port}: {number} orphans, {share}; {state} {number}; peers 127.0.0.0/24 ({number})"
            for sink, number, share, state in shares
        ]
        left = f"{int(kernel.sysctl('net/ipv4/tcp_max_orphans')) // 4 - 53} below 25 %"
        more = "5 more: in other network namespaces (containers), or short-lived"
        _expect_lines("check_tcp_orphans", left, [*ports, more])
        _memory(many, held)
        kernel.wait(lambda: time.monotonic() - silent > 245, "the orphans to have been silent for 240 s", 600)
        # Their window closed on data that waits, so they are given up before anybody asks; FIN_WAIT2 is never asked.
        _expect_lines("check_tcp_orphans", left, [*ports, more])
        checks.orphans("--no-owners", "--no-state").expect(OK)
        said = checks.run("check_tcp_orphans", "-v", "--no-owners", "--no-state")
        said.expect_not("connections to port").expect_not("penalised now")


def _cannot_list() -> None:
    """Nothing but one line is missing from either check."""
    for command, *state in COMMANDS:
        plain = checks.run(command, *state)
        said = checks.run(command, "-v", *state)
        expect(said.status == plain.status, f"-v makes of {plain.status}: {said.text}")
        left_out = [line for line in said.text.splitlines() if line.startswith("not shown")]
        expect(left_out == [NO_LIST], f"{command} leaves out {left_out}")
    checks.verdict(checks.NOTHING, "53 orphans", commands=checks.BY_LOG)


def _expect_lines(command: str, words: str, lines: Sequence[str]) -> None:
    """``lines`` must be among those of -v one after the other, with nothing of the kind around them."""
    said = checks.run(command, "-v", "--no-state").expect(OK, words)
    found = said.text.splitlines()
    of_owners = [line for line in found if re.search("^connections to|^port |penalised now| more: |not shown", line)]
    expect(of_owners == [*lines], f"{command} should say {lines}, but said: {said.text}")


def _memory(orphaned: sockets.Sink, held: sockets.Sink) -> None:
    """Nearly all the pages the kernel counts, by holder."""
    said = checks.run("check_tcp_mem", "-v").expect(OK).expect_not("not shown")
    shares = re.findall(r"^(?:connections to )?(?:port \d+|\d+ more ports?): .*?, ([\d.]+) %", said.text, re.MULTILINE)
    expect(80 < sum(map(float, shares)) < 101, f"all of the memory should have owners: {said.text}")
    sizes = re.findall(
        r"^(?:connections to )?(?:port \d+|\d+ more ports?): ([\d.]+) ([KMG]?)i?B", said.text, re.MULTILINE
    )
    total = sum(float(number) * 1024 ** " KMG".index(prefix or " ") for number, prefix in sizes)
    charged = unit.charged()
    expect(0.95 < total / charged < 1.05, f"{total} bytes have owners, and {charged} are charged: {said.text}")
    for sink, number, holder in (
        (orphaned, 30, "orphans"), (held, 12, f"python3[{os.getpid()}]"),
    ):  # fmt: skip
        line = (
            rf"^connections to port {sink.port}: .*, in {number} sockets; .* to be sent; held by {re.escape(holder)} "
        )
        expect(re.search(line, said.text, re.MULTILINE), f"no line like {line} in: {said.text}")
    line = f"^port {orphaned.port}: .*, in 30 sockets; .* received, 0 B to be sent; held by not yet accepted "
    expect(re.search(line, said.text, re.MULTILINE), f"no line like {line} in: {said.text}")
