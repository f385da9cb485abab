"""Faults put into the package on purpose: each must make its scenario fail, else that scenario proves nothing."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """One fault."""

    file: str
    right: str
    """What the source says, once."""
    wrong: str
    scenario: str
    """The scenario that must notice."""

    @property
    def name(self) -> str:
        return f"{self.file.removesuffix('.py')}: {self.wrong.strip()}"

    def apply(self, package: dict[str, bytes]) -> dict[str, bytes]:
        """The package with the fault in it."""
        source = package[self.file].decode()
        if source.count(self.right) != 1:
            raise ValueError(f"{self.file} should hold {self.right!r} once, to be replaced by {self.wrong!r}")
        return package | {self.file: source.replace(self.right, self.wrong).encode()}


MUTATIONS = (
    Mutation("orphan_limit.py", "Margin(factor, limit >> shift,", "Margin(factor, limit >> shift + 1,", "penalties"),
    Mutation("orphan_limit.py", "(limit >> shift) - orphans", "(limit >> shift) - orphans - 1", "orphans-climb"),
    Mutation("check_tcp_orphans.py", "if margin.left < 0]\n        if 1", "if margin.left <= 0]\n        if 1", "orphans-climb"),
)
