"""One table a kernel file, and the same promise for all: a value or ``Blind``, whatever the bytes."""

from __future__ import annotations

import os
import pathlib
import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcp_headroom.blind import Blind
from tcp_headroom.limits import tcp_max_orphans, tcp_mem
from tcp_headroom.log import formats, kmsg
from tcp_headroom.proc import meminfo, mountinfo, netstat, osrelease, protocols, reading, sockstat, sockstat6, sysctl
from workbench.command import FIXTURES


def text(tree: str, name: str) -> str:
    return (FIXTURES / tree / name).read_text()


@pytest.mark.parametrize(
    "content, value",
    [
        (text("article/front-end-32g", "net/sockstat"), (21564, 1894, 35938, 35942)),
        (text("kernel-6.18/24-mem-above-max-after-close/netns", "net/sockstat"), (27, 1843, 55, 95)),
        ("TCP: inuse 5 orphan 1 tw 2 alloc 3 mem 4 future 9\nNEW: line 1\n", (1, 4, 5, 3)),
        ("sockets: used 5\nTCP: mem 4 orphan 1\n", (1, 4, 0, 0)),
        ("TCP: orphan 1 mem -7 inuse x alloc -", (1, 0, 0, 0)),
    ],
)
def test_sockstat(content: str, value: tuple[int, int, int, int]) -> None:
    assert sockstat.parse(content) == value


@pytest.mark.parametrize(
    "content, inuse", [("TCP6: inuse 7\nUDP6: inuse 2\n", 7), ("FRAG6: inuse 0 memory 0\nTCP6: inuse -3\n", 0)]
)
def test_sockstat6(content: str, inuse: int) -> None:
    assert sockstat6.parse(content) == inuse


@pytest.mark.parametrize("content", ["", "UDP6: inuse 2\n", "TCP6: inuse\n", "TCP6: inuse x\n", "TCP6: alloc 5\n"])
def test_sockstat6_that_is_none(content: str) -> None:
    with pytest.raises(Blind, match="net/sockstat6 has no TCP6 line with inuse"):
        sockstat6.parse(content)


@pytest.mark.parametrize(
    "sockstat6_text, seen, unlisted",
    [
        # None without IPv6; closed sockets and those of others are what is left of alloc, with and without orphans.
        (None, (0, 1, 7, 100009), (100002, 100002, 100009)),
        (None, (5, 1, 24, 863), (834, 839, 863)),
        ("TCP6: inuse 830\n", (0, 1, 24, 863), (9, 9, 863)),
        ("TCP6: inuse 830\n", (100, 1, 24, 863), (0, 9, 863)),
        ("TCP6: inuse 999\n", (0, 1, 24, 863), (0, 0, 863)),
        # Unknown numbers prove nothing.
        (None, (0, 1, 0, 0), (0, 0, 0)),
        ("nonsense", (0, 1, 24, 863), (0, 0, 0)),
    ],
)
def test_sockets_in_no_list(
    tmp_path: pathlib.Path, sockstat6_text: str | None, seen: tuple[int, ...], unlisted: tuple[int, ...]
) -> None:
    if sockstat6_text is not None:
        (tmp_path / "net").mkdir()
        (tmp_path / "net/sockstat6").write_text(sockstat6_text)
    assert sockstat6.unlisted(str(tmp_path), sockstat.Sockstat(*seen)) == unlisted


@pytest.mark.parametrize("value, exempt", [("1\n", True), ("0\n", False), ("", False), (None, False)])
def test_bypass_prot_mem(tmp_path: pathlib.Path, value: str | None, exempt: bool) -> None:
    (tmp_path / "sys/net/core").mkdir(parents=True)
    if value is not None:
        (tmp_path / "sys/net/core/bypass_prot_mem").write_text(value)
    assert sysctl.bypasses(str(tmp_path)) == exempt


@pytest.mark.parametrize(
    "content, reason",
    [
        ("", "net/sockstat is empty"),
        ("UDP: inuse 1 mem 2\n", "net/sockstat has no TCP line"),
        ("TCP: inuse 1 orphan 2\n", "the TCP line of net/sockstat has no readable orphan and mem"),
        ("TCP: orphan x mem 2\n", "the TCP line of net/sockstat has no readable orphan and mem"),
        ("TCP: orphan 1_0 mem 2\n", "the TCP line of net/sockstat has no readable orphan and mem"),
        ("TCP: orphan ٣ mem 2\n", "the TCP line of net/sockstat has no readable orphan and mem"),
    ],
)
def test_sockstat_that_is_none(content: str, reason: str) -> None:
    with pytest.raises(Blind) as error:
        sockstat.parse(content)
    assert str(error.value) == reason


def test_netstat() -> None:
    wanted = ["TCPAbortOnMemory", "TCPMemoryPressures", "PruneCalled"]
    counters = netstat.parse(text("kernel-6.18/24-mem-above-max-after-close/netns", "net/netstat"), wanted)
    assert counters == {"TCPAbortOnMemory": 139, "TCPMemoryPressures": 1, "PruneCalled": 0}
    assert netstat.parse("TcpExt: A B C\nTcpExt: 1 x\nIpExt: A\nIpExt: 7\n", "ABCD") == {"A": 1}


@pytest.mark.parametrize("content", ["", "TcpExt: A B\n", "IpExt: A\nIpExt: 1\n"])
def test_netstat_that_is_none(content: str) -> None:
    with pytest.raises(Blind, match="no pair of TcpExt lines"):
        netstat.parse(content, [])


@pytest.mark.parametrize("tree, pressure", [("22-mem-above-pressure/host", True), ("20-mem-below-min/netns", False)])
def test_protocols(tree: str, pressure: bool) -> None:
    assert protocols.parse(text(f"kernel-6.18/{tree}", "net/protocols")) is pressure


@pytest.mark.parametrize(
    "content", ["", "protocol size press\n", "protocol size press\nTCP 1 NI\n", "protocol size press\nTCPv6 1 yes\n"]
)
def test_protocols_that_is_none(content: str) -> None:
    with pytest.raises(Blind, match="yes or no"):
        protocols.parse(content)


def test_tcp_max_orphans() -> None:
    assert [tcp_max_orphans.parse(word) for word in ("65536\n", "0\n", "-1\n")] == [65536, 0, -1]
    for word in ("", "x", "1 2", "9" * 21):
        with pytest.raises(Blind):
            tcp_max_orphans.parse(word)


def test_tcp_mem() -> None:
    levels = tcp_mem.parse("287832\t383779\t575664\n")
    assert (levels.min, levels.pressure, levels.max, levels.in_order) == (287832, 383779, 575664, True)
    assert not tcp_mem.parse("2 1 3").in_order
    assert not tcp_mem.parse("1 3 2").in_order
    # The kernel keeps the levels in a signed long.
    assert tcp_mem.parse(f"1 2 {2**63}").max == -(2**63)
    for content in ("", "1 2", "1 2 3 4", "a b c"):
        with pytest.raises(Blind):
            tcp_mem.parse(content)


@pytest.mark.parametrize(
    "mem, unit, page, pages",
    [(0, 4096, 65536, 0), (1, 4096, 65536, 1), (16, 4096, 65536, 1), (17, 4096, 65536, 2), (5, 65536, 65536, 5)],
)
def test_pages(mem: int, unit: int, page: int, pages: int) -> None:
    assert tcp_mem.pages(mem, unit, page) == pages


@given(st.integers(0, 2**31), st.integers(-(2**31), 2**31 - 1))
@example(16384, 65536)
@example(16385, 65536)
def test_margins_are_what_the_kernel_compares(orphans: int, limit: int) -> None:
    for shift, margin in enumerate(tcp_max_orphans.margins(orphans, limit)):
        assert (margin.left < 0) == (orphans << shift > limit)
        assert margin.factor == 1 << shift
        assert margin.limit - orphans == margin.left


def netstat_counters(content: str) -> object:
    return netstat.parse(content, ["TCPAbortOnMemory", "E", "T"])


@pytest.mark.parametrize(
    "content, root",
    [
        ("27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n", ("254:0", "/")),
        ("30 1 0:27 /@/root / rw,relatime shared:1 - btrfs /dev/sda2 rw,subvol=/@/root\n", ("0:27", "/@/root")),
        # The first root of the kernel lies below.
        ("1 1 0:2 / / rw - rootfs none rw\n27 1 8:1 / / ro,relatime master:1 - ext4 /dev/sda1 rw\n", ("8:1", "/")),
        ("22 27 0:21 / /proc rw - proc proc rw\n", None),
        ("", None),
        ("27 1 254:0 /\n", None),
    ],
)
def test_mountinfo(content: str, root: tuple[str, str] | None) -> None:
    assert mountinfo.parse(content) == root


PARSERS: list[Callable[[str], object]] = [
    sockstat.parse, netstat_counters, protocols.parse, tcp_max_orphans.parse, tcp_mem.parse, meminfo.parse,
    osrelease.version,
    mountinfo.parse,
]  # fmt: skip
SEEDS = [text("kernel-6.18/00-idle/host", name) for name in ("net/sockstat", "net/netstat", "net/protocols")]


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: f"{parse.__module__}.{parse.__name__}")
@given(st.one_of(st.text(), st.text("TCPEx:tmormhnpress 0123456789-\n\t")))
def test_any_text_is_a_value_or_blind(parse: Callable[[str], object], content: str) -> None:
    try:
        parse(content)
    except Blind as reason:
        assert str(reason).isprintable()


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: f"{parse.__module__}.{parse.__name__}")
@given(st.sampled_from(SEEDS), st.data())
def test_a_damaged_file_is_a_value_or_blind(parse: Callable[[str], object], seed: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(len(seed), start + 200)))
    try:
        parse(seed[:start] + data.draw(st.text(max_size=20)) + seed[end:])
    except Blind as reason:
        assert str(reason).isprintable()


@given(st.one_of(st.binary(), st.text("0123456789,;-TCP: \\x\n", max_size=80).map(str.encode)))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    record = kmsg.parse(data)
    assert record is None or record.seq >= 0


LINE_PARTS = st.sampled_from([b"Nov 22 15:28:51", b"Feb 29 23:59:60", b"2026-11-22T15:28:51.4+00:00", b" kernel: ", b"[ 12.5] ", b"<6>", b"1 ", b"[", b"TCP: too many orphaned sockets", b"last message repeated 3 times", b"\0", b" host", b"9999-99-99T29:59:59Z"])  # fmt: skip


@given(st.one_of(st.binary(), st.lists(st.one_of(LINE_PARTS, st.binary(max_size=5))).map(b"".join)))
def test_any_bytes_are_a_line(data: bytes) -> None:
    line = formats.parse(data, 1e9, 0.0)
    assert line.count >= 0 and line.repeats >= 0


class TestReading:
    """``reading.read`` of whatever stands in the place of a file."""

    def test_file(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "file").write_bytes(b"a\xffb\0")
        assert reading.read(str(tmp_path), "file") == "a\ufffdb\0"

    def test_missing(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(reading.Missing, match="/net/sockstat does not exist"):
            reading.read(str(tmp_path), "net/sockstat")

    def test_file_in_the_place_of_a_directory(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "net").write_text("")
        with pytest.raises(reading.Missing):
            reading.read(str(tmp_path), "net/sockstat")

    def test_directory(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(Blind, match="is not a regular file"):
            reading.read(str(tmp_path), ".")

    def test_fifo_without_a_writer(self, tmp_path: pathlib.Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(Blind, match="is not a regular file"):
            reading.read(str(tmp_path), "fifo")

    def test_device(self) -> None:
        with pytest.raises(Blind, match="/dev/zero is not a regular file"):
            reading.read("/dev", "zero")

    def test_loop_of_links(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(Blind, match="Too many levels of symbolic links"):
            reading.read(str(tmp_path), "loop")

    def test_too_long(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "long").write_bytes(b"x" * (reading.LIMIT + 1))
        with pytest.raises(Blind, match="is longer than 1048576 bytes"):
            reading.read(str(tmp_path), "long")
        (tmp_path / "long").write_bytes(b"x" * reading.LIMIT)
        assert len(reading.read(str(tmp_path), "long")) == reading.LIMIT

    def test_name_with_nul(self) -> None:
        with pytest.raises(Blind, match="not a valid path"):
            reading.read("/proc\0", "net/sockstat")

    def test_forbidden(self, tmp_path: pathlib.Path, powerless: None) -> None:
        with pytest.raises(Blind, match="cannot open /proc/1/environ: Permission denied"):
            reading.read("/proc/1", "environ")


@given(st.text(string.printable, max_size=25))
def test_integer_takes_what_the_kernel_prints(word: str) -> None:
    try:
        value = reading.integer(word)
    except ValueError:
        return
    assert str(value) == word or word.startswith(("0", "-0"))


def test_silence(tmp_path: pathlib.Path) -> None:
    assert sysctl.silence_ms(str(tmp_path)) == 240_000
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / sysctl.RTO_MAX_MS).write_text("1500\n")
    assert sysctl.silence_ms(str(tmp_path)) == 3000


@pytest.mark.parametrize("text, retries", [(None, 0), ("0\n", 0), ("15\n", 15), ("-1\n", -1), ("x\n", 0)])
def test_orphan_retries(tmp_path: pathlib.Path, text: str | None, retries: int) -> None:
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    if text:
        (tmp_path / sysctl.ORPHAN_RETRIES).write_text(text)
    assert sysctl.orphan_retries(str(tmp_path)) == retries


@pytest.mark.parametrize(
    "text, ports",
    [
        ("32768\t60999\n", range(32768, 61000)),
        ("1024\t65535\n", range(1024, 65536)),
        ("5000\t4000\n", range(5000, 4001)),
        ("-5\t99999\n", range(0, 65536)),
        ("99999\t-1\n", range(65535, 1)),
        ("x\ty\n", range(32768, 61000)),
        ("", range(32768, 61000)),
    ],
)
def test_ephemeral_ports(tmp_path: pathlib.Path, text: str, ports: range) -> None:
    assert sysctl.ephemeral_ports(str(tmp_path)) == range(32768, 61000)
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/ip_local_port_range").write_text(text)
    found = sysctl.ephemeral_ports(str(tmp_path))
    assert (found.start, found.stop) == (ports.start, ports.stop)


@pytest.mark.parametrize("entry", ["sys", "net", "self", None])
def test_what_is_no_proc_tree(tmp_path: pathlib.Path, entry: str | None) -> None:
    """A mistyped root is answered as such; one that shows processes alone (ProcSubset=pid) is hidden."""
    if entry:
        (tmp_path / entry).mkdir()
    with pytest.raises(Blind) as reason:
        sysctl.read(str(tmp_path), sysctl.MEM, None)
    assert isinstance(reason.value, sysctl.Hidden) == bool(entry)
    assert entry or str(reason.value) == f"{tmp_path} is not a /proc tree"
