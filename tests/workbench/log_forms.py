"""Lines of kernel logs as real systems write them: by system, daemon and option.

In a form, ``{x}`` is the kernel's message and the other names are stamps of one moment; see ``stamps``.
"""

from __future__ import annotations

import time
from typing import NamedTuple

READ = "read"
"""The hit is found: an alarm with one hit. Without it the log is OK."""
MAY = "may be read"
"""Rare or unclear: the hit is found, or UNKNOWN says why not. Without it there is no alarm."""
TIMELESS = "has no time"
"""UNKNOWN, and the reason is the missing time."""


class Form(NamedTuple):
    """One way to write a line."""

    system: str
    line: str
    grade: str = READ


FORMS = [
    # rsyslog
    Form("rsyslog RSYSLOG_TraditionalFileFormat, imklog: Debian 11", "{bsd} web1 kernel: [{up}] {x}"),
    Form("the same with imjournal: EL 7 to 10", "{bsd} web1 kernel: {x}"),
    Form("rsyslog RSYSLOG_FileFormat, imklog: Debian 12 and 13, Ubuntu 24.04", "{iso_us} web1 kernel: [{up}] {x}"),
    Form("the same with imjournal", "{iso_us} web1 kernel: {x}"),
    Form("rsyslog RSYSLOG_FileFormat, a zone east of Greenwich", "{iso_east} web1 kernel: [{up}] {x}"),
    Form("rsyslog RSYSLOG_FileFormat, a zone west of Greenwich", "{iso_west} web1 kernel: {x}"),
    Form("rsyslog RSYSLOG_SyslogProtocol23Format, imklog", "<6>1 {iso_us} web1 kernel - - -  [{up}] {x}"),
    Form("rsyslog RSYSLOG_SyslogProtocol23Format, imjournal", "<6>1 {iso_us} web1 kernel - - - {x}"),
    Form("rsyslog RSYSLOG_ForwardFormat", "<6>{iso_us} web1 kernel: [{up}] {x}"),
    Form("rsyslog RSYSLOG_TraditionalForwardFormat", "<6>{bsd} web1 kernel: [{up}] {x}"),
    Form("rsyslog with %rawmsg% behind a blank: tag, blank, message", "{bsd} web1 kernel:  [{up}] {x}"),
    Form("rsyslog that received 5424, RSYSLOG_TraditionalFileFormat", "{bsd} web1 kernel [{up}] {x}"),
    Form("rsyslog that received 5424, RSYSLOG_FileFormat", "{iso_us} web1 kernel [{up}] {x}"),
    Form("rsyslog %timegenerated:::date-rfc3339% to the second", "{iso_z} web1 kernel: [{up}] {x}"),
    Form("rsyslog template with %pri-text% before the tag", "{bsd} web1 kern.info kernel: [{up}] {x}"),
    Form("rsyslog template with %pri-text% first", "kern.info {bsd} web1 kernel: [{up}] {x}", MAY),
    Form("rsyslog RSYSLOG_StdJSONFmt", '{{"message":" [{up}] {x}","fromhost":"web1","facility":"kern","priority":"info","timereported":"{iso_us}","syslogtag":"kernel:"}}', MAY),
    Form("rsyslog %syslogseverity-text% as in ChromeOS", "{iso_us_z} INFO kernel: [{up}] {x}", MAY),
    Form("rsyslog of EL 6, printk.time off", "{bsd} web1 kernel: {x}"),
    Form("rsyslog of Ubuntu 20.04, host with digits", "{bsd} ip-10-0-0-7 kernel: [{up}] {x}"),
    Form("rsyslog of Amazon Linux 2, host with domain", "{bsd} ip-10-0-0-7.ec2.internal kernel: {x}"),
    Form("rsyslog behind a relay that keeps the address", "{bsd} 192.0.2.7 kernel: [{up}] {x}"),
    Form("rsyslog of BIG-IP: severity before the tag", "{bsd} bigip1 info kernel: {x}", MAY),
    Form("rsyslog of SLES 15 SP4", "{iso_east} web1 kernel: [{up}] {x}"),
    Form("rsyslog of SLES 15 SP7, caller in brackets beside the stamp", "{iso_east} web1 kernel: [{up}][   T39] {x}"),
    Form("rsyslog of SLES 15 SP7, caller of a processor", "{iso_east} web1 kernel: [{up}][    C0] {x}"),
    Form("rsyslog, caller in the text, blank between", "{bsd} web1 kernel: [{up}] [   T39] {x}"),
    Form("rsyslog, caller, printk.time off", "{bsd} web1 kernel: [   T3919] {x}"),
    Form("rsyslog, imjournal beside a kernel with callers", "{iso_us} web1 kernel: [ T3919] {x}"),
    Form("rsyslog, a 5424 relay wrapped once more", "{bsd} relay1 1 {iso_us} web1 kernel - - - {x}", MAY),
    # 5424
    Form("5424, nil structured data", "<6>1 {iso_us_z} web1 kernel - - - {x}"),
    Form("5424, to the second", "<6>1 {iso_z} web1 kernel - - - {x}"),
    Form("5424, one element", '<6>1 {iso_us_z} web1 kernel - - [meta sequenceId="1"] {x}'),
    Form("5424, two elements", '<6>1 {iso_us_z} web1 kernel - - [meta sequenceId="1"][origin ip="192.0.2.1"] {x}'),
    Form("5424, three elements", '<6>1 {iso_us_z} web1 kernel - - [a@1 b="1"][c@1 d="2"][e@1 f="3" g="4"] {x}'),
    Form("5424, an escaped bracket in an element", '<6>1 {iso_us_z} web1 kernel - - [a@1 b="x\\]y"][c@1 d="\\"z"] {x}'),
    Form("5424, byte order mark", "<6>1 {iso_us_z} web1 kernel - - - \ufeff{x}"),
    Form("5424, process id and message id", "<6>1 {iso_us_z} web1 kernel 0 kmsg - {x}", MAY),
    Form("5424, no host", "<6>1 {iso_us_z} - kernel - - - {x}"),
    Form("5424, host is IPv6", "<6>1 {iso_us_z} 2001:db8::1 kernel - - - {x}"),
    Form("5424, octet-counted (6587) as imtcp keeps it", "{octets} <6>1 {iso_us_z} web1 kernel - - - {x}", MAY),
    Form("5424, in a local zone", "<6>1 {iso_east} web1 kernel - - - [{up}] {x}"),
    # syslog-ng
    Form("syslog-ng, default template", "{bsd} web1 kernel: [{up}] {x}"),
    Form("syslog-ng, ts-format(iso)", "{iso} web1 kernel: [{up}] {x}"),
    Form("syslog-ng, ts-format(iso) frac-digits(3)", "{iso_ms} web1 kernel: [{up}] {x}"),
    Form("syslog-ng, ts-format(full)", "{year} {bsd} web1 kernel: [{up}] {x}", MAY),
    Form("syslog-ng, ts-format(unix)", "{epoch} web1 kernel: [{up}] {x}", MAY),
    Form("syslog-ng, chain-hostnames(yes), source", "{bsd} s_src@web1 kernel: [{up}] {x}"),
    Form("syslog-ng, chain-hostnames(yes), relay", "{bsd} web1/relay1 kernel: [{up}] {x}"),
    Form("syslog-ng of SLES 11", "{bsd} web1 kernel: [{up}] {x}"),
    Form("syslog-ng, flags(syslog-protocol)", '<6>1 {iso} web1 kernel - - [meta sequenceId="7"] [{up}] {x}'),
    Form("syslog-ng, $PRIORITY in a template", "{bsd} web1 info kernel: [{up}] {x}", MAY),
    # busybox, OpenWrt and other small ones
    Form("busybox syslogd -O: Alpine", "{bsd} alpine kern.info kernel: [{up}] {x}"),
    Form("busybox syslogd -S: no host", "{bsd} kern.info kernel: [{up}] {x}", MAY),
    Form("Asuswrt: neither host nor priority", "{bsd} kernel: {x}", MAY),
    Form("busybox klogd before 1.17: facility user", "{bsd} OpenWrt user.info kernel: [{up}] {x}", MAY),
    Form("OpenWrt logread", "{ctime} kern.info kernel: [{up}] {x}"),
    Form("OpenWrt logread -t", "{ctime} [{epoch_ms}] kern.info kernel: [{up}] {x}", MAY),
    Form("OpenWrt logread of Backfire", "{bsd} OpenWrt kern.info kernel: [{up}] {x}"),
    Form("OpenWrt log_remote", "<6>{bsd} OpenWrt kernel: [{up}] {x}"),
    Form("Keenetic", "I [{bsd}] kernel: {x}", MAY),
    Form("UniFi access point, sent to a collector", '{bsd} ("U7PG2,aabbcc,v4.3.20") kernel: [{up}] {x}', MAY),
    Form("metalog", "{bsd} [kernel] [{up}] {x}", MAY),
    Form("metalog, printk.time off", "{bsd} [kernel] {x}", MAY),
    Form("socklog of Void, svlogd -ttt", "{iso_dot5} kern.info: [{up}] {x}", MAY),
    Form("socklog, svlogd -tt", "{svlogd} kern.info: [{up}] {x}", MAY),
    Form("socklog, svlogd -t (tai64n)", "{tai64n} kern.info: [{up}] {x}", MAY),
    Form("sysklogd of EL 5", "{bsd} web1 kernel: {x}"),
    Form("sysklogd that left the level in", "{bsd} web1 kernel: <6>{x}", MAY),
    Form("sysklogd 2 of Slackware", "{bsd} darkstar kernel: [{up}] {x}"),
    Form("the RHEL manual: facility and level after the tag", "{bsd} web1 kernel:kern:info {x}", MAY),
    # relays and appliances
    Form("FreeBSD syslogd -v as a relay", "{bsd} <0.6> web1 kernel: {x}", MAY),
    Form("FreeBSD syslogd -vv as a relay", "{bsd} <kern.info> web1 kernel: {x}", MAY),
    Form("a Solaris relay", "{bsd} web1 kernel: [ID 702911 kern.info] {x}", MAY),
    Form("AIX-like relay", "{bsd} web1 kern:info kernel: {x}", MAY),
    Form("Synology DSM 7", "{iso_short} DiskStation kernel: [{up}] {x}", MAY),
    Form("Synology DSM 6", "{bsd} DiskStation kernel: [{up}] {x}"),
    Form("an ESXi-like relay: priority, time with milliseconds", "<6>{iso_ms_z} vcsa1 kernel: {x}"),
    Form("VMware Photon", "{iso_us_z} vcsa1 kernel: [{up}] {x}"),
    Form("Raspbian", "{bsd} raspberrypi kernel: [{up}] {x}"),
    Form("netconsole through a collector: an address, no tag", "{bsd} 192.0.2.7 [{up}] {x}", MAY),
    Form("netconsole, extended", "6,1234,{usec},-;{x}", MAY),
    Form("netconsole, extended, with release", "6.1.0-13,6,1234,{usec},-;{x}", MAY),
    Form("serial console", "[{up}] {x}"),
    Form("serial console with carriage returns", "[{up}] {x}\r"),
    Form("serial console, caller", "[{up}][   T39] {x}"),
    Form("serial console through ts(1) of moreutils", "{bsd} [{up}] {x}", MAY),
    Form("serial console stamped by a console server", "[{plain}] [{up}] {x}", MAY),
    # dmesg
    Form("dmesg", "[{up}] {x}"),
    Form("dmesg -T", "[{ctime}] {x}"),
    Form("dmesg -x", "kern  :info  : [{up}] {x}"),
    Form("dmesg -x -T", "kern  :info  : [{ctime}] {x}"),
    Form("dmesg -r", "<6>[{up}] {x}"),
    Form("dmesg -r with caller", "<6>[{up}][   T39] {x}"),
    Form("dmesg --time-format iso", "{iso_comma} {x}"),
    Form("dmesg -x --time-format iso", "kern  :info  : {iso_comma} {x}"),
    Form("dmesg --time-format delta", "[<    0.000012>] {x}", MAY),
    Form("dmesg -d", "[{up} <    0.000012>] {x}", MAY),
    Form("dmesg -d -T", "[{ctime} <    0.000012>] {x}", MAY),
    Form("dmesg -e (reltime)", "[{reltime}] {x}", MAY),
    Form("dmesg --time-format reltime, after the first line", "[  +0.000012] {x}", MAY),
    Form("dmesg 2.40 with caller", "[{up}] [   T3919] {x}"),
    Form("dmesg 2.40 -T with caller", "[{ctime}] [   T3919] {x}"),
    Form("dmesg 2.40 -x with caller", "kern  :info  : [{up}] [   T3919] {x}"),
    Form("dmesg 2.40 --time-format iso with caller", "{iso_comma} [   T3919] {x}"),
    Form("dmesg -t", "{x}", TIMELESS),
    Form("dmesg -t -x", "kern  :info  : {x}", TIMELESS),
    # journalctl, as of versions that are not at hand; the one that is writes for test_corpus_of_tools
    Form("journalctl -o short", "{bsd} web1 kernel: {x}"),
    Form("journalctl -o short-precise", "{bsd_us} web1 kernel: {x}"),
    Form("journalctl -o short-iso, to 254", "{iso_basic} web1 kernel: {x}"),
    Form("journalctl -o short-iso, 255", "{iso} web1 kernel: {x}"),
    Form("journalctl -o short-iso-precise, to 254", "{iso_us_basic} web1 kernel: {x}"),
    Form("journalctl -o short-full", "{full} web1 kernel: {x}"),
    Form("journalctl -o short-unix", "{epoch_us} web1 kernel: {x}"),
    Form("journalctl -o short-monotonic", "[{up}] web1 kernel: {x}"),
    Form("journalctl -o short-delta", "[{up} <    0.000012 >] web1 kernel: {x}", MAY),
    Form("journalctl -o with-unit", "{full} web1 kernel: {x}"),
    Form("journalctl -o cat", "{x}", TIMELESS),
    # hosts
    *(
        Form(f"a host called {name}", "{bsd} " + name + " kernel: [{up}] {x}")
        for name in (
            "_gateway", "shop.info", "s_src@web2", "web2/relay1", "::1", "fe80::1%eth0", "[2001:db8::1]", "2001:db8::1",
            "a", "kernel", "last", "1234", "web-1_a", "WEB1.EXAMPLE.ORG", "x" * 63, "kern.info",
        )
    ),
    # The same once more, marred a little.
    Form("two blanks before the stamp", "  {bsd} web1 kernel: {x}"),
    Form("blanks after the message, as a padded serial line", "[{up}] {x}          "),
    Form("text glued to the message, as a lossy console writes", "[{up}] {x}consider tuning"),
    Form("nothing but the tag, as in a report", "kernel: {x}", TIMELESS),
]  # fmt: skip

RECORDS = {
    "Linux 3.5, three fields": "6,{seq},{usec};{x}",
    "Linux 3.6 on": "6,{seq},{usec},-;{x}",
    "a fragment": "6,{seq},{usec},c;{x}",
    "CONFIG_PRINTK_CALLER, a task": "6,{seq},{usec},-,caller=T3919;{x}",
    "CONFIG_PRINTK_CALLER, a processor": "6,{seq},{usec},-,caller=C0;{x}",
    "fields of the future": "6,{seq},{usec},-,caller=C0,cpu=3,more=x;{x}",
    "a dictionary behind it": "6,{seq},{usec},-;{x}\n SUBSYSTEM=net\n DEVICE=n2",
    "level notice": "5,{seq},{usec},-;{x}",
    "level debug": "7,{seq},{usec},-;{x}",
    "an escaped byte behind the text": "6,{seq},{usec},-;{x}\\x0a",
}
"""Records of /dev/kmsg, by the kernel that makes them so; all are read."""


def stamps(when: float, booted: float) -> dict[str, str]:
    """Every way to write ``when``, for a machine booted at ``booted`` and in UTC."""

    def utc(form: str, shift: float = 0) -> str:
        return time.strftime(form, time.gmtime(when + shift))

    micro = f"{round(when % 1 * 1e6):06d}"
    seconds = "%Y-%m-%dT%H:%M:%S"
    return {
        "bsd": utc("%b %e %H:%M:%S"),
        "bsd_us": utc("%b %d %H:%M:%S.") + micro,
        "ctime": utc("%a %b %e %H:%M:%S %Y"),
        "reltime": utc("%b%d %H:%M"),
        "full": utc("%a %Y-%m-%d %H:%M:%S UTC"),
        "plain": utc("%Y-%m-%d %H:%M:%S"),
        "year": utc("%Y"),
        "iso": utc(seconds) + "+00:00",
        "iso_basic": utc(seconds) + "+0000",
        "iso_short": utc(seconds) + "+00",
        "iso_z": utc(seconds) + "Z",
        "iso_ms": utc(seconds) + f".{micro[:3]}+00:00",
        "iso_ms_z": utc(seconds) + f".{micro[:3]}Z",
        "iso_us": utc(seconds) + f".{micro}+00:00",
        "iso_us_z": utc(seconds) + f".{micro}Z",
        "iso_us_basic": utc(seconds) + f".{micro}+0000",
        "iso_comma": utc(seconds) + f",{micro}+00:00",
        "iso_east": utc(seconds, 3600) + f".{micro}+01:00",
        "iso_west": utc(seconds, -19800) + f".{micro}-05:30",
        "iso_dot5": utc(seconds) + f".{micro[:5]}",
        "svlogd": utc("%Y-%m-%d_%H:%M:%S") + f".{micro[:5]}",
        "tai64n": f"@{(1 << 62) + 10 + int(when):016x}{int(micro) * 1000:08x}",
        "epoch": f"{when:.0f}",
        "epoch_ms": f"{when:.3f}",
        "epoch_us": f"{when:.6f}",
        "up": f"{when - booted:12.6f}",
        "usec": f"{round((when - booted) * 1e6)}",
    }


def render(form: str, message: str, when: float, booted: float) -> bytes:
    """One line of a form, without its end."""
    names = stamps(when, booted)
    line = form.format_map({**names, "x": message, "octets": "{octets}"})
    if line.startswith("{octets}"):
        rest = line.removeprefix("{octets} ")
        line = f"{len(rest.encode())} {rest}"
    return line.encode()
