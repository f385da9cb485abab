"""The one error of the readers and parsers: something needed cannot be seen."""

from __future__ import annotations


class Blind(Exception):
    """A source cannot be read or understood.

    ``str()`` is a sentence fit for a status line: it names the thing, the
    reason and, where there is one, the remedy. A command turns it into UNKNOWN
    when its verdict needs the source, and into a line of ``-v`` when the source
    only enriches the result.
    """
