"""What differs between the machines of the lab: all of it is here, none in a scenario."""

from __future__ import annotations

from typing import NamedTuple


class Machine(NamedTuple):
    """A machine that QEMU emulates."""

    architecture: str
    """Debian's name of it."""
    qemu: str
    package: str
    """Debian's package of ``qemu``."""
    options: tuple[str, ...]
    """Machine, processor, and both serial lines, which go to the files ``{console}`` and ``{reports}``."""
    console: str
    """What the kernel calls the line of its console."""
    reports: str
    """What it calls the line that the guest's reports go to."""
    step: int = 1
    """Its memory is a multiple of so many MiB."""
    least: int = 0
    """MiB that its kernels need."""
    own_userland: bool = False
    """Whether Python and its library are this machine's own, else they are Debian's packages of that architecture."""
    userland: tuple[str, ...] = ()
    """Packages of the guest beside ``USERLAND``."""


SERIAL = ("-serial", "file:{console}", "-serial", "file:{reports}")

USERLAND = (
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libexpat1", "zlib1g", "libffi8",
    "libbz2-1.0", "liblzma5", "libuuid1", "libcrypt1", "libgcc-s1", "busybox-static",
)  # fmt: skip
SUITE = "bookworm"
"""Whose Python runs in guests of other architectures."""

AMD64 = Machine(
    "amd64", "qemu-system-x86_64", "qemu-system-x86", ("-cpu", "qemu64,+pdpe1gb", *SERIAL), "ttyS0", "ttyS1",
    own_userland=True,
)  # fmt: skip

# qemu-system-i386's processor has no PAE beyond 4 GiB that these kernels survive.
I386 = AMD64._replace(architecture="i386", own_userland=False)

PPC64EL = Machine(
    "ppc64el", "qemu-system-ppc64", "qemu-system-ppc", ("-M", "pseries,x-vof=on", "-cpu", "power9", *SERIAL), "hvc0", "hvc1",
    step=256, least=512,
)  # fmt: skip

_PCI_SERIAL = (
    "-serial", "file:{console}", "-chardev", "file,id=reports,path={reports}", "-device", "pci-serial,chardev=reports",
)  # fmt: skip
ARM64 = Machine(
    "arm64", "qemu-system-aarch64", "qemu-system-arm", ("-M", "virt,gic-version=3", "-cpu", "cortex-a72", *_PCI_SERIAL),
    "ttyAMA0", "ttyS0", least=384,
)  # fmt: skip

# The line-mode console, the second, wraps at 320 characters and loses text: no reports go there.
S390X = Machine(
    "s390x", "qemu-system-s390x", "qemu-system-misc",
    ("-M", "s390-ccw-virtio", "-cpu", "max", "-serial", "file:{reports}", "-serial", "file:{console}"),
    "ttyS0", "ttysclp0",
)  # fmt: skip

# The cortex-a72 has no pages of 16 KiB: such a kernel says nothing at all.
ARM64_16K = ARM64._replace(options=tuple("neoverse-n1" if word == "cortex-a72" else word for word in ARM64.options))
