"""What log daemons say themselves about kernel messages that they lost.

rsyslog's inputs drop what comes too fast (``ratelimit.c``; imjournal by default beyond 20000 messages in 600 s),
journald cannot read what the ring has overwritten (``dev_kmsg_record``, journald-kmsg.c), and a slow console neither
(``console_unlock``, kernel/printk/printk.c). All say so in the log that then lacks something, with no word about which
messages these were. rsyslog's imuxsock limits single processes, so no message of the kernel.
"""

from __future__ import annotations

import re

from tcp_headroom import namedtuple, wording
from tcp_headroom.log.block_reader import LONGEST
from tcp_headroom.log.samples import end_of, samples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.log.block_reader import Block
    from tcp_headroom.log.samples import Wanted

INTERVAL = 600.0
"""For how many seconds rsyslog's imjournal goes on dropping, by default: when it ends is written after that."""
ATTEMPTS = 100
"""How many lines of a block are parsed in vain."""

_NEEDLES = (b" due to rate-limiting", b" kernel messages", b" printk messages dropped **")
_FROM = rb"(?:\[[^\]]*\]|\([^)]*\))?(?: from <(?P<of>[^:>]*)[^>]*>)?: "
_SAID = (
    rb"[ >#]rsyslogd\b.{0,100}?[ :](?P<limit>(?:(?P<own>imjournal|imklog)|(?P<net>imtcp|tcperver|tcpsrv|imudp|imptcp|imrelp))"
    + _FROM
    + rb"(?:(?P<begun>begin to drop)|[0-9]+ messages lost).*)"
    rb"|[ >](?:systemd-journald?|journal)\b.{0,100}?[ :](?P<missed>Missed [0-9]+ kernel messages)"
    rb'|"MESSAGE" ?: ?"(?P<entry>Missed [0-9]+ kernel messages)'
    rb"|^(?:<[0-9]+>|\r|\[[^\]]*\] ?)*(?P<console>\*\* [0-9]+ printk messages dropped \*\*)"
)


class Loss(namedtuple("Loss", "until said remedy")):
    """The newest loss."""

    __slots__ = ()
    until: float
    """The time before which messages may be missing, in seconds since the epoch."""
    said: str
    """What the daemon says, cleaned."""
    remedy: str


def newest(block: Block, wanted: Wanted, zero: float) -> Loss | None:
    """The newest loss of which a line of the wanted hosts speaks; None if there is none in this block."""
    found = [loss for needle in _NEEDLES for loss in [_newest(block, needle, wanted, zero)] if loss]
    return max(found, default=None)


def _newest(block: Block, needle: bytes, wanted: Wanted, zero: float) -> Loss | None:
    data = block.data
    end, attempts = len(data), ATTEMPTS
    while attempts:
        place = data.rfind(needle, block.lead, end)
        if place < 0:
            return None
        end = data.rfind(b"\n", 0, place) + 1
        stop = end_of(data, place)
        # Behind NULs, what a power cut left of a line, another begins.
        begin = max(end, data.rfind(b"\0", end, place) + 1)
        text = data[begin : min(stop, begin + LONGEST)]
        if wanted.name.lower().encode("utf-8", "replace") not in text.lower():
            continue
        attempts -= 1
        match = re.search(_SAID, text, re.DOTALL)
        when = _when(match, text, data, stop, wanted, zero) if match else None
        if match and when is not None and not wanted.strange(when):
            until = when + (INTERVAL if match["begun"] else 0.0)
            said = match["limit"] or match["missed"] or match["entry"] or match["console"]
            name = (match["own"] or match["net"] or b"").decode()
            remedy = f"raise ratelimit.burst of {name} (rsyslog)" if name else "raise log_buf_len"
            return Loss(until, wording.clean(said.decode("utf-8", "replace"), 120), remedy)
    return None


def _when(match: re.Match[bytes], text: bytes, data: bytes, stop: int, wanted: Wanted, zero: float) -> float | None:
    """When it was said, if messages of the wanted hosts are concerned."""
    line = wanted.parse(text, zero)
    if match["console"]:
        # It has no stamp of its own; what follows was written after it.
        after = samples(data, stop + 1, 1, wanted, zero, 1)
        return after[0].when if after else wanted.window.now
    if not line.other:
        return None
    if match["net"]:
        # Of what comes from other hosts, and says so where it is stored.
        of = match["of"]
        concerned = not wanted.local and (of is None or wanted.accepts(of.decode("utf-8", "replace")))
    else:
        concerned = wanted.accepts(line.host)
    return line.when if concerned else None
