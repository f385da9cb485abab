"""Reading a file in blocks from its end: what lies in a hole costs nothing and hides nothing."""

from __future__ import annotations

import errno
import os
import pathlib
from collections.abc import Callable

import pytest

from tcp_headroom.log import block_reader
from workbench.logs import HOUR, NOW, OLD, blocks_of, hits, line, look, quiet

pytestmark = pytest.mark.usefixtures("utc")

GIB = 1 << 30
TEXT = line(60) + quiet(50) + line(40)


def sparse(path: pathlib.Path, size: int, texts: dict[int, bytes]) -> pathlib.Path:
    """A file of ``size`` bytes with the texts at these offsets and holes between."""
    with path.open("wb") as file:
        for offset, text in texts.items():
            file.seek(offset)
            file.write(text)
        file.truncate(size)
    os.utime(path, (NOW, NOW))
    return path


def blocks(path: pathlib.Path) -> list[block_reader.Block]:
    with block_reader.opened(str(path)) as file:
        return list(block_reader.backward(file.fileno(), path.stat().st_size))


def refusing(reason: int) -> Callable[[int, int, int], int]:
    """An lseek that always fails."""

    def lseek(_descriptor: int, _offset: int, _whence: int) -> int:
        raise OSError(reason, os.strerror(reason))

    return lseek


def knows_no_holes(_descriptor: int, offset: int, _whence: int) -> int:
    """What the kernel answers to SEEK_DATA where a file system does not know."""
    return offset


@pytest.fixture
def count_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each reading took."""
    counts: list[int] = []
    pread = os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        data = pread(descriptor, size, offset)
        counts.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counting)
    return counts


@pytest.mark.parametrize("size", [2 * GIB, 64 * GIB, 1000 * GIB])
def test_text_around_a_hole(tmp_path: pathlib.Path, count_read: list[int], size: int) -> None:
    """Every hit is found, and coverage reaches back over the hole, for a few blocks of reading."""
    places = [0, size // 3 + 5, size - len(OLD + TEXT)]
    view = look(
        sparse(tmp_path / "kern.log", size, {0: OLD + TEXT, places[1]: quiet(70) + TEXT, places[2]: quiet(70) + TEXT})
    )
    assert hits(view) == 6
    assert view.proof.since <= HOUR.start
    assert sorted((event.when, event.count) for event in view.events) == [(NOW - 60, 3), (NOW - 40, 3)]
    assert sum(count_read) < 12 * (block_reader.BLOCK + block_reader.LEAD)


@pytest.mark.parametrize(
    "size, places",
    [
        (GIB, {GIB - len(TEXT): TEXT}),
        (GIB, {0: TEXT}),
        (GIB, {}),
        (GIB, {3 << 20: OLD + TEXT}),
    ],
    ids=["behind", "before", "nothing else", "both sides"],
)
def test_hole_at_an_end(tmp_path: pathlib.Path, count_read: list[int], size: int, places: dict[int, bytes]) -> None:
    found = blocks(sparse(tmp_path / "kern.log", size, places))
    assert b"".join(block.data[block.lead :] for block in reversed(found)).replace(b"\0", b"") == b"".join(
        places.values()
    )
    assert sum(count_read) < 8 * (block_reader.BLOCK + block_reader.LEAD)


LAYOUTS = {
    "one hole": (40_000, {0: OLD + TEXT, 30_000: TEXT}),
    "hole in a line": (40_000, {0: OLD + TEXT[:90], 32_768: TEXT[90:]}),
    "line before the hole not ended": (40_000, {0: OLD + TEXT.rstrip(), 32_768: TEXT}),
    "many holes": (400_000, dict.fromkeys(range(0, 400000, 45678), TEXT)),
    "NULs that are written": (60_000, {0: OLD, 20_000: b"\0" * 10_000 + TEXT, 50_000: TEXT + b"\0" * 100}),
    "long line behind the hole": (60_000, {0: OLD, 40_000: b"x" * 9000 + TEXT}),
    "long line from the end of the hole on": (49_152, {0: OLD, 40_960: b"x" * 8192}),
    "nothing but a hole": (40_960, {}),
    "at the border of a page": (40_960, {0: OLD, 4096 - len(TEXT): TEXT, 36_864: TEXT}),
}


@pytest.mark.parametrize("block", [100, 4096, 5000, 1 << 20])
@pytest.mark.parametrize("name", LAYOUTS)
def test_same_blocks_as_by_reading(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, count_read: list[int], name: str, block: int
) -> None:
    """To leave a hole out yields what reading all its NULs yields, whatever the file system knows or refuses."""
    path = sparse(tmp_path / "kern.log", *LAYOUTS[name])
    with blocks_of(block, lead=300):
        found = blocks(path)
        work = sum(count_read)
        for lseek in (knows_no_holes, refusing(errno.EINVAL), refusing(errno.EOPNOTSUPP)):
            count_read.clear()
            monkeypatch.setattr(os, "lseek", lseek)
            assert blocks(path) == found
            # The work left out; a block as large as the file leaves nothing to leave out.
            assert sum(count_read) > work or block >= 1 << 20


def test_truncated_while_it_is_read(tmp_path: pathlib.Path, count_read: list[int]) -> None:
    """What was cut off is passed over like a hole, and what is left is read."""
    path = sparse(tmp_path / "kern.log", 100 * GIB, {0: OLD + TEXT, 50 * GIB: TEXT})
    with block_reader.opened(str(path)) as file:
        os.truncate(path, 1000)
        found = list(block_reader.backward(file.fileno(), 100 * GIB))
    assert [block.data.rstrip(b"\0") for block in found] == [OLD + TEXT]
    assert sum(count_read) <= 1000
