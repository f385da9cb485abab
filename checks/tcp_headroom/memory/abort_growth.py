"""TCPAbortOnMemory between runs: how many sockets were reset, and since when.

The counter rises at the two places that print the messages (``tcp_close``,
``tcp_out_of_resources``) and no rate limit suppresses it, but it knows one network
namespace only and no time. Two samples of one boot and one namespace bound both:
so many resets, between then and then. Times are CLOCK_BOOTTIME in seconds, which
no clock step touches.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEPT = 100
"""Spans kept; older ones are joined."""


class Sample:
    """The counter as read once."""

    def __init__(self, boot: str, namespace: str, time: float, value: int) -> None:
        self.boot = boot
        """Boot id."""
        self.namespace = namespace
        """What tells one network namespace from others."""
        self.time = time
        self.value = value


class Span:
    """So many resets between two samples."""

    def __init__(self, start: float, end: float, count: int) -> None:
        self.start = start
        self.end = end
        self.count = count


class Watch:
    """What the samples of one boot and namespace say together."""

    def __init__(self, since: float, last: Sample, spans: list[Span]) -> None:
        self.since = since
        """Time of the first sample."""
        self.last = last
        self.spans = spans
        """Where the counter grew, oldest first."""


def watch(remembered: Watch | None, sample: Sample) -> Watch:
    """Add a sample to what is remembered.

    Another boot or namespace, a smaller value (a counter that began anew or has
    wrapped) and a sample from the future begin a new watch; none of them is growth.
    """
    last = remembered.last if remembered else None
    if (
        remembered is None
        or last is None
        or (last.boot, last.namespace) != (sample.boot, sample.namespace)
        or last.value > sample.value
        or last.time > sample.time
    ):
        return Watch(sample.time, sample, [])
    spans = list(remembered.spans)
    if sample.value > last.value:
        spans.append(Span(last.time, sample.time, sample.value - last.value))
    if len(spans) > KEPT:
        first, second = spans[:2]
        spans[:2] = [Span(first.start, second.end, first.count + second.count)]
    return Watch(remembered.since, sample, spans)


def within(found: Watch, start: float) -> list[Span]:
    """The spans that reach into the time from ``start`` on."""
    return [span for span in found.spans if span.end >= start]


def pack(found: Watch) -> list[Any]:
    """A watch as JSON values."""
    last = found.last
    spans = [[span.start, span.end, span.count] for span in found.spans]
    return [found.since, [last.boot, last.namespace, last.time, last.value], spans]


def unpack(values: Any) -> Watch | None:
    """The reverse of ``pack``; None for anything that is not such."""
    try:
        since, (boot, namespace, time, value), spans = values
        last = Sample(str(boot), str(namespace), float(time), int(value))
        return Watch(float(since), last, [Span(float(start), float(end), int(count)) for start, end, count in spans])
    except (TypeError, ValueError, OverflowError):
        return None
