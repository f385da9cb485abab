"""A container of OpenVZ, by the rules of its kernel: what it counts, refuses and resets, and the /proc tree it shows.

Each rule names its line: of 2.6.32-042stab113.5 where nothing else is said, else of 2.6.18-028stab056. To write the
trees in tests/fixtures/openvz anew: ``python -m workbench.openvz``, with tests/ in PYTHONPATH.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

UNLIMITED = (1 << 63) - 1
"""UB_MAXVALUE, include/bc/beancounter.h."""

STAB042, STAB028 = "2.6.32-042stab113.5", "2.6.18-028stab056"

NAMES = {
    # kernel/bc/beancounter.c:57-84, the first 24 (UB_RESOURCES_COMPAT, include/bc/beancounter.h:62).
    STAB042: "kmemsize lockedpages privvmpages shmpages dummy numproc physpages vmguarpages oomguarpages numtcpsock numflock "
    "numpty numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf numothersock dcachesize numfile dummy dummy dummy "
    "numiptent",
    # kernel/ub/beancounter.c:45-69.
    STAB028: "kmemsize lockedpages privvmpages shmpages dummy numproc physpages vmguarpages oomguarpages numtcpsock numflock "
    "numpty numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf numothersock dcachesize numfile dummy dummy dummy "
    "numiptent",
}


class Container:
    """One container; sockets are opened and closed, and nobody answers."""

    def __init__(
        self,
        uid: int = 101,
        numtcpsock: int = 360,
        tcpsndbuf: int = 1720320,
        tcprcvbuf: int = 1720320,
        max_orphans: int = 65536,
        kernel: str = STAB042,
    ) -> None:
        self.uid = uid
        self.kernel = kernel
        self.max_orphans = max_orphans
        self.barrier = {"numtcpsock": numtcpsock, "tcpsndbuf": tcpsndbuf, "tcprcvbuf": tcprcvbuf}
        self.held = dict.fromkeys(self.barrier, 0)
        self.most = dict.fromkeys(self.barrier, 0)
        self.failcnt = dict.fromkeys(self.barrier, 0)
        self.orphans = 0
        self.aborts = 0
        self.pages = 210
        """TCP memory of the whole node, tcp_memory_allocated."""

    def open(self, number: int) -> None:
        """Sockets; a refused one fails with ENOBUFS and counts."""
        for _socket in range(number):
            self.charge("numtcpsock", 1)

    def charge(self, resource: str, amount: int) -> bool:
        """Whether it is granted: kernel/bc/beancounter.c:687-712, UB_HARD, as kernel/bc/net.c:404 has it for sockets."""
        if self.held[resource] + amount > self.barrier[resource]:
            self.failcnt[resource] += 1
            return False
        self.held[resource] += amount
        self.most[resource] = max(self.most[resource], self.held[resource])
        return True

    def close(self, number: int) -> None:
        """Sockets become orphans, or are reset: net/ipv4/tcp.c:2046 counts each before :2086-2102 asks."""
        for _socket in range(min(number, self.held["numtcpsock"] - self.orphans)):
            self.orphans += 1
            if self.too_many(self.orphans):
                self.reset()

    def timers(self, silent: bool, icmp: bool) -> None:
        """The timer of every orphan: net/ipv4/tcp_timer.c:76-83 doubles the count for either penalty."""
        for _orphan in range(self.orphans):
            if self.too_many(self.orphans << silent << icmp):
                self.reset()

    def too_many(self, count: int) -> bool:
        """include/bc/sock_orphan.h:43-52, ub_too_many_orphans; kernel/bc/net.c:104-113 has the quarter of the barrier.

        The same in include/ub/ub_orphan.h:45-54 and kernel/ub/ub_net.c:105-115 of 2.6.18.
        """
        return count >= self.barrier["numtcpsock"] >> 2 or self.orphans > self.max_orphans

    def reset(self) -> None:
        self.orphans -= 1
        self.held["numtcpsock"] -= 1
        self.aborts += 1

    def write(self, root: pathlib.Path) -> pathlib.Path:
        """Its /proc tree, as root sees it."""
        texts: dict[str, Callable[[], str]] = {
            "user_beancounters": self.user_beancounters,
            "net/sockstat": self.sockstat,
            "net/netstat": self.netstat,
            "net/protocols": self.protocols,
            "sys/net/ipv4/tcp_mem": lambda: "767520\t1023360\t1535040\n",
            "sys/net/ipv4/tcp_max_orphans": lambda: f"{self.max_orphans}\n",
            "sys/kernel/osrelease": lambda: f"{self.kernel}\n",
        }
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text())
        return root

    def user_beancounters(self) -> str:
        """kernel/bc/proc.c:376-381 and :42-43 for 64 bits, ub_show_res :46-65, ub_show_dummy :67-75, ub_show :347-362."""
        form = "{:>10}  {:<12} {:>20} {:>20} {:>20} {:>20} {:>20}\n"
        rows = [form.format("uid", "resource", "held", "maxheld", "barrier", "limit", "failcnt")]
        for number, name in enumerate(NAMES[self.kernel].split()):
            uid = f"{self.uid}:" if number == 0 else ""
            if name not in self.barrier:
                rows.append(form.format(uid, name, 0, 0, *((0, 0) if name == "dummy" else (UNLIMITED, UNLIMITED)), 0))
                continue
            # Sockets have one limit, buffers a soft and a hard one.
            limit = self.barrier[name] if name == "numtcpsock" else self.barrier[name] * 11 // 7
            rows.append(
                form.format(
                    uid,
                    name,
                    self.held[name],
                    self.most[name],
                    self.barrier[name],
                    min(limit, UNLIMITED),
                    self.failcnt[name],
                )
            )
        return "Version: 2.5\n" + "".join(rows)

    def sockstat(self) -> str:
        """net/ipv4/proc.c:57, :62-74: the container's own orphans; of 2.6.18 :63, nothing at all."""
        if self.kernel == STAB028:
            return ""
        used = self.held["numtcpsock"]
        return (
            f"sockets: used {used + 40}\n"
            f"TCP: inuse {used - self.orphans} orphan {self.orphans} tw 3 alloc {used + 60} mem {self.pages}\n"
            "UDP: inuse 2 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"
        )

    def netstat(self) -> str:
        """net/ipv4/proc.c, snmp4_net_list; the rows that the checks ask for, in its order. Of the container alone."""
        return (
            "TcpExt: SyncookiesSent PruneCalled TCPAbortOnMemory TCPAbortOnTimeout TCPMemoryPressures\n"
            f"TcpExt: 0 0 {self.aborts} 0 0\n"
        )

    def protocols(self) -> str:
        """net/core/sock.c, proto_seq_show and proto_seq_printf; of the node."""
        return (
            "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n"
            f"TCP       1728 {self.held['numtcpsock'] + 60:6}  {self.pages:6}   no     304   yes  kernel      "
            "y  y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y\n"
        )


def quiet() -> Container:
    made = Container()
    made.open(22)
    made.close(4)
    return made


def few_penalised() -> Container:
    """More than a quarter of its share, at most half: those with both penalties are reset, one is enough for none."""
    made = Container()
    made.open(120)
    made.close(40)
    made.timers(silent=True, icmp=False)
    return made


def sockets_refused() -> Container:
    """A service that leaks its sockets until no more are granted."""
    made = Container(uid=102, numtcpsock=80)
    made.open(117)
    made.close(3)
    return made


def many_orphans() -> Container:
    """No limit but tcp_max_orphans, of which less than half is used: without penalties, so nobody is reset."""
    made = Container(numtcpsock=UNLIMITED, tcpsndbuf=UNLIMITED, tcprcvbuf=UNLIMITED)
    made.open(31_000)
    made.close(30_000)
    made.timers(silent=True, icmp=True)
    return made


def of_2_6_18() -> Container:
    made = Container(uid=1234, kernel=STAB028)
    made.open(22)
    made.close(4)
    return made


def full_2_6_18() -> Container:
    made = Container(uid=1234, numtcpsock=80, kernel=STAB028)
    made.open(117)
    return made


TREES = {
    "container": quiet,
    "container-few-penalised": few_penalised,
    "container-sockets-refused": sockets_refused,
    "container-many-orphans": many_orphans,
    "container-2.6.18": of_2_6_18,
    "container-2.6.18-full": full_2_6_18,
}
"""What each fixture tree shows."""


if __name__ == "__main__":
    for tree, make in TREES.items():
        make().write(pathlib.Path(__file__).parents[1] / "fixtures/openvz" / tree)
