"""Random and hostile bytes in every source of messages: the right count or a clear UNKNOWN, in bounded time and memory."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import pathlib
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tcp_headroom.blind import Blind
from tcp_headroom.log import journal, kmsg, messages
from tcp_headroom.log.views import Event, View
from workbench.command import ROOT
from workbench.logs import CLOCK, HOUR, NOW, blocks_of, look

HIT = b"2026-11-22T15:59:00Z web1 kernel: TCP: too many orphaned sockets\n"
QUIET = b"2026-11-22T15:58:00Z web1 kernel: eth0: link is up\n"
OLD = b"2026-11-20T15:58:00Z web1 kernel: eth0: link is up\n"
RING = b"6,7,863940000000,-;TCP: too many orphaned sockets\n"

BRIEF = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

PIECES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            *(
                HIT,
                QUIET,
                OLD,
                RING,
                HIT[:-1],
                HIT[:30],
                HIT[22:],
                b"\n",
                b"\0",
                b"\0" * 300,
                b"\xff\xfe",
                b"kernel",
                b"kernel: ",
            ),
            *(
                b"last message repeated 3 times\n",
                b"message repeated 9 times: [ ",
                b"net_ratelimit: 5 callbacks suppressed\n",
            ),
            *(
                b"Feb 29 23:59:60 h kernel: ",
                b"9999-12-31T23:59:60+99:99 h kernel: ",
                b"[99999999999.1] ",
                b"<999>1 ",
                b"\x1b[31m",
            ),
        ]
    ),
)
BYTES = st.lists(PIECES, max_size=30).map(b"".join)


def sane(view: View) -> None:
    """What any view must be, whatever it was made of."""
    assert all(isinstance(event, Event) and event.count >= 0 and event.when >= HOUR.start for event in view.events)
    assert all(first <= end for first, end in view.proof.spans) and all(note.isprintable() for note in view.notes)


class TestFile:
    @given(
        data=BYTES,
        sibling=BYTES,
        block=st.sampled_from([1, 7, 64, 1 << 20]),
        ending=st.sampled_from(["", ".gz", ".xz", ".bz2"]),
    )
    @BRIEF
    def test_random_bytes(self, tmp_path: pathlib.Path, data: bytes, sibling: bytes, block: int, ending: str) -> None:
        """Only ``Blind``, and a view that makes sense; the same of small blocks as of one."""
        log = tmp_path / "kern.log"
        for path, content in ((log, data), (tmp_path / f"kern.log.1{ending}", sibling)):
            path.write_bytes(content)
            os.utime(path, (NOW, NOW))
        try:
            with blocks_of(block):
                view = look(log)
        except Blind as reason:
            assert str(reason)
        else:
            sane(view)
        finally:
            (tmp_path / f"kern.log.1{ending}").unlink()

    @given(
        noise=st.lists(st.binary(max_size=100).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=20),
        count=st.integers(0, 5),
    )
    @example(noise=[b"\0\n", b"\0" * 90 + b"\n"], count=2)
    @BRIEF
    @pytest.mark.slow
    def test_noise_between_hits(self, tmp_path: pathlib.Path, noise: list[bytes], count: int) -> None:
        """Whole lines of noise neither hide nor make a hit, of whatever block or packing."""
        # A line that begins with a text of the family is no noise: it counts, whoever wrote it.
        wanted = (*messages.NEEDLES, b"repeated")
        lines = [OLD, *(line for line in noise if not any(needle in line for needle in wanted))]
        for number in range(count):
            lines.insert(1 + number * 7 % len(lines), HIT)
        data = b"".join(lines) + QUIET
        log = tmp_path / "kern.log"
        for block in (16, 100, 1 << 20):
            log.write_bytes(data)
            with blocks_of(block):
                assert sum(event.count for event in look(log).events) == count

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
    def test_damaged_archives(self, tmp_path: pathlib.Path, pack: Callable[[bytes], bytes]) -> None:
        """Cut or spoilt anywhere: what stands in the log itself counts."""
        log = tmp_path / "kern.log"
        log.write_bytes(HIT.replace(b"59:00", b"59:30"))
        ending = {gzip.compress: ".gz", lzma.compress: ".xz", bz2.compress: ".bz2"}[pack]
        packed = pack(OLD + HIT * 50 + QUIET * 50)
        for place in range(0, len(packed), 3):
            for spoilt in (
                packed[:place],
                packed[:place] + b"\xa5\x5a" + packed[place + 2 :],
                packed + os.urandom(place),
            ):
                archive = tmp_path / f"kern.log.1{ending}"
                archive.write_bytes(spoilt)
                os.utime(archive, (NOW, NOW))
                view = look(log)
                assert 1 <= sum(event.count for event in view.events) <= 51

    def test_middle_of_a_long_line_begins_none(self, tmp_path: pathlib.Path) -> None:
        """The text of a message just where a block of a compressed file ends."""
        (tmp_path / "kern.log").write_bytes(QUIET)
        for size in (1 << 20, 2 << 20, 3 << 20):
            start = b"2026-11-22T15:57:00Z web1 prog: "
            line = start + b"x" * (size - len(start)) + b"TCP: too many orphaned sockets\n"
            (tmp_path / "kern.log.1.gz").write_bytes(gzip.compress(line, 1))
            os.utime(tmp_path / "kern.log.1.gz", (NOW, NOW))
            assert look(tmp_path / "kern.log").events == []


class TestRing:
    @given(data=BYTES)
    @example(data=RING)
    @example(data=b"6,0,1,-;x\n6,99999999999999999999,99999999999999999999,-;TCP: too many orphaned sockets\n")
    @BRIEF
    def test_random_capture(self, tmp_path: pathlib.Path, data: bytes) -> None:
        path = tmp_path / "kmsg"
        path.write_bytes(data)
        os.utime(path, (NOW, NOW))
        try:
            sane(kmsg.view(str(path), CLOCK, HOUR))
        except Blind as reason:
            assert str(reason)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers(-1, 300), max_size=40),
        st.sampled_from(["kernel", "0", "TCP: too many orphaned sockets", str(int(NOW * 1e6)), "٣", "-1", "1e5", "9" * 30, "9" * 400, "9" * 5000]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
FIELDS = [*journal.FIELDS.split(","), "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "_TRANSPORT"]


class TestJournal:
    @given(entry=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=9), known=st.booleans())
    @example(
        entry={"MESSAGE": list(b"TCP: too many orphaned sockets"), "__REALTIME_TIMESTAMP": str(int(NOW * 1e6))},
        known=True,
    )
    @example(entry={"MESSAGE": None}, known=True)
    @example(entry={"_SOURCE_MONOTONIC_TIMESTAMP": "9" * 400}, known=True)
    @example(entry={"__MONOTONIC_TIMESTAMP": "9" * 5000}, known=True)
    @BRIEF
    def test_random_entry(self, entry: dict[str, Any], known: bool) -> None:
        if known:
            entry = {
                "MESSAGE": "TCP: too many orphaned sockets",
                **entry,
                "SYSLOG_IDENTIFIER": "kernel",
                "SYSLOG_FACILITY": "0",
            }
        event = journal._event(entry, CLOCK)
        assert event is None or (event.count >= 0 and isinstance(event.when, float))

    @given(
        lines=st.lists(
            st.one_of(
                BYTES.map(lambda data: data.replace(b"\n", b"")),
                st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=9).map(
                    lambda entry: json.dumps(entry).encode()
                ),
            ),
            max_size=6,
        )
    )
    @BRIEF
    @pytest.mark.slow
    def test_random_lines(self, lines: list[bytes]) -> None:
        for entry in journal._wanted(b"".join(line + b"\n" for line in lines)):
            assert isinstance(entry, dict)
            journal._event(entry, CLOCK)

    @pytest.mark.parametrize(
        "line",
        [
            b'{"MESSAGE":"TCP: too many o","x":' + b"[" * 3000,
            b'{"x":' + b"[" * 3000 + b'"TCP: too many o"' + b"]" * 3000 + b"}",
            b'{"MESSAGE":"TCP: too many o","x":' + b"9" * 5000 + b"}",
        ],
    )
    def test_line_beyond_what_is_read(self, line: bytes) -> None:
        """Not among the random ones: hypothesis moves the limit of recursion, at which Python 3.9 then aborts."""
        for entry in journal._wanted((line + b"\n") * 3 + b'{"MESSAGE":"TCP: too many o"}\n'):
            journal._event(entry, CLOCK)
            last = entry
        assert last == {"MESSAGE": "TCP: too many o"}


@pytest.mark.slow
class TestBounded:
    """A process of its own with little memory and a clock of its own."""

    ROOM = 200 << 20
    """Address space in bytes: Python and the check take less than half of it."""

    def check(self, *arguments: str, room: int = ROOM, seconds: int = 10) -> tuple[int, str]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "checks"),
            "TZ": "UTC",
        }

        def limited() -> None:
            # Seconds of the processor, so that a busy machine changes nothing.
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (room, room))

        code = "from tcp_headroom.commands.check_tcp_kernel_log import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "--timeout", "500", *arguments, "--no-state"],
            capture_output=True, text=True, env=environment, timeout=600, preexec_fn=limited,
        )  # fmt: skip
        assert done.stderr == "" and "internal error" not in done.stdout and "MemoryError" not in done.stdout, (
            done.stdout
        )
        return done.returncode, done.stdout

    def recent(self, message: bytes) -> bytes:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 5)).encode() + b" web1 " + message

    @pytest.mark.parametrize(
        "filler", [b"x", b"\0", b"kernel", b"TCP: too many orphaned sockets", b"\xff", b"[", b"2026-11-22T15:59:00Z "]
    )
    def test_line_of_64_megabytes(self, tmp_path: pathlib.Path, filler: bytes) -> None:
        log = tmp_path / "kern.log"
        with log.open("wb") as file:
            file.write(self.recent(b"kernel: TCP: too many orphaned sockets\n") + self.recent(b"prog: "))
            for _ in range(64):
                file.write(filler * ((1 << 20) // len(filler)))
            file.write(b"\n" + self.recent(b"kernel: TCP: too many orphaned sockets\n"))
        code, text = self.check("--file", str(log), "--min-coverage", "0")
        assert (code, "hits=2;" in text) == (1, True), text
        code, text = self.check("--kmsg", str(log))
        assert code == 3 and "holds no kernel record" in text

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
    def test_archive_that_unpacks_to_much(self, tmp_path: pathlib.Path, pack: Callable[[bytes], bytes]) -> None:
        """A hundred megabytes without a newline in a few kilobytes."""
        ending = {gzip.compress: ".gz", lzma.compress: ".xz", bz2.compress: ".bz2"}[pack]
        log = tmp_path / "kern.log"
        log.write_bytes(self.recent(b"kernel: TCP: too many orphaned sockets\n"))
        (tmp_path / f"kern.log.1{ending}").write_bytes(pack(b"\0" * (100 << 20)))
        code, text = self.check("--file", str(log), "--min-coverage", "0", room=300 << 20, seconds=20)
        assert (code, "hits=1;" in text) == (1, True), text

    def test_hole_of_a_gibibyte(self, tmp_path: pathlib.Path) -> None:
        log = tmp_path / "kern.log"
        with log.open("wb") as file:
            file.write(self.recent(b"kernel: TCP: too many orphaned sockets\n"))
            file.seek(1 << 30)
            file.write(self.recent(b"kernel: TCP: too many orphaned sockets\n"))
        code, text = self.check("--file", str(log), "--min-coverage", "0", "-t", "30", seconds=30)
        assert (code, "hits=2;" in text) == (1, True), text

    def test_hole_of_a_tebibyte(self, tmp_path: pathlib.Path) -> None:
        """Nothing but a hole: the answer comes in time, and is not OK."""
        log = tmp_path / "kern.log"
        with log.open("wb") as file:
            file.truncate(1 << 40)
        code, _text = self.check("--file", str(log), "-t", "2")
        assert code == 3

    def test_lines_that_mention_the_kernel(self, tmp_path: pathlib.Path) -> None:
        log = tmp_path / "kern.log"
        log.write_bytes(self.recent(b"prog: the kernel said kernel\n") * 500_000)
        code, text = self.check("--file", str(log))
        assert code == 3 and "holds no kernel message" in text

    @pytest.mark.parametrize("option", ["--file", "--kmsg"])
    @pytest.mark.parametrize(
        "kind", ["folder", "fifo", "zero", "null", "full", "tty", "socket", "dangling", "loop", "missing", "empty"]
    )
    def test_what_is_no_log(self, tmp_path: pathlib.Path, option: str, kind: str) -> None:
        path = tmp_path / "kern.log"
        if kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            os.mknod(path, 0o600 | stat.S_IFSOCK)
        elif kind in ("dangling", "loop"):
            path.symlink_to("kern.log" if kind == "loop" else "nowhere")
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind != "missing":
            path = pathlib.Path("/dev", kind)
        code, text = self.check(option, str(path), seconds=5)
        assert code == 3 and text.startswith("TCP KERNEL LOG UNKNOWN - no kernel log: "), text

    def test_link_to_a_file_is_followed(self, tmp_path: pathlib.Path) -> None:
        """And the rotated files are those beside the file, not beside the link."""
        (tmp_path / "real").mkdir()
        (tmp_path / "real/messages").write_bytes(self.recent(b"kernel: TCP: too many orphaned sockets\n"))
        (tmp_path / "real/messages.1").write_bytes(self.recent(b"kernel: Out of socket memory\n"))
        (tmp_path / "kern.log.1").write_bytes(self.recent(b"kernel: TCP: out of memory -- consider tuning tcp_mem\n"))
        (tmp_path / "kern.log").symlink_to("real/messages")
        code, text = self.check("--file", str(tmp_path / "kern.log"), "--min-coverage", "0")
        assert code == 1 and " orphan_hits=1;" in text and " unclear_hits=1;" in text and " memory_hits=0;" in text
