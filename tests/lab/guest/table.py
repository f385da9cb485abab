"""The table of scenarios: name, what it shows, and what it needs of the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Scenario(NamedTuple):
    """One scenario, run in a guest booted for it alone."""

    name: str
    run: Callable[[], None]
    quick: bool
    """Whether it belongs to the run of every day."""
    ram: int
    """Memory of the guest in MiB; 0 for as little as boots."""
    seconds: int
    """The most it may take on the host."""
    words: str
    """Words for the kernel's command line."""

    @property
    def shows(self) -> str:
        """What it shows, in one line."""
        return (self.run.__doc__ or "").partition("\n")[0].rstrip(".")


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, quick: bool = True, ram: int = 256, seconds: int = 600, words: str = ""
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorator: enter a function in the table."""

    def enter(run: Callable[[], None]) -> Callable[[], None]:
        SCENARIOS[name] = Scenario(name, run, quick, ram, seconds, words)
        return run

    return enter
