"""Who holds them: real orphans and queues in namespaces of the test's own, beside what ss prints."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tcp_headroom import wording
from workbench.command import BIN, Run
from workbench.machine import program
from workbench.namespaces import MAKER, UNSHARE, namespaces_allowed
from workbench.owner_lines import ADDED, told_at_once

isolated = pytest.mark.skipif(not namespaces_allowed(), reason="this machine allows no user namespaces")

ORPHANS = [BIN / "check_tcp_orphans", "-v", "--max-orphans", "1000000"]
MEM = [BIN / "check_tcp_mem", "-v", "--tcp-mem", "100000000,200000000,300000000"]


@contextmanager
def orphans(*arguments: str, before: str = "true") -> Iterator[list[str]]:
    """Real ones, in a network namespace of their own; yields what starts a command in there."""
    shell = ["sh", "-c", f'{before} && exec "$@"', "sh"]
    command = [*UNSHARE, *shell, sys.executable, str(MAKER), "--own-loopback", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdin and maker.stdout
        assert maker.stdout.readline().endswith(" orphans\n")
        yield ["nsenter", "--target", str(maker.pid), "--user", "--net", "--preserve-credentials"]
        maker.stdin.close()
        assert maker.stdout.readline() == "0 orphans\n"
    assert maker.returncode == 0


def lines(command: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The further lines of a check."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == "" and done.returncode in (0, 1)
    printed = done.stdout.splitlines()
    for line in printed:
        assert line.isprintable()
    return printed[1:-1]


def owning(command: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Those of them that --no-owners leaves out, without what other namespaces have, which differs from run to run."""
    without = lines([*command, "--no-owners"])
    assert not [line for line in without if ADDED.match(line)]
    return [line for line in lines(command) if ADDED.match(line)]


@isolated
def test_orphans_by_port() -> None:
    """Those of clients, by the port they are connected to; beside ordinarily closed clients, which are none."""
    with orphans("--port", "8081", "--port", "8080", "--closed", "10", "25") as inside:
        closed = subprocess.run(
            [*inside, program("iproute2", "ss"), "-Htan", "state", "fin-wait-2"], capture_output=True, text=True
        )
        assert closed.stdout.count("\n") == 20
        assert owning([*inside, *ORPHANS]) == [
            "connections to port 8080: 25 orphans, 50.0 %; FIN_WAIT1 25; peers 127.0.0.0/24 (25)",
            "connections to port 8081: 25 orphans, 50.0 %; FIN_WAIT1 25; peers 127.0.0.0/24 (25)",
        ]


@isolated
@pytest.mark.parametrize("port", ["8080", "40000"])
def test_orphans_of_a_server(port: str) -> None:
    """Also where the port that is served could be ephemeral."""
    with orphans("--port", port, "--by-server", "--ipv6", "--closed", "10", "25") as inside:
        assert owning([*inside, *ORPHANS]) == [f"port {port}: 25 orphans, 100.0 %; FIN_WAIT1 25; peers ::/64 (25)"]


@isolated
def test_most_ports_are_not_named() -> None:
    ports = [word for port in range(101, 108) for word in ("--port", str(port))]
    with orphans(*ports, "--by-server", "2") as inside:
        seen = owning([*inside, *ORPHANS])
        assert seen[:5] == [
            f"port {port}: 2 orphans, 14.3 %; FIN_WAIT1 2; peers 127.0.0.0/24 (2)" for port in range(101, 106)
        ]
        assert seen[5:] == ["2 more ports: 4 orphans"]


@isolated
def test_penalised_with_more_orphan_retries_and_a_short_timeout() -> None:
    """Orphans whose peer takes nothing, once they have been silent for twice the longest timeout; kept by more retries."""
    ipv4 = "/proc/sys/net/ipv4"
    lowered = f"echo 1000 > {ipv4}/tcp_rto_max_ms && echo 50 > {ipv4}/tcp_orphan_retries"
    if not os.path.exists("/proc/sys/net/ipv4/tcp_rto_max_ms"):
        pytest.skip("this kernel has no tcp_rto_max_ms")
    begin = time.monotonic()
    with orphans("--port", "8080", "25", before=lowered) as inside:
        by_port = "connections to port 8080: 25 orphans, 100.0 %; FIN_WAIT1 25; peers 127.0.0.0/24 (25)"
        seen = owning([*inside, *ORPHANS])
        if time.monotonic() - begin < 2:
            assert seen == [by_port]
        while len(seen) == 1 or "25" not in seen[1]:
            assert time.monotonic() - begin < 30, seen
            seen = owning([*inside, *ORPHANS])
        assert time.monotonic() - begin > 2
        assert seen == [
            by_port,
            "at least 25 of them are penalised now: no data was sent for more than 2 s; "
            "ICMP errors and lost routes cannot be seen from here",
        ]


SKMEM = re.compile(r"(\S+)\s+\d+\s+\d+\s+\S+:(\d+)\s+\S+:(\d+|\*)\s.*skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),")


def by_ss(inside: list[str]) -> list[tuple[str, ...]]:
    """State, both ports, and r, f and w of each socket."""
    printed = subprocess.run(
        [*inside, program("iproute2", "ss"), "-HOtanm"], capture_output=True, text=True, check=True
    ).stdout
    found = sorted(SKMEM.findall(printed))
    assert len(found) == printed.count("skmem")
    return found


@isolated
@pytest.mark.parametrize("how", [[], ["--by-server"], ["--ipv6"]])
def test_memory_is_what_ss_shows(how: list[str]) -> None:
    """Every figure of the lines, from what ss prints of the same sockets, at rest before and after."""
    with orphans("--port", "8080", "--port", "8081", "--closed", "10", *how, "25") as inside:
        for _attempt in range(20):
            before = by_ss(inside)
            seen = owning([*inside, *MEM])
            if by_ss(inside) == before:
                break
        else:
            pytest.fail("the sockets never come to rest")
        named = 0
        for port, local in itertools.product(("8080", "8081"), (True, False)):
            ends = [
                [int(number) for number in numbers]
                for state, here, there, *numbers in before
                if (here if local else there) == port and state != "LISTEN" and any(map(int, numbers))
            ]
            received, reserve, queued = map(sum, zip(*ends))
            held = wording.size(received + reserve + queued)
            start = "port" if local else "connections to port"
            (line,) = (line for line in seen if line.startswith(f"{start} {port}: "))
            share, _, rest = line.removeprefix(f"{start} {port}: {held}, ").partition(" %, ")
            assert 0 <= float(share) <= 100
            figures, _, holders = rest.partition("; held by ")
            assert figures == (
                f"in {len(ends)} sockets; {wording.size(received)} received, {wording.size(queued)} to be sent"
            )
            if local == ("--by-server" in how):
                assert holders.startswith("orphans ")
            else:
                assert re.fullmatch(rf"python[0-9.]*\[{inside[2]}\] {re.escape(held)}", holders)
            named += 1
        assert named == 4 and len(seen) == 4


def test_without_rights(run: Run, request: pytest.FixtureRequest) -> None:
    """Orphans of this namespace, whichever it is, seen by a user without rights."""
    with subprocess.Popen([sys.executable, MAKER, "29"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:  # fmt: skip
        assert maker.stdin and maker.stdout
        assert maker.stdout.readline() == "29 orphans\n"
        request.getfixturevalue("powerless")
        seen = [told_at_once(run, command) for command in ("check_tcp_orphans", "check_tcp_mem")]
        maker.stdin.close()
        assert maker.stdout.readline() == "0 orphans\n"
    assert any(re.fullmatch(r"connections to port \d+: 29 orphans, \d+\.\d %; FIN_WAIT1 29; peers 127.0.0.0/24 \(29\)", line) for line in seen[0])  # fmt: skip
    assert any(re.match(r"connections to port \d+: .* in 29 sockets; 0 B received, .* held by orphans ", line) for line in seen[1])  # fmt: skip


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem"])
def test_a_plain_run_pays_nothing(command: str) -> None:
    code = (
        f"import sys\nfrom tcp_headroom.commands.{command} import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n"
        "    print({'socket', 'tcp_headroom.sockets.owners', 'tcp_headroom.sockets.sock_diag'} & set(sys.modules))"
    )
    for arguments, imported in (([], False), (["-v", "--no-owners"], False), (["-v"], True)):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert (done.stdout.splitlines()[-1] != "set()") == imported


STATES = """
import socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
import orphans

orphans.bring_up_loopback()
# A FIN_WAIT2 socket remains an orphan for as long as it has more than 60 s.
open("/proc/sys/net/ipv4/tcp_fin_timeout", "w").write("200")
server = socket.create_server(("::", 45000), family=socket.AF_INET6, dualstack_ipv6=True)
kept = []
for number in range(9):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", 45000))
    kept.append(client)
    accepted = server.accept()[0]
    if number < 2:
        client.shutdown(socket.SHUT_WR)
        while accepted.recv(1):
            pass
    if number < 5:
        orphans.fill_and_close(accepted)
    else:
        accepted.close()
    if 2 <= number < 5:
        client.shutdown(socket.SHUT_WR)
for count, state in ((2, "09"), (3, "0B"), (4, "05")):
    orphans.wait_for(45000, count, state)
subprocess.run(sys.argv[2:])
"""


@isolated
def test_every_state_of_an_orphan() -> None:
    """Of a listener for both families on an ephemeral port; the addresses of its clients are mapped."""
    command = [*UNSHARE, sys.executable, "-c", STATES, str(MAKER.parent), *ORPHANS]
    seen = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    assert "port 45000: 9 orphans, 100.0 %; FIN_WAIT2 4, CLOSING 3, LAST_ACK 2; peers 127.0.0.0/24 (9)" in seen
