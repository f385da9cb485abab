"""What a cgroup is called: a container, a pod or a unit by its path, as the usual managers name them.

Docker, containerd, CRI-O and podman put the container's id, 64 hexadecimal digits,
into the name, with a prefix and ``.scope`` under systemd, alone under the driver
cgroupfs; kubelet the pod's UID, its dashes as ``_`` under systemd. Of an id the first
twelve digits are shown, as ``docker ps`` and ``crictl ps`` do; of a UID the first eight.
LXC and ``systemd-nspawn`` put the name of the container there, nspawn as that of a scope or of a
unit ``systemd-nspawn@``. A container may run systemd, and have the same units as any other.
Anybody who may make a cgroup may also name it, so a name is what it claims to be.
"""

from __future__ import annotations

import re

from tcp_headroom import wording

LONGEST = 90
"""Characters of a name."""

CONTAINERS = 60
"""Characters of it for the containers."""

ESCAPED = r"\x2d"

_RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "CRI-O",
    "libpod": "podman",
}
_CONTAINER = re.compile(r"(?:[^:]*:)?(?:(?P<runtime>[a-z-]+)[-:])?(?P<id>[0-9a-f]{64})(?:\.scope)?", re.ASCII)
_POD = re.compile(
    r"(?:[a-z-]*kubepods(?:-[a-z]+)?-)?pod(?P<uid>[0-9a-f]{8}[-_0-9a-f]{24,28})(?:\.slice)?(?::.*)?", re.ASCII
)
_LXC = re.compile(r"lxc\.payload[.-](?P<name>.+)")
_LXC_PARENTS = ("lxc", "lxc.payload")
_MACHINE = re.compile(r"machine-(?P<name>.+)\.scope|systemd-nspawn@(?P<instance>.+)\.service")
_UNIT = re.compile(r".+\.(?:service|scope|slice|socket|mount|swap)")


def name(path: str) -> str:
    """The name of the cgroup at ``path`` below the root of its tree, fit to print; the root is ``/``.

    The container, which is what distinguishes it, with the pod or the container around it first; then the innermost unit in it,
    and what is below that in the path.
    """
    parts = [part for part in path.split("/") if part]
    around: list[str] = []
    unit = ""
    below = parts
    for at, part in enumerate(parts):
        pod = _POD.fullmatch(part)
        found = [f"pod {pod['uid'][:8]}"] if pod else []
        found += filter(None, [_container(part, parts[at - 1] if at else "")])
        if found:
            around += found
            unit = ""
        elif _UNIT.fullmatch(part):
            unit = part
        else:
            continue
        below = parts[at + 1 :]
    head = _shortened(": ".join(around), CONTAINERS)
    head += (": " if unit else "/") if head and (unit or below) else ""
    # What is cut off is the beginning, as the end of a path tells more.
    tail = "/".join(filter(None, [unit, *below]))
    room = LONGEST - len(head)
    return wording.clean(head + (tail if len(tail) <= room else f"...{tail[3 - room :]}"), LONGEST) or "/"


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 3]}..."


def _container(part: str, parent: str) -> str:
    """What a part of a path is called if it is a container; empty if it is none."""
    found = _CONTAINER.fullmatch(part)
    if found:
        prefix = found["runtime"]
        kind = _RUNTIMES.get(prefix, prefix) if prefix else _RUNTIMES.get(parent, "container")
        return f"{kind} {found['id'][:12]}"
    found = _LXC.fullmatch(part)
    if found or parent in _LXC_PARENTS:
        return f"LXC {found['name'] if found else part}"
    found = _MACHINE.fullmatch(part)
    # A dash of the name is escaped in that of a scope (``unit_name_escape``).
    return f"machine {(found['name'] or found['instance']).replace(ESCAPED, '-')}" if found else ""
