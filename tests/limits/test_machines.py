"""Other machines than x86-64: pages of 64 KiB, longs of 32 bits, high memory. The lab boots them; these are their numbers."""

from __future__ import annotations

import pathlib
import re

import pytest

from tcp_headroom.limits import drift, kernel_defaults, mem_unit, memory_at_boot, raising, tcp_mem
from tcp_headroom.limits.tcp_mem import TcpMem
from tcp_headroom.proc import meminfo
from tcp_headroom.verdict import judgement
from workbench.command import ROOT, Run
from workbench.sysctl_trees import plant

MIB, GIB = 1 << 20, 1 << 30

WIDE, NARROW = 34359738367, 122880
"""VmallocTotal of x86-64 and of i386, in kB."""
HIGH = "HighTotal: 3423112 kB\nHighFree: 3300000 kB\nLowTotal: 769844 kB\nLowFree: 700000 kB\n"
"""Of i386 with 4 GiB."""


def memory(total: int, more: str = "", addresses: int = WIDE) -> str:
    kib = total >> 10
    return f"MemTotal: {kib} kB\nMemFree: {kib} kB\nMemAvailable: {kib} kB\n{more}VmallocTotal: {addresses} kB\n"


def host(root: pathlib.Path, levels: str, text: str, release: str = "6.1.0-56", mem: int = 100, **files: str) -> str:
    """The /proc of a machine."""
    plant(
        root,
        {
            "meminfo": text,
            "cmdline": "quiet\n",
            "net/sockstat": f"sockets: used 9\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem {mem}\n",
            "net/protocols": "protocol size sockets memory press maxhdr\nTCP 2560 1 100 no 256\n",
            "net/netstat": "TcpExt: TCPAbortOnMemory PruneCalled\nTcpExt: 0 0\n",
            "sys/kernel/osrelease": release + "\n",
            "sys/net/ipv4/tcp_mem": levels + "\n",
            "sys/net/ipv4/tcp_max_orphans": files.pop("orphans", "4096") + "\n",
            **{f"sys/net/ipv4/{name}": text for name, text in files.items()},
        },
    )
    return str(root)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this machine have 64 KiB from now on."""
    monkeypatch.setattr(tcp_mem, "page_size", lambda: 65536)
    monkeypatch.setattr(kernel_defaults, "page_size", lambda: 65536)


@pytest.mark.parametrize("mib, release, orphans", [
    # Measured: 5.10 and 6.1 with 64 KiB pages, 256 and 512 MiB.
    (200, (5, 10, 0), 4096), (440, (5, 10, 0), 4096), (430, (6, 1, 0), 4096), (1000, (6, 1, 0), 4096), (1100, (6, 1, 0), 8192),
])  # fmt: skip
def test_a_table_has_a_page_at_least(pages: None, mib: int, release: tuple[int, ...], orphans: int) -> None:
    assert kernel_defaults.max_orphans(release, mib * MIB) == orphans


@pytest.mark.parametrize(
    "page, bits, entries", [(4096, 64, 512), (4096, 32, 1024), (65536, 64, 8192), (16384, 64, 2048)]
)
def test_the_least_table(page: int, bits: int, entries: int) -> None:
    assert memory_at_boot.least_entries(page, bits) == entries


@pytest.mark.parametrize(
    "release, entries", [("5.10.223", None), ("6.1.0-50-powerpc64le", "8192\n")], ids=["5.10", "6.1"]
)
def test_untouched_with_large_pages(
    pages: None, run: Run, tmp_path: pathlib.Path, release: str, entries: str | None
) -> None:
    """One page of entries is enough for 1 GiB: 512 MiB contradict nothing, and a reboot changes nothing."""
    told = {"tcp_ehash_entries": entries} if entries else {}
    tree = host(tmp_path / "proc", "333\t444\t666", memory(450 * MIB), release, 5, **told)
    plant(tmp_path / "root", {"sbin/init": "", "usr/lib/systemd/systemd": "", "run/systemd/system/x": ""})
    output = run("check_tcp_limits", "--procfs", tree, "--sysctl-root", tmp_path / "root", "--no-state", "-v")
    assert output.code == 0, output.text
    assert output.perfdata["orphans_limit_pct"].startswith("100%") and output.perfdata["drift"].startswith("0;")
    assert "Both limits survive a reboot" in output.lines[0]


@pytest.mark.parametrize(
    "text, bits",
    [
        (memory(GIB, "", NARROW), 32), (memory(4 * GIB, HIGH, NARROW), 32), (memory(4 * GIB, HIGH).replace("Vmalloc", "V"), 32),
        (memory(GIB), 64),
        # arm with little for the kernel and nearly all; riscv64, the smallest of the wide ones; arm64 with 39 bits.
        (memory(GIB, "", 245760), 32), (memory(GIB, "", 3 << 20), 32), (memory(GIB, "", 67108863), 64),
        (memory(GIB, "", 257949696), 64), (memory(GIB, "", 0), 64), ("MemTotal: 5 kB\n", 64), ("MemFree: 5 kB\n", 64),
    ],
)  # fmt: skip
def test_how_wide_a_long_is(tmp_path: pathlib.Path, text: str, bits: int) -> None:
    plant(tmp_path, {"meminfo": text})
    assert meminfo.long_bits(str(tmp_path)) == bits


@pytest.mark.parametrize(
    "high, addresses, code, words",
    [
        (1 << 31, NARROW, 2, "all TCP memory is refused: the maximum of tcp_mem is -2147483648"),
        ((1 << 31) - 1, NARROW, 0, "0.0 % of the 8.0 TiB allowed"),
        (1 << 31, WIDE, 0, "0.0 % of the 8.0 TiB allowed"),
        ((1 << 32) - 1, WIDE, 0, "0.0 % of the 16.0 TiB allowed"),
        ((1 << 32) - 1, NARROW, 2, "the maximum of tcp_mem is -1"),
    ],
)
def test_a_level_that_is_negative_in_a_narrow_long(
    run: Run, tmp_path: pathlib.Path, high: int, addresses: int, code: int, words: str
) -> None:
    tree = host(tmp_path, f"100 200 {high}", memory(GIB, "", addresses))
    for command in ("check_tcp_mem", "check_tcp_limits"):
        output = run(
            command, "--procfs", tree, *(("--no-drift", "--no-memory") if command == "check_tcp_limits" else ())
        )
        if command == "check_tcp_mem" or code == 2:
            assert output.code == code and words in output.lines[0], output.text
    said = run("check_tcp_orphans", "--procfs", tree, "-v")
    assert (said.case == judgement.CONFIGURATION) == (code == 2), said.text


VALUES = "set tcp_mem as check_tcp_limits -v says"


@pytest.mark.parametrize(
    "levels, text, step",
    [
        ("0 0 0", "CRITICAL - all TCP memory is refused: the maximum of tcp_mem is 0.", VALUES),
        ("-5 -4 -1", "CRITICAL - all TCP memory is refused: the maximum of tcp_mem is -1.", VALUES),
        ("9 8 0", "CRITICAL - all TCP memory is refused: the maximum of tcp_mem is 0.", VALUES),
        ("900 800 850", "WARNING - tcp_mem not in rising order: 900 800 850.", "set tcp_mem in rising order"),
    ],
)
def test_levels_that_no_machine_should_have(
    run: Run, tmp_path: pathlib.Path, levels: str, text: str, step: str
) -> None:
    """The step fits what is wrong with them, and nobody is sent to look for who holds what is refused."""
    tree = host(tmp_path, levels, memory(GIB))
    said = run("check_tcp_mem", "--procfs", tree).status
    assert said.startswith(f"TCP MEM {text} Next: {step}. ")
    (tmp_path / "meminfo").unlink()
    said = run("check_tcp_limits", "--procfs", tree, "--no-state", "--no-drift").status
    assert f"{text} Next: set net.ipv4.tcp_mem to three page counts above 0, smallest first" in said


@pytest.mark.parametrize(
    "text, bits, taken",
    [
        ("1 2 2147483648", 32, (1, 2, -(1 << 31))), ("1 2 2147483648", 64, (1, 2, 1 << 31)),
        ("1 2 4294967296", 32, (1, 2)), ("1 2 4294967296", 64, (1, 2, 1 << 32)),
    ],
)  # fmt: skip
def test_what_a_file_may_set(text: str, bits: int, taken: tuple[int, ...]) -> None:
    assert drift.numbers(text, 3, bits) == taken


def test_no_reserve_of_the_cpus_before_6_0(tmp_path: pathlib.Path) -> None:
    """Measured on 5.10: what the sockets are charged is all that mem counts."""
    for release, reserve in (("5.10.0-32-arm64", 0), ("5.19.17", 0), ("6.1.0-56", MIB), ("none", 0)):
        plant(tmp_path, {"sys/kernel/osrelease": release + "\n"})
        assert mem_unit.reserve(str(tmp_path), 65536) == reserve


def test_a_share_is_not_of_whole_pages(pages: None, run: Run, tmp_path: pathlib.Path) -> None:
    """45 units of 4 KiB are 2.8 % of 100 pages of 64 KiB, wherever it is said."""
    tree = host(tmp_path, "50 75 100", memory(GIB), "5.10.223", 45)
    for arguments in (("--mem-unit", "4096"), ()):
        output = run("check_tcp_mem", "--procfs", tree, "-v", *arguments)
        assert ", 2.8 % of the 6.2 MiB allowed" in output.lines[0] or not arguments
        assert "TCP holds 3 pages, 2.8 % of the maximum 100" in output.verdict, output.text


@pytest.mark.parametrize("mem, near", [(1439, False), (1440, False), (1441, True)])
def test_status_and_verdict_have_one_line_at_90_percent(
    pages: None, run: Run, tmp_path: pathlib.Path, mem: int, near: bool
) -> None:
    tree = host(tmp_path, "98 99 100", memory(GIB), "5.10.223", mem)
    output = run("check_tcp_mem", "--procfs", tree, "-v", "--mem-unit", "4096")
    assert (output.code == 2) == near == ("above 90 % of the maximum" in output.verdict), output.text


def test_high_memory_is_no_memory_for_buffers(run: Run, tmp_path: pathlib.Path) -> None:
    """i386 with 4 GiB: 751.8 MiB are its low memory, and not said to be all."""
    tree = host(tmp_path, "9015 12022 200000", memory(4 * GIB, HIGH, NARROW), "6.1.0-56-686-pae", 100)
    output = run("check_tcp_limits", "--procfs", tree, "--no-drift", "--no-state", "-v")
    assert output.code == 1 and "max 781.2 MiB, low memory 751.8 MiB" in output.lines[0], output.text
    assert any("; low memory 751.8 MiB, by meminfo" in line for line in output.lines)
    assert not any("; memory 751.8" in line or " of the memory" in line for line in output.lines), output.text
    tree = host(tmp_path, "9015 12022 200000", memory(4 * GIB, HIGH, NARROW), "6.1.0-56-686-pae", 150000)
    output = run("check_tcp_mem", "--procfs", tree, "--no-state")
    assert output.code == 2
    assert "TCP holds over 75 % of the low memory of this machine: 585.9 MiB, 77.9 % of 751.8 MiB" in output.lines[0]


def test_what_is_free_of_low_memory_alone_is_there_for_buffers(tmp_path: pathlib.Path) -> None:
    found = meminfo.parse(memory(4 * GIB, HIGH, NARROW))
    assert (found.buffers, found.available, found.noun) == (769844 << 10, 700000 << 10, "low memory")
    tree = host(tmp_path, "9015 12022 18030", memory(4 * GIB, HIGH, NARROW), "6.1.0-56-686-pae")
    raised = raising.read(tree, TcpMem(9015, 12022, 18030), 4096)
    assert raised and "683.6 MiB are available" in raised.text


MACHINES = pathlib.Path(__file__).with_name("machines")
"""Apart from the other fixtures, as their pages are not those of the machine that runs this."""

CAPTURED = {
    "6.1-ppc64el": 65536,
    "6.12-arm64-16k": 16384,
    "5.10-arm64-64k": 65536,
    "6.1-s390x": 4096,
    "6.1-i386-4g": 4096,
}
"""Machines of the lab whose /proc is kept, and their pages."""
STATES = {"00-idle": 0, "22-mem-above-pressure": 1, "23-mem-above-max-live-sockets": 2}


@pytest.mark.parametrize("kernel", CAPTURED)
@pytest.mark.parametrize("state", STATES)
def test_capture(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, kernel: str, state: str) -> None:
    """What the lab's machines showed, without QEMU: the state of TCP memory, and limits that nobody had touched."""
    for module in (tcp_mem, kernel_defaults):
        monkeypatch.setattr(module, "page_size", lambda: CAPTURED[kernel])
    tree = MACHINES / f"kernel-{kernel}" / state / "host"
    given = ("--mem-unit", "4096") if kernel == "5.10-arm64-64k" else ()
    output = run("check_tcp_mem", "--procfs", tree, "--no-state", *given)
    assert output.code == STATES[state], output.text
    if state == "00-idle":
        plant(tmp_path, {"sbin/init": "", "usr/lib/systemd/systemd": "", "run/systemd/system/x": ""})
        output = run("check_tcp_limits", "--procfs", tree, "--sysctl-root", tmp_path, "--no-state")
        assert output.code == 0 and "Both limits survive a reboot" in output.lines[0], output.text


def test_the_kernel_s_structures_are_in_its_own_order_of_bytes() -> None:
    """Whatever is unpacked, is so by native order, or that of the network."""
    found = [
        layout
        for path in (ROOT / "checks/tcp_headroom").rglob("*.py")
        for layout in re.findall(
            r"""(?:Struct|pack|pack_into|unpack|unpack_from|iter_unpack)\((?:f?["'](.)|ORDER\b)""", path.read_text()
        )
    ]
    assert len(found) > 5 and set(found) <= {"", "=", "!", "@"}, found
