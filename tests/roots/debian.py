"""Minimal roots of Debian: made by debootstrap, kept in the cache, entered through an overlay that is thrown away.

The mirror is the one that apt of this machine is configured with; packages are verified against Debian's keyring. What this
machine tells apt and pip about the way to their mirrors (proxies, certificates, indexes) is carried into a root while it is
in use, and is not kept in it.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from lab.debian import KEYRING, Missing, cache, mirrors

RELEASES = {11: "bullseye", 12: "bookworm", 13: "trixie"}
PACKAGES = ("ca-certificates", "git", "python3", "python3-venv")
"""What a newcomer has besides the least that Debian installs."""

CARRIED = re.compile(r"PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE$|(http|https|no|all)_proxy$", re.IGNORECASE)
"""Variables of the environment that tell the way to a package index."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ENTER = r"""
lower=$1 place=$2
shift 2
mount -t tmpfs none "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$place/upper,workdir=$place/work" none "$place/root"
cd "$place/root"
mount -t proc none proc
mount --rbind /dev dev
mount --rbind /sys sys
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p ".$2"; else mkdir -p ".${2%/*}" && touch ".$2"; fi
    mount --bind "$1" ".$2"
    mount -o remount,bind,ro ".$2"
    shift 2
done
shift
# Not chroot alone: the kernel makes no user namespace in one.
pivot_root . mnt
exec chroot . /bin/sh -ec 'umount -l /mnt; exec "$@"' sh "$@"
"""
"""Mounts that are gone, with all processes, when its first process ends."""


def root(number: int) -> pathlib.Path:
    """The root of this release, from the cache or made now. Raises ``lab.kernels.Missing``."""
    home = cache() / "roots" / RELEASES[number]
    if home.is_dir():
        return home
    if os.geteuid() != 0:
        raise Missing("a root is made and entered by root only")
    for program, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux")):
        if not shutil.which(program):
            raise Missing(f"{program} is missing: apt-get install {package}")
    if not os.path.exists(KEYRING):
        raise Missing(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
    mirror = mirrors().get("Debian")
    if not mirror:
        raise Missing("apt of this machine has no mirror labelled Debian")
    home.parent.mkdir(parents=True, exist_ok=True)
    made = pathlib.Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    made.chmod(0o755)
    command = ["debootstrap", "--variant=minbase", f"--keyring={KEYRING}", f"--include={','.join(PACKAGES)}"]
    done = subprocess.run([*command, RELEASES[number], made, mirror], capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(made, ignore_errors=True)
        raise Missing(f"debootstrap failed: {' '.join(done.stdout.split())[-300:]}")
    for package in made.glob("var/cache/apt/archives/*.deb"):
        package.unlink()
    try:
        made.rename(home)
    except OSError:
        # Another run was faster.
        shutil.rmtree(made)
    return home


def enter(lower: pathlib.Path, carried: dict[str, str], script: str, log: pathlib.Path) -> int:
    """Run a script of the shell as root in a copy of the root; its exit status. All it prints goes to ``log``.

    ``carried`` are files and directories of this machine, by their path in the root, to be read there.
    """
    environment = {name: value for name, value in os.environ.items() if CARRIED.match(name)}
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-root-") as place, log.open("wb") as output:
        directory = pathlib.Path(place)
        (directory / "pip.conf").write_text(_pip())
        (directory / "apt.conf").write_text(_apt())
        files = {"/etc/pip.conf": f"{place}/pip.conf", "/etc/apt/apt.conf.d/99machine": f"{place}/apt.conf"}
        if os.path.isdir("/etc/ssl/certs"):
            files["/etc/ssl/certs"] = "/etc/ssl/certs"
        files |= _named(" ".join([_pip(), *environment.values()])) | carried
        (directory / "mounts").mkdir()
        binds = [word for inside, outside in sorted(files.items()) for word in (outside, inside)]
        return subprocess.run(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh"),
                *(lower, directory / "mounts", *binds, "--", "/bin/sh", "-ec", script),
            ],
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ).returncode


def _named(text: str) -> dict[str, str]:
    """The files and directories that pip is told of: indexes, wheels, constraints, certificates."""
    found = {}
    for scheme, path in re.findall(r"(?<!\S)(file://)?(/[^\s'\"]+)", text):
        # The pages of an index name files beside it.
        path = os.path.dirname(path.rstrip("/")) if scheme else path.rstrip("/")
        if os.path.exists(path) and path != "/" and not path.startswith("/etc/ssl/certs"):
            found[path] = path
    return found


def _pip() -> str:
    """What the files of this machine tell pip, as one file."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    found = re.findall(r"^(?:global|install|download)\.([\w-]+)=(['\"])(.*)\2$", done.stdout, re.MULTILINE)
    lines = [f"{name} = {value.encode().decode('unicode_escape')}" for name, _quote, value in found]
    return "\n".join(["[global]", *lines, ""]).replace("\n\n", "\n")


def _apt() -> str:
    """What this machine tells apt about fetching."""
    done = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True)
    wanted = re.compile(r"Acquire::(http|https|Check-\S+|Retries)\b", re.IGNORECASE)
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if wanted.match(line))
