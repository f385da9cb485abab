"""Where the cgroups are that account for memory: ``/sys/fs/cgroup``, or a tree that looks like it.

One hierarchy (cgroup v2) has ``cgroup.controllers`` in its root, and the word
``memory`` in it. With the hierarchies of v1 below it the place is a directory of
mounts, and memory is in ``memory``; v2 may be in ``unified`` then, usually without
that controller (systemd's hybrid layout). cgroups know no network namespace: what is
read here counts the sockets of all of them. In a container the root of the tree is
often the container itself, and no other can be seen.
"""

from __future__ import annotations

import os
from collections import namedtuple

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT = "/sys/fs/cgroup"

CONTROLLERS = "cgroup.controllers"
V1_LIMIT = "memory.kmem.tcp.limit_in_bytes"


class Tree(namedtuple("Tree", "root unified")):
    """A hierarchy with the memory controller."""

    __slots__ = ()
    root: str
    """Its directory."""
    unified: bool
    """Whether it is cgroup v2."""


def find(directory: str) -> Tree:
    """The hierarchy at ``directory``, or in the usual places below it. Raises ``Blind`` if there is none."""
    for place in (directory, os.path.join(directory, "unified")):
        try:
            if "memory" in reading.read(place, CONTROLLERS).split():
                return Tree(place, unified=True)
        except reading.Missing:
            continue
    for place in (directory, os.path.join(directory, "memory")):
        if os.path.lexists(os.path.join(place, V1_LIMIT)):
            return Tree(place, unified=False)
    raise Blind(f"no cgroup tree at {wording.path(directory)} accounts for the memory of sockets")


def children(folder: str) -> Iterator[str]:
    """The names of the cgroups directly in ``folder``; none if it has gone.

    A directory of kernfs has two links and one for each directory in it
    (``kernfs_refresh_inode``, fs/kernfs/inode.c), so a leaf need not be listed; other file systems may
    have one link.
    """
    try:
        if os.stat(folder).st_nlink == 2:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name
    except OSError:
        return


def value(text: str, key: str) -> int | None:
    """The number of ``key`` in a file that has a word and a number in each line; None if there is none."""
    try:
        return reading.integer(f"\n{text}".partition(f"\n{key} ")[2].partition("\n")[0].strip())
    except ValueError:
        return None
