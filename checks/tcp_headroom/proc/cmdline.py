"""``/proc/cmdline``: the words that the kernel was started with."""

from __future__ import annotations

from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "cmdline"


def read(root: str) -> Iterator[str]:
    """Read and parse it below ``root``. Raises ``Blind``."""
    return words(reading.read(root, FILE))


def words(text: str) -> Iterator[str]:
    """The words of a command line without the quotes around a word or its value.

    Told apart as by ``next_arg`` (lib/cmdline.c), for which blanks between double
    quotes do not count.
    """
    word = ""
    quoted = False
    for char in text + " ":
        if char.isspace() and not quoted:
            if word:
                yield _unquoted(word)
            word = ""
            continue
        quoted ^= char == '"'
        word += char


def _unquoted(word: str) -> str:
    key, assigned, value = ("", "", word) if word.startswith('"') else word.partition("=")
    if value.startswith('"'):
        value = value[1 : -1 if value.endswith('"', 1) else None]
    return key + assigned + value
