"""The one error of the readers and parsers: something needed cannot be seen."""

from __future__ import annotations


class Blind(Exception):
    """A source cannot be read or understood.

    ``reason`` names the thing and why it cannot be seen, ``remedy`` what to do about it;
    ``str()`` is both. A command turns it into UNKNOWN when its verdict needs the source,
    and into a line of ``-v`` when the source only enriches the result.
    """

    def __init__(self, reason: object, *more: object, remedy: str = "") -> None:
        super().__init__(reason, *more)
        self.remedy = remedy
        """Like "run the check on the host"; empty where nothing helps but the reason itself."""

    @property
    def reason(self) -> str:
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason
