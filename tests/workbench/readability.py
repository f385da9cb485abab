"""How hard the outputs are to read: Flesch reading ease and length of sentences, over transcripts.

PYTHONPATH=tests .venv/bin/python -m workbench.readability [FILE ...]
"""

from __future__ import annotations

import pathlib
import re
import statistics
import sys

from workbench.command import TRANSCRIPTS


def sentences(text: str) -> list[str]:
    """The different sentences of outputs, without perfdata; a semicolon ends none."""
    lines = [line.partition(" | ")[0] for line in text.splitlines() if not re.match(r"\$ |\| |exit |#|$", line)]
    return sorted({part.strip() for line in lines for part in re.split(r"\. (?=[A-Z0-9])| - ", line) if part.strip()})


def syllables(word: str) -> int:
    return max(1, len(re.findall("[aeiouy]+", word.lower().removesuffix("e"))))


def figures(text: str) -> tuple[float, float, int]:
    """Flesch reading ease (the higher the easier), median and longest sentence in words."""
    found = [re.findall(r"[A-Za-z]+|[0-9.]+", sentence) for sentence in sentences(text)]
    words = [word for some in found for word in some]
    ease = 206.835 - 1.015 * len(words) / len(found) - 84.6 * sum(map(syllables, words)) / len(words)
    lengths = [len(some) for some in found if some]
    return round(ease, 1), statistics.median(lengths), max(lengths)


if __name__ == "__main__":
    for path in [pathlib.Path(name) for name in sys.argv[1:]] or sorted(TRANSCRIPTS.glob("*.txt")):
        ease, median, longest = figures(path.read_text())
        print(f"{path.name:24} Flesch reading ease {ease}, words in a sentence: median {median:g}, most {longest}")
