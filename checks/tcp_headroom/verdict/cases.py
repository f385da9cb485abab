"""The cases by name, and the verdict that names one of them."""

from __future__ import annotations

from collections import namedtuple

CONFIGURATION = "wrong setting"
BOTH = "over 50 % of the orphan limit, and short of TCP memory"
ORPHAN_LIMIT = "over 50 %: live peers affected"
MEMORY = "short of TCP memory"
CONTAINER = "limit of the container reached"
STARVED = "starved by its own memory limit, not by tcp_mem"
HIDDEN = "limits not visible from here"
CANNOT_SAY = "not known"
NEAR = "over 50 %: nobody affected yet"
SPIKE = "spike, now over"
PENALISED = "over 25 %: only dead peers affected"
NO_SHORTAGE = "no shortage now, earlier not known"
NOTHING = "nothing wrong"
CASES = (
    CONFIGURATION, BOTH, ORPHAN_LIMIT, MEMORY, CONTAINER, STARVED, HIDDEN, CANNOT_SAY, NEAR, PENALISED, SPIKE, NO_SHORTAGE,
    NOTHING,
)  # fmt: skip
"""In the order in which they are tried."""


class Verdict(namedtuple("Verdict", "case text next_step")):
    """The case, the numbers that make it, and what can be done."""

    __slots__ = ()
    case: str
    """One of ``CASES``."""
    text: str
    next_step: str

    def __str__(self) -> str:
        return f"Verdict: {self.case} - {self.text}. Next: {self.next_step}"
