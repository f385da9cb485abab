"""check_tcp_limits as a whole: what it finds wrong, how surely, and what it tells people to type."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcp_headroom.boot.sysctl_rules import Setting
from tcp_headroom.limits import kernel_defaults
from tcp_headroom.limits.review import Review
from workbench.command import FIXTURES, assert_grammar
from workbench.limits_host import GIB, NOON, PAGE, Host, host, levels

__all__ = ["host"]


def test_healthy(host: Host) -> None:
    host.peak(40)
    assert host.check() == (
        0,
        "TCP LIMITS OK - tcp_max_orphans 131072 (the default), tcp_mem max 2.2 GiB (about the default). "
        "Peak 40 orphans on 2026-03-25 12:05. Both limits survive a reboot | drift=0;;;0 "
        "mem_limit_pct=100%;;;0 orphans_limit_pct=100%;;;0 orphans_peak=40;65536;;0;131072 orphans_recommended=131072;;;0\n",
    )


def test_healthy_explained(host: Host) -> None:
    host.peak(40)
    assert host.check("-v").lines[1:-1] == [
        "net.ipv4.tcp_max_orphans: the kernel's default is 131072 (half the entries of its hash table)",
        "net.ipv4.tcp_mem: the kernel's default is about 294912 393216 589824 (an estimate, from 263883 351846 527766 to 325170 433561 650340; memory 24.0 GiB, by meminfo)",
        "worst case: all of TCP, orphans included, 2.2 GiB, 9.4 % of the memory",
        'if TCP needs more: sysctl -w net.ipv4.tcp_mem="589824 786432 1179648" (at most 4.5 GiB, twice the maximum of now)',
    ]


class TestFarBelowTheDefault:
    """Both limits against what the kernel would set, and how sure that is."""

    @pytest.mark.parametrize(
        "limit, code", [(65536, 0), (65535, 1), (13108, 1), (13107, 2), (1, 2), (262144, 0), (2**31 - 1, 0)]
    )
    def test_orphans(self, host: Host, limit: int, code: int) -> None:
        """10 % of 131072 are 13107.2."""
        host.put("sys/net/ipv4/tcp_max_orphans", f"{limit}\n")
        output = host.check()
        assert output.code == code
        if code:
            assert (
                f" - tcp_max_orphans far below the default: {limit}, {100 * limit / 131072:.1f} % of 131072. Next: set tcp_max_orphans to 131072 (see -v). tcp_mem max 2.2 GiB (about the"
            ) in output.text
            assert output.perfdata["orphans_recommended"] == "131072;;;0"

    @pytest.mark.parametrize("limit, code", [(65536, 0), (65535, 1), (256, 1), (255, 2)])
    def test_orphans_without_the_table(self, host: Host, limit: int, code: int) -> None:
        """Before 6.1 the default is reckoned from the memory there is today, which may be more than it was; but 256 is set nowhere."""
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        host.put("sys/kernel/osrelease", "5.10.0-32-cloud-amd64\n")
        host.put("sys/net/ipv4/tcp_max_orphans", f"{limit}\n")
        output = host.check()
        assert output.code == code
        assert ("% of about 131072. Next: " in output.text) == bool(code)

    @pytest.mark.parametrize("share, code", [(1.0, 0), (0.51, 0), (0.49, 1), (0.101, 1), (0.099, 2), (0.001, 2)])
    def test_mem(self, host: Host, share: float, code: int) -> None:
        host.levels(*(int(level * share) for level in levels(24 * GIB)))
        output = host.check()
        assert output.code == code
        assert (
            "tcp_mem far below the default: max " in output.text
            and "% of about 2.2 GiB (2.0 GiB to 2.5 GiB). Next: " in output.text
        ) == (code > 0)

    def test_the_model_case(self, host: Host) -> None:
        """64 MiB for the TCP of a machine with 32 GiB, its table being of the boot."""
        shutil.copytree(FIXTURES / "article/max-64-mib", host.proc, dirs_exist_ok=True)
        host.put("meminfo", f"MemTotal: {32 * GIB >> 10} kB\n")
        assert host.check() == (
            2,
            "TCP LIMITS CRITICAL - tcp_mem far below the default: max 64.0 MiB, 2.1 % of about 3.0 GiB (2.7 GiB to 3.3 GiB). Next: set tcp_mem to 393216 524288 786432 (see -v). tcp_max_orphans 65536 (50.0 % "
            "of the default). A reboot changes 2 settings | drift=2;;;0 "
            "mem_limit_pct=2.0833%;;;0 orphans_limit_pct=50%;;;0 orphans_recommended=65536;;;0\n",
        )
        assert host.check("-v").lines[4:-1] == [
            "net.ipv4.tcp_max_orphans = 65536 is in no file: a reboot sets the kernel's default, 131072",
            "net.ipv4.tcp_mem = 8192 12288 16384 is in no file: a reboot sets the kernel's default, 393216 524288 786432",
            "net.ipv4.tcp_mem = 393216 524288 786432 is the kernel's default, an estimate",
            'now: sysctl -w net.ipv4.tcp_mem="393216 524288 786432"',
            "for good, in /etc/sysctl.d/90-tcp-headroom.conf: net.ipv4.tcp_mem = 393216 524288 786432",
            f"not shown, orphans_peak: check_tcp_orphans --procfs {host.proc} has kept none in {host.state}",
        ]

    @pytest.mark.parametrize(
        "total, entries, code",
        [
            (24, "262144", 2),
            # Plugged in since the boot, or made up by lxcfs: the table knows better.
            (1024, "16384", 0),
            (1024, "262144", 2),
            # A container's limit in the place of MemTotal: of that it is enough.
            (1, "262144", 0),
            # At its cap the table says no more than 64 GiB; of those, 128 MiB are absurd.
            (1024, "524288", 2),
            # One witness alone.
            (24, None, 1),
            (None, "262144", 1),
        ],
    )
    def test_mem_is_critical_only_if_both_agree(
        self, host: Host, total: int | None, entries: str | None, code: int
    ) -> None:
        """128 MiB at most: 5.6 % of the default of 24 GiB, 69 % of that of 2 GiB."""
        host.levels(16384, 24576, 32768)
        for name, text in (
            ("meminfo", total and f"MemTotal: {total * GIB >> 10} kB\n"),
            ("sys/net/ipv4/tcp_ehash_entries", entries),
        ):
            (host.proc / name).unlink()
            if text:
                host.put(name, text)
        output = host.check()
        assert output.code == code

    def test_a_default_that_both_put_far_apart(self, host: Host) -> None:
        """6.5 GiB at most: 7 % of the default of 1 TiB, but all of that of 64 GiB, which is sure."""
        host.put("meminfo", f"MemTotal: {1024 * GIB >> 10} kB\n")
        host.put("sys/net/ipv4/tcp_ehash_entries", "524288\n")
        host.put("sys/net/ipv4/tcp_max_orphans", "262144\n")
        host.levels(*levels(70 * GIB))
        output = host.check()
        assert (output.code, output.perfdata["mem_limit_pct"]) == (1, "6.8359%;;;0")

    @pytest.mark.parametrize("pages, code", [(4095, 2), (4096, 1)])
    def test_below_16_mib_one_witness_is_enough(self, host: Host, pages: int, code: int) -> None:
        (host.proc / "sys/net/ipv4/tcp_ehash_entries").unlink()
        host.levels(pages // 2, pages // 4 * 3, pages * 4096 // PAGE)
        assert host.check().code == code

    def test_a_small_machine_is_no_fault(self, host: Host) -> None:
        """Half of 16 MiB is what the kernel itself gives 100 MiB of memory."""
        host.put("meminfo", "MemTotal: 102400 kB\n")
        host.put("sys/net/ipv4/tcp_ehash_entries", "1024\n")
        host.put("sys/net/ipv4/tcp_max_orphans", "512\n")
        host.levels(*levels(100 << 20))
        assert host.check().code == 0

    def test_ranges(self, host: Host) -> None:
        assert host.check("-w", "101:").code == 1
        assert host.check("-w", "101:", "-c", "100.5:").code == 2
        assert host.check("-w", "99%:", "-c", "~:").perfdata["mem_limit_pct"] == "100%;;;0"


class TestFaults:
    """Settings that cannot be right on any machine."""

    @pytest.mark.parametrize("limit", [0, -1, -(2**31)])
    def test_no_orphans(self, host: Host, limit: int) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", f"{limit}\n")
        host.peak(1)
        output = host.check()
        assert output.code == 2 and "times the peak" not in output.text
        assert f" - every orphan is reset: tcp_max_orphans is {limit}. Next: set tcp_max_orphans to 131072 " in output.text  # fmt: skip
        assert "far below" not in output.text

    def test_no_memory(self, host: Host) -> None:
        host.levels(0, 0, 0)
        output = host.check()
        assert output.code == 2
        assert " - all TCP memory is refused: the maximum of tcp_mem is 0. Next: set tcp_mem to 294912 393216 589824 (see -v)" in output.text  # fmt: skip
        assert "far below" not in output.text

    def test_out_of_order(self, host: Host) -> None:
        host.levels(294912, 3932160, 589824)
        output = host.check()
        assert output.code == 1
        assert " - tcp_mem not in rising order: 294912 3932160 589824. Next: set tcp_mem to 294912 393216 589824 (see -v)" in output.text  # fmt: skip

    def test_the_worst_comes_first(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "0\n")
        host.levels(294912, 3932160, 589824)
        text = host.text()
        assert text.index("every orphan is reset") < text.index("tcp_mem not in rising order")
        assert "Next: set tcp_max_orphans to 131072 " in text
        lines = host.check("-v").lines
        assert "now: sysctl -w net.ipv4.tcp_max_orphans=131072" in lines
        assert 'now: sysctl -w net.ipv4.tcp_mem="294912 393216 589824"' in lines


class TestPeak:
    """The limit against what was seen of orphans."""

    @pytest.mark.parametrize("orphans, code, recommended", [(32768, 0, 131072), (32769, 1, 262144), (0, 0, 131072)])
    def test_four_times(self, host: Host, orphans: int, code: int, recommended: int) -> None:
        host.peak(orphans)
        output = host.check()
        assert (output.code, output.perfdata["orphans_recommended"]) == (code, f"{recommended};;;0")
        assert output.perfdata["orphans_peak"] == f"{orphans};{32768 if code else 65536};;0;131072"
        if code:
            assert (
                " - tcp_max_orphans below 4 times the peak: 131072, peak 32769. Next: set tcp_max_orphans to 262144 (see -v). tcp_max_orphans 131072 "
            ) in output.text

    @pytest.mark.parametrize(
        "orphans, days, code", [(32769, 1, 0), (65536, 1, 0), (65537, 1, 1), (32769, 2, 1), (32769, 14, 1)]
    )
    def test_one_short_burst(self, host: Host, orphans: int, days: int, code: int) -> None:
        """A sample between a quarter and a half, on one day alone, is no reason to set anything; above the half it is."""
        host.peak(orphans, days=days)
        output = host.check()
        level = 32768 if days > 1 else 65536
        assert (output.code, output.perfdata["orphans_peak"]) == (code, f"{orphans};{level};;0;131072")

    def test_the_larger_reason_counts(self, host: Host) -> None:
        host.put("sys/net/ipv4/tcp_max_orphans", "1000\n")
        for orphans, recommended in ((1000, 131072), (40000, 262144)):
            host.peak(orphans)
            assert host.check().perfdata["orphans_recommended"] == f"{recommended};;;0"

    @pytest.mark.parametrize("gib, code", [(4, 1), (2, 2)])
    def test_beside_what_is_graver(self, host: Host, gib: int, code: int) -> None:
        """The line may have no room for it; then it is in -v, and in the state: the dashboard goes by that."""
        host.levels(*levels(gib * GIB))
        host.peak(70000)
        output = host.check("-v")
        assert output.code == code and "times the peak" not in output.lines[0]
        assert "Also: tcp_max_orphans below 4 times the peak: 131072, peak 70000" in output.lines

    def test_old_peaks_do_not_count(self, host: Host) -> None:
        host.peak(100000, NOON - 14 * 86400)
        assert host.check().code == 0
        assert host.check("--peak-days", "15").code == 1

    def test_without_a_state(self, host: Host) -> None:
        host.peak(100000)
        output = host.check("--no-state")
        assert (output.code, "orphans_peak" in output.perfdata) == (0, False)

    def test_a_state_that_cannot_be_read_costs_the_peak_alone(self, host: Host) -> None:
        host.peak(100000)
        host.state.chmod(0o777)
        output = host.check("-v")
        assert output.code == 0
        assert f"not shown, orphans_peak: nothing is remembered between runs: {host.state} can be written by others; remove that right: chmod go-w" in output.lines  # fmt: skip

    def test_what_check_tcp_orphans_has_seen(self, host: Host) -> None:
        host.put("net/sockstat", "TCP: inuse 1 orphan 70000 tw 0 alloc 1 mem 1\n")
        host.run("check_tcp_orphans", "--procfs", host.proc, "--state-dir", host.state)
        assert "times the peak: 131072, peak 70000. Next: " in host.text()


WORDS = st.lists(st.one_of(st.integers(-(2**63), 2**64).map(str), st.text(max_size=3)), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    limit=st.integers(-(2**31), 2**31 - 1),
    mem=st.tuples(*[st.integers(0, 2**64 - 1)] * 3),
    total=st.integers(1, 1 << 50),
    entries=st.one_of(st.none(), st.integers(-(2**31), 2**31)),
    orphans=st.one_of(st.none(), st.integers(0, 2**31 - 1)),
    words=WORDS,
)
def test_any_numbers(
    host: Host,
    limit: int,
    mem: tuple[int, int, int],
    total: int,
    entries: int | None,
    orphans: int | None,
    words: list[str],
) -> None:
    """One line that fits, with a next step for whatever is wrong, and no recommendation to lower a limit."""
    host.put("sys/net/ipv4/tcp_max_orphans", f"{limit}\n")
    host.levels(*mem)
    host.put("meminfo", f"MemTotal: {total} kB\n")
    host.put("sys/net/ipv4/tcp_ehash_entries", f"{entries}\n" if entries is not None else "")
    shutil.rmtree(host.state, ignore_errors=True)
    if orphans is not None:
        host.peak(orphans)
    host.persist(
        f"net.ipv4.tcp_mem = {' '.join(words)}\nnet.ipv4.tcp_max_orphans = {''.join(words)}\n".replace("\0", "")
    )
    output = host.check()
    assert len(output.lines) == 1 and len(output.text.encode()) <= 1024, output.text
    assert not set(output.text.partition(" | ")[0]) & set("`~$&|'\"<>")
    assert ("Next: " in output.text) == (output.code > 0)
    assert_grammar(output.status)
    if "orphans_recommended" in output.perfdata:
        recommended = int(output.perfdata["orphans_recommended"].partition(";")[0])
        # A table of one page says nothing.
        memory = max(total << 10, 0 if entries is None or abs(entries) <= 512 else abs(entries) << 16)
        most = min(memory // 16384, 2**31 - 1)
        assert recommended >= max(1, limit) and (orphans is None or recommended >= min(4 * orphans, most))
    for line in host.check("-v").lines[1:-1]:
        assert line.isprintable() and "|" not in line


def test_the_review_reads_nothing() -> None:
    """It can be asked about any host, given the values."""
    memory = kernel_defaults.Memory(24 * GIB, None, False)
    defaults = kernel_defaults.Defaults((5, 10, 0), memory, None, [])
    line = Setting("net.ipv4.tcp_max_orphans", "7", "/etc/sysctl.d/x.conf", 3)
    import nagiosplugin

    ranges = (nagiosplugin.Range("50:"), nagiosplugin.Range("10:"))
    review = Review(7, None, PAGE, defaults, None, {line.name: line}, ranges)
    assert (review.drifts, review.mem_share, review.recommended) == ([], None, 131072)
