"""The kernels of the lab: Debian's cloud images, fetched by apt from the mirror this machine uses.

The mirror is what apt itself is configured with; the suites are those of the
table, whichever of them this machine has. apt runs in a directory of its own and
verifies every index and package against Debian's keyring. Images are kept in the
cache and used from there without a look at the mirror until ``refresh``.
"""

from __future__ import annotations

import lzma
import os
import pathlib
import re
import subprocess
import tempfile
from typing import NamedTuple

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHITECTURE = "amd64"

MODULES = ("net/ipv4/inet_diag", "net/ipv4/tcp_diag", "drivers/block/brd")
"""Modules that the guest may load, in this order; all four images have them as modules.

The first two list sockets; the last makes a disk of memory, whose pages a cgroup can be made to fight for.
"""


class Missing(Exception):
    """A kernel cannot be had; ``str()`` says why."""


class Kernel(NamedTuple):
    """A kernel of the table, or an image given by its path."""

    name: str
    """Short name for tables and options."""
    package: str
    """The meta package whose dependency is the image."""
    suites: tuple[str, ...]
    """Where to look, ``-security`` ones on the mirror of that name."""
    quick: bool
    """Whether it belongs to the run of every day."""


KERNELS = (
    Kernel("5.10", "linux-image-cloud-amd64", ("bullseye",), quick=False),
    Kernel("6.1", "linux-image-cloud-amd64", ("bookworm", "bookworm-security"), quick=True),
    Kernel("6.12", "linux-image-6.12-cloud-amd64", ("bookworm", "bookworm-security"), quick=True),
    Kernel("newest", "linux-image-cloud-amd64", ("sid",), quick=False),
)


def cache() -> pathlib.Path:
    """Where downloads and what is built of them are kept, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "tcp-headroom"


def image(kernel: Kernel, refresh: bool = False) -> pathlib.Path:
    """The kernel's image, from the cache or from the mirror. Raises ``Missing``."""
    home = cache() / "kernels" / kernel.name
    found = sorted(home.glob("vmlinuz-*"))
    if found and modules(found[0]) and not refresh:
        return found[0]
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-lab.") as directory:
        fetched = _fetch(kernel, pathlib.Path(directory))
        # boot/vmlinuz-RELEASE in an image package, usr/lib/modules/RELEASE/vmlinuz in a binary one.
        name = fetched.name if "-" in fetched.name else f"vmlinuz-{fetched.parent.name}"
        for module in MODULES:
            packed = next(pathlib.Path(directory).glob(f"unpacked/**/{module}.ko*"), None)
            if not packed:
                raise Missing(f"the packages of {name} hold no module {module}")
            data = packed.read_bytes()
            keep(
                _module(home / name, module),
                lzma.decompress(data) if packed.suffix == ".xz" else data,
                f"{os.path.basename(module)}-*.ko",
            )
        keep(home / name, fetched.read_bytes(), "vmlinuz-*")
    return home / name


def modules(image: pathlib.Path) -> dict[str, bytes]:
    """The modules for an image of the cache, by name in the order to load them; none for any other image."""
    paths = {module: _module(image, module) for module in MODULES}
    if not all(path.is_file() for path in paths.values()):
        return {}
    return {os.path.basename(module): path.read_bytes() for module, path in paths.items()}


def _module(image: pathlib.Path, module: str) -> pathlib.Path:
    return image.with_name(f"{os.path.basename(module)}-{image.name.removeprefix('vmlinuz-')}.ko")


def keep(path: pathlib.Path, data: bytes, outdated: str) -> None:
    """Write a file of the cache whole or not at all, and remove those like it that match ``outdated``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two runs may do this at the same time.
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
        partial.write(data)
    os.chmod(partial.name, 0o644)
    os.replace(partial.name, path)
    for old in path.parent.glob(outdated):
        if old != path:
            old.unlink(missing_ok=True)


def _fetch(kernel: Kernel, directory: pathlib.Path) -> pathlib.Path:
    known = mirrors()
    sources = directory / "sources.list"
    lines = []
    for suite in kernel.suites:
        label = "Debian-Security" if suite.endswith("-security") else "Debian"
        if label not in known:
            raise Missing(f"apt of this machine has no mirror labelled {label}")
        lines.append(f"deb [arch={ARCHITECTURE} signed-by={KEYRING}] {known[label]} {suite} main\n")
    sources.write_text("".join(lines))
    for part in ("state/lists/partial", "cache/archives/partial"):
        (directory / part).mkdir(parents=True)
    options = {
        "Dir::State": directory / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": directory / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferencesparts": "-",
        "APT::Architecture": ARCHITECTURE,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    apt = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", *apt, "-qq", "update"], directory)
    packages = _packages(kernel.package, apt, directory)
    _run(["apt-get", *apt, "-qq", "download", *packages], directory)
    for deb in directory.glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(deb), str(directory / "unpacked")], directory)
    images = [*directory.glob("unpacked/boot/vmlinuz-*"), *directory.glob("unpacked/usr/lib/modules/*/vmlinuz")]
    if not images:
        raise Missing(f"{' and '.join(packages)} hold no kernel image")
    return images[0]


def mirrors() -> dict[str, str]:
    """Debian's mirrors in the configuration of apt, by label."""
    done = _run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"], pathlib.Path("/"))
    rows = [line.split("|") for line in done.splitlines()]
    return {label: uri for origin, label, uri in rows if origin == "Debian"}


def _packages(package: str, apt: list[str], directory: pathlib.Path) -> list[str]:
    """What holds image and modules, at the end of the chain of meta packages: one, in newer suites one of each."""
    while True:
        fields = _run(["apt-cache", *apt, "show", "--no-all-versions", package], directory)
        depends = "".join(re.findall(r"^Depends:(.*)", fields, re.MULTILINE))
        parts = re.findall(r"\blinux-(?:binary|modules)-\d[^ ,]*", depends)
        if parts:
            return parts
        needs = re.search(r"\blinux-image-\d[^ ,]*", depends)
        if not needs or needs[0] == package:
            return [package]
        package = needs[0]


def _run(command: list[str], directory: pathlib.Path) -> str:
    try:
        done = subprocess.run(command, cwd=directory, env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise Missing(f"{command[0]} failed: {said[:300]}")
    return done.stdout
