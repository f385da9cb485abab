"""What a cgroup is called: a container, a pod or a unit by its path, as the usual managers name them.

Docker, containerd, CRI-O and podman put the container's id, 64 hexadecimal digits,
into the name, with a prefix and ``.scope`` under systemd, alone under the driver
cgroupfs; kubelet the pod's UID, its dashes as ``_`` under systemd. Of an id the first
twelve digits are shown, as ``docker ps`` and ``crictl ps`` do; of a UID the first eight.
Anybody who may make a cgroup may also name it, so a name is what it claims to be.
"""

from __future__ import annotations

import re

from tcp_headroom import wording

LONGEST = 90
"""Characters of a name."""

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
_UNIT = re.compile(r".+\.(?:service|scope|slice|socket|mount|swap)")


def name(path: str) -> str:
    """The name of the cgroup at ``path`` below the root of its tree, fit to print; the root is ``/``.

    The innermost container or unit, the pod before it if there is one, and what is below it in the path.
    """
    parts = [part for part in path.split("/") if part]
    pod = label = ""
    below = parts
    for at, part in enumerate(parts):
        found = _POD.fullmatch(part)
        if found:
            pod = f"pod {found['uid'][:8]}"
            label, below = "", parts[at + 1 :]
        said = _label(part, parts[at - 1] if at else "")
        if said:
            label, below = said, parts[at + 1 :]
    named = ": ".join(filter(None, [pod, label]))
    text = "/".join(filter(None, [named, *below]))
    # What is cut off is the beginning, as the end of a path tells more.
    text = text if len(text) <= LONGEST else f"...{text[3 - LONGEST :]}"
    return wording.clean(text, LONGEST) or "/"


def _label(part: str, parent: str) -> str:
    """What a part of a path is by itself; empty if it says nothing."""
    found = _CONTAINER.fullmatch(part)
    if found:
        prefix = found["runtime"]
        kind = _RUNTIMES.get(prefix, prefix) if prefix else _RUNTIMES.get(parent, "container")
        return f"{kind} {found['id'][:12]}"
    found = _LXC.fullmatch(part)
    if found:
        return f"LXC {found['name']}"
    if parent == "lxc":
        return f"LXC {part}"
    return part if _UNIT.fullmatch(part) and not _POD.fullmatch(part) else ""
