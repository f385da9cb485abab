"""Hosts on which nothing is wrong and little happens: what writes their logs, and who may read what."""

from __future__ import annotations

from typing import NamedTuple

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
BURST = [
    "Linux version 6.1.0-13-amd64", "Command line: BOOT_IMAGE=/vmlinuz ro quiet", "TCP established hash table entries: 65536",
    "usb 1-1: new high-speed USB device number 2", "EXT4-fs (sda1): mounted filesystem", "e1000 0000:00:03.0 eth0: link up",
]  # fmt: skip

ALL, KERN = "all", "kern"


class File(NamedTuple):
    """A file of a syslog daemon, and its rotation."""

    path: str
    facilities: str = ALL
    root_alone: bool = False
    dated: bool = False
    """Parts are named by their date, as the EL and SUSE families have it, else by number."""
    pack: str = ".gz"
    first: int = 1
    """Number of the youngest part; busybox begins with 0."""
    empty: bool = False
    """It is rotated even if it is empty."""


class Host(NamedTuple):
    """A host. Times are in seconds; ``every`` ones are 0 for never."""

    name: str
    files: tuple[File, ...] = ()
    line: str = "{iso_us} web1 kernel: [{up}] {x}"
    program: str = "{iso_us} web1 CRON[7]: (root) CMD (job)"
    journal: str = ""
    """``persistent``, ``volatile`` or none at all."""
    reads_journal: bool = True
    reads_ring: bool = True
    agent: bool = True
    """The check runs as a user without rights, which the files' modes then bind; else as root."""
    ring: int = 500
    """Records that the ring holds."""
    up: float = 6 * DAY
    """Since the boot before the day."""
    cron_every: float = 20 * MINUTE
    kernel_every: float = 0
    kernel_text: str = 'audit: type=1400 audit(1.{n}:7): apparmor="ALLOWED" pid={n}'
    kernel_level: int = 5
    dropped: bool = False
    """The daemon drops these lines of the kernel."""
    ring_alone: bool = False
    """These lines of the kernel are nowhere but in the ring."""
    rotated: tuple[float, ...] = ()
    """How long before the day there were rotations."""
    stray: bool = False
    """syslog-ng stamps its summaries with the last second of the year."""
    proven: bool = True
    """A record of the kernel, of this boot, stands where the check may read; else only the counter can tell."""
    dead_clock: bool = False
    """The reboot's lines of the kernel reach the files with the stamps of a dead clock."""


BSD = "{bsd} web1 kernel: [{up}] {x}"
BSD_CRON = "{bsd} web1 CRON[7]: (root) CMD (job)"
IMJOURNAL = "{bsd} web1 kernel: {x}"
EL_CRON = "{bsd} web1 systemd[1]: Started job."
BUSYBOX = "{bsd} web1 kern.info kernel: [{up}] {x}"
BUSYBOX_CRON = "{bsd} web1 cron.info crond[7]: USER root pid 9 cmd job"
MESSAGES = File("messages", ALL, dated=True, pack="", root_alone=True)
DEBIAN = (File("kern.log", KERN), File("syslog"))

HOSTS = [
    Host("Debian 12 or 13, root", journal="persistent", agent=False, cron_every=HOUR),
    Host("Debian 12 or 13, agent in systemd-journal", journal="persistent", reads_ring=False, cron_every=25 * MINUTE),
    Host("Debian 12 with rsyslog, agent in adm", DEBIAN, journal="persistent", reads_ring=False, reads_journal=False),
    Host("Debian 11, root", DEBIAN, BSD, BSD_CRON, agent=False),
    Host("EL, imjournal, volatile journal, root", (MESSAGES,), IMJOURNAL, EL_CRON, "volatile", agent=False),
    Host("journald alone, no entry for hours, root", journal="persistent", agent=False, cron_every=3 * HOUR),
    Host("journald alone, no entry for hours, agent in systemd-journal", journal="persistent", reads_ring=False, cron_every=3 * HOUR),
    Host("kern.log with one line of three days ago", (File("kern.log", KERN),), BSD, up=3 * DAY, cron_every=0, reads_ring=False),
    Host("kern.log with one line of three days ago, root", (File("kern.log", KERN),), BSD, up=3 * DAY, cron_every=0, agent=False),
    Host("a rotated part with a boot, then days of silence, agent in adm", DEBIAN, BSD, BSD_CRON, reads_ring=False, rotated=(2 * DAY,)),
    Host("agent in adm, neither ring nor journal, syslog with cron", DEBIAN, reads_ring=False),
    Host("agent in systemd-journal on EL, messages of root alone", (MESSAGES,), IMJOURNAL, EL_CRON, "volatile", reads_ring=False),
    Host("a node whose ring audit wraps, journal, root", journal="persistent", agent=False, ring=5, kernel_every=40.0, ring_alone=True),
    Host("a node whose ring audit wraps, rsyslog, root", DEBIAN, agent=False, ring=5, kernel_every=40.0, ring_alone=True),
    Host(
        "rsyslog drops firewall lines, root", DEBIAN, BSD, BSD_CRON, agent=False, ring=20, kernel_every=30.0, dropped=True,
        kernel_text="[UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.{n} DST=192.0.2.1 SPT={n} DPT=22", kernel_level=4,
    ),
    Host(
        "rsyslog drops firewall lines, level info, root", DEBIAN, agent=False, ring=20, kernel_every=30.0, dropped=True,
        kernel_text="IN=eth0 OUT= SRC=192.0.2.{n} DST=192.0.2.1 SPT={n} DPT=22", kernel_level=6,
    ),
    Host("200 days of uptime, root", DEBIAN, BSD, BSD_CRON, agent=False, up=200 * DAY, rotated=(150 * DAY, 100 * DAY, 50 * DAY, 30 * DAY, 20 * DAY, 10 * DAY)),
    Host("200 days of uptime, agent in adm", DEBIAN, reads_ring=False, up=200 * DAY, rotated=(90 * DAY, 40 * DAY)),
    Host(
        "200 days of uptime, no kernel line left, agent", (File("messages", dated=True),), IMJOURNAL, EL_CRON,
        reads_ring=False, up=200 * DAY, rotated=(150 * DAY, 100 * DAY, 50 * DAY, 10 * DAY, 7 * DAY), proven=False,
    ),
    Host("200 days of uptime, journald, agent in systemd-journal", journal="persistent", reads_ring=False, up=200 * DAY),
    Host("syslog-ng, agent in adm", (File("kern.log", KERN), File("messages"), File("syslog")), BSD, BSD_CRON, reads_ring=False, stray=True),
    Host("syslog-ng, root", (File("messages"),), BSD, BSD_CRON, agent=False, stray=True),
    Host("busybox, root", (File("messages", first=0, pack=""),), BUSYBOX, BUSYBOX_CRON, agent=False, cron_every=15 * MINUTE),
    Host("busybox, file alone", (File("messages", first=0, pack=""),), BUSYBOX, BUSYBOX_CRON, reads_ring=False, cron_every=15 * MINUTE),
    Host("SUSE, dated parts packed by xz, agent", (File("messages", dated=True, pack=".xz"),), reads_ring=False),
    Host("Debian, empty files are rotated too", (File("kern.log", KERN, empty=True), File("syslog", empty=True)), reads_ring=False, rotated=(DAY, 2 * DAY)),
    Host("a board without a clock, agent in adm", DEBIAN, BSD, BSD_CRON, reads_ring=False, dead_clock=True),
]  # fmt: skip
