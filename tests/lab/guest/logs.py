"""Scenarios of the kernel log: what it tells, what it loses, and who may read it."""

from __future__ import annotations

import os
import time

from . import checks, kernel, sockets
from .captures import capture
from .checks import CRITICAL, NOBODY, OK, UNKNOWN, WARNING, expect
from .table import scenario

STATE = ("--state-dir", "/tmp/state")


def pass_the_limit(number: int = 96, limit: int = 16, state: str = "") -> int:
    """So many orphans that the kernel passes a limit and resets; then all is over. How many it reset.

    ``state``: capture the moment under this name.
    """
    kernel.wait(_limiter_rested, "the limiter of messages to let some through again")
    default = kernel.sysctl("net/ipv4/tcp_max_orphans")
    aborts = kernel.aborts()
    kernel.limit(limit)
    with sockets.orphans(number):
        kernel.wait(lambda: kernel.aborts() > aborts and kernel.orphans() <= limit, "the kernel to pass its limit")
        if state:
            capture(state, log=True)
    kernel.set_sysctl("net/ipv4/tcp_max_orphans", default)
    _passed.append(time.monotonic())
    return kernel.aborts() - aborts


_passed: list[float] = []


def _limiter_rested() -> bool:
    return not _passed or time.monotonic() - _passed[-1] > 5


def flood() -> None:
    """Fill the ring with records of no interest until nothing of the family is left."""
    with open("/dev/kmsg", "w", encoding="ascii") as log:
        for number in range(3000):
            log.write(f"<13>{number:0900}\n")
            log.flush()
            if number % 100 == 0 and not kernel.lines() and int(kernel.ring()[0].split(",")[1]) > 0:
                return
    raise TimeoutError("the ring does not wrap")


@scenario("limit-passed")
def limit_passed() -> None:
    """The limit is passed: orphan hits are a lower bound, the counter has the rest, all numbers the kernel's own."""
    checks.log(*STATE).expect(OK).expect_data(hits=0, aborts_on_memory=0)
    reset = pass_the_limit(state="15-orphans-over-limit-killed")
    lines = kernel.lines(kernel.ORPHANS)
    expect(0 < lines < reset, f"{lines} lines for {reset} resets: the limiter did not act")
    said = checks.log(*STATE).expect(WARNING, f"too many orphans: {lines} messages")
    said.expect("WARNING", f"more resets than messages: {reset} since", f"{lines} in the log")
    said.expect_data(hits=lines, orphan_hits=lines, memory_hits=0, suppressed=0)
    said.expect_data(aborts_on_memory=kernel.aborts())
    checks.orphans().expect(OK)
    checks.verdict(
        checks.SPIKE, f"the log shows at least {lines} resets (cause: {lines} orphans)",
        f"the counter of this network namespace shows {reset} resets within", commands=checks.BY_LOG,
    )  # fmt: skip
    # What the limiter suppressed it says only when it next lets a message through.
    reset += pass_the_limit()
    lines = kernel.lines(kernel.ORPHANS)
    suppressed = _suppressed()
    expect(suppressed > 0, "the limiter said nothing")
    said = checks.log(*STATE).expect(WARNING, f"too many orphans: {lines} messages")
    said.expect("WARNING", f"more resets than messages: {reset} since")
    said.expect_data(hits=lines, suppressed=suppressed, aborts_on_memory=kernel.aborts())


def _suppressed() -> int:
    """What the limiter's lines in the ring add up to."""
    total = 0
    for record in kernel.ring():
        head, _semicolon, text = record.partition(";")
        if int(head.split(",")[0]) < 8 and text.startswith("net_ratelimit: "):
            total += int(text.split()[1])
    return total


@scenario("spike")
def spike() -> None:
    """A spike between two runs: the gauges are back to OK, the log check is not."""
    checks.orphans().expect(OK)
    checks.log(*STATE).expect(OK)
    checks.verdict(checks.NOTHING, commands=checks.BY_ORPHANS)
    reset = pass_the_limit()
    expect(kernel.orphans() == 0, "the spike is not over")
    checks.orphans().expect(OK).expect_data(orphans=0, aborts_on_memory=reset)
    checks.memory().expect(OK)
    checks.log("--no-state").expect(WARNING).expect_data(hits=kernel.lines(), orphan_hits=kernel.lines())
    said = checks.log(*STATE).expect(
        WARNING, f"more resets than messages: {reset} since", f"{kernel.lines()} in the log"
    )
    said.expect_data(hits=kernel.lines())
    checks.verdict(checks.SPIKE, f"{reset} resets", "0 orphans, ")


@scenario("ring-wraps")
def ring_wraps() -> None:
    """A ring that wraps between two runs: with state no hit is lost or counted twice, without it the loss is said."""
    # So long after boot that the window lies in the uptime.
    _sleep_until_uptime(2 * 3600)
    pass_the_limit()
    seen = kernel.lines()
    for _run in range(2):
        checks.log(*STATE).expect(WARNING).expect_data(hits=seen, coverage=100)
    flood()
    for _run in range(2):
        checks.log(*STATE).expect(WARNING).expect_data(hits=seen, orphan_hits=seen)
    blind = checks.log("--no-state").expect(UNKNOWN, " seen, 50 % needed").expect_data(hits=0)
    expect(blind.perfdata["coverage"] < 5, f"the ring was said to cover {blind.perfdata['coverage']} %")
    checks.log("--no-state", "--min-coverage", "0").expect(OK, "of that time")
    checks.verdict(checks.SPIKE, f"at least {seen} reset", commands=checks.BY_ORPHANS, state=STATE)
    unseen = ("/dev/kmsg shows", f"it is not known when TCPAbortOnMemory rose to {kernel.aborts()}")
    checks.verdict(checks.NO_SHORTAGE, *unseen, commands=checks.BY_MEMORY)
    # A wrap within the window, new hits on top of those remembered, and one more wrap over all of them.
    pass_the_limit()
    seen += kernel.lines()
    checks.log("--no-state").expect(WARNING, "of that time").expect_data(hits=kernel.lines())
    for _run in range(2):
        checks.log(*STATE).expect(WARNING).expect_data(hits=seen, orphan_hits=seen)
    flood()
    checks.log(*STATE).expect(WARNING).expect_data(hits=seen, orphan_hits=seen)


def _sleep_until_uptime(seconds: float) -> None:
    kernel.wait(lambda: float((kernel.PROC / "uptime").read_text().split()[0]) >= seconds, "time to pass", 2 * seconds)


@scenario("child-namespace")
def child_namespace() -> None:
    """A child network namespace: UNKNOWN with the reason, judged with the overrides; its aborts are in the log only."""
    limit = int(kernel.sysctl("net/ipv4/tcp_max_orphans"))
    checks.log(*STATE).expect(OK)
    with kernel.child_namespace():
        with sockets.orphans(64):
            reason = "cannot be seen in a container (a child network namespace)"
            checks.run("check_tcp_orphans").expect(UNKNOWN, "64 orphans", reason, "--max-orphans")
            for number, state in ((256, OK), (255, WARNING), (128, WARNING), (127, CRITICAL)):
                checks.run("check_tcp_orphans", "--max-orphans", number).expect(state).expect_data(orphans=64)
            checks.run("check_tcp_mem").expect(UNKNOWN, reason, "--tcp-mem")
            pages = kernel.pages()
            for low, pressure, high, state in (
                (pages, pages, 2 * pages, OK), (1, pages - 1, 2 * pages, WARNING), (1, 2, pages, CRITICAL),
            ):  # fmt: skip
                said = checks.run("check_tcp_mem", "--tcp-mem", f"{low},{pressure},{high}").expect(state)
                said.expect_data(pages=kernel.pages())
            checks.verdict(checks.HIDDEN, "tcp_max_orphans and tcp_mem cannot be seen from here")
            checks.limits("--no-state").expect(UNKNOWN, reason)
    # The limit belongs to the host, the resets to the namespace, the log to both.
    kernel.limit(16)
    with kernel.child_namespace():
        with sockets.orphans(96):
            kernel.wait(lambda: kernel.aborts() and kernel.orphans() <= 16, "the kernel to pass its limit")
        inside = kernel.aborts()
    kernel.limit(limit)
    lines = kernel.lines(kernel.ORPHANS)
    expect(
        inside > 0 and lines > 0 and kernel.aborts() == 0,
        f"{inside} aborts inside, {kernel.aborts()} here, {lines} lines",
    )
    checks.log(*STATE).expect(WARNING).expect_data(hits=lines, orphan_hits=lines, aborts_on_memory=0).expect_not(
        "more resets than"
    )
    checks.orphans().expect(OK).expect_data(aborts_on_memory=0)
    checks.verdict(checks.SPIKE, f"cause: {lines} orphans", commands=checks.BY_MEMORY)


@scenario("restricted")
def restricted() -> None:
    """dmesg_restrict and an unprivileged user: the counter still gives the verdict, and the remedy is named."""
    kernel.set_sysctl("kernel/dmesg_restrict", 1)
    os.chmod("/dev/kmsg", 0o644)
    os.mkdir("/tmp/nobody", 0o700)
    os.chown("/tmp/nobody", NOBODY, NOBODY)
    state = ("--state-dir", "/tmp/nobody/state")
    remedy = "dmesg_restrict"
    checks.log("--source", "kmsg", *state, user=NOBODY).expect(UNKNOWN, remedy)
    for memory in (state, ("--no-state",)):
        said = checks.log(*memory, user=NOBODY)
        said.expect(OK, "by the counter alone. No kernel log: ", remedy)
        said.expect_data(aborts_on_memory=0)
    checks.verdict(
        checks.NO_SHORTAGE,
        "no reset in this network namespace in the last 1h",
        "no kernel log: ",
        commands=checks.BY_ORPHANS,
        user=NOBODY,
    )
    reset = pass_the_limit()
    counted = f"sockets were reset: {reset} since"
    for memory in (state, ("--no-state",)):
        # Booted within the window, the counter is a complete statement without a sample before it.
        said = checks.log(*memory, user=NOBODY)
        said.expect(WARNING, counted, "by the counter alone", "No kernel log: ").expect_data(aborts_on_memory=reset)
    checks.verdict(
        checks.SPIKE,
        f"{reset} resets",
        "check_tcp_kernel_log -v may show the cause",
        commands=checks.BY_LOG,
        user=NOBODY,
    )
    checks.log("--source", "kmsg", *state, user=NOBODY).expect(UNKNOWN, remedy)
    checks.log("--no-state").expect(WARNING, "too many orphans: ").expect_data(hits=kernel.lines())
    kernel.set_sysctl("kernel/dmesg_restrict", 0)
    checks.log(*state, user=NOBODY).expect(WARNING, "too many orphans: ").expect_data(hits=kernel.lines())


@scenario("forged")
def forged() -> None:
    """A line of the family written to /dev/kmsg by a program is not counted; the kernel's own are."""
    with open("/dev/kmsg", "w", encoding="ascii") as log:
        for prefix in ("", "<6>", "<0>", "<30>", "<6>kernel: "):
            for text in (kernel.ORPHANS, kernel.MEMORY, "net_ratelimit: 40 callbacks suppressed"):
                log.write(f"{prefix}{text}\n")
                log.flush()
    records = [record for record in kernel.ring() if "TCP: " in record]
    expect(len(records) >= 10, f"only {len(records)} of the forged lines are in the ring")
    checks.log("--no-state").expect(OK).expect_data(hits=0, suppressed=0, aborts_on_memory=0)
    checks.log(*STATE).expect(OK).expect_data(hits=0, suppressed=0)
    checks.verdict(checks.NOTHING, commands=checks.BY_LOG)
    pass_the_limit()
    expect(0 < kernel.lines() < 30, "the kernel's own lines are not told apart")
    checks.log("--no-state").expect(WARNING).expect_data(hits=kernel.lines(), memory_hits=0)


@scenario("log-proofs")
def log_proofs() -> None:
    """Log files with the kernel's own words in them: each of the five questions of a proof is asked."""
    pass_the_limit()
    text = next(record for record in kernel.ring() if kernel.ORPHANS in record).partition(";")[2].splitlines()[0]
    begin, alive = _line(9000, "kernel: Linux version"), _line(5, "cron[7]: job")
    # The kernel's line is found, whatever stands around it.
    _log(begin, _line(600, f"kernel: {text}"), alive).expect(WARNING, "1 message").expect_data(hits=1)
    # Whose? The same text in a form that nobody knows.
    _log(begin, f"web1 login: [  600.000000] {text}", alive).expect(UNKNOWN, "web9 login:")
    # Would a hit show? Only warnings are stored.
    warning = "{} web1 kern.warn kernel: careful"
    _log(warning.format(_stamp(9000)), warning.format(_stamp(60)), alive).expect(UNKNOWN, "level info")
    # From when? The part before this one is missing.
    _log(_line(600, "kernel: eth0: up"), alive, before=begin).expect(UNKNOWN, "kern.log.2 is missing")
    # Until when? Nobody has written for hours.
    _log(begin, _line(8000, "cron[7]: job"), written=8000).expect(UNKNOWN, "--silence")
    # In which clock? Nobody knows when this was.
    _log(_line(-864000, f"kernel: {text}")).expect(UNKNOWN, "stamped in the future").expect_data(hits=0)


def _stamp(ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - ago))


def _line(ago: float, rest: str) -> str:
    return f"{_stamp(ago)} web1 {rest}"


def _log(*lines: str, before: str = "", written: float = 0) -> checks.Said:
    """What the check says of a log of these lines; ``before``: that of its part but one."""
    os.makedirs("/tmp/logs", exist_ok=True)
    for name, text in (("kern.log", "\n".join(lines)), ("kern.log.2", before)):
        path = f"/tmp/logs/{name}"
        if os.path.exists(path):
            os.unlink(path)
        if text:
            with open(path, "w", encoding="ascii") as file:
                file.write(text + "\n")
            os.utime(path, (time.time() - written,) * 2)
    return checks.log("--no-state", "--file", "/tmp/logs/kern.log")
