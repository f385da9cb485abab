"""Foreign text and raw numbers, made fit for a status line.

A status line passes through NRPE, which cuts at NUL, through Nagios, which
strips ``ILLEGAL`` from notifications, and through parsers that take everything
after a pipe for perfdata. No text from outside is printed before ``clean``.
"""

from __future__ import annotations

ILLEGAL = "`~$&|'\"<>"
"""Nagios' default ``illegal_macro_output_chars``, plus the pipe of perfdata."""

MAX_LINE = 200
"""Longest piece of foreign text that is printed, in characters."""

MAX_PATH = 40
"""Longest path in a status line, in characters."""

_REPLACED = {ord(char): "?" for char in ILLEGAL}


def clean(text: str, limit: int = MAX_LINE) -> str:
    """``text`` on one line of at most ``limit`` characters, harmless everywhere.

    White space is folded to single blanks; control, format and surrogate
    characters (terminal escapes, NUL, bidirectional overrides) and ``ILLEGAL``
    become ``?``; what is too long ends in three dots.
    """
    # A megabyte is never split into words: what is cut off need not be read.
    text = " ".join(text[: 4 * limit].translate(_REPLACED).split())
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def digits(text: str) -> bool:
    """Whether ``text`` is made of ASCII digits, of which there is one at least."""
    return bool(text) and not text.strip("0123456789")


def path(name: str) -> str:
    """A path, or the name of a source, as it is printed: a path is one word, so that ``shortened`` finds it."""
    return clean(name).replace(" ", "?") if "/" in name else clean(name)


def shortened(text: str) -> str:
    """``text`` with every path of more than ``MAX_PATH`` characters cut in its middle, for the status line."""
    if "/" not in text:
        return text
    return " ".join(
        f"{word[:17]}...{word[len(word) - MAX_PATH + 20 :]}" if "/" in word and len(word) > MAX_PATH else word
        for word in text.split(" ")
    )


def sentence(text: str) -> str:
    """``text`` with a capital, unless it begins with a name or a number."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


def size_of(text: str) -> int:
    """How much room ``text`` takes, in bytes: servers and protocols count those."""
    return len(text.encode("utf-8", "replace"))


def cut(text: str, room: int) -> str:
    """The beginning of ``text`` that fits into ``room`` bytes, with three dots where something is missing."""
    if size_of(text) <= room:
        return text
    return text.encode("utf-8", "replace")[: max(0, room - 3)].decode("utf-8", "ignore").rstrip() + "..."


def failure(error: OSError) -> str:
    """Why a system call failed, as the C library says it."""
    return clean(error.strerror or str(error))


def number(value: float) -> str:
    """``value`` in the characters perfdata allows, ``[-0-9.]``: no exponent, at most four decimals."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(value: float) -> str:
    """A percentage for humans, with one decimal."""
    return f"{value:.1f} %"


def size(count: int) -> str:
    """A number of bytes in binary units, ``1.2 GiB``."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        amount /= 1024
        # 1023.95 would be printed as 1024.0 of the smaller unit.
        if amount < 1023.95:
            break
    return f"{amount:.1f} {unit}"


def count(amount: int, noun: str) -> str:
    """``1 orphan``, ``2 orphans``."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def age(seconds: float) -> str:
    """How long ago: ``now``, ``5 min ago``, ``3 h ago``, ``2 days ago``."""
    if seconds < 1:
        return "now"
    for limit, unit, text in ((60, 1, "s"), (3600, 60, "min"), (2 * 86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds / unit)} {text} ago"
    return f"{int(seconds / 86400)} days ago"
