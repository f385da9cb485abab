"""Real journal files, made from text by systemd-journal-remote and read back through journalctl."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping

REMOTE = next(
    (
        path
        for path in ("/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote")
        if shutil.which(path)
    ),
    None,
)
MISSING = (
    ""
    if REMOTE and shutil.which("journalctl")
    else "journalctl or systemd-journal-remote is missing: apt-get install systemd systemd-journal-remote"
)


def entry(received: float, monotonic: float, boot: str, **fields: str | bytes) -> dict[str, str | bytes]:
    """One entry, received at ``received`` (epoch) and ``monotonic`` (uptime), in seconds."""
    return {
        "__REALTIME_TIMESTAMP": str(round(received * 1e6)),
        "__MONOTONIC_TIMESTAMP": str(round(monotonic * 1e6)),
        "_BOOT_ID": boot,
        **fields,
    }


def kernel(
    received: float, monotonic: float, boot: str, message: str | bytes, **fields: str | bytes
) -> dict[str, str | bytes]:
    """An entry as journald makes it of a kernel record that it receives at once."""
    return entry(
        received, monotonic, boot,
        **{
            "_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel", "SYSLOG_FACILITY": "0", "PRIORITY": "6",
            "_SOURCE_MONOTONIC_TIMESTAMP": str(round(monotonic * 1e6)), "MESSAGE": message, **fields,
        },
    )  # fmt: skip


def write(path: pathlib.Path, entries: Iterable[Mapping[str, str | bytes]]) -> pathlib.Path:
    """A journal file at ``path``, which must end in ``.journal``."""
    export = bytearray()
    for fields in entries:
        for name, value in fields.items():
            if isinstance(value, bytes):
                export += name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
            elif value:
                export += f"{name}={value}\n".encode()
        export += b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert REMOTE
    subprocess.run([REMOTE, "-o", path, "-"], input=bytes(export), check=True, capture_output=True)
    path.chmod(0o644)
    return path
