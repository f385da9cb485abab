"""The kernels of the lab: Debian's images, fetched by apt from the mirror this machine uses; one is built of its source.

The suites are those of the table, whichever of them the mirror has. Images are kept in the cache and used from there
without a look at the mirror until ``refresh``.
"""

from __future__ import annotations

import lzma
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from lab import built, debian, machines
from lab.debian import Missing
from lab.guest.table import Scenario
from lab.machines import Machine

MODULES = ("net/ipv4/inet_diag", "net/ipv4/tcp_diag", "drivers/block/brd")
"""Modules that the guest may load, in this order; all images of Debian have them as modules.

The first two list sockets; the last makes a disk of memory, whose pages a cgroup can be made to fight for.
"""

FEW = ("idle", "orphans-climb", "memory", "owners")
"""What an architecture is asked every day: the gauges, the unit of mem, and the lists of sockets."""

SHORT = (
    "idle", "orphans-climb", "limit-passed", "memory", "memory-out-of-order", "limits", "closed-sockets", "several-cpus",
)  # fmt: skip
"""What takes no hours of the guest's time, not even minutes: all that is asked where the clock is real."""

CHANGED = (*FEW, "limit-passed", "limits", "by-cgroup", "starved-by-cgroup", "beyond-the-gauge", "who-is-reset")
"""What kernels have done differently since 6.12."""


def every(_scenario: Scenario) -> bool:
    return True


def quick(scenario: Scenario) -> bool:
    return scenario.quick


def roomy(scenario: Scenario) -> bool:
    """Of a machine whose kernel needs so much memory, or is given so much, that it never has little."""
    return scenario.quick and scenario.name != "little-memory"


def untraced(scenario: Scenario) -> bool:
    """The kernel that is built has no tracepoints."""
    return scenario.quick and scenario.name != "who-is-reset"


def few(scenario: Scenario) -> bool:
    return scenario.name in FEW


def short(scenario: Scenario) -> bool:
    return scenario.name in SHORT


def changed(scenario: Scenario) -> bool:
    return scenario.name in CHANGED


def none(_scenario: Scenario) -> bool:
    return False


class Kernel(NamedTuple):
    """A kernel of the table."""

    name: str
    """Short name for tables and options."""
    package: str
    """The meta package whose dependency is the image, a pattern whose newest match is, or that of the source."""
    suites: tuple[str, ...]
    """Where to look, ``-security`` ones on the mirror of that name."""
    full: Callable[[Scenario], bool] = quick
    """Which scenarios the full run asks: hours, days and the sizes of memory are the same for every machine."""
    daily: Callable[[Scenario], bool] = none
    """Which the run of every day does."""
    machine: Machine = machines.AMD64
    ram: int = 0
    """The least memory of its guests, in MiB."""
    cpus: int = 1
    """Of more than one the clock is real."""
    configuration: str = ""
    """The file of this folder by which it is built."""


class Image(NamedTuple):
    """A kernel that can be booted."""

    path: pathlib.Path
    machine: Machine = machines.AMD64
    ram: int = 0
    cpus: int = 1

    @property
    def release(self) -> str:
        """The name it gives itself."""
        return self.path.name.partition("-")[2] or self.path.name


CLOUD = "linux-image-cloud-amd64"
_BOOKWORM = ("bookworm", "bookworm-security")

KERNELS = (
    Kernel("5.10", CLOUD, ("bullseye", "bullseye-security"), every),
    Kernel("6.1", CLOUD, _BOOKWORM, every, quick),
    Kernel("6.12", "linux-image-6.12-cloud-amd64", _BOOKWORM, every, quick),
    # Of 6.19 to 7.1 the index has the images, but not their modules.
    *(
        Kernel(version, f"linux-image-{version}.*-cloud-amd64", ("trixie-backports",), changed)
        for version in ("6.16", "6.17", "6.18")
    ),
    Kernel("newest", CLOUD, ("sid",), every),
    Kernel("6.1-2cpu", CLOUD, _BOOKWORM, short, cpus=2),
    Kernel("6.1-4cpu", CLOUD, _BOOKWORM, short, cpus=4),
    # The indices of bookworm-security are not complete for all of these.
    Kernel("6.1-ppc64el", "linux-image-powerpc64le", ("bookworm",), daily=few, machine=machines.PPC64EL),
    Kernel("newest-ppc64el-64k", "linux-image-powerpc64le-64k", ("sid",), machine=machines.PPC64EL),
    Kernel("6.1-s390x", "linux-image-s390x", ("bookworm",), daily=few, machine=machines.S390X),
    Kernel("6.1-s390x-4cpu", "linux-image-s390x", ("bookworm",), short, machine=machines.S390X, cpus=4),
    Kernel("5.10-arm64", "linux-image-cloud-arm64", ("bullseye",), roomy, machine=machines.ARM64),
    Kernel("6.1-arm64", "linux-image-cloud-arm64", ("bookworm",), roomy, machine=machines.ARM64),
    Kernel("6.12-arm64-16k", "linux-image-arm64-16k", ("trixie",), machine=machines.ARM64_16K),
    Kernel(
        "5.10-arm64-64k",
        "linux-source-5.10",
        ("bullseye",),
        untraced,
        machine=machines.ARM64,
        configuration="arm64-64k.config",
    ),
    Kernel("5.10-i386", "linux-image-686-pae", ("bullseye",), machine=machines.I386),
    Kernel("6.1-i386", "linux-image-686-pae", ("bookworm",), machine=machines.I386),
    Kernel("6.1-i386-4g", "linux-image-686-pae", ("bookworm",), roomy, machine=machines.I386, ram=4096),
)


def image(kernel: Kernel, refresh: bool = False) -> Image:
    """The kernel's image, from the cache or from the mirror. Raises ``Missing``."""
    return Image(_path(kernel, refresh), kernel.machine, kernel.ram, kernel.cpus)


def reach(kernel: Kernel) -> str:
    """Whether it can be had today: its release in the cache, or what the mirror has. Raises ``Missing``."""
    found = sorted(_home(kernel).glob(IMAGE))
    if found:
        return f"in the cache, {Image(found[-1]).release}"
    return f"on the mirror, {', '.join(debian.offered(kernel.machine.architecture, kernel.suites, kernel.package))}"


def _home(kernel: Kernel) -> pathlib.Path:
    """Where the cache has it; entries of one kernel share it."""
    first = next(one for one in KERNELS if one[1:3] == kernel[1:3] and one.machine == kernel.machine)
    return debian.cache() / "kernels" / first.name


def _path(kernel: Kernel, refresh: bool) -> pathlib.Path:
    home = _home(kernel)
    if kernel.configuration:
        return built.image(home, kernel.package, kernel.suites, kernel.configuration, refresh)
    found = sorted(home.glob(IMAGE))
    if found and modules(found[0]) and not refresh:
        return found[0]
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-lab.") as directory:
        root = debian.unpack(kernel.machine.architecture, kernel.suites, [kernel.package], pathlib.Path(directory))
        images = [*root.glob(f"boot/{IMAGE}"), *root.glob("usr/lib/modules/*/vmlinu[xz]")]
        if not images:
            raise Missing(f"the packages of {kernel.package} hold no kernel image")
        fetched = images[0]
        # boot/vmlinuz-RELEASE in an image package, usr/lib/modules/RELEASE/vmlinuz in a binary one.
        name = fetched.name if "-" in fetched.name else f"{fetched.name}-{fetched.parent.name}"
        for module in MODULES:
            packed = next(root.glob(f"**/{module}.ko*"), None)
            if not packed:
                raise Missing(f"the packages of {name} hold no module {module}")
            data = packed.read_bytes()
            debian.keep(
                _module(home / name, module),
                lzma.decompress(data) if packed.suffix == ".xz" else data,
                f"{os.path.basename(module)}-*.ko",
            )
        debian.keep(home / name, fetched.read_bytes(), IMAGE)
    return home / name


IMAGE = "vmlinu[xz]-*"
"""How an image is called; that of ppc64el is not packed."""


def modules(path: pathlib.Path) -> dict[str, bytes]:
    """The modules for an image of the cache, by name in the order to load them; none for any other image."""
    paths = {module: _module(path, module) for module in MODULES}
    if not all(module.is_file() for module in paths.values()):
        return {}
    return {os.path.basename(name): module.read_bytes() for name, module in paths.items()}


def _module(path: pathlib.Path, module: str) -> pathlib.Path:
    return path.with_name(f"{os.path.basename(module)}-{path.name.partition('-')[2]}.ko")
