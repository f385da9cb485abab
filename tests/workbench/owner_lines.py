"""The lines of ``-v`` that name the owners."""

from __future__ import annotations

import re

from workbench.command import Run

ADDED = re.compile(r"(\d+ more )?ports?\b|connections|at least|not shown, (owners|processes)")
"""The lines that owners add."""

OF_CGROUPS = re.compile(r"Socket memory by cgroup|cgroup |further cgroups|not shown, (further )?cgroups")
"""Those by cgroup, which this machine has or has not."""


def told_at_once(run: Run, command: str, *arguments: str) -> list[str]:
    """The lines about owners, whatever the numbers of this machine are."""
    limit = ["--max-orphans", "100000"] if "orphans" in command else ["--tcp-mem", "10000,20000,30000"]
    output = run(command, "-v", *limit, *arguments)
    assert output.code != 3 and output.perfdata
    return [line for line in output.lines if ADDED.match(line)]
