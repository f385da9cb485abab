"""A kernel built of Debian's source package, for what no image has: cached by the version and the configuration."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Sequence

from lab import debian
from lab.debian import Missing

COMPILER = "aarch64-linux-gnu-"
MAKE = ("make", "ARCH=arm64", f"CROSS_COMPILE={COMPILER}")


def image(home: pathlib.Path, package: str, suites: Sequence[str], configuration: str, refresh: bool) -> pathlib.Path:
    """The image of ``package`` by ``configuration``, a file of this folder, of the cache, else built. Raises ``Missing``.

    That takes some minutes on each processor.
    """
    wanted = pathlib.Path(__file__).with_name(configuration)
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()[:8]
    found = sorted(home.glob(f"vmlinuz-*-{digest}"))
    if found and not refresh:
        return found[0]
    for command, needed in (
        (f"{COMPILER}gcc", "gcc-aarch64-linux-gnu"),
        *((tool, tool) for tool in ("make", "bc", "bison", "flex")),
    ):
        if not shutil.which(command):
            raise Missing(f"{command} is missing: apt-get install {needed}")
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-lab.") as directory:
        root = debian.unpack("arm64", suites, [package], pathlib.Path(directory))
        debian.run(["tar", "--extract", "--file", f"usr/src/{package}.tar.xz"], root)
        source = root / package
        debian.run([*MAKE, f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig"], source)
        debian.run([*MAKE, f"-j{os.cpu_count() or 1}", "Image"], source)
        release = debian.run([*MAKE, "-s", "kernelrelease"], source).strip()
        made = home / f"vmlinuz-{release}-{digest}"
        debian.keep(made, (source / "arch/arm64/boot/Image").read_bytes(), "vmlinuz-*")
    return made
