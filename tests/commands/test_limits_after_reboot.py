"""check_tcp_limits on what a reboot sets, and on what cannot be seen of it."""

from __future__ import annotations

import os
import pathlib

import pytest

from tcp_headroom.boot import host_root
from tcp_headroom.boot.sysctl_rules import PROCPS
from tcp_headroom.limits import drift
from workbench.limits_host import GIB, Host, host, levels
from workbench.sysctl_trees import INITS, plant

__all__ = ["host"]


class TestDrift:
    """What runs against what a reboot would set."""

    @pytest.mark.parametrize(
        "file, code, count",
        [
            ("net.ipv4.tcp_max_orphans = 131072\n", 0, 0),
            ("net/ipv4/tcp_max_orphans=0x20000\n", 0, 0),
            ("net.ipv4.tcp_max_orphans = 0400000\n", 0, 0),
            ("net.ipv4.tcp_mem = 294912\t393216  589824\n", 0, 0),
            ("net.ipv4.tcp_mem = 294912\n", 0, 0),
            ("# nothing\n", 0, 0),
            ("net.ipv4.tcp_max_orphans = 65536\n", 1, 1),
            ("net.ipv4.tcp_mem = 294912 393216 589825\n", 1, 1),
            ("net.ipv4.tcp_mem = 1\n", 1, 1),
            ("net.ipv4.tcp_mem = 1 2 3\nnet.ipv4.tcp_max_orphans = 5\n", 1, 2),
            # What the kernel refuses changes nothing, but somebody meant something by it; what it ignores changes nothing.
            ("net.ipv4.tcp_max_orphans = many\n", 1, 0),
            ("net.ipv4.tcp_max_orphans = 131072 1\n", 0, 0),
            ("net.ipv4.tcp_mem = 294912 393216 589824 # as ever\n", 0, 0),
            ("net.ipv4.tcp_mem = 294912 5 x\n", 1, 1),
            ("net.ipv4.tcp_max_orphans = 2147483648\n", 1, 0),
        ],
    )
    def test_files(self, host: Host, file: str, code: int, count: int) -> None:
        host.persist(file)
        output = host.check()
        assert (output.code, output.perfdata["drift"]) == (code, f"{count};;;0")

    def test_the_line_and_both_ways_out(self, host: Host) -> None:
        host.persist("# web\nnet.ipv4.tcp_mem = 300000 400000 600000\n")
        assert host.text() == (
            "TCP LIMITS WARNING - a reboot changes tcp_mem: 294912 393216 589824 to 300000 400000 600000 "
            "(/etc/sysctl.d/50-web.conf line 2). Next: set it to 300000 400000 600000 now, or write tcp_mem = "
            "294912 393216 589824 into that file (see -v)"
        )
        assert host.check("-v").lines[6:9] == [
            "net.ipv4.tcp_mem: a reboot sets 300000 400000 600000 (/etc/sysctl.d/50-web.conf line 2)",
            'either: sysctl -w net.ipv4.tcp_mem="300000 400000 600000"',
            "or, in /etc/sysctl.d/50-web.conf line 2: net.ipv4.tcp_mem = 294912 393216 589824",
        ]

    @pytest.mark.parametrize(
        "running, line",
        [
            ("131072", "tcp_max_orphans = 0"),
            ("131072", "tcp_max_orphans = -1"),
            ("131072", "tcp_max_orphans = 1000"),
            ("294912 393216 589824", "tcp_mem = 1 2 3"),
            ("294912 393216 589824", "tcp_mem = 294912 999999 589824"),
            ("294912 393216 589824", "tcp_mem = 0"),
        ],
    )
    def test_nobody_is_told_to_set_what_would_be_wrong(self, host: Host, running: str, line: str) -> None:
        name, _is, boot = line.partition(" = ")
        host.persist(f"net.ipv4.{line}\n")
        if boot == "0" and name == "tcp_mem":
            host.persist("net.ipv4.tcp_mem = 0 0 0\n")
        output = host.check("-v")
        assert output.code == 1
        assert f". Next: write {name} = {running} into that file (see -v)" in output.lines[0]
        assert f"for good, in /etc/sysctl.d/50-web.conf line 1: net.ipv4.{name} = {running}" in output.lines
        assert not any(line.startswith(("now: ", "either: ")) for line in output.lines)

    def test_what_the_peak_needs_is_not_taken_back(self, host: Host) -> None:
        """100000 would be near the default, but not four times the peak."""
        host.peak(30000)
        host.persist("net.ipv4.tcp_max_orphans = 100000\n")
        assert ". Next: write tcp_max_orphans = 131072 into" in host.text()

    def test_a_value_in_no_file_is_counted_and_said(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "200000\n")
        output = host.check("-v")
        assert (output.code, output.perfdata["drift"]) == (0, "1;;;0")
        assert output.lines[0].endswith(". A reboot changes 1 setting")
        assert (
            "net.ipv4.tcp_max_orphans = 200000 is in no file: a reboot sets the kernel's default, 131072"
            in output.lines
        )

    def test_a_balloon_is_no_reason_for_a_word(self, host: Host) -> None:
        """Both limits are those of 24 GiB, of which 2 are left: asked or not what a reboot sets, and if a file has one of them."""
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        host.put("meminfo", f"MemTotal: {2 * GIB >> 10} kB\n")
        assert host.check().code == host.check("--no-drift").code == 0
        host.persist("net.ipv4.tcp_max_orphans = 131072\n")
        assert host.check().code == 0
        host.persist("net.ipv4.tcp_mem = {} {} {}\n".format(*levels(24 * GIB)))
        assert " - tcp_mem is no limit: max " in host.text()

    def test_a_value_that_the_peak_needs_and_no_file_has(self, host: Host) -> None:
        """Who sets it may do so again after a reboot, so it is no WARNING."""
        host.put("sys/net/ipv4/tcp_max_orphans", "262144\n")
        host.peak(60000)
        output = host.check("-v")
        assert output.code == 0
        assert (
            "net.ipv4.tcp_max_orphans = 262144 is in no file: a reboot sets the kernel's default, 131072, which is too low "
            "for the peak; to keep it, in /etc/sysctl.d/90-tcp-headroom.conf: net.ipv4.tcp_max_orphans = 262144"
        ) in output.lines

    @pytest.mark.parametrize("entries", ["262144\n", None])
    @pytest.mark.parametrize("limit, count", [(131072, 0), (125000, 1), (262144, 1), (65536, 1)])
    def test_the_default_is_a_power_of_two(self, host: Host, entries: str | None, limit: int, count: int) -> None:
        """Whether the kernel tells the size of its table or not: 24 GiB leave but one."""
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        if entries:
            host.put("sys/net/ipv4/tcp_ehash_entries", entries)
        host.put("sys/net/ipv4/tcp_max_orphans", f"{limit}\n")
        assert host.check().perfdata["drift"] == f"{count};;;0"

    @pytest.mark.parametrize("factor, count", [(0.95, 0), (1.05, 0), (0.85, 1), (1.5, 1)])
    def test_a_default_that_is_reckoned_is_about_so_much(self, host: Host, factor: float, count: int) -> None:
        host.levels(*(int(level * factor) for level in levels(24 * GIB)))
        assert host.check().perfdata["drift"] == f"{count};;;0"

    def test_advice_goes_where_the_line_is(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        host.persist("net.ipv4.tcp_max_orphans = 1000\n")
        assert (
            "for good, in /etc/sysctl.d/50-web.conf line 1: net.ipv4.tcp_max_orphans = 131072" in host.check("-v").lines
        )

    def test_a_value_the_kernel_refuses_is_said(self, host: Host) -> None:
        host.persist("net.ipv4.tcp_mem = many | more\x1b\n")
        lines = host.check("-v").lines
        assert "net.ipv4.tcp_mem: a reboot sets many ? more? (/etc/sysctl.d/50-web.conf line 1), which the kernel refuses" in lines  # fmt: skip

    def test_of_the_command_line_of_the_kernel(self, host: Host) -> None:
        host.put("cmdline", "quiet sysctl.net.ipv4.tcp_max_orphans=5 ro\n")
        assert "WARNING - a reboot changes tcp_max_orphans: 131072 to 5 (/" in host.text()
        assert "). Next: write tcp_max_orphans = 131072 into a file of /etc/sysctl.d (see -v)" in host.text()

    @pytest.mark.parametrize("release, count", [("5.7.19", 1), ("5.8.0", 0), ("4.18.0-147.el8.x86_64", 1), ("?", 0)])
    def test_kernels_that_take_nothing_from_their_command_line(self, host: Host, release: str, count: int) -> None:
        """What is there and nowhere else will be lost."""
        host.put("sys/kernel/osrelease", f"{release}\n")
        host.put("sys/net/ipv4/tcp_max_orphans", "200000\n")
        host.put("cmdline", "sysctl.net.ipv4.tcp_max_orphans=200000\n")
        output = host.check("-v")
        assert (output.code, output.perfdata["drift"]) == (0, f"{count};;;0")
        note = "/cmdline sets net.ipv4.tcp_max_orphans, but this kernel is too old to use that"
        assert any(line.endswith(note) for line in output.lines) == bool(count)

    def test_by_what_boots_the_root(self, host: Host, tmp_path: pathlib.Path) -> None:
        host.persist("net.ipv4.tcp_max_orphans = 5\n", "/etc/sysctl.conf")
        assert host.check().code == 0
        note = next(line for line in host.check("-v").lines if "/etc/sysctl.conf" in line)
        assert "systemd" in note
        other = tmp_path / "other"
        plant(other, {**INITS[PROCPS], "/etc/sysctl.conf": "net.ipv4.tcp_max_orphans = 5\n"})
        assert host.check("--sysctl-root", str(other)).code == 1


class TestNotSeen:
    """What cannot be seen is never OK, and never hides what is wrong."""

    @pytest.mark.parametrize("runs, file, code", [
        (262144, "net.ipv4.tcp_max_orphans = 262144\n", 1),
        (262144, "net.ipv4.tcp_max_orphans = 0x40000\n", 1),
        # What does not run nobody misses, and what the kernel sets by itself needs no file.
        (262144, "net.ipv4.tcp_max_orphans = 300000\n", 0),
        (131072, "net.ipv4.tcp_max_orphans = 131072\n", 0),
        (262144, "# net.ipv4.tcp_max_orphans = 262144\n", 0),
    ])  # fmt: skip
    def test_it_runs_from_a_file_that_no_boot_reads(self, host: Host, runs: int, file: str, code: int) -> None:
        """As Ansible's module sysctl leaves it on Debian 13."""
        host.put("sys/net/ipv4/tcp_max_orphans", f"{runs}\n")
        host.persist(file, "/etc/sysctl.conf")
        output = host.check("-v")
        assert output.code == code, output
        if code:
            assert (
                "a reboot changes tcp_max_orphans: 262144 to 131072 (no boot reads /etc/sysctl.conf line 1). Next: set it to "
                "131072 now, or write tcp_max_orphans = 262144 into a file of /etc/sysctl.d (see -v)"
            ) in output.text
            assert "or, in /etc/sysctl.d/90-tcp-headroom.conf: net.ipv4.tcp_max_orphans = 262144" in output.text
        plant(host.root, {"/etc/sysctl.d/99-sysctl.conf": "-> ../sysctl.conf"})
        assert "no boot reads" not in host.check("-v").text

    def test_a_root_that_nothing_boots(self, host: Host, tmp_path: pathlib.Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        output = host.check("--sysctl-root", str(empty))
        assert output.code == 3
        assert " - what a reboot sets cannot be seen: " in output.text
        assert "drift" not in output.perfdata
        assert host.check("--sysctl-root", str(empty), "--no-drift").code == 0

    def test_a_root_without_a_name_is_not_the_own_root(self, host: Host) -> None:
        """As from a variable that is not set."""
        text = " - what a reboot sets cannot be seen: cannot open the root : No such file or directory. Next: see why with -v, or use --no-drift"
        assert text in host.text("--sysctl-root", "")

    def test_both_limits_for_reasons_of_their_own(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "x\n")
        host.put("sys/net/ipv4/tcp_mem", "y\n")
        assert host.check() == (
            3,
            "TCP LIMITS UNKNOWN - sys/net/ipv4/tcp_max_orphans is not a number; sys/net/ipv4/tcp_mem is not three numbers. Next: "
            "check --procfs, and the rights of this user\n",
        )

    def test_another_tree_has_no_root_by_itself(self, host: Host) -> None:
        host.options = host.options[:2]
        assert (
            " - what a reboot sets is not known with another --procfs. Next: give its root with --sysctl-root DIR, or use "
            "--no-drift. tcp_max_orphans 131072"
        ) in host.text()

    def test_a_root_that_never_answers(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        """The time-out is not swallowed where the state or the files are read."""

        def never(*_arguments: object) -> bytes:
            while True:
                pass

        host.put("sys/net/ipv4/tcp_max_orphans", "0\n")
        host.persist("net.ipv4.tcp_mem = 1 2 3\n")
        monkeypatch.setattr(host_root.Root, "read", never)
        text = (
            "TCP LIMITS UNKNOWN - gave up after 1s. Next: allow more time with -t, or look at the load of this host\n"
        )
        assert host.check("-t", "1") == (3, text)

    def test_a_file_that_may_hold_something_else(self, host: Host) -> None:
        plant(host.root, {"/etc/sysctl.d/60-x.conf": b"#" * 79 + b"\n"})
        os.truncate(host.root / "etc/sysctl.d/60-x.conf", 100 << 20)
        host.persist("net.ipv4.tcp_max_orphans = 131072\n")
        output = host.check()
        assert output.code == 3
        assert "what a reboot sets is not certain: " in output.text and "60-x.conf" in output.text
        assert "a reboot changes" not in output.text
        host.put("sys/net/ipv4/tcp_max_orphans", "0\n")
        output = host.check("-v")
        assert output.code == 2
        assert any(line.startswith("not shown, what a reboot sets is not certain: ") for line in output.lines)

    def test_a_drift_that_may_be_none(self, host: Host) -> None:
        """A later file might have the value that runs."""
        host.persist("net.ipv4.tcp_max_orphans = 100000\n")
        host.levels(294912, 500000, 700000)
        plant(host.root, {"/etc/sysctl.d/60-x.conf": b"x" * (2 << 20)})
        output = host.check("-v")
        assert output.code == 1
        assert (
            " - a reboot may change tcp_max_orphans: 131072 to 100000 (/etc/sysctl.d/50-web.conf line 1). Next: set it to "
        ) in output.lines[0]
        assert (
            "not shown, what a reboot sets is not certain: /etc/sysctl.d/60-x.conf was read up to byte 1048576 only; "
            "see why with -v, or use --no-drift"
        ) in output.lines
        assert any("700000 is in no file that was read: a reboot sets" in line for line in output.lines)
        plant(host.root, {"/etc/sysctl.d/60-x.conf": b""})
        assert any("700000 is in no file: a reboot sets" in line for line in host.check("-v").lines)

    def test_no_memory_to_reckon_by(self, host: Host) -> None:
        (host.proc / "meminfo").unlink()
        assert host.check().code == 0
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        output = host.check()
        assert output.code == 3
        assert (
            " - the kernel default cannot be calculated: " in output.text
            and "/meminfo does not exist. Next: " in output.text
        )

    def test_a_child_namespace(self, host: Host) -> None:
        output = host.run("check_tcp_limits", "--procfs", "child-namespace")
        assert output == (
            3,
            "TCP LIMITS UNKNOWN - tcp_max_orphans cannot be seen in a container (a child network namespace). Next: run the "
            "check on the host\n",
        )

    @pytest.mark.parametrize("name", ["tcp_max_orphans", "tcp_mem"])
    def test_one_limit_that_makes_no_sense(self, host: Host, name: str) -> None:
        host.put(f"sys/net/ipv4/{name}", "\x1b|x\n")
        output = host.check()
        assert output.code == 3
        assert f" - sys/net/ipv4/{name} is not" in output.text
        assert len(output.perfdata) > 1


@pytest.mark.parametrize(
    "text, count, numbers",
    [
        ("1", 1, (1,)), ("-5", 1, (-5,)), ("-5 1 1", 3, ()), ("0x1F 010 9", 3, (31, 8, 9)), ("0", 1, (0,)), ("", 1, ()),
        ("x", 1, ()), ("1.5", 1, ()), ("1 x", 3, (1,)), ("1 2 3 # x", 3, (1, 2, 3)), ("7 8", 1, (7,)), ("08", 1, ()),
        ("1_0", 1, ()), ("٣", 1, ()), ("9" * 21, 1, ()), ("0x", 1, ()), ("--1", 1, ()), ("5\r", 1, ()),
        ("2147483647", 1, (2**31 - 1,)), ("2147483648", 1, ()), ("-2147483648", 1, (-(2**31),)), ("-2147483649", 1, ()),
        ("0" * 19 + "7", 1, (7,)), ("0" * 20 + "7", 1, ()), ("-010", 1, (-8,)), ("18446744073709551616 1", 3, ()),
        ("9223372036854775807 9223372036854775808 18446744073709551615", 3, (2**63 - 1, -(2**63), -1)),
    ],
)  # fmt: skip
def test_numbers_as_the_kernel_reads_them(text: str, count: int, numbers: tuple[int, ...]) -> None:
    assert drift.numbers(text, count) == numbers
