"""What check_tcp_limits tells people to do: never to lower a limit, never to write where it does not count."""

from __future__ import annotations

import re

import pytest

from tcp_headroom.commands import check_tcp_limits
from tcp_headroom.limits import kernel_defaults, tcp_max_orphans
from workbench.limits_host import GIB, NOON, Host, host, levels
from workbench.sysctl_trees import plant

__all__ = ["host"]

OWN = "/etc/sysctl.d/90-tcp-headroom.conf"
LATE = "/etc/sysctl.d/zz-tcp-headroom.conf"
ORPHANS, MEM = "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem"


def commands(host: Host, *options: str) -> list[str]:
    begin = ("now: ", "for good, ", "either: ", "or, ")
    return [line for line in host.check("-v", *options).lines if line.startswith(begin)]


class TestNeverLower:
    """What runs is the least that is recommended."""

    @pytest.mark.parametrize(
        "running, advice",
        [
            # More than the default: the order is fixed, the maximum stays.
            ((1000000, 2000000, 1500000), "750000 1000000 1500000"),
            ((2000000, 1000000, 1500001), "750000 1000000 1500001"),
            # Less: the default.
            ((294912, 3932160, 589823), "294912 393216 589824"),
        ],
    )
    def test_levels_out_of_order(self, host: Host, running: tuple[int, int, int], advice: str) -> None:
        host.levels(*running)
        assert f"Next: set tcp_mem to {advice} (see -v)" in host.text()
        assert commands(host) == [f'now: sysctl -w {MEM}="{advice}"', f"for good, in {OWN}: {MEM} = {advice}"]

    @pytest.mark.parametrize("factor", [1.0, 3.0])
    def test_above_the_range(self, host: Host, factor: float) -> None:
        # Not in the proportions of the kernel, and yet nothing to fix.
        host.levels(4096, 8192, int(levels(24 * GIB)[2] * factor))
        host.put("sys/net/ipv4/tcp_max_orphans", f"{int(131072 * factor)}\n")
        output = host.check("-v", "-w", "50:90")
        assert output.code == 1
        assert re.search(
            r" - tcp_max_orphans outside -w or -c: [0-9]+, [13]00.0 % of 131072. Next: change the setting, or the range",
            output.lines[0],
        )
        assert commands(host, "-w", "50:90") == []

    def test_a_little_below(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "100000\n")
        assert " - tcp_max_orphans below the default: 100000, 76.3 % of 131072. Next: set " in host.text("-w", "90:")

    def test_of_what_a_file_has(self, host: Host) -> None:
        """262144 are there for the next boot, and enough: it would be a pity to replace them by the default."""
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        host.persist(f"{ORPHANS} = 262144\n")
        output = host.check()
        assert "Next: set tcp_max_orphans to 262144 (see -v)" in output.text
        assert output.perfdata["orphans_recommended"] == "262144;;;0"
        assert commands(host) == [f"now: sysctl -w {ORPHANS}=262144"]

    def test_levels_of_a_file(self, host: Host) -> None:
        host.levels(1000, 2000, 3000)
        host.persist(f"{MEM} = 300000 400000 600000\n")
        assert commands(host) == [f'now: sysctl -w {MEM}="300000 400000 600000"']

    @pytest.mark.parametrize("file", ["1000000 500000 1500000", "3 4 5"])
    def test_what_a_file_has_is_no_better(self, host: Host, file: str) -> None:
        host.levels(1000, 2000, 3000)
        host.persist(f"{MEM} = {file}\n")
        assert commands(host)[1] == f"for good, in /etc/sysctl.d/50-web.conf line 1: {MEM} = 294912 393216 589824"

    def test_a_file_with_less_than_what_runs_out_of_order(self, host: Host) -> None:
        host.levels(1000000, 2000000, 1500000)
        host.persist(f"{MEM} = 294912 393216 589824\n")
        assert commands(host)[0] == f'now: sysctl -w {MEM}="750000 1000000 1500000"'


class TestWhatNobodyKnows:
    """Nothing is recommended out of thin air."""

    def test_a_peak_under_no_limit(self, host: Host) -> None:
        """Where every orphan is reset the peak is 1, and four times that no limit."""
        host.put("sys/kernel/osrelease", "2.6.32\n")
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        host.put("sys/net/ipv4/tcp_max_orphans", "0\n")
        host.levels(*(8 * level for level in levels(24 * GIB)))
        host.peak(1)
        output = host.check()
        assert output.code == 2 and "orphans_recommended" not in output.perfdata
        assert (
            "Next: set net.ipv4.tcp_max_orphans to 4096 for each GiB of memory, at most 262144. tcp_mem " in output.text
        )
        assert commands(host) == []
        # A file that would give another value is no reason to write the 0 there.
        host.persist(f"{ORPHANS} = -1\n")
        assert commands(host) == []

    def test_more_than_the_kernel_takes(self, host: Host) -> None:
        """32 GiB, as the table implies, hold two million orphans in a quarter of them."""
        host.peak(2**30)
        assert host.check().perfdata["orphans_recommended"] == f"{2**21};;;0"
        assert (
            ". Next: run check_tcp_orphans -v first, as 4 times the peak can fill the memory; then set tcp_max_orphans to 2097152"
        ) in host.text()
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        (host.proc / "meminfo").unlink()
        assert host.check().perfdata["orphans_recommended"] == f"{2**31 - 1};;;0"
        host.put("sys/net/ipv4/tcp_max_orphans", f"{2**31 - 1}\n")
        assert ". Next: find the service that makes them: check_tcp_orphans -v. " in host.text()

    def test_defaults_of_an_old_kernel(self, host: Host) -> None:
        """Ten orphans may be far too few, so it is not OK; and what a reboot sets is not known."""
        host.put("sys/kernel/osrelease", "2.6.32\n")
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        host.put("sys/net/ipv4/tcp_max_orphans", "10\n")
        host.levels(*(kernel_defaults.tcp_mem((2, 6, 32), 24 * GIB // 4096) or ()))
        assert host.check().code == 3
        assert " - the defaults of this old kernel are not all known. Next: " in host.text()

    @pytest.mark.parametrize("total, known", [(24, True), (15, True), (14, False), (1, False), (35, True), (36, False)])
    def test_memory_that_is_not_that_of_the_boot(self, host: Host, total: int, known: bool) -> None:
        """The table of 262144 is made for more than 16 GiB, and at most 32."""
        host.put("meminfo", f"MemTotal: {total * GIB >> 10} kB\n")
        output = host.check("-v")
        line = f"{MEM}: what a reboot sets is not known: no file has all of it, and the kernel's default is not certain"
        assert (line in output.lines, "Both limits survive" in output.text or "A reboot changes" in output.text) == (
            not known,
            known,
        )
        host.persist(f"{MEM} = 294912 393216 589824\n")
        assert ". Both limits survive a reboot" in host.text()

    def test_a_table_at_its_cap_may_be_of_any_larger_machine(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_ehash_entries", "524288\n")
        host.put("sys/net/ipv4/tcp_max_orphans", "262144\n")
        for total, known in ((1024, True), (20, False)):
            host.put("meminfo", f"MemTotal: {total * GIB >> 10} kB\n")
            host.levels(*levels(total * GIB))
            assert ("Both limits survive a reboot" in host.text()) == known

    def test_the_numbers_a_file_leaves_out(self, host: Host) -> None:
        """One number for the first level; the others are the kernel's after a reboot."""
        host.levels(294912, 500000, 700000)
        host.persist(f"{MEM} = 294912\n")
        output = host.check()
        assert output.code == 1
        assert (
            " - a reboot changes tcp_mem: 294912 500000 700000 to 294912 393216 589824 (/etc/sysctl.d/50-web.conf line 1). Next: "
            in output.text
        )
        host.put("meminfo", f"MemTotal: {1 * GIB >> 10} kB\n")
        assert "a reboot" not in host.text()

    def test_a_line_the_kernel_refuses(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "200000\n")
        host.persist(f"{ORPHANS} = 4294967296\n")
        output = host.check("-v")
        assert output.code == 1
        assert output.lines[0].endswith(
            " - a reboot changes tcp_max_orphans: 200000 to 131072 (the kernel refuses /etc/sysctl.d/50-web.conf line 1). Next: "
            "set it to 131072 now, or write tcp_max_orphans = 200000 into that file (see -v)"
        )
        assert f"{ORPHANS}: a reboot sets 4294967296 (/etc/sysctl.d/50-web.conf line 1), which the kernel refuses" in output.lines  # fmt: skip
        assert not any("is in no file" in line for line in output.lines)
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        assert commands(host)[1] == f"for good, in /etc/sysctl.d/50-web.conf line 1: {ORPHANS} = 131072"


class TestWhere:
    """The line goes where it counts at boot, and stays at an upgrade."""

    @pytest.mark.parametrize(
        "path, place",
        [
            ("/etc/sysctl.d/50-web.conf", "/etc/sysctl.d/50-web.conf line 1"),
            ("/usr/lib/sysctl.d/50-default.conf", OWN),
            ("/usr/local/lib/sysctl.d/90-a.conf", OWN),
            ("/usr/lib/sysctl.d/99-x.conf", LATE),
            ("/lib/sysctl.d/90-tcp-headroom.conf", LATE),
            ("/usr/lib/sysctl.d/zzz.conf", "/usr/lib/sysctl.d/zzz.conf line 1"),
        ],
    )
    def test_files(self, host: Host, path: str, place: str) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        host.persist(f"{ORPHANS} = 1000\n", path)
        assert commands(host)[1] == f"for good, in {place}: {ORPHANS} = 131072"
        # And it does count.
        if place in (OWN, LATE):
            host.persist(f"{ORPHANS} = 131072\n", place)
            assert commands(host) == [f"now: sysctl -w {ORPHANS}=131072"]

    def test_files_nobody_looked_at(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        host.persist(f"{ORPHANS} = 1000\n", "/etc/sysctl.d/99-sysctl.conf")
        assert commands(host, "--no-drift")[1] == f"for good, in {LATE}: {ORPHANS} = 131072"

    def test_the_command_line_of_the_kernel(self, host: Host) -> None:
        """No file of /proc can be written to; those of /etc win over it."""
        host.put("cmdline", f"sysctl.{ORPHANS}=1000\n")
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        assert commands(host)[1] == f"for good, in {OWN}: {ORPHANS} = 131072"


class TestOneLine:
    """NRPE carries 1023 bytes."""

    def test_many_doubts(self, host: Host) -> None:
        paths = [f"/etc/sysctl.d/{number:02}-{'y' * 120}.conf" for number in range(30)]
        plant(host.root, dict.fromkeys(paths, b"x" * (2 << 20)))
        output = host.check()
        assert (output.code, len(output.lines)) == (3, 1) and len(output.text.encode()) <= 1024
        assert "was read up to byte 1048576 only. Next: see why with -v, or use --no-drift" in output.text
        lines = host.check("-v").lines
        assert sum(line.startswith("not certain: /etc/sysctl.d/") for line in lines) == 19
        assert "not certain: and 10 more of this kind" in lines

    def test_everything_wrong_in_long_paths(self, host: Host) -> None:
        name = "/etc/sysctl.d/" + "z" * 200 + ".conf"
        host.persist(
            "\n" * 100000 + f"{MEM} = 99999999999999999 99999999999999999 99999999999999999\n{ORPHANS} = 5\n", name
        )
        host.levels(9223372036854775806, 9223372036854775805, 9223372036854775)
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        host.peak(100000000, NOON)
        output = host.check()
        assert (output.code, len(output.lines)) == (2, 1)
        text = output.text.partition(" | ")[0]
        assert len(text) <= 250 and text.index(". Next: ") < 158
        assert ". Next: run check_tcp_orphans -v first, as 4 times the peak can fill the memory; then set " in text
        lines = host.check("-v").lines
        assert [line[:36] for line in lines if line.startswith("Also: ")] == [
            "Also: tcp_mem is no limit: min 33554",
            "Also: tcp_mem not in rising order: 9",
            "Also: tcp_max_orphans below 4 times ",
            "Also: a reboot changes tcp_max_orpha",
            "Also: a reboot changes tcp_mem: 9223",
        ]
        assert f"({name[:197]}... line 100002)" in "\n".join(lines)

    def test_many_things_not_seen(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "x\n")
        host.put("sys/net/ipv4/tcp_mem", "y\n")
        assert host.check("-v").lines[0] == (
            "TCP LIMITS UNKNOWN - sys/net/ipv4/tcp_max_orphans is not a number; sys/net/ipv4/tcp_mem is not three numbers. Next: "
            "check --procfs, and the rights of this user"
        )

    def test_nothing_seen(self, host: Host) -> None:
        deep = "/".join(["d" * 90] * 3)
        host.proc.rename(host.proc.with_name("x"))
        host.proc = host.proc.with_name("x") / deep
        host.put("sys/net/ipv4/tcp_max_orphans", "x\n")
        host.put("sys/net/ipv4/tcp_mem", "x\n")
        host.options[1] = str(host.proc)
        output = host.check()
        assert output.code == 3 and len(output.text.encode()) <= 1024


@pytest.mark.parametrize("orphans", [0, 1, 2, 3, 16384, 16385, 21564, 2**29, 2**30, 2**31 - 1])
def test_a_limit_that_keeps_every_margin(orphans: int) -> None:
    """And no smaller power of two does, as far as an int goes."""
    enough = tcp_max_orphans.enough(orphans)
    assert all(margin.left >= 0 for margin in tcp_max_orphans.margins(orphans, enough)) or enough == 2**31 - 1
    assert enough <= 4 or any(margin.left < 0 for margin in tcp_max_orphans.margins(orphans, enough // 2))
