"""Trees that look like a mounted cgroup hierarchy, with numbers of a test's own."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

CONTAINER = "0123456789abcdef" * 4
"""An id of 64 digits."""

UID = "1a2b3c4d-5e6f-4a1b-8c2d-0123456789ab"
"""A pod's."""


class Tree:
    """cgroup v2 at ``root``; ``sock`` and ``sock_throttled`` of a parent are summed up as the kernel does."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.held: dict[str, int] = {}
        self.throttled: dict[str, int] = {}
        self.own: dict[str, int] = {}
        root.mkdir(parents=True, exist_ok=True)
        (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")

    def add(self, path: str, sock: int = 0, throttled: int | None = None) -> Tree:
        """A cgroup with so many bytes more, slowed down so often more; None for a kernel before 6.19."""
        parts = path.split("/") if path else []
        if throttled is not None:
            self.own[path] = self.own.get(path, 0) + throttled
        for depth in range(len(parts) + 1):
            above = "/".join(parts[:depth])
            self.held[above] = self.held.get(above, 0) + sock
            if throttled is not None:
                self.throttled[above] = self.throttled.get(above, 0) + throttled
            self.write(above)
        return self

    def write(self, path: str) -> None:
        """The files of a cgroup; the root of a host has no events."""
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.stat").write_text(
            f"anon 4096\nfile 8192\nkernel_stack 0\nsock {self.held[path]}\nshmem 0\nsock_x 7\n"
        )
        if path and path in self.throttled:
            for file, value in (
                ("memory.events", self.throttled[path]),
                ("memory.events.local", self.own.get(path, 0)),
            ):
                (folder / file).write_text(f"low 0\nmax 12\noom 0\nsock_throttled {value}\n")


def v1(root: pathlib.Path, usage: Mapping[str, int]) -> None:
    """The memory hierarchy of cgroup v1 below ``root``, beside an empty v2: a hybrid host."""
    (root / "unified").mkdir(parents=True)
    (root / "unified/cgroup.controllers").write_text("\n")
    for path, held in usage.items():
        folder = root / "memory" / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.kmem.tcp.usage_in_bytes").write_text(f"{held}\n")
        (folder / "memory.kmem.tcp.limit_in_bytes").write_text("9223372036854771712\n")


HOSTILE = (
    "new\nline", "bar|x=1;2", "\x1b[31mred", "bidi\u202egpj.exe", "quote\"'`$&<>", "x" * 255, "\udcff\udcfe", "tab\there",
    " ", "cgroup \u2588\u2588", "9" * 255,
)  # fmt: skip
"""Names that no cgroup should have; the kernel refuses only the newline (``cgroup_mkdir``)."""
