"""What applies sysctls at boot: systemd, procps' ``sysctl --system``, or a script with busybox' ``sysctl -p``.

The running system is asked what runs: /run/systemd/system exists exactly if systemd
is the init (sd_booted(3)); otherwise the first process must be an init, because the
tools alone are in many a container image that never boots. Neither tells anything in
a PID namespace of a container's own, or with a root that the first process has not: a pod may have the host's /run
mounted, and share its processes. A tree mounted elsewhere is asked what its /sbin/init leads to, the first that a
kernel starts (init/main.c).

An init other than systemd runs a script of the distribution, and that the sysctl it
finds: ``sysctl --system`` in OpenRC (init.d/sysctl.in), Debian and Devuan (procps'
init script), and dinit-chimera; Alpine and OpenWrt have an order of their own,
whichever sysctl is installed. Distributions that do neither are not known here.
"""

from __future__ import annotations

import os

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.boot import host_root
from tcp_headroom.boot.sysctl_rules import BUSYBOX, PROCPS, SYSTEMD
from tcp_headroom.proc import mountinfo, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CONTAINER = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
"""What Docker, Podman and systemd (container_interface of systemd.io) put into a container."""

INITS = ("init", "openrc-init", "runit", "runit-init", "s6-svscan", "dinit", "procd")
"""Names of a first process, other than systemd, that boots a machine and does not merely reap children."""

FIRST_PIDS = 0xEFFFFFFC
"""Inode of the first PID namespace (``PROC_PID_INIT_INO``, include/linux/proc_ns.h), since 3.8."""

_SYSTEMD_SYSCTL = ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl")
_SYSCTL = ("/sbin/sysctl", "/usr/sbin/sysctl", "/bin/sysctl", "/usr/bin/sysctl")
_RELEASES = ("/etc/alpine-release", "/etc/openwrt_release")
_REMEDY = "give the root of the host with --sysctl-root DIR"
_HERE = "give the root of the host with --sysctl-root (/ if this is the host)"
_GIVEN = "check --sysctl-root"


def tool(tree: host_root.Root, procfs_root: str, running: bool) -> str:
    """``SYSTEMD``, ``PROCPS`` or ``BUSYBOX``. Raises ``Blind`` if nothing tells, as in a container.

    ``procfs_root`` is where the /proc of the running system is; ``running``: whether ``tree`` is the root of this
    process itself, and nobody has said that it is the host's.
    """
    if running:
        sign, remedy = next((f"{marker} exists" for marker in CONTAINER if exists(tree, marker)), ""), _REMEDY
        if not sign and _inside(procfs_root):
            # So is WSL 2, and a unit with PrivatePIDs=: there the root is the host's all the same.
            sign, remedy = "own PID namespace", _HERE
        elif not sign and _elsewhere(procfs_root):
            sign, remedy = "process 1 has another root", _HERE
        if sign:
            raise Blind(f"this is a container ({sign}), whose files do not boot the machine", remedy=remedy)
    if _ask(tree.kind, "/run/systemd/system") == host_root.DIRECTORY:
        return SYSTEMD
    if running:
        first = _first_process(procfs_root)
        if first == "systemd":
            # /run is hidden from this unit (TemporaryFileSystem=), but the root is that of the first process.
            return SYSTEMD
        if first not in INITS:
            raise Blind(f"the first process is {wording.clean(first, 40)}, which is no known init", remedy=_HERE)
    elif _ask(tree.kind, "/sbin/init") == host_root.FILE:
        if os.path.basename(_ask(tree.leads_to, "/sbin/init")) == "systemd":
            return SYSTEMD
    elif any(_ask(tree.kind, path) == host_root.FILE for path in _SYSTEMD_SYSCTL):
        return SYSTEMD
    else:
        raise Blind("the root given has no /sbin/init", remedy=_GIVEN)
    for path in _SYSCTL:
        if _ask(tree.kind, path) == host_root.FILE:
            # The order is that of the distribution's script, whatever its sysctl is.
            small = os.path.basename(_ask(tree.leads_to, path)).startswith("busybox")
            return BUSYBOX if small or any(exists(tree, release) for release in _RELEASES) else PROCPS
    raise Blind("there is no sysctl command", remedy=_REMEDY if running else _GIVEN)


def _inside(procfs_root: str) -> bool:
    """Whether this process sees a PID namespace of its own; the machine's has a number that never changes."""
    try:
        inode = os.stat(os.path.join(procfs_root, "self/ns/pid")).st_ino
    except (OSError, ValueError):
        # Before 3.8 nobody tells.
        return False
    return inode != FIRST_PIDS


def _elsewhere(procfs_root: str) -> bool:
    """Whether the root of this process is another than that of the first, as far as can be seen."""
    try:
        first = mountinfo.read(procfs_root, "1")
        return first is not None and mountinfo.read(procfs_root, "self") != first
    except Blind:
        return False


def _first_process(procfs_root: str) -> str:
    try:
        return reading.read(procfs_root, "1/comm").strip()
    except Blind as error:
        raise Blind(error.reason, remedy=_HERE) from None


def _ask(question: Callable[[str], str], path: str) -> str:
    try:
        return question(path)
    except OSError as error:
        raise Blind(f"cannot read {path}: {host_root.reason(error)}") from None


def exists(tree: host_root.Root, path: str) -> bool:
    """Whether it can be seen that it exists."""
    try:
        return tree.kind(path) != host_root.NOTHING
    except OSError:
        return False
