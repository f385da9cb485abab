"""Files in which a hit is easily lost, found twice, or seen where none is."""

from __future__ import annotations

import calendar
import gzip
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from workbench.command import Output
from workbench.log_command import Moment, at, check, counted, coverage, no_counter, total
from workbench.machine import program

NOW = calendar.timegm((2026, 11, 22, 16, 0, 0)) + 0.25
UPTIME = 500_000.0
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"
ORPHAN = "TCP: too many orphaned sockets"
OK, WARNING, CRITICAL, UNKNOWN = range(4)


def bsd(ago: float) -> str:
    return time.strftime("%b %e %H:%M:%S", time.gmtime(NOW - ago))


def iso(ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW - ago))


def asc(ago: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(NOW - ago))


def kernel(ago: float, text: str = "usb 1-1: new device", host: str = "web1") -> str:
    return f"{bsd(ago)} {host} kernel: {text}"


def cron(ago: float, host: str = "web1") -> str:
    return f"{bsd(ago)} {host} CRON[7]: (root) CMD (job)"


START = kernel(9000, "Linux version 6.1.0")
END = kernel(5)


class Place:
    """A folder of logs, and runs on them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.moment = Moment(NOW, UPTIME)
        self.zone = "UTC"

    def write(self, name: str, *lines: str | bytes, written: float = 5) -> pathlib.Path:
        """A file whose last write was ``written`` seconds ago."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(line if isinstance(line, bytes) else line.encode() + b"\n" for line in lines)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        os.utime(path, (NOW - written,) * 2)
        return path

    def check(self, *options: str | os.PathLike[str], state: bool = False) -> Output:
        memory = ["--state-dir", self.folder / "state"] if state else ["--no-state"]
        with at(self.moment, self.zone):
            return check(*options, "--procfs", no_counter(self.folder), *memory)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


ODD_HOSTS = [
    "_gateway", "shop.info", "s_src@web2", "web2/relay1", "::1", "fe80::1%eth0", "[2001:db8::1]", "2001:db8::7", "192.0.2.7",
    "last", "message", "kernel", "-", "1", "web2.example.org", "WEB2", "x-y_z",
]  # fmt: skip


class TestHosts:
    @pytest.mark.parametrize("host", ODD_HOSTS)
    @pytest.mark.parametrize("text", [MEMORY, f"[499400.123456] {MEMORY}"], ids=["", "printk"])
    def test_odd_beside_others(self, place: Place, host: str, text: str) -> None:
        log = place.write("messages", START, kernel(600, text, host), END)
        output = place.check("--file", log)
        assert (output.code, total(output)) == (CRITICAL, 1), output.text

    @pytest.mark.parametrize("host", ODD_HOSTS)
    def test_odd_in_iso(self, place: Place, host: str) -> None:
        log = place.write("messages", f"{iso(9000)} web1 kernel: x", f"{iso(600)} {host} kernel: {MEMORY}", END)
        output = place.check("--file", log)
        assert (output.code, total(output)) == (CRITICAL, 1), output.text

    @pytest.mark.parametrize(
        "wanted, written, found",
        [
            ("web2", "web2", True),
            ("WEB2", "web2", True),
            ("web2", "WEB2", True),
            ("web2", "web2.example.org", True),
            ("web2.example.org", "web2.example.org", True),
            ("web2.Example.org", "WEB2.example.org", True),
            ("web2.example.org", "web2", False),
            ("web2.example.org", "web2.example.net", False),
            ("web2", "web22", False),
            ("web2", "web1", False),
            ("web2", "other.web2", False),
        ],
    )
    def test_wanted(self, place: Place, wanted: str, written: str, found: bool) -> None:
        lines = [kernel(9000, "Linux version", written), kernel(600, MEMORY, written), kernel(5, "usb", written)]
        output = place.check("--file", place.write("messages", *lines), "--log-host", wanted)
        assert (output.code, total(output)) == ((CRITICAL, 1) if found else (UNKNOWN, 0)), output.text

    def test_that_never_appears(self, place: Place) -> None:
        log = place.write("messages", START, kernel(600, MEMORY, "web2"), END)
        output = place.check("--file", log, "--log-host", "web3")
        assert (output.code, total(output)) == (UNKNOWN, 0)
        assert "holds no kernel message of web3, so a hit would not show there" in output.text
        assert "Next: check --log-host, and the syslog of that host" in output.text

    def test_that_is_silent_beside_others(self, place: Place) -> None:
        """Lines of others do not prove that this one still sends; --silence says how long it may be quiet."""
        log = place.write("messages", kernel(90000, host="web2"), kernel(7000, host="web2"), START, END)
        output = place.check("--file", log, "--log-host", "web2")
        assert output.code == UNKNOWN
        assert "--silence" in output.text and "mark" in output.text
        assert place.check("--file", log, "--log-host", "web2", "--silence", "2h").code == OK
        assert place.check("--file", log, "--log-host", "web2", "--silence", "90m").code == UNKNOWN


class TestWhose:
    @pytest.mark.parametrize(
        "lines",
        [
            [time.strftime("%Y-%m-%d %H:%M:%S,123 fail2ban.filter [12]: INFO x", time.gmtime(NOW - a)) for a in (9000, 5)],
            [f"[{asc(a)}] [error] [client 192.0.2.1] File does not exist: /x" for a in (9000, 5)],
            ["[500000.123] (II) LoadModule: x", "[509000.123] (II) x"],
            [f"{bsd(a)} web1 CRON[7]: job" for a in (9000, 5)],
            [f"{iso(a)} INFO something" for a in (9000, 5)],
            [f"{bsd(a)} web1 dockerd[7]: time=x level=info msg=y" for a in (9000, 5)],
            [f"192.0.2.1 - - [{time.strftime('%d/%b/%Y:%H:%M:%S +0000', time.gmtime(NOW - a))}] \"GET /\" 200 5" for a in (9000, 5)],
        ],
        ids=["fail2ban", "Apache 2.2", "Xorg", "cron", "an application", "docker", "an access log"],
    )  # fmt: skip
    def test_not_a_kernel_log(self, place: Place, lines: list[str]) -> None:
        output = place.check("--file", place.write("some.log", *lines))
        assert (output.code, total(output)) == (UNKNOWN, 0), output.text

    @pytest.mark.parametrize("tag", ["app[7]", "app", "sshd(pam_unix)[7]", "kernel2", "systemd"])
    def test_another_program_says_it(self, place: Place, tag: str) -> None:
        output = place.check("--file", place.write("messages", START, f"{bsd(600)} web1 {tag}: {MEMORY}", END))
        assert total(output) == 0 and output.code in (OK, UNKNOWN), output.text

    @pytest.mark.parametrize("line", [f"web1 login: [499400.000000] {MEMORY}", f"??{bsd(600)} web1 kernel {MEMORY}", f"{bsd(600)} {MEMORY}"])  # fmt: skip
    def test_not_understood_is_said(self, place: Place, line: str) -> None:
        """No clean OK: it may be a hit."""
        output = place.check("--file", place.write("messages", START, kernel(660), line, END))
        assert output.code != OK, output.text


class TestClock:
    @pytest.mark.parametrize("lines", [40, 31_000], ids=["short", "long"])
    def test_stray_stamps(self, place: Place, lines: int) -> None:
        """A summary that syslog-ng stamps with the last second of the year stands after each line."""
        stray = "Dec 31 23:59:58 web1 app[7]: Last message 'x' repeated 2 times"
        later = [f"{bsd(2600 - 2500 * k // lines)} web1 app[7]: request {k:06d} served {'x' * 47}\n{stray}" for k in range(lines)]  # fmt: skip
        output = place.check("--file", place.write("messages", kernel(3 * 86400), kernel(2700, MEMORY), *later, END))
        assert (output.code, total(output)) == (CRITICAL, 1), output.text

    def test_two_lines_days_apart(self, place: Place) -> None:
        """A quiet log is complete all the same."""
        log = place.write("messages", kernel(5 * 86400, "Linux version"), kernel(2 * 86400), cron(1500), cron(300))
        output = place.check("--file", log)
        assert output.code == OK and coverage(output) > 90, output.text

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/New_York", "Pacific/Auckland"])
    def test_writer_in_another_zone(self, place: Place, zone: str) -> None:
        """The stamps are UTC, this host is not."""
        place.zone = zone
        log = place.write("kern.log", START, kernel(600, MEMORY), kernel(1), written=1)
        output = place.check("--file", log)
        assert output.code in (CRITICAL, UNKNOWN), output.text

    def test_file_begins_with_a_dead_clock(self, place: Place) -> None:
        place.write("kern.log.1", kernel(18000, "Linux version"), kernel(1800, MEMORY), written=1800)
        log = place.write(
            "kern.log", "Jan  1 00:00:03 web1 kernel: Linux version", kernel(600, "eth0: up"), written=600
        )
        output = place.check("--file", log)
        assert (output.code, total(output)) == (CRITICAL, 1), output.text

    def test_future(self, place: Place) -> None:
        """A hit with a stamp of the future is no alarm that lasts for days, nor one that the state keeps."""
        lines = [f"{iso(9000)} web1 kernel: Linux version", f"{iso(-864000)} switch7 kernel: {MEMORY}"]
        log = place.write("messages", *lines, f"{iso(1)} web1 kernel: usb", written=1)
        assert place.check("--file", log, state=True).code != OK
        later = [f"{iso(-600 * k)} web1 kernel: usb {k}" for k in range(1, 25)]
        place.write("messages", *lines, f"{iso(1)} web1 kernel: usb", *later, written=-14400)
        place.moment.later(14400)
        assert total(place.check("--file", log, state=True)) == 0
        place.write("messages", *later, written=-14400)
        assert total(place.check("--file", log, state=True)) == 0

    @pytest.mark.parametrize("days", [10, 60, -330, -200])
    def test_first_line_is_far_from_the_next(self, place: Place, days: int) -> None:
        """Of another host whose clock is ahead, or syslog-ng's summary; without a year both look like last year's."""
        lines = [kernel(-86400 * days, host="switch7"), kernel(900), kernel(800), END]
        output = place.check("--file", place.write("messages", *lines))
        assert output.code == UNKNOWN and 24 < coverage(output) < 26

    def test_uptime_that_runs_backwards_is_a_boot(self, place: Place) -> None:
        log = place.write("serial.log", f"[900000.1] {MEMORY}", "[    0.000000] Linux version", "[  100.0] eth0: up", written=172800)  # fmt: skip
        output = place.check("--file", log)
        assert total(output) == 0 and output.code in (OK, UNKNOWN), output.text


class TestFromWhen:
    def test_missing_number(self, place: Place) -> None:
        place.write("kern.log.2.gz", kernel(800000, "Linux version"), written=700000)
        output = place.check("--file", place.write("kern.log", kernel(600), END))
        assert output.code == UNKNOWN and 10 < coverage(output) < 20, output.text

    def test_rotated_part_with_a_boot_and_days_of_silence(self, place: Place) -> None:
        place.write("kern.log.1", kernel(9 * 86400, "Linux version"), kernel(9 * 86400 - 60), written=9 * 86400 - 60)
        output = place.check("--file", place.write("kern.log", kernel(300)))
        assert output.code == OK and coverage(output) > 90, output.text

    def test_old_modification_time(self, place: Place) -> None:
        """Restored, or copied with the time of another file."""
        place.write("kern.log.1", kernel(800000, "Linux version"), kernel(1800, MEMORY), written=700000)
        output = place.check("--file", place.write("kern.log", kernel(600)))
        assert output.code in (CRITICAL, UNKNOWN), output.text

    def test_part_below_the_threshold_asks_for_coverage(self, place: Place) -> None:
        """-w 10 and one hit: this is no alarm, so the rest of the window matters."""
        log = place.write("kern.log", kernel(120, "Linux version"), kernel(100, ORPHAN), written=100)
        assert place.check("--file", log, "-w", "10").code == UNKNOWN

    @pytest.mark.parametrize("message", [MEMORY, ""], ids=["hit", "quiet"])
    def test_named_by_the_date_behind_a_link(self, place: Place, message: str) -> None:
        """Ten minutes after midnight most of the window is in yesterday's file."""
        place.moment.later(8 * 3600 + 600)
        yesterday = [kernel(-3600 * hour, f"usb {hour}") for hour in range(8)]
        place.write(
            "kern-20261122.log", START, *yesterday, kernel(-27000, message or "usb"), cron(-28500), written=-28500
        )
        today = place.write("kern-20261123.log", cron(-28860), cron(-29300), written=-29300)
        link = today.with_name("kern.log")
        link.symlink_to(today.name)
        output = place.check("--file", link)
        assert (output.code, total(output)) == ((CRITICAL, 1) if message else (OK, 0)), output.text

    @pytest.mark.parametrize("message", [MEMORY, ""], ids=["hit", "quiet"])
    def test_packed_at_once_by_zstd(self, place: Place, message: str) -> None:
        zstd = program("zstd", "zstd")
        part = place.write("kern.log.1", START, kernel(1800, message or "usb"), cron(600), written=600)
        subprocess.run([zstd, "-q", "--rm", part], check=True)
        os.utime(part.with_name("kern.log.1.zst"), (NOW - 600,) * 2)
        output = place.check("--file", place.write("kern.log", cron(300), cron(5)))
        assert (output.code, total(output)) == ((CRITICAL, 1) if message else (OK, 0)), output.text

    def test_packed_at_once_and_unreadable(self, place: Place) -> None:
        """Earlier runs saw it all, so that the part cannot be unpacked costs nothing."""
        place.moment.later(-300)
        log = place.write("kern.log", START, cron(1800), cron(600), cron(310), written=310)
        assert place.check("--file", log, state=True).code == OK
        place.write("kern.log.1.zst", b"(\xb5/\xfd no zstd", written=310)
        place.write("kern.log", cron(200), cron(5))
        place.moment.later(300)
        assert place.check("--file", log, state=True).code == OK


class TestUntilWhen:
    @pytest.mark.parametrize("host", ["web1", socket.gethostname()], ids=["another's", "its own"])
    def test_stopped(self, place: Place, host: str) -> None:
        lines = [kernel(800000, host=host), *(cron(259200 + k * 60, host) for k in range(300, 0, -1))]
        output = place.check("--file", place.write("messages", *lines, written=259260))
        assert output.code == UNKNOWN, output.text

    def test_no_kernel_line_since_the_boot(self, place: Place) -> None:
        """cron goes on, but nothing shows that the kernel's lines still arrive here."""
        host = socket.gethostname()
        lines = [kernel(7776000, "Linux version", host), *(cron(h * 3600, host) for h in (20, 15, 10, 5, 2, 1))]
        assert place.check("--file", place.write("messages", *lines, cron(5, host))).code == UNKNOWN


class TestLevel:
    @pytest.mark.parametrize(
        "lines",
        [
            ["<5>[    0.000000] Linux version", f"<6>[499400.000000] {MEMORY}", "<4>[500000.000000] a warning"],
            ["kern  :notice: [    0.000000] Linux", f"kern  :info  : [499400.000000] {MEMORY}", "kern  :warn  : [500000.000000] x"],
        ],
        ids=["dmesg -r", "dmesg -x"],
    )  # fmt: skip
    def test_a_hit_proves_it(self, place: Place, lines: list[str]) -> None:
        output = place.check("--file", place.write("ring.txt", *lines, written=0))
        assert (output.code, total(output)) == (CRITICAL, 1), output.text

    @pytest.mark.parametrize("prefix", ["<4>{}1 {} web1 kernel - - - ", "{0}{1} web1 kern.warn kernel: "])
    def test_only_warnings_are_written(self, place: Place, prefix: str) -> None:
        lines = [prefix.format("", iso(ago) if "<" in prefix else bsd(ago)) + "a warning" for ago in (9000, 600, 5)]
        assert place.check("--file", place.write("warnings.log", *lines)).code == UNKNOWN


class TestDamage:
    def test_power_loss(self, place: Place) -> None:
        """A torn line, zeroes, and the hit on the same line."""
        torn = f"{bsd(700)} web1 ker".encode() + bytes(4000)
        output = place.check("--file", place.write("kern.log", START, torn, kernel(600, MEMORY), END))
        assert (output.code, total(output)) == (CRITICAL, 1), output.text

    @pytest.mark.parametrize(
        "torn", ["web1 CRON[3]: (root) CM", "web1 CRON[3]: (ro", "web1 kernel: usb 1-1: ne", "web1 kernel: TCP: out of"]
    )
    @pytest.mark.parametrize("stamp", [bsd, iso])
    def test_glued_to_a_torn_line(self, place: Place, torn: str, stamp: Callable[[float], str]) -> None:
        """As after a full disk: nobody can tell it from a forged one, so it is no hit, and no OK."""
        line = f"{stamp(700)} {torn}{stamp(600)} web1 kernel: {MEMORY}"
        output = place.check("--file", place.write("all.log", START, line, END))
        assert output.code == UNKNOWN, output.text
        assert "a text about socket memory stands there in a form that is not known" in output.text
        assert "Next: look at that line in the log" in output.text

    def test_glued_before_a_priority(self, place: Place) -> None:
        torn = f"<78>1 {iso(5000)} web1<6>1 {iso(900)} web1 kernel - - - {ORPHAN}"
        lines = [f"<6>1 {iso(ago)} web1 kernel - - - usb 1-1: new device" for ago in (9000, 5)]
        assert place.check("--file", place.write("syslog", lines[0], torn, lines[1])).code == UNKNOWN

    def test_quoted(self, place: Place) -> None:
        """A program that quotes a line of the kernel, of this log or of another, says nothing of its own."""
        hit = kernel(600, MEMORY)
        quotes = [
            f'web1 sudo: COMMAND=/bin/grep "{hit}"',
            f"web1 watch[3]: {hit}",
            f"web1 watch[3]: [{hit}]",
            f"web1 x: line={hit}",
        ]
        output = place.check("--file", place.write("all.log", START, *(f"{bsd(500)} {quote}" for quote in quotes), END))
        assert (output.code, total(output)) == (OK, 0), output.text

    @pytest.mark.parametrize("mark", ["#012", "\\n", "kern.log.1:", ","])
    def test_quoted_from_long_ago(self, place: Place, mark: str) -> None:
        """Whatever stands before the quotation: what is older than the window is of no concern."""
        quote = f"{bsd(500)} web1 report[9]: last week:{mark}{kernel(7 * 86400, MEMORY)}"
        output = place.check("--file", place.write("all.log", START, quote, END))
        assert (output.code, total(output)) == (OK, 0), output.text

    @pytest.mark.parametrize(
        "line",
        [
            f"{bsd(500)} web1 kernel: message repeated 3 times: [{' ' * 3900}]TCP: out of mem",
            f"{bsd(500)} web1 last message repeated 3 times",
            f"{bsd(500)} <foo> {MEMORY}",
            f"kernel: {MEMORY}",
            f"foo {MEMORY}",
            f"{bsd(-2 * 86400)} web1 kernel: {MEMORY}",
            f"{bsd(200 * 86400)} web1 kernel: {MEMORY}",
            f"{bsd(500)} web1 CRON[3]: (ro{bsd(500)} web1 kernel: {MEMORY}",
            f"MESSAGE={MEMORY}",
        ],
    )
    def test_many_lines_hide_no_hit(self, place: Place, line: str) -> None:
        """However much work a line makes, a thousand of them do not use up the time of a check."""
        output = place.check("--file", place.write("all.log", START, kernel(600, MEMORY), *[line] * 1000, END))
        assert output.code == CRITICAL, output.text

    def test_what_is_missing_is_not_the_reason(self, place: Place) -> None:
        """A host need not have every usual file: what the one it has lacks is said."""
        missing, log = place.folder / "kern.log", place.write("syslog", cron(9000), cron(5))
        for order in ([missing, log], [log, missing]):
            output = place.check(*(option for path in order for option in ("--file", path)))
            assert output.code == UNKNOWN
            assert (
                "/syslog holds no kernel message, so a hit would not show there. Next: name a log with" in output.text
            )

    def test_read_error(self, place: Place) -> None:
        """A file whose read fails, as on NFS, costs no other file."""
        bad = "/sys/class/net/lo/speed"
        log = place.write("good", START, kernel(600, MEMORY))
        for order in ([bad, log], [log, bad]):
            output = place.check(*(option for path in order for option in ("--file", path)))
            assert (output.code, total(output)) == (CRITICAL, 1), output.text
        assert place.check("--file", bad).code == UNKNOWN


class TestOnce:
    def test_copied_to_another_name(self, place: Place) -> None:
        first = place.write("a", START, kernel(600, MEMORY), written=600)
        assert total(place.check("--file", first, state=True)) == 1
        second = place.write("b", START, f"{bsd(8000)} web1 cron[1]: x", kernel(600, MEMORY), written=600)
        assert total(place.check("--file", second, state=True)) == 1
        assert total(place.check("--file", first, "--file", second, state=True)) == 1
        first.unlink()
        assert total(place.check("--file", second, state=True)) == 1

    def test_trimmed(self, place: Place) -> None:
        lines = [
            *(kernel(700 + k * 20, f"usb {k}") for k in range(400, 0, -1)),
            kernel(600, MEMORY),
            kernel(600, MEMORY),
        ]
        for cut in (0, 50, 51, 300, 400):
            output = place.check("--file", place.write("log", *lines[cut:], written=600), state=True)
            assert (output.code, total(output)) == (CRITICAL, 2), (cut, output.text)

    def test_part_that_is_a_copy(self, place: Place) -> None:
        place.write("kern.log.1", START, kernel(600, MEMORY), written=600)
        output = place.check("--file", place.write("kern.log", START, kernel(600, MEMORY), END))
        assert (output.code, total(output)) == (CRITICAL, 1), output.text

    @pytest.mark.parametrize(
        "writers, count",
        [
            (["{x}"], 10),
            (["[499400.123456] {x}"], 10),
            (["[499400.123456] {x}", "{x}"], 10),
        ],
        ids=["imjournal", "imklog, one tick", "both"],
    )
    def test_equal_lines_of_one_second(self, place: Place, writers: list[str], count: int) -> None:
        lines = [kernel(600, writer.format(x=ORPHAN)) for _hit in range(10) for writer in writers]
        log = place.write("messages", START, *lines, END)
        for _run in range(2):
            output = place.check("--file", log, state=True)
            assert (output.code, total(output)) == (WARNING, count), output.text

    def test_two_writers_one_hit(self, place: Place) -> None:
        log = place.write("messages", START, kernel(600, f"[12345.678901] {MEMORY}"), kernel(600, MEMORY))
        assert total(place.check("--file", log)) == 1

    @pytest.mark.slow
    def test_two_hundred_services(self, place: Place) -> None:
        """Each has its own --log-host and the one file; each keeps its own memory."""
        hosts = [f"web{number}" for number in range(200)]
        lines = [kernel(ago, text, host) for ago, text in ((9000, "x"), (600, ORPHAN), (5, "x")) for host in hosts]
        log = place.write("messages", *lines)
        for host in hosts:
            assert total(place.check("--file", log, "--log-host", host, state=True)) == 1, host
        place.write("messages", *lines[400:])
        forgot = [host for host in hosts if total(place.check("--file", log, "--log-host", host, state=True)) != 1]
        assert not forgot


class TestNext:
    @pytest.mark.parametrize("text, container", [("1 in CT101", "101"), ("2 in CT7", "7"), ("1 in CTID", "")])
    def test_openvz(self, place: Place, text: str, container: str) -> None:
        lines = [kernel(600 - k, f"TCP: too many of orphaned sockets ({text})", "node1") for k in range(5)]
        output = place.check(
            "--file", place.write("messages", kernel(9000, "x", "node1"), *lines, kernel(5, "x", "node1"))
        )
        assert (output.code, counted(output)["unclear_hits"]) == (WARNING, 5), output.text
        status = output.text.partition(" | ")[0]
        assert container in status and "check_tcp_orphans" in status and "check_tcp_mem" in status

    def test_hits_of_both_causes(self, place: Place) -> None:
        output = place.check("--file", place.write("messages", START, kernel(600, ORPHAN), kernel(600, MEMORY), END))
        assert output.code == CRITICAL
        assert "check_tcp_orphans" in output.text and "check_tcp_mem" in output.text


class TestLoss:
    """The log says itself that it lacks messages."""

    @pytest.mark.parametrize("said", [
        "rsyslogd-2177: imjournal: 406 messages lost due to rate-limiting",
        "rsyslogd: imjournal: 84667 messages lost due to rate-limiting (20000 allowed within 600 seconds)",
        "rsyslogd[812]: imtcp from <web1:nginx>: 7 messages lost due to rate-limiting",
        "systemd-journal[1770]: Missed 1427 kernel messages",
        "systemd-journald[312]: Missed 3 kernel messages",
        "journal: Missed 1427 kernel messages",
    ])  # fmt: skip
    def test_said(self, place: Place, said: str) -> None:
        lost = f"{bsd(1800)} web1 {said}"
        log = place.write("messages", START, cron(4000), lost, cron(1000), END)
        output = place.check("--file", log)
        assert output.code == UNKNOWN and 49 < coverage(output) < 51, output
        assert "messages before 2026-11-22 15:30 were lost, says " in output.text
        # What is older than the window does not matter.
        assert place.check("--file", log, "--lookback", "20m").code == OK
        assert place.check("--file", place.write("messages", START, kernel(900, ORPHAN), lost, END)).code == WARNING

    def test_behind_a_torn_line(self, place: Place) -> None:
        torn = f"{bsd(1900)} web1 kern".encode() + bytes(700)
        lost = f"{bsd(1800)} web1 systemd-journald[312]: Missed 3 kernel messages"
        assert place.check("--file", place.write("messages", START, torn + lost.encode() + b"\n", END)).code == UNKNOWN

    def test_still_dropping(self, place: Place) -> None:
        begun = f"{bsd(300)} web1 rsyslogd: imjournal from <web1:app>: begin to drop messages due to rate-limiting"
        output = place.check("--file", place.write("messages", START, begun, END))
        assert output.code == UNKNOWN and coverage(output) == 0
        # That it ended is written only if rsyslog was not started again meanwhile.
        begun = f"{bsd(1500)} web1 rsyslogd: imjournal: begin to drop messages due to rate-limiting"
        assert 24 < coverage(place.check("--file", place.write("messages", START, begun, END))) < 26

    def test_console(self, place: Place) -> None:
        lines = [f"[{UPTIME - ago:12.6f}] usb 1-1: new device" for ago in (9000, 4000, 1800, 5)]
        assert place.check("--file", place.write("console.log", *lines)).code == OK
        output = place.check(
            "--file", place.write("console.log", *lines[:2], "** 37 printk messages dropped **", *lines[2:])
        )
        assert output.code == UNKNOWN and 49 < coverage(output) < 51, output

    @pytest.mark.parametrize("line", [
        f"{bsd(900)} web1 rsyslogd-2177: imuxsock lost 516 messages from pid 159386 due to rate-limiting",
        f"{bsd(900)} web1 rsyslogd: imuxsock[pid: 57, name: /usr/bin/imapd]: 488 messages lost due to rate-limiting (200 allowed within 5 seconds)",
        f"{bsd(900)} web1 systemd-journald[312]: Suppressed 97 messages from nginx.service",
        f"{bsd(900)} web1 app[7]: Missed 3 kernel messages",
        f"{bsd(900)} web1 app[7]: rsyslogd due to rate-limiting",
        f"{bsd(-86400)} web1 systemd-journald[312]: Missed 3 kernel messages",
    ])  # fmt: skip
    def test_no_loss_of_the_kernels(self, place: Place, line: str) -> None:
        assert place.check("--file", place.write("messages", START, cron(4000), line, cron(800), END)).code == OK

    def test_of_another_host(self, place: Place) -> None:
        lost = f"{bsd(900)} web2 systemd-journald[312]: Missed 3 kernel messages"
        log = place.write("messages", START, cron(4000), lost, cron(800), END)
        assert place.check("--file", log, "--log-host", "web1").code == OK
        assert place.check("--file", log, "--log-host", "web1", "--lookback", "10m").code == OK

    @pytest.mark.parametrize("said, host, code", [
        ("tcpsrv from <web1:kernel>: begin to drop messages due to rate-limiting", "web1", UNKNOWN),
        ("tcpsrv from <web2:kernel>: begin to drop messages due to rate-limiting", "web1", OK),
        ("imudp(*/514/IPv4) from <web1:kernel>: 5 messages lost due to rate-limiting (1 allowed within 9 seconds)", "web1", UNKNOWN),
        ("imptcp[514] from <web1:app>: begin to drop messages due to rate-limiting", "web1", UNKNOWN),
        ("imrelp[2514]: 5 messages lost due to rate-limiting", "", UNKNOWN),
        # It limits what comes from others, and no message of the kernel.
        ("imdocker: 5 messages lost due to rate-limiting", "", OK),
    ])  # fmt: skip
    def test_of_what_comes_from_others(self, place: Place, said: str, host: str, code: int) -> None:
        lines = [START, cron(4000), f"{bsd(900)} loghost rsyslogd[7]: {said}", cron(800), END]
        log = place.write("messages", *lines)
        assert place.check("--file", log, *(["--log-host", host] if host else []), "--min-coverage", "80").code == code

    def test_of_what_others_send_is_none_of_this_host(self, place: Place) -> None:
        own = os.uname().nodename
        said = f"{bsd(900)} {own} rsyslogd: tcpsrv from <web2:app>: begin to drop messages due to rate-limiting"
        lines = [kernel(9000, host=own), cron(4000, own), said, cron(800, own), kernel(5, host=own)]
        assert place.check("--file", place.write("own.log", *lines), "--min-coverage", "80").code == OK

    def test_many_of_another_host(self, place: Place) -> None:
        missed = "systemd-journald[312]: Missed 3 kernel messages"
        others = [f"{bsd(800)} web2 {missed}"] * 300
        log = place.write("messages", START, cron(4000), f"{bsd(900)} web1 {missed}", *others, END)
        assert place.check("--file", log, "--log-host", "web1", "--min-coverage", "80").code == UNKNOWN

    @pytest.mark.parametrize("lead", ["<4>", "\r", "[2026-11-22 15:30:00] "])
    def test_console_before_a_stamp(self, place: Place, lead: str) -> None:
        lines = [f"[{UPTIME - ago:12.6f}] usb 1-1: new device" for ago in (9000, 4000, 1800, 5)]
        log = place.write("console.log", *lines, f"{lead}** 37 printk messages dropped **")
        assert (place.check("--file", log).code, coverage(place.check("--file", log))) == (UNKNOWN, 0)


class TestSharedLog:
    """Several hosts write into one file, each with its own clock."""

    @pytest.mark.parametrize("behind", [0.5, 1, 2, 5, 9])
    @pytest.mark.parametrize("burst", [0, 1, 6])
    def test_sender_behind(self, place: Place, behind: float, burst: int) -> None:
        late = 600 + behind * 3600
        hits = [kernel(late, "possible SYN flooding on port 80.", "web2")] * burst + [kernel(late, MEMORY, "web2")]
        lines = [START, *map(cron, range(8000, 601, -20)), *hits, *map(cron, range(590, 1, -20)), END]
        assert place.check("--file", place.write("all.log", *lines)).code == CRITICAL

    def test_sender_in_order(self, place: Place) -> None:
        """What is old among its neighbours is old."""
        hits = [kernel(5000, MEMORY, "web2"), kernel(4999, MEMORY, "web3")]
        lines = [START, *map(cron, range(8000, 5001, -20)), *hits, *map(cron, range(4980, 1, -20)), END]
        assert place.check("--file", place.write("all.log", *lines)).code == OK

    def test_first_line_of_a_late_clock(self, place: Place) -> None:
        first = kernel(600 + 5 * 3600, host="tokyo9")
        output = place.check("--file", place.write("all.log", first, kernel(599), *map(cron, range(570, 1, -30)), END))
        assert output.code == UNKNOWN and coverage(output) < 17

    @pytest.mark.parametrize("line", [
        f"{bsd(600)} web2 [ 1234.567890] {MEMORY}",
        f"{bsd(600)} 192.0.2.1 [ 4994.123456] {ORPHAN}",
        f"{bsd(600)} web2 6,416,5678901,-;{MEMORY}",
        f"{bsd(600)} web2 6.1.0-40,6,416,5678901,-;{MEMORY}",
        f"{bsd(600)} [ 1234.567890] Out of socket memory",
        f"{bsd(600)} web2 [kern.info] kernel: {MEMORY}",
        f"{bsd(600)} web2 user.info kernel: {MEMORY}",
        f"{bsd(600)} U7LT,788a20aabbcc,v4.3.20: kernel: [ 1234.567890] {MEMORY}",
    ])  # fmt: skip
    def test_shape_that_is_no_program(self, place: Place, line: str) -> None:
        """Beside ordinary lines, which prove that a hit would show."""
        output = place.check("--file", place.write("all.log", START, kernel(1000), line, kernel(500), END))
        assert output.code != OK, output

    def test_several_files_are_all_read(self, place: Place) -> None:
        one = place.write("web1.log", START, kernel(4000), kernel(600), END)
        other = place.write("web2.log", kernel(9000, host="web2"), kernel(600, MEMORY, "web2"), kernel(5, host="web2"))
        assert place.check("--file", one, "--file", other).code == CRITICAL
        assert place.check("--file", other, "--file", one).code == CRITICAL
        assert place.check("--file", one, "--file", place.folder / "gone.log").code == OK


class TestRotatedElsewhere:
    @pytest.mark.parametrize("name", [
        "2026-11-22-{}.log", "kern-20261122{}.log", "kern.log.2026-11-22-{}", "kern-2026-11-22_{}.log", "k.20261122{}00",
    ])  # fmt: skip
    def test_by_the_hour(self, place: Place, name: str) -> None:
        place.write(name.format("14"), START, cron(4000), written=3700)
        place.write(name.format("15"), cron(3500), kernel(1500, MEMORY), kernel(300), written=300)
        now = place.write(name.format("16"), END)
        output = place.check("--file", now)
        assert output.code == CRITICAL and coverage(output) > 99, output
        # Yesterday's same hour is no neighbour, nor is an hour that has not come.
        place.write(name.replace("22", "21").format("16"), kernel(86400, MEMORY), written=86400)
        place.write(name.format("17"), kernel(99999, MEMORY), written=99999)
        assert total(place.check("--file", now)) == 1

    def test_addresses_are_no_hours(self, place: Place) -> None:
        place.write("2026-11-22-11.0.0.5.log", kernel(900, MEMORY))
        assert place.check("--file", place.write("2026-11-22-10.0.0.5.log", START, cron(2000), END)).code == OK

    def test_left_by_another_way(self, place: Place) -> None:
        """kern.log.1 of last month beside the log, and the parts of today in a folder."""
        place.write("kern.log.1", kernel(5_000_000), kernel(4_900_000), written=4_900_000)
        place.write("archive/kern.log.1", START, kernel(1500, MEMORY), kernel(1000), written=1000)
        assert place.check("--file", place.write("kern.log", kernel(900), END)).code == CRITICAL

    def test_the_day_comes_first(self, place: Place) -> None:
        """dateformat -%d%m%Y, on the first of a month."""
        place.moment.later(9 * 86400)
        ago = -9 * 86400
        place.write("kern.log-30112026", kernel(ago + 99000), kernel(ago + 90000), written=ago + 90000)
        place.write("kern.log-01122026", kernel(ago + 89000), kernel(ago + 1500, MEMORY), written=ago + 1500)
        output = place.check("--file", place.write("kern.log", kernel(ago + 900), kernel(ago + 5), written=ago + 5))
        assert output.code == CRITICAL, output
