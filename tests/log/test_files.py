"""Log files as they are found: formats in a whole file, rotation in every stage, hostile and sightless files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import pathlib
from collections.abc import Callable

import pytest

from tcp_headroom.blind import Blind
from tcp_headroom.log import block_reader, files, rotation
from tcp_headroom.log.views import SUPPRESSED, View
from workbench.logs import CLOCK, HIT, HOUR, MEMORY, NOW, OLD, blocks_of, hits, line, look, quiet, write

pytestmark = pytest.mark.usefixtures("utc")


def test_hits_in_the_window(tmp_path: pathlib.Path) -> None:
    log = write(tmp_path / "kern.log", OLD + line(3601) + line(3600) + line(1800, MEMORY) + line(0) + line(1, "net_ratelimit: 14 callbacks suppressed"))  # fmt: skip
    view = look(log)
    assert (hits(view), hits(view, "memory"), hits(view, SUPPRESSED)) == (2, 1, 14)
    assert view.proof.since <= HOUR.start


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_end_of_the_last_line(tmp_path: pathlib.Path, ending: bytes) -> None:
    assert hits(look(write(tmp_path / "kern.log", OLD + line(5).rstrip() + ending))) == 1


def test_others_do_not_count(tmp_path: pathlib.Path) -> None:
    log = write(tmp_path / "syslog", OLD + line(9, f"Invalid user {HIT}", tag="sshd[1]:") + line(8, f"Product: {HIT}"))
    assert look(log).events == []


@pytest.mark.parametrize("block", [64, 100, 333, 1 << 20])
@pytest.mark.parametrize("before", [b"", OLD], ids=["nothing", "a line"])
def test_key_of_a_line_behind_a_hole(tmp_path: pathlib.Path, block: int, before: bytes) -> None:
    """A message is known by its stamp and its host, wherever in the file it stands and however it is read."""
    log = write(tmp_path / "kern.log", before + b"\0" * 700 + line(9) + quiet(8))
    with blocks_of(block):
        keys = [event.key for event in look(log).events]
    assert keys == ["at/1122155951/web1"]


def test_repetitions(tmp_path: pathlib.Path) -> None:
    log = write(
        tmp_path / "kern.log",
        OLD
        + line(60)
        + line(50, "last message repeated 3 times", tag="").replace(b"  last", b" last")
        + line(45, "last message repeated 4 times", tag="").replace(b"  last", b" last")
        + line(40, f"message repeated 5 times: [ [ 12.5] {HIT}]")
        + quiet(30)
        + line(20, "last message repeated 9 times", tag="").replace(b"  last", b" last")
        + line(10)
        + line(5, "last message repeated 7 times", host="web2", tag="").replace(b"  last", b" last"),
    )
    assert hits(look(log)) == 1 + 3 + 4 + 5 + 1


@pytest.mark.parametrize("block", [64, 100, 333, 1 << 20])
def test_block_borders(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Blocks that cut lines, and the pair of a line and its repetition, anywhere."""
    monkeypatch.setattr(block_reader, "BLOCK", block)
    lines = []
    for ago in range(3000, 0, -10):
        lines += [
            line(ago),
            line(ago, "last message repeated 2 times", tag="").replace(b"  last", b" last"),
            quiet(ago),
        ]
    log = write(tmp_path / "kern.log", OLD + b"".join(lines))
    assert hits(look(log)) == 3 * 300
    for name, pack in (("kern.log.2.gz", gzip.compress),):
        write(tmp_path / name, pack(OLD + b"".join(lines)))
        log.unlink()
        assert hits(look(write(log, quiet(1)))) == 3 * 300


def test_unstamped_line_inherits(tmp_path: pathlib.Path) -> None:
    tagged = f" kernel: {HIT}\n".encode()
    assert hits(look(write(tmp_path / "kern.log", OLD + quiet(4000) + tagged + quiet(10)))) == 0
    assert hits(look(write(tmp_path / "kern.log", OLD + quiet(400) + tagged + quiet(10)))) == 1
    assert hits(look(write(tmp_path / "kern.log", tagged * 3, ago=4000))) == 0
    # Nothing beside it has a time: nobody knows.
    view = look(write(tmp_path / "kern.log", tagged * 3, ago=400))
    assert hits(view) == 0 and "without a time" in view.proof.doubts[0]


def test_lines_that_run_backwards(tmp_path: pathlib.Path) -> None:
    """The clock was set back by an hour: what was written before it lies after what follows."""
    log = write(
        tmp_path / "kern.log",
        OLD + line(100) + quiet(3500) + b"".join(quiet(3500 - n) for n in range(2000)) + quiet(10),
    )
    assert hits(look(log)) == 1


def test_dmesg_output(tmp_path: pathlib.Path) -> None:
    """Uptimes have no clock: the newest line is as old as the file."""
    lines = b"[    0.000000] Linux version 6.1\n[  100.000000] " + HIT.encode() + b"\n[ 5000.000000] eth0: up\n"
    assert hits(look(write(tmp_path / "dmesg.txt", lines))) == 0
    assert hits(look(write(tmp_path / "dmesg.txt", lines.replace(b"100.0", b"4000.0")))) == 1
    assert hits(look(write(tmp_path / "dmesg.txt", lines.replace(b"100.0", b"4000.0"), ago=3600))) == 0


@pytest.mark.parametrize("block", [64, 150, 1 << 20])
def test_compressed_dmesg_output(tmp_path: pathlib.Path, block: int) -> None:
    """The newest line is the last of the file, however many blocks come before its own."""
    write(tmp_path / "dmesg", b"")
    lines = [b"[ %4d.000000] %s\n" % (uptime, b"eth0: up" if uptime % 1000 else HIT.encode()) for uptime in range(100, 9001, 100)]  # fmt: skip
    lines[50:50] = [b"    a call trace\n"] * 60
    for name, pack in (("dmesg.1", bytes), ("dmesg.1.gz", gzip.compress)):
        rotated = write(tmp_path / name, pack(b"".join(lines)), ago=600)
        with blocks_of(block):
            view = look(tmp_path / "dmesg")
        assert sorted(event.when for event in view.events) == [NOW - 600 - ago for ago in (3000, 2000, 1000, 0)]
        rotated.unlink()


@pytest.mark.parametrize(
    "spoilt", [b"\xff\xfe\x80 broken \xc3\n", b"\0" * 5000, b"x" * 3_000_000 + b"\n", b"\n" * 1000]
)
def test_foreign_bytes_between(tmp_path: pathlib.Path, spoilt: bytes) -> None:
    log = write(tmp_path / "kern.log", OLD + line(60) + spoilt + line(50) + spoilt + line(40).rstrip())
    # NULs without a newline stand before a line and are no part of it.
    assert hits(look(log)) == 3


class Listings:
    """Lets something happen whenever the rotated files have been listed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self.then: Callable[[int], object] = lambda number: None
        parts = rotation.parts

        def listing(path: str) -> list[rotation.Part]:
            self.number += 1
            found = parts(path)
            self.then(self.number)
            return found

        monkeypatch.setattr(rotation, "parts", listing)


class TestOfManyHosts:
    """On the usual path of a host that takes in the logs of others, too, its own lines alone count, whoever wrote last."""

    OWN = os.uname().nodename.partition(".")[0]
    LATE = b"".join(line(ago, "(root) CMD (x)", host="web2", tag="CRON[7]:") for ago in range(60, 0, -1))

    def own(self, *agos: float) -> bytes:
        return b"".join(line(ago, "(root) CMD (x)", host=self.OWN, tag="CRON[7]:") for ago in agos)

    def view(self, log: pathlib.Path) -> View:
        return files.view(str(log), CLOCK, HOUR, usual=True)

    @pytest.mark.parametrize("others", [0, 1, 60, 6000])
    @pytest.mark.parametrize("name", ["", ".example.org"])
    def test_whoever_wrote_last(self, tmp_path: pathlib.Path, others: int, name: str) -> None:
        own = (
            self.own(7200, 3700, 1800) + line(1500, "eth0: up", host=self.OWN + name) + line(1400, MEMORY, host="web2")
        )
        log = write(tmp_path / "syslog", own + line(1300, host=self.OWN) + self.own(200) + self.LATE[-72:] * others)
        view = self.view(log)
        assert (hits(view), hits(view, "memory")) == (1, 0)
        assert view.proof.since <= HOUR.start and view.proof.until == NOW - 200 and not view.proof.lacks

    def test_in_the_rotated_part(self, tmp_path: pathlib.Path) -> None:
        write(
            tmp_path / "syslog.1", self.own(7200, 3700) + line(3000, "eth0: up", host=self.OWN) + self.own(200), ago=150
        )
        view = self.view(write(tmp_path / "syslog", self.LATE + line(0, MEMORY, host="web2")))
        assert hits(view, "memory") == 0
        assert view.proof.since <= HOUR.start and view.proof.until == NOW - 200

    def test_others_prove_nothing(self, tmp_path: pathlib.Path) -> None:
        """Neither that this host's kernel is written there, nor that its daemon lives."""
        quiet = self.view(
            write(tmp_path / "syslog", self.own(9000, 2000) + line(1900, "eth0: up", host="web2") + self.LATE)
        )
        assert not quiet.proof.spans
        assert f"holds no kernel message of {self.OWN}" in quiet.proof.lacks[0].reason
        assert quiet.proof.lacks[0].remedy == "let syslog write kern.* there"
        write(tmp_path / "auth.log", self.LATE)
        dead = self.view(write(tmp_path / "syslog", self.own(9000) + line(2000, "eth0: up", host=self.OWN) + self.LATE))
        assert dead.proof.until == NOW - 2000

    def test_a_name_of_old(self, tmp_path: pathlib.Path) -> None:
        """One other name alone may be what this host was called when its daemon was started."""
        log = write(
            tmp_path / "syslog", OLD + line(900, "eth0: up", host="web2") + line(600, MEMORY, host="web2") + self.LATE
        )
        assert hits(self.view(log), "memory") == 1

    def test_a_name_from_before_the_host_had_its_own(self, tmp_path: pathlib.Path) -> None:
        """Only lines of another boot have this host's name, as the daemon was started with that of the image."""
        days = [ago * 86400.0 for ago in (13, 12, 11)]
        new = line(7000, "eth0: up", host="ubuntu") + line(600, MEMORY, host="ubuntu")
        late = self.LATE.replace(b"web2", b"ubuntu")
        assert hits(self.view(write(tmp_path / "syslog", self.own(*days) + new + late)), "memory") == 1


class TestRotation:
    """A message counts once, whatever of its file exists at the moment."""

    OLDER = OLD + line(2500) + line(2400)
    NEWER = quiet(2000) + line(1000)

    @pytest.fixture
    def log(self, tmp_path: pathlib.Path) -> pathlib.Path:
        return write(tmp_path / "kern.log", self.NEWER)

    @pytest.mark.parametrize(
        "name, pack",
        [
            ("kern.log.1", bytes),
            ("kern.log.1.gz", gzip.compress),
            ("kern.log.1.xz", lzma.compress),
            ("kern.log-20261122.bz2", bz2.compress),
            ("kern.log-20261122", bytes),
            ("kern.log-20261122-1530", bytes),
            ("kern.log-2026-11-22.gz", gzip.compress),
            ("archive/kern.log-20261122.gz", gzip.compress),
            ("archive/kern.log.1", bytes),
            ("old/kern.log.1", bytes),
            ("kern.1.log", bytes),
            ("kern.1.log.gz", gzip.compress),
            ("kern-20261122.log", bytes),
            ("kern-2026-11-22.log.xz", lzma.compress),
        ],
    )
    def test_names(self, log: pathlib.Path, name: str, pack: Callable[[bytes], bytes]) -> None:
        write(log.parent / name, pack(self.OLDER), ago=2000)
        view = look(log)
        assert hits(view) == 3
        assert view.proof.since <= HOUR.start

    @pytest.mark.parametrize(
        "name",
        [
            "kern.log.old",
            "kern.log.conf",
            "kern.logs.1",
            "other.1",
            "kern.log.1.tmp",
            "kern-2.log",
            "kern.old.log",
            "kern.log.1.log",
        ],
    )
    def test_names_of_other_files(self, log: pathlib.Path, name: str) -> None:
        write(log.parent / name, self.OLDER, ago=2000)
        assert hits(look(log)) == 1

    def test_a_neighbour_named_by_its_address(self, tmp_path: pathlib.Path) -> None:
        """``10.0.0.5.1`` is the rotated part of ``10.0.0.5``, and none of ``10.0.0.1``."""
        log = write(tmp_path / "10.0.0.1", self.NEWER)
        write(tmp_path / "10.0.0.5.1", self.OLDER, ago=2000)
        assert hits(look(log)) == 1
        write(tmp_path / "10.0.0.1.1", self.OLDER, ago=2000)
        assert hits(look(log)) == 3

    def test_what_was_put_aside_is_no_part(self, log: pathlib.Path) -> None:
        write(log.parent / "kern.log.1", quiet(2500) + line(2400), ago=2000)
        write(log.parent / "old/kern.log.1", OLD + line(2600), ago=2600)
        view = look(log)
        assert (hits(view), view.proof.since) == (2, NOW - 2500)

    def test_two_stages_of_one_file(self, log: pathlib.Path) -> None:
        """``.2`` stands beside the unfinished ``.2.gz``."""
        write(log.parent / "kern.log.2", self.OLDER, ago=2000)
        write(log.parent / "kern.log.2.gz", gzip.compress(self.OLDER)[:20])
        assert hits(look(log)) == 3

    def test_finished_compression_beside_the_original(self, log: pathlib.Path) -> None:
        write(log.parent / "kern.log.2", self.OLDER, ago=2000)
        write(log.parent / "kern.log.2.gz", gzip.compress(self.OLDER), ago=2000)
        assert hits(look(log)) == 3

    def test_copy_not_yet_truncated(self, log: pathlib.Path) -> None:
        write(log, self.OLDER + self.NEWER)
        write(log.parent / "kern.log.1", self.OLDER + self.NEWER)
        assert hits(look(log)) == 3

    def test_copy_truncated(self, log: pathlib.Path) -> None:
        write(log.parent / "kern.log.1", self.OLDER)
        write(log, b"")
        assert hits(look(log)) == 2

    def test_truncated_under_a_writer_that_keeps_its_offset(self, log: pathlib.Path) -> None:
        """Without O_APPEND the new lines lie behind a hole."""
        write(log.parent / "kern.log.1", self.OLDER)
        write(log, b"\0" * len(self.OLDER) + line(900))
        assert hits(look(log)) == 3

    def test_no_further_than_the_window(self, log: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(log.parent / "kern.log.1", OLD + self.NEWER, ago=1500)
        for number in range(2, 9):
            write(log.parent / f"kern.log.{number}", b"", ago=number * 86400)
            os.chmod(log.parent / f"kern.log.{number}", 0)
        opened: list[str] = []
        original = block_reader.opened
        monkeypatch.setattr(
            block_reader, "opened", lambda path: opened.append(os.path.basename(path)) or original(path)
        )
        look(log)
        assert sorted(set(opened)) == ["kern.log", "kern.log.1"]

    def test_what_cannot_be_decompressed_ends_the_coverage(self, log: pathlib.Path) -> None:
        write(log.parent / "kern.log.1.gz", gzip.compress(self.OLDER)[:-20], ago=2000)
        view = look(log)
        assert view.proof.since == NOW - 2000
        assert any("kern.log.1.gz cannot be decompressed" in note for note in view.notes)
        (log.parent / "kern.log.1.gz").unlink()
        write(log.parent / "kern.log.1.zst", b"x", ago=2000)
        view = look(log)
        assert view.proof.since == NOW - 2000
        assert any("kern.log.1.zst" in note for note in view.notes)

    @pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
    @pytest.mark.parametrize("stamped", [True, False])
    def test_damage_behind_the_first_block(self, log: pathlib.Path, keep: float, stamped: bool) -> None:
        """Messages before it count, and are not held too old; the file counts as not seen."""
        numbers = range(3000, 2000, -1)
        texts = [OLD, *(line(ago, f"{HIT} {ago * ago}") for ago in numbers)]
        if not stamped:
            texts = [b"[ %4d.000000] %s\n" % (9000 - ago, HIT.encode()) for ago in numbers]
        packed = gzip.compress(b"".join(texts))
        write(log.parent / "kern.log.1.gz", packed[: int(len(packed) * keep)], ago=2000)
        with blocks_of(1000):
            view = look(log)
        assert 100 < hits(view) < 1000
        assert view.proof.since == NOW - 2000
        assert all(event.when >= NOW - 3000 for event in view.events)

    def test_newest_line_of_a_compressed_file(self, log: pathlib.Path) -> None:
        """Only its beginning is from before the boot, so the log is one that is written to."""
        own = os.uname().nodename
        write(log, b"")
        texts = b"".join(line(ago * 3600, "eth0: up", host=own) for ago in range(300, 1, -1))
        write(log.parent / "kern.log.1.gz", gzip.compress(texts), ago=7000)
        with blocks_of(500):
            assert look(log).events == []

    def test_and_still_ends_it_when_listed_again(self, log: pathlib.Path, listings: Listings) -> None:
        """A rotation meanwhile does not connect what is older than the damaged file."""
        write(log.parent / "kern.log.1.gz", gzip.compress(self.OLDER)[:-20], ago=2000)
        write(log.parent / "kern.log.2.gz", gzip.compress(OLD + line(3000)), ago=2900)
        listings.then = lambda number: write(log.parent / f"kern.log.{number + 2}.gz", b"", ago=5000 + number)
        view = look(log)
        assert listings.number == 4
        assert view.proof.since == NOW - 2000
        assert sum("cannot be decompressed" in note for note in view.notes) == 1

    def test_nothing_before(self, log: pathlib.Path) -> None:
        assert look(log).proof.since == NOW - 2000

    @pytest.fixture
    def listings(self, log: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Listings:
        return Listings(monkeypatch)

    def test_rotated_while_it_is_read(self, log: pathlib.Path, listings: Listings) -> None:
        """All files move on by one between the reading of the log and that of the first sibling."""
        write(log.parent / "kern.log.1", self.OLDER, ago=2000)

        def rotate(number: int) -> None:
            if number == 1:
                os.rename(log.parent / "kern.log.1", log.parent / "kern.log.2")
                os.rename(log, log.parent / "kern.log.1")
                write(log, quiet(1))

        listings.then = rotate
        assert hits(look(log)) == 3

    def test_written_to_while_it_is_read(self, log: pathlib.Path, listings: Listings) -> None:
        """A daemon that goes on writing into the rotated file is no reason to list the files again and again."""
        rotated = write(log.parent / "kern.log.1", quiet(2100), ago=2000)
        listings.then = lambda number: os.utime(rotated, (NOW - 1000 + number, NOW - 1000 + number))
        view = look(log)
        assert (listings.number, hits(view), view.proof.since) == (2, 1, NOW - 2100)
        assert view.notes == ["hosts seen: web1"]

    @pytest.mark.parametrize("times, listed, found, notes", [(1, 3, 3, 0), (2, 4, 3, 0), (3, 4, 1, 1), (1000, 4, 1, 1)])
    def test_renamed_again_and_again(
        self, log: pathlib.Path, listings: Listings, times: int, listed: int, found: int, notes: int
    ) -> None:
        """Followed three times, after which -v says what may be missing."""
        write(log.parent / "kern.log.1", self.OLDER, ago=2000)

        def rename(number: int) -> None:
            if number <= times:
                os.rename(log.parent / f"kern.log.{number}", log.parent / f"kern.log.{number + 1}")

        listings.then = rename
        view = look(log)
        assert (listings.number, hits(view)) == (listed, found)
        # What is left has no neighbour: kern.log.1 is missing.
        assert view.proof.since == NOW - 2000
        again = "the rotated files were renamed too often while they were read"
        assert [note for note in view.notes if "renamed" in note] == [again] * notes


def in_zone(hours: float, ago: float, message: str, host: str) -> bytes:
    return line(ago - hours * 3600, message, host=host)


def test_a_log_of_several_hosts_is_not_this_hosts(tmp_path: pathlib.Path) -> None:
    """So its counter, its daemon and its boot speak for none of them, though it writes there, too."""
    own = os.uname().nodename
    mine = line(9000, "eth0: link is up", host=own) + line(5, "eth0: link is up", host=own)
    assert look(write(tmp_path / "own.log", mine)).kernel is not None
    other = line(600, "eth0: link is up", host="web2")
    assert look(write(tmp_path / "all.log", other + mine)).kernel is None


class TestZones:
    """Hosts that stamp in their own zones, in one file: what the last line says of its own stamp is of that host alone."""

    @pytest.mark.parametrize("hours", [9, 5.5, -5])
    @pytest.mark.parametrize("last", [1, 3])
    @pytest.mark.parametrize("speaker", ["web1", "tokyo"])
    def test_of_several_hosts(self, tmp_path: pathlib.Path, hours: float, last: int, speaker: str) -> None:
        zones = {"web1": 0.0, "tokyo": hours}
        text = b"".join(
            in_zone(zones[host], ago, "eth0: link is up", host)
            for ago in range(9000, 30, -30)
            for host in ("tokyo", "web1")
        )
        text += in_zone(zones[speaker], 20, HIT, speaker)
        text += b"".join(in_zone(hours, 0, "eth0: link is up", "tokyo") for _line in range(last))
        view = look(write(tmp_path / "all.log", text))
        assert (hits(view), view.proof.doubts) == (1, ())

    @pytest.mark.parametrize("hours", [9, -5])
    def test_of_one_daemon_for_all(self, tmp_path: pathlib.Path, hours: float) -> None:
        text = b"".join(in_zone(hours, ago, "eth0: link is up", f"web{ago % 3}") for ago in range(9000, 0, -30))
        view = look(
            write(tmp_path / "all.log", text + in_zone(hours, 1200, HIT, "web9") + in_zone(hours, 0, "x", "web1"))
        )
        assert hits(view) == (1 if hours > 0 else 0)
        assert hours > 0 or "may live in another time zone" in view.proof.doubts[0]

    def test_the_newest_file_is_empty(self, tmp_path: pathlib.Path) -> None:
        """The zone shows in the rotated part then."""
        parts = in_zone(9, 9000, "eth0: link is up", "web1") + in_zone(9, 1700, HIT, "web1")
        write(tmp_path / "kern.log.1", parts + in_zone(9, 1500, "eth0: link is up", "web1"), ago=1500)
        assert hits(look(write(tmp_path / "kern.log", b""))) == 1


class TestHosts:
    @pytest.mark.parametrize("asked, others", [("web1", "web1{}"), ("10.0.0.1", "10.0.0.1{}"), ("web1", "web1-{}")])
    def test_names_that_begin_alike(self, tmp_path: pathlib.Path, asked: str, others: str) -> None:
        """Whatever the others write, the last line of this one is found."""
        loud = b"".join(line(100, "GET /", host=others.format(number % 10), tag="nginx[7]:") for number in range(9000))
        log = write(tmp_path / "all.log", line(9000, "eth0: up", host=asked) + line(110, host=asked) + loud)
        view = look(log, host=asked)
        assert (hits(view), view.proof.until) == (1, NOW - 110)

    def test_programs_that_speak_of_kernels(self, tmp_path: pathlib.Path) -> None:
        other = line(3000, "GET /api/kernels/7/channels from kernel gateway 200 3.11ms", tag="jupyterhub[77]:")
        last = line(0, "GET /", tag="jupyterhub[77]:")
        log = write(tmp_path / "syslog", other.replace(b"15:10", b"12:10") * 20 + quiet(8000) + other * 2000 + last)
        assert look(log).proof.lacks == ()

    def test_one_of_many(self, tmp_path: pathlib.Path) -> None:
        log = write(
            tmp_path / "messages", OLD + line(9, host="web1.example.com") + line(8, host="web2") + line(7, host="web2")
        )
        assert hits(look(log)) == 3
        assert look(log).notes == ["hosts seen: web1.example.com, web2"]
        assert [
            hits(look(log, host=name)) for name in ("web1", "web1.example.com", "web2", "web", "web2.example.com")
        ] == [1, 1, 2, 0, 0]


class TestRefusals:
    """Readable is not sighted."""

    @pytest.mark.parametrize(
        "data, reason",
        [
            (b"", "holds no kernel message"),
            (line(9, "Accepted key", tag="sshd[1]:"), "holds no kernel message"),
            (line(9, "kernel: quoted", tag="sshd[1]:"), "holds no kernel message"),
            (b"Nov 22 15:59:00 alpine kern.warn kernel: [1.5] careful\n" * 3, "no kernel message of level info"),
            (b"<4>1 2026-11-22T15:59:00+00:00 web1 kernel - - - careful\n", "no kernel message of level info"),
        ],
    )
    def test_sightless(self, tmp_path: pathlib.Path, data: bytes, reason: str) -> None:
        proof = look(write(tmp_path / "kern.log", data)).proof
        assert reason in str(proof.lacks[0]) and not proof.spans

    def test_level_info_may_be_older(self, tmp_path: pathlib.Path) -> None:
        old = b"Nov 20 15:59:00 alpine kern.info kernel: [1.5] fine\n"
        assert (
            look(write(tmp_path / "messages", old + b"Nov 22 15:59:00 alpine kern.warn kernel: [1.5] careful\n")).events
            == []
        )

    def test_nobody_writes_any_more(self, tmp_path: pathlib.Path) -> None:
        own = os.uname().nodename
        proof = look(write(tmp_path / "kern.log", line(11 * 86400, "eth0: up", host=own), ago=11 * 86400)).proof
        assert not proof.spans and "has no kernel message since this host was booted" in proof.lacks[0].reason

    def test_another_host_is_quiet(self, tmp_path: pathlib.Path) -> None:
        """Only lines prove that it lives, or the user's word for how long it may be quiet."""
        log = write(tmp_path / "kern.log", line(7200, "eth0: up", host="other"), ago=7200)
        proof = look(log).proof
        assert proof.until == NOW - 7200
        assert "the last line in " in proof.lacks[0].reason and proof.lacks[0].reason.endswith("from 2026-11-22 14:00")
        assert "--silence" in proof.lacks[0].remedy
        assert files.view(str(log), CLOCK, HOUR, silence=7200).proof.until == NOW

    def test_missing(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(Blind, match="cannot open .*: No such file or directory"):
            look(tmp_path / "kern.log")

    @pytest.mark.parametrize("kind", ["directory", "fifo", "device", "loop"])
    def test_no_file(self, tmp_path: pathlib.Path, kind: str) -> None:
        path = tmp_path / "kern.log"
        if kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            path.symlink_to("kern.log")
        with pytest.raises(Blind, match="is not a regular file|Too many levels"):
            look(path)

    def test_link_to_a_file_is_followed(self, tmp_path: pathlib.Path) -> None:
        write(tmp_path / "real.log", OLD + line(5))
        write(tmp_path / "real.log.1", OLD + line(1500), ago=1000)
        (tmp_path / "kern.log").symlink_to("real.log")
        assert hits(look(tmp_path / "kern.log")) == 2

    def test_forbidden(self, tmp_path: pathlib.Path, powerless: None) -> None:
        with pytest.raises(Blind, match="this user cannot read .*; add this user to the group"):
            files.view("/proc/1/environ", CLOCK, HOUR)


@pytest.mark.slow
def test_a_hundred_thousand_hits(tmp_path: pathlib.Path) -> None:
    log = write(tmp_path / "kern.log", OLD + b"".join(line(3000 - n // 100) for n in range(100_000)))
    assert hits(look(log)) == 100_000
