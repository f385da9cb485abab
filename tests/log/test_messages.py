"""Texts of the family from every kernel that prints one, and the look-alikes that are none."""

from __future__ import annotations

import pytest

from tcp_headroom.log import messages
from tcp_headroom.log.messages import MEMORY, ORPHANS, UNCLEAR

MESSAGES = [
    ("TCP: too many orphaned sockets", ORPHANS),
    ("TCP: out of memory -- consider tuning tcp_mem", MEMORY),
    ("TCP: too many of orphaned sockets", UNCLEAR),
    ("Out of socket memory", UNCLEAR),
    ("TCP: too many of orphaned sockets (1 in CT101)", UNCLEAR),
    ("TCP: too many of orphaned sockets (1 in CTID)", UNCLEAR),
    ("Orphaned socket dropped (21,42 in CT101)", UNCLEAR),
    ("Fatal resource shortage: tcpsndbuf, UB 101.", UNCLEAR),
    ("Fatal resource shortage: tcprcvbuf, UB 101.", UNCLEAR),
    ("Fatal resource shortage: numtcpsock, UB 101.", UNCLEAR),
    ("MPTCP: too many of orphaned sockets", UNCLEAR),
    ("MPTCP: out of memory: force closing socket", UNCLEAR),
    # Ends that a log has glued, cut or padded.
    ("TCP: out of memory -- consider tuning tcp_memconsider tuning tcp_mem", MEMORY),
    ("TCP: out of memory -- consider tuning tcp_mem     ", MEMORY),
    ("TCP: out of memory -- cons", MEMORY),
    ("TCP: too many orphaned soc", ORPHANS),
    ("TCP: too many orphaned sockets[12.5] eth0: up", ORPHANS),
    ("Out of socket mem", UNCLEAR),
]

LOOK_ALIKES = [
    "Out of memory: Killed process 1234 (java) total-vm:1kB",
    "Memory cgroup out of memory: Killed process 99 (nginx)",
    "TCP: Possible SYN flooding on port 80. Sending cookies.",
    "TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.",
    "TCP: Peer 192.0.2.1:80/4444 unexpectedly shrunk window 1:2 (repaired)",
    "TCP: time wait bucket table overflow",
    "TCP: time wait bucket table overflow (CT101)",
    "TCP: Hash tables configured (established 262144 bind 65536)",
    "TCPv6: too many orphaned sockets",
    "nf_conntrack: out of memory",
    "UDP: out of memory",
    "SCTP: out of memory -- consider tuning",
    "Fatal resource shortage: othersockbuf, UB 101.",
    "Fatal resource shortage: kmemsize, UB 101.",
    "usb 1-1: Product: TCP: too many orphaned sockets",
    " TCP: too many orphaned sockets",
    "tcp: too many orphaned sockets",
    "",
]

LIMITER = [
    ("net_ratelimit: 302 callbacks suppressed", 302),
    ("__ratelimit: 15 callbacks suppressed", 15),
    ("__ratelimit: 7 messages suppressed", 7),
    ("printk: 9 messages suppressed.", 9),
    ("net_ratelimit: 40 callbacks suppressed\n", 40),
    ("kauditd_printk_skb: 5 callbacks suppressed", None),
    ("printk: systemd: 12 output lines suppressed due to ratelimiting", None),
    ("net_ratelimit: many callbacks suppressed", None),
    ("net_ratelimit: 99999999999 callbacks suppressed", None),
    ("other net_ratelimit: 1 callbacks suppressed", None),
    ("net_ratelimit: 1 callbacks suppressed by someone", None),
]


@pytest.mark.parametrize("message, cause", MESSAGES)
def test_family(message: str, cause: str) -> None:
    assert messages.cause(message) == cause
    assert messages.suppressed(message) is None
    assert any(needle in message.encode() for needle in messages.NEEDLES)


@pytest.mark.parametrize("message", LOOK_ALIKES)
def test_look_alikes(message: str) -> None:
    assert messages.cause(message) is None


@pytest.mark.parametrize("message, count", LIMITER)
def test_limiter(message: str, count: int | None) -> None:
    assert messages.suppressed(message) == count
    assert messages.cause(message) is None
    assert count is None or any(needle in message.encode() for needle in messages.NEEDLES)


def test_every_text_is_tried() -> None:
    import re

    for text in messages.FAMILY:
        assert text.kernels
        assert any(re.match(text.pattern, message) for message, _cause in MESSAGES), text.pattern
