"""Trees of sysctl files, and what the tools that apply them at boot really make of one."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Mapping

from tcp_headroom.boot.sysctl_rules import BUSYBOX, PROCPS, SYSTEMD
from workbench.machine import program, require_namespaces

KEYS = ("net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_rmem")
"""Each network namespace has its own."""

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--net"]
SHELL = r"""
root=$1
shift
for folder in /etc /run /usr/local/lib /usr/lib/sysctl.d; do
    if [ -d "$root$folder" ]; then mount --bind "$root$folder" $folder; else mount -t tmpfs none $folder; fi
done
case $1 in
systemd) /lib/systemd/systemd-sysctl ;;
procps) /usr/sbin/sysctl --quiet --system ;;
busybox)
    for file in /usr/lib/sysctl.d/*.conf; do
        if [ -f "$file" ] && ! [ -f "/etc/sysctl.d/${file##*/}" ]; then busybox sysctl -p "$file"; fi
    done
    for file in /etc/sysctl.d/*.conf /etc/sysctl.conf; do
        if [ -f "$file" ]; then busybox sysctl -p "$file"; fi
    done ;;
esac >&2
shift
cd /proc/sys && cat "$@"
"""

INITS: dict[str, dict[str, str]] = {
    SYSTEMD: {"usr/lib/systemd/systemd": "", "sbin/init": "-> /usr/lib/systemd/systemd"},
    PROCPS: {"sbin/init": "", "sbin/sysctl": ""},
    BUSYBOX: {"bin/busybox": "", "sbin/init": "-> /bin/busybox", "sbin/sysctl": "-> /bin/busybox"},
}
"""What tells which tool boots a tree."""


def plant(root: pathlib.Path, files: Mapping[str, str | bytes]) -> pathlib.Path:
    """Make files below ``root`` by path; a text ``-> x`` is a link to x, and a path that ends in a slash a directory."""
    for name, content in files.items():
        path = root / name.lstrip("/")
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content.startswith("-> "):
            path.symlink_to(content[3:])
        else:
            path.write_bytes(content.encode())
    return root


def boot(tool: str, root: pathlib.Path) -> dict[str, str]:
    """The values of ``KEYS`` after the real tool has applied the files below ``root`` in a namespace of its own."""
    paths = [key.replace(".", "/") for key in KEYS]
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", SHELL, "sh", root, tool, *paths], capture_output=True, errors="replace"
    )
    assert done.returncode == 0, done.stderr
    return {key: " ".join(line.split()) for key, line in zip(KEYS, done.stdout.splitlines())}


def require(tool: str) -> None:
    """Skip the test where the real tool cannot be run."""
    package = {SYSTEMD: "systemd", PROCPS: "procps", BUSYBOX: "busybox-static"}[tool]
    program(
        package,
        *{SYSTEMD: ["/lib/systemd/systemd-sysctl"], PROCPS: ["/usr/sbin/sysctl", "/sbin/sysctl"], BUSYBOX: ["busybox"]}[
            tool
        ],
    )
    # A root may be mounted so that a namespace in it may not write there.
    write = f"mount -t tmpfs none /run && echo 61 >/proc/sys/{KEYS[0].replace('.', '/')} && "
    require_namespaces(*UNSHARE, "sh", "-ec", write + '"$@"', "sh")
