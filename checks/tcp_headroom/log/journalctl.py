"""Calls of ``journalctl``: its entries in blocks of whole lines, and what it complains about.

Both outputs are read as they come, so neither can block the other; a call that hangs is ended after its patience.
"""

from __future__ import annotations

import os
import re
import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK = 1 << 16
COMPLAINT = 16 << 10
"""Bytes kept of what it says on standard error."""


class Call:
    """One call; iterate over ``blocks``, then look at ``complaints``."""

    def __init__(self, programs: Sequence[str], fields: str, arguments: Sequence[str], deadline: float) -> None:
        self.programs = programs
        """Where it may be."""
        self.fields = fields
        """The fields to ask for, which systemd 236 and later understand; empty for all."""
        self.arguments = arguments
        self.deadline = deadline
        """Moment of ``time.monotonic`` after which it is ended."""
        self.complaint = b""

    def blocks(self) -> Iterator[bytes]:
        """Whole lines of JSON. Ends the process when the caller has enough.

        Raises ``Blind`` if there is no journalctl, or if it fails, hangs or finds no journal.
        """
        import subprocess

        program = next((path for path in self.programs if os.path.exists(path)), None)
        if not program:
            raise Blind("there is no journalctl on this host", remedy="use --source kmsg or --source file")
        fields = [f"--output-fields={self.fields}"] if self.fields else []
        process = None
        try:
            # Within the try, so that an alarm during the start still ends it.
            process = subprocess.Popen(
                [program, "--no-pager", "--output=json", *fields, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            )
            assert process.stdout and process.stderr
            yield from self._read(process.stdout.fileno(), process.stderr.fileno())
            code = process.wait()
        except OSError as error:
            if process:
                raise
            remedy = "use --source kmsg or --source file"
            raise Blind(f"cannot run {program}: {wording.failure(error)}", remedy=remedy) from None
        finally:
            if process:
                with process:
                    process.kill()
        text = self.complaint.decode("utf-8", "replace")
        if code != 0 or "No journal files" in text:
            if self.fields and "output-fields" in text:
                self.complaint, self.fields = b"", ""
                yield from self.blocks()
                return
            raise _refusal(text)

    def _read(self, output: int, errors: int) -> Iterator[bytes]:
        import select

        poll = select.poll()
        for descriptor in (output, errors):
            poll.register(descriptor, select.POLLIN)
        rest = b""
        left = {output, errors}
        while left:
            patience = self.deadline - time.monotonic()
            ready = poll.poll(max(0.0, 1000 * patience))
            if not ready:
                raise Blind(
                    "journalctl did not answer in time", remedy="check the load of this host, or use --source file"
                )
            for descriptor, _event in ready:
                data = os.read(descriptor, BLOCK)
                if not data:
                    poll.unregister(descriptor)
                    left.discard(descriptor)
                elif descriptor == errors:
                    self.complaint = (self.complaint + data)[:COMPLAINT]
                else:
                    cut = data.rfind(b"\n") + 1
                    if cut:
                        yield rest + data[:cut]
                        rest = data[cut:]
                    else:
                        rest += data

    def complaints(self) -> list[str]:
        """What it said on standard error, one sentence a line, without hints."""
        lines = self.complaint.decode("utf-8", "replace").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith(("Hint:", "      ", "-- "))]


def named(complaint: str) -> str:
    """The journal file that a complaint names; empty for none."""
    found = re.search(r"(/\S+?\.journal~?)(?=[\s,:;.]|$)", complaint)
    return found[1] if found else ""


def _refusal(complaint: str) -> Blind:
    if "systemd-journal" in complaint:
        remedy = "add this user to group systemd-journal"
        return Blind("journalctl cannot read the journal: this user may not see it", remedy=remedy)
    reason = wording.clean(complaint.rstrip("\n"), 120) or "it says nothing"
    return Blind(f"journalctl cannot read the journal: {reason}")
