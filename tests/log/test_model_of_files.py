"""The log check against a model of rotated files that knows the truth: no hit is lost, none is counted twice.

Random schedules of writing, rotation in every stage, truncation, clock changes and
checks. After each check the whole command must report exactly the hits that lie in
the window and were there to be read, now or in an earlier check.

One case nothing can tell apart: a line written in the same second as an equal one of an
earlier file of that name. The model lets a second pass there.
A repetition ("last message repeated") is written only behind its message, in one file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import time
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from workbench.log_model import WINDOWS, Hit, World, explore, judged, reported, totals, world
from workbench.log_writer import Real, Writer


class Files(Writer):
    """``--file`` with a log that is rotated."""

    def __init__(self) -> None:
        super().__init__()
        self.copying: Real | None = None
        self.packing: Real | None = None
        self.rotated: list[Real] = []
        """Newest first."""

    def _shift(self) -> str:
        """Make room for the newest rotated file; its name."""
        if self.dated:
            day = time.strftime("%Y%m%d", time.gmtime(World.now))
            self.number += 1
            return f"kern.log-{day}-{self.number:06d}"
        for place in range(len(self.rotated), 0, -1):
            file = self.rotated[place - 1]
            _stem, ending = os.path.splitext(file.name)
            name = f"kern.log.{place + 1}{ending if ending == self.ending else ''}"
            os.rename(self.log.parent / file.name, self.log.parent / name)
            file.name = name
        return "kern.log.1"

    def _rename(self, create: bool) -> None:
        assert self.current
        if self.packing:
            self._pack()
        self.current.name = self._shift()
        os.rename(self.log, self.log.parent / self.current.name)
        self.rotated.insert(0, self.current)
        self.current = None
        if create:
            self._create()

    def _create(self) -> None:
        os.close(os.open(self.log, os.O_WRONLY | os.O_CREAT))
        os.utime(self.log, (World.now, World.now))
        self.current = Real("kern.log")

    @precondition(lambda self: self.current and not self.copying)
    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        """The daemon goes on writing into the old file."""
        self._step()
        self._rename(create)

    @precondition(lambda self: self.current is not self.writer)
    @rule()
    def reopen(self) -> None:
        """The daemon writes into the new file; half a line goes to the old one whole."""
        self._step()
        if self.half:
            self.write_rest()
        if not self.current:
            self._create()
        assert self.current
        self.writer = self.current
        self.generation += 1
        os.close(self.descriptor)
        self.descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND)

    @precondition(lambda self: self.current is self.writer and not self.copying and not self.packing)
    @rule()
    def copy(self) -> None:
        """The first half of copytruncate."""
        self._step()
        assert self.current
        name = self._shift()
        self.copying = self.current.copy(name)
        self.rotated.insert(0, self.copying)
        shutil.copyfile(self.log, self.log.parent / name)
        os.utime(self.log.parent / name, (World.now, World.now))

    def _truncate(self) -> None:
        os.truncate(self.log, 0)
        os.utime(self.log, (World.now, World.now))
        self.writer.hits, self.writer.size, self.writer.last = set(), 0, None
        self.generation += 1

    @precondition(lambda self: self.copying)
    @rule()
    def truncate_copied(self) -> None:
        self._step()
        self._truncate()
        self.copying = None

    @precondition(lambda self: self.current is self.writer and not self.copying)
    @rule()
    def truncate_in_place(self) -> None:
        self._step()
        self._truncate()

    def _packable(self) -> list[Real]:
        return [
            file
            for file in self.rotated
            if not file.name.endswith(self.ending) and file is not self.writer and file is not self.copying
        ]

    @precondition(lambda self: not self.packing and self._packable())
    @rule(share=st.integers(0, 99), data=st.data())
    def begin_compression(self, share: int, data: st.DataObject) -> None:
        """An incomplete file stands beside the complete one."""
        self._step()
        self.packing = data.draw(st.sampled_from(self._packable()))
        packed = self._packed(self.packing)
        target = self.log.parent / (self.packing.name + self.ending)
        target.write_bytes(packed[: len(packed) * share // 100])
        os.utime(target, (World.now, World.now))

    def _packed(self, file: Real) -> bytes:
        data = (self.log.parent / file.name).read_bytes()
        pack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
        return pack[self.ending](data)

    @precondition(lambda self: self.packing)
    @rule()
    def end_compression(self) -> None:
        self._step()
        self._pack()

    def _pack(self) -> None:
        assert self.packing
        source = self.log.parent / self.packing.name
        target = self.log.parent / (self.packing.name + self.ending)
        target.write_bytes(self._packed(self.packing))
        written = source.stat().st_mtime
        os.utime(target, (written, written))
        source.unlink()
        self.packing.name += self.ending
        self.packing = None

    @precondition(
        lambda self: self.rotated and not self.packing and self.rotated[-1] not in (self.writer, self.copying)
    )
    @rule()
    def remove_oldest(self) -> None:
        self._step()
        (self.log.parent / self.rotated.pop().name).unlink()

    @precondition(lambda self: self.rotated)
    @rule(name=st.sampled_from(["kern.log.77", "kern.log-20200101"]), kind=st.sampled_from(["link", "folder", "loop"]))
    def litter(self, name: str, kind: str) -> None:
        """What looks like a rotated file and is none."""
        self._step()
        path = self.log.parent / name
        if os.path.lexists(path):
            return
        if kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("nowhere" if kind == "link" else name)

    # Checking

    @rule(window=st.sampled_from(list(WINDOWS)))
    def check(self, window: str) -> None:
        self._step()
        self._check(window)

    @precondition(lambda self: self.packing or (self.current and not self.copying))
    @rule(window=st.sampled_from(list(WINDOWS)), at=st.integers(0, 3), create=st.booleans())
    def check_under_rotation(self, window: str, at: int, create: bool) -> None:
        """A file is renamed, or its compression ends, while the check runs."""
        self._step()
        World.at = at
        World.during = self._pack if self.packing else lambda: self._rename(create)
        self._check(window)
        World.during = None

    def _check(self, window: str) -> None:
        start = World.now - WINDOWS[window]
        visible: set[Hit] = set().union(*(file.hits for file in (*self.rotated, self.current) if file))
        output = self._command(window, "--file", str(self.log))
        known = {hit for hit in visible | self.seen[window] if hit.when >= start}
        assert reported(output) == totals(known), output.text
        blind = "no kernel log: " in output.text
        judged(output, blind)
        if blind:
            self.seen[window] |= visible
        else:
            self.seen[window] = known


@pytest.mark.slow
def test_rotated_files(world: None) -> None:
    explore(Files)
