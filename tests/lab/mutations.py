"""Faults put into the package on purpose: each must make its scenario fail, else that scenario proves nothing."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """One fault."""

    file: str
    right: str
    """What the source says, once."""
    wrong: str
    scenario: str
    """The scenario that must notice."""
    kernel: str = ""
    """The kernel of the table on which it must, where that is not the first one."""

    @property
    def name(self) -> str:
        return f"{self.file.removesuffix('.py')}: {self.wrong.strip()}"

    def apply(self, package: dict[str, bytes]) -> dict[str, bytes]:
        """The package with the fault in it."""
        source = package[self.file].decode()
        if source.count(self.right) != 1:
            raise ValueError(f"{self.file} should hold {self.right!r} once, to be replaced by {self.wrong!r}")
        return package | {self.file: source.replace(self.right, self.wrong).encode()}


MUTATIONS = (
    # The shift of the penalty, and the strictness of the comparison.
    Mutation(
        "limits/tcp_max_orphans.py",
        "limit // factor - orphans",
        "limit // (2 * factor) - orphans",
        "idle-then-closed",
    ),
    Mutation(
        "limits/tcp_max_orphans.py", "limit // factor - orphans", "limit // factor - orphans - 1", "orphans-climb"
    ),
    Mutation(
        "commands/check_tcp_mem.py",
        "metric.value <= resource.levels.pressure",
        "metric.value < resource.levels.pressure",
        "child-namespace",
    ),
    # The pressure flag, the order of the levels, the memory a check itself takes.
    Mutation("proc/protocols.py", 'return pressure == "yes"', 'return pressure == "no"', "memory"),
    Mutation(
        "limits/tcp_mem.py", "self.min <= self.pressure <= self.max", "self.min <= self.max", "memory-out-of-order"
    ),
    Mutation("proc/reading.py", "chunks = []", 'chunks = [(b"x" * (200 << 20))[:0]]', "little-memory"),
    # The causes, the limiter's number, who wrote a line.
    Mutation(
        "log/messages.py", 'r"TCP: too many orphaned", ORPHANS', 'r"TCP: too many orphaned", MEMORY', "limit-passed"
    ),
    Mutation("log/messages.py", 'r"TCP: out of mem", MEMORY', 'r"TCP: out of mem", ORPHANS', "memory"),
    Mutation("log/views.py", "(SUPPRESSED, suppressed)", "(SUPPRESSED, 1)", "limit-passed"),
    Mutation("log/kmsg.py", "classify(record.text) if record.from_kernel else None", "classify(record.text)", "forged"),
    # The window, its coverage, the memory between runs, the counter.
    Mutation(
        "commands/kernel_log.py",
        "Window(self.clock.now - self.seconds,",
        "Window(self.clock.now - 2 * self.seconds,",
        "window-clears",
    ),
    Mutation("log/proof.py", "return min(proof.boot, window.now)", "return window.start", "idle"),
    Mutation("log/kmsg.py", "if ring.first.seq == 0 and not ring.earlier", "if not ring.earlier", "ring-wraps"),
    Mutation("memory/log_history.py", "union(view.events, old)", "view.events", "ring-wraps"),
    Mutation("memory/log_history.py", "union(view.events, old)", "[*view.events, *old]", "ring-wraps"),
    # The five questions of a proof: whose, would a hit show, from when, until when, in which clock.
    Mutation("log/scan.py", "(said.message is None and not said.other)", "False", "log-proofs"),
    Mutation("log/scan.py", "line.level >= INFO", "True", "log-proofs"),
    Mutation(
        "log/rotation.py",
        "hole = number > 1 if before is None else",
        "hole = False if before is None else",
        "log-proofs",
    ),
    Mutation(
        "log/file_proof.py",
        "until = None if until is None else min(until, window.now)",
        "until = window.now",
        "log-proofs",
    ),
    Mutation("log/proof.py", "FUTURE = 300.0", "FUTURE = 1e9", "log-proofs"),
    Mutation(
        "commands/kernel_log.py",
        "for span in self.growth) - logged)",
        "for span in self.growth) - 1000)",
        "spike",
    ),
    Mutation("commands/kernel_log.py", "return bool(self.unreadable) and", "return False and", "restricted"),
    # The verdict, and the evidence for it.
    Mutation(
        "verdict/judgement.py",
        "_configuration(found)\n        or _shortage(found)",
        "_shortage(found)\n        or _configuration(found)",
        "memory-out-of-order",
    ),
    Mutation("verdict/judgement.py", "if found.log.gap:", "if False:", "ring-wraps"),
    # The kernel's defaults, and what a reboot sets.
    Mutation("limits/kernel_defaults.py", "else 16", "else 8", "limits"),
    Mutation("limits/memory_at_boot.py", "AT_BOOT = 128 << 20", "AT_BOOT = 0", "limits"),
    Mutation(
        "limits/memory_at_boot.py",
        "min(bounds), max(bounds)",
        "min(bounds) + self.movable, max(bounds)",
        "untouched-kernelcore",
    ),
    Mutation("boot/kernel_arguments.py", '("sysctl.", "sysctl/")', '("sysctl/",)', "limits-at-boot"),
    # The peak and its days.
    Mutation("limits/review.py", "SAFETY, ONCE = 4, 2", "SAFETY, ONCE = 2, 2", "peak-of-days"),
    Mutation("memory/orphan_peak.py", "key=lambda peak: -peak.orphans", "key=lambda peak: -peak.when", "peak-of-days"),
    # Memory that no list shows.
    Mutation("cgroups/holders.py", "-held - sum(below.values())", "-held", "by-cgroup"),
    Mutation("sockets/closed.py", "found.pop(inode, None)", "pass", "closed-sockets"),
    # Pages, bytes and longs of other machines.
    Mutation("limits/tcp_mem.py", 'return os.sysconf("SC_PAGE_SIZE")', "return 4096", "memory", "6.1-ppc64el"),
    Mutation(
        "limits/mem_unit.py",
        'Unit(page, "the page size, as net.core.mem_pcpu_rsv exists")',
        'Unit(FIXED, "4096")',
        "memory",
        "6.1-ppc64el",
    ),
    Mutation(
        "sockets/sock_diag.py",
        '_ATTRIBUTE = struct.Struct(ORDER + "HH")',
        '_ATTRIBUTE = struct.Struct("<HH")',
        "owners",
        "6.1-s390x",
    ),
    Mutation(
        "sockets/sock_diag.py",
        '_SKMEMINFO = struct.Struct(ORDER + "',
        '_SKMEMINFO = struct.Struct("<',
        "owners",
        "6.1-s390x",
    ),
    Mutation("proc/meminfo.py", "bits = 32 if low", "bits = 64 if low", "long-of-the-kernel", "6.1-i386"),
    # Whose they are.
    Mutation("sockets/owners.py", "or alive or backoff < retries or not gives_up", "or True", "window-closes-on-data"),
    Mutation("sockets/owners.py", "not in (retransmitting, probing)", "not in (probing,)", "idle-then-closed"),
    Mutation("sockets/owners.py", "timer == retransmitting or alive", "timer == retransmitting", "window-long-closed"),
)
