"""Memory that no list of sockets shows: in other network namespaces, in closed sockets, beyond the global gauge."""

from __future__ import annotations

import contextlib
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator

from . import checks, kernel
from .checks import OK, expect
from .table import scenario

ROOT = pathlib.Path("/sys/fs/cgroup")
DISK = sorted(map(str, pathlib.Path("/lab/modules").glob("*-brd.ko")))
"""The module of a disk made of memory."""

TENANT = pathlib.Path(__file__).with_name("tenant.py")


@contextlib.contextmanager
def tenant(*arguments: object) -> Iterator[int]:
    """A process as of ``tenant``; yields its number once it is ready."""
    command = [sys.executable, str(TENANT), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        expect(process.stdout.readline() == "ready\n", f"{command} is not ready")
        yield process.pid
        process.stdin.close()


def mounted() -> None:
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", str(ROOT)], check=True)


def cgroup(path: str, *more: str) -> pathlib.Path:
    """A new cgroup that accounts for memory; of those above it that do not yet, too."""
    folder = ROOT
    for part in path.split("/"):
        (folder / "cgroup.subtree_control").write_text("+memory")
        folder = folder / part
        folder.mkdir(exist_ok=True)
    return folder


def sock(folder: pathlib.Path) -> int:
    """Bytes. From 4.10 to 5.19 the kernel takes its units of 4096 bytes for pages (``mem_cgroup_charge_skmem``)."""
    told = re.findall(r"^sock (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)[0]
    return int(told) * kernel.unit // kernel.PAGE


def mib(size: int) -> str:
    return f"{size / 1024:.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"


def settle(folder: pathlib.Path) -> None:
    """Wait until ``memory.stat`` has caught up, which it does every two seconds (``flush_memcg_stats_dwork``)."""
    before = -1
    while sock(folder) != before:
        before = sock(folder)
        time.sleep(5)


ID = "0123456789ab" + "0" * 52
POD = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a2b3c4d_5e6f_4a1b_8c2d_0123456789ab.slice"


@scenario("by-cgroup")
def by_cgroup() -> None:
    """Two containers in two network namespaces, each with its share, seen from outside both; UDP and what is left out."""
    mounted()
    kernel.list_sockets()
    docker = cgroup(f"system.slice/docker-{ID}.scope")
    pod = cgroup(f"{POD}/cri-containerd-{ID}.scope")
    datagrams, lazy = cgroup("system.slice/dns.service"), cgroup("system.slice/lazy.service")
    before = kernel.held()
    with (
        tenant("--cgroup", docker, "--own-network", "--tcp", 60),
        tenant("--cgroup", pod, "--own-network", "--tcp", 20),
        tenant("--cgroup", datagrams, "--udp", 20),
        tenant("--cgroup", lazy, "--unaccepted", 20),
        tenant("--tcp", 20),
    ):
        settle(ROOT)
        total = sum(map(sock, (docker, pod, datagrams, lazy)))
        expect(sock(docker) > 2 * sock(pod) > 0 < sock(datagrams), "the containers should hold memory")
        expect(total == sock(ROOT), f"all is {sock(ROOT)}, and not {total}")
        # Of TCP there is more: what the root cgroup holds, and what nobody has accepted; and less, as UDP is not TCP.
        expect(sock(lazy) < sock(pod) // 8, "what nobody has accepted should be in no cgroup")
        held = sock(docker) + sock(pod)
        expect(kernel.held() - before > held * 5 // 4, f"TCP should hold more than {held}: {kernel.pages()}")
        said = checks.run("check_tcp_mem", "-v", "--no-state").expect(OK)
        lines = [line for line in said.text.splitlines() if re.search("^cgroup|by cgroup|further cgroups", line)]
        shares = (
            (docker, "docker 0123456789ab"),
            (pod, "pod 1a2b3c4d: containerd 0123456789ab"),
            (datagrams, "dns.service"),
            # Of the clients a little may be left.
            (lazy, "lazy.service"),
        )
        ranked = sorted(((sock(folder), name) for folder, name in shares if sock(folder)), reverse=True)
        wanted = [f"cgroup {name}: {mib(size)}, {100 * size / total:.1f} %" for size, name in ranked]
        expect(lines[1:] == wanted, f"the cgroups should be {wanted}, but are: {said.text}")
        expect(lines[0].startswith(f"Socket memory by cgroup, {mib(total)} in all (UDP included, "), said.text)
        # The sockets of the containers are in no list here, and no closed one is claimed.
        said.expect(
            OK, " TCP sockets of this machine are in no list here: most likely they are in other network namespaces"
        )
        said.expect_not("closed (")
        without = checks.run("check_tcp_mem", "-v", "--no-state", "--no-owners").expect(OK)
        without.expect_not("by cgroup").expect_not("cgroup docker")


@scenario("closed-sockets")
def closed_sockets() -> None:
    """150 sockets reset by the peer, their descriptors kept: who keeps them, as root, and a possibility for others."""
    kernel.list_sockets()
    text = "closed (reset, timed out or ended)"
    checks.run("check_tcp_mem", "-v", "--no-state").expect(OK).expect_not(text)
    before = kernel.held()
    with tenant("--tcp", 30, "--send", 1) as open_ones, tenant("--closed", 150, "--send", 32) as pid:
        expect(kernel.sockstat("alloc") - kernel.sockstat("inuse") >= 150, "the sockets should be in no list")
        expect(kernel.held() - before > 150 * 6 * 4096, f"they should hold memory, but hold {kernel.pages()} pages")
        said = checks.run("check_tcp_mem", "-v", "--no-state").expect(
            OK, f"[{pid}] keeps 150 TCP sockets in no list here: {text}"
        )
        said.expect_not("are in no list here").expect_not(f"[{open_ones}] keeps")
        others = checks.run("check_tcp_mem", "-v", "--no-state", user=checks.NOBODY)
        others.expect(OK, "150 of the ", f"in no list here: they are in other network namespaces (containers), {text}")
        others.expect_not("keeps 150")
        checks.run("check_tcp_mem", "-v", "--no-owners", "--no-state").expect(OK, "150 of the ").expect_not("keeps 150")
    checks.run("check_tcp_mem", "-v", "--no-state").expect(OK).expect_not(text)


THROTTLED = "sock_throttled"


def throttled(folder: pathlib.Path) -> int | None:
    """``sock_throttled`` of a cgroup; None before 6.19."""
    found = re.search(rf"^{THROTTLED} (\d+)$", (folder / "memory.events").read_text(), re.MULTILINE)
    return int(found[1]) if found else None


@scenario("starved-by-cgroup", quick=False)
def starved_by_cgroup() -> None:
    """A memory limit slows the sockets of a cgroup: not at it alone, only once sock_throttled rises, and not before 6.19."""
    mounted()
    state = ("--state-dir", "/var/lib/cgroups")
    shop = cgroup("system.slice/shop.service")
    (shop / "memory.max").write_text(str(16 << 20))
    counted = throttled(shop) is not None
    # The limit of the cgroup shall be the one that is reached.
    kernel.levels(30000, 40000, 50000)
    if DISK:
        subprocess.run(["insmod", *DISK, "rd_nr=1", "rd_size=24576"], check=True)
    with tenant("--cgroup", shop, "--fight", "/dev/ram0"):
        kernel.wait(
            lambda: int(re.findall(r"^max (\d+)", (shop / "memory.events").read_text(), re.MULTILINE)[0]) > 100,
            "the limit",
        )
        # At its limit, and no socket in it.
        checks.run("check_tcp_mem", "-v", *state).expect(OK).expect_not(THROTTLED).expect_not(checks.STARVED)
        with tenant("--cgroup", shop, "--own-network", "--tcp", 20, "--flood"):
            if counted:
                kernel.wait(lambda: throttled(shop), "sock_throttled to rise")
            else:
                time.sleep(2)
    risen = throttled(ROOT / "system.slice")
    if not counted:
        checks.run("check_tcp_mem", "-v", *state).expect(OK).expect_not(THROTTLED).expect_not(checks.STARVED)
        return
    text = (
        f"cgroups slowed down their sockets {risen} times within 1 min, for lack of memory in the cgroup ({THROTTLED})"
    )
    for _run in range(2):
        said = checks.run("check_tcp_mem", "-v", *state).expect(
            OK, f"\n{text}, {risen} of them in cgroup shop.service: "
        )
        said.expect(OK, f"Verdict: {checks.STARVED} - {text}", "do not change tcp_mem")
    checks.run("check_tcp_orphans", "-v", *state).expect(OK, f"Verdict: {checks.STARVED} - {text}")
    # An hour later it is over.
    time.sleep(3601)
    said = checks.run("check_tcp_mem", "-v", *state).expect(OK, f"{THROTTLED} of all cgroups is {risen}, as it was")
    said.expect_not(checks.STARVED)


EXEMPT = "sockets that net.core.bypass_prot_mem exempts"


@scenario("beyond-the-gauge", quick=False)
def beyond_the_gauge() -> None:
    """Sockets that net.core.bypass_prot_mem exempts are in no gauge, and every state says so; kernels before 6.19 have none."""
    mounted()
    shop = cgroup("system.slice/shop.service")
    checks.memory().expect(OK).expect_not(EXEMPT)
    setting = pathlib.Path("/proc/sys/net/core/bypass_prot_mem")
    if not setting.exists():
        return
    kernel.set_sysctl("net/core/bypass_prot_mem", 1)
    with tenant("--cgroup", shop, "--tcp", 60):
        settle(ROOT)
        held = sock(shop)
        expect(held > 60 << 16 and kernel.held() < held // 8, f"{kernel.pages()} pages, and {held} bytes")
        for state, options in ((OK, ()), (checks.WARNING, ("-w", "@0:50")), (checks.CRITICAL, ("-c", "@0:50"))):
            said = checks.memory(*options).expect(state)
            expect(f"Not counted: {EXEMPT}" in said.status, f"the line should say what is not counted: {said.text}")
        said = checks.run("check_tcp_mem", "-v", "--no-state").expect(OK, f"cgroup shop.service: {mib(held)}, 100.0 %")
        said.expect(OK, f"Verdict: {checks.NOTHING}", f", without {EXEMPT}")
        kernel.set_sysctl("net/core/bypass_prot_mem", 0)
        checks.memory().expect(OK).expect_not(EXEMPT)
