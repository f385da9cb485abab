"""The guest's root file system: busybox, an interpreter with its library, nagiosplugin; and what is under test.

On this machine's own architecture the interpreter is the one that runs this; on others it is Debian's.

Two cpio archives in the ``newc`` format, which the kernel unpacks one over the
other. The large one holds what does not change and is kept in the cache by the
hash of what it is made of; the small one, made anew for every boot, holds the
package under test and the code of the guest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import pathlib
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping

from lab import debian, machines
from lab.machines import Machine

HERE = pathlib.Path(__file__).parent
PACKAGE = HERE.parent.parent / "checks" / "tcp_headroom"
GUEST = HERE / "guest"

UNWANTED = (
    "test|idlelib|lib2to3|tkinter|turtledemo|ensurepip|distutils|pydoc_data|site-packages|dist-packages|config-.*"
    "|__pycache__|unittest|sqlite3|asyncio|multiprocessing|xml|xmlrpc|wsgiref|dbm|curses|venv|msilib|turtle.py"
)
"""Parts of the standard library that neither the package nor the guest imports."""

UNWANTED_EXTENSIONS = (
    "_test.*|xx.*|_tkinter|_sqlite3|_curses.*|_ssl|_hashlib|_decimal|_codecs_.*|_dbm|_gdbm|readline|_asyncio|nis"
)
"""Extension modules likewise; most bring a library."""

FOREIGN = r"bin/|usr/bin/python3\.11$|lib(32|64)?/|usr/lib/python3\.11/|usr/lib/[^/]+/[^/]+\.so[^/]*$"
"""What of Debian's packages the guest has."""

Files = dict[str, tuple[int, bytes]]
"""Path: mode and content; the content of a symbolic link is where it points."""


def build(
    machine: Machine, package: Mapping[str, bytes], modules: Mapping[str, bytes], command: Mapping[str, str]
) -> bytes:
    """The initrd: the cached base, ``package`` as the module tcp_headroom, and the guest's ``command``.

    ``modules`` of the kernel are in ``/lab/modules``, numbered in the order to load them.
    """
    files: Files = {}
    for number, (name, data) in enumerate(modules.items()):
        files[f"lab/modules/{number}-{name}.ko"] = (0o100644, data)
    for name, text in package.items():
        files[f"lab/tcp_headroom/{name}"] = (0o100644, text)
    for path in sorted(GUEST.glob("*.py")):
        files[f"lab/guest/{path.name}"] = (0o100644, path.read_bytes())
    files["init"] = (0o100755, (GUEST / "init").read_bytes())
    data = base(machine) + archive(_compiled(files, machine))
    # The kernel does not count the initrd, so the guest is told its size, to some bytes.
    told = json.dumps({**command, "initrd": len(data)}).encode()
    return data + archive({"lab/command.json": (0o100644, told)})


def package() -> dict[str, bytes]:
    """The sources of the package under test, by their path in it."""
    return {str(path.relative_to(PACKAGE)): path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}


def archive(files: Files) -> bytes:
    """A cpio archive of ``files`` and the directories they need."""
    parents = {str(parent) for name in files for parent in pathlib.PurePosixPath(name).parents} - {"."}
    entries: Files = dict.fromkeys(parents, (16877, b"")) | files
    out = io.BytesIO()
    for number, name in enumerate([*sorted(entries), "TRAILER!!!"], 1):
        mode, content = entries.get(name, (0, b""))
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        out.write(b"\0" * (-out.tell() % 4) + content)
        out.write(b"\0" * (-out.tell() % 4))
    return out.getvalue()


def base(machine: Machine, refresh: bool = False) -> bytes:
    """What does not change: from the cache, else made. Raises ``Missing``."""
    if not machine.own_userland:
        return _foreign(machine, refresh)
    wanted = dict(_sources())
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    for name, path in sorted(wanted.items()):
        status = path.stat()
        digest.update(f"{name} {path} {status.st_size} {status.st_mtime_ns}\n".encode())
    cached = debian.cache() / f"base-{digest.hexdigest()[:16]}.cpio"
    try:
        return cached.read_bytes()
    except FileNotFoundError:
        pass
    files: Files = {name: (0o100755, path.read_bytes()) for name, path in wanted.items()}
    data = archive(_compiled(files, machine, sourceless=True))
    debian.keep(cached, data, "base-*.cpio")
    return data


def _foreign(machine: Machine, refresh: bool) -> bytes:
    """The same of Debian's packages of the architecture of ``machine``."""
    packages = [*machines.USERLAND, *machine.userland]
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    digest.update(f"{machines.SUITE} {packages} {sys.version}".encode())
    home = debian.cache() / "userland"
    cached = home / f"{machine.architecture}-{digest.hexdigest()[:16]}.cpio"
    if cached.exists() and not refresh:
        return cached.read_bytes()
    files: Files = {}
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-lab.") as directory:
        root = debian.unpack(machine.architecture, [machines.SUITE], packages, pathlib.Path(directory))
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if re.match(FOREIGN, name) and not any(
                re.fullmatch(UNWANTED, part) for part in path.relative_to(root).parts
            ):
                if path.is_symlink() and path.suffix == ".py":
                    # It points into /etc, which the guest has not.
                    continue
                if path.is_symlink():
                    files[name] = (0o120777, os.readlink(path).encode())
                elif path.is_file() and not _extension_unwanted(path):
                    files[name] = (0o100755, path.read_bytes())
    files["bin/python3"] = files.pop("usr/bin/python3.11")
    files |= {name: (0o100644, path.read_bytes()) for name, path in _plugin("usr/lib/python3.11")}
    data = archive(_compiled(files, machine, sourceless=True))
    debian.keep(cached, data, f"{machine.architecture}-*.cpio")
    return data


def _extension_unwanted(path: pathlib.Path) -> bool:
    return path.parent.name == "lib-dynload" and bool(re.fullmatch(UNWANTED_EXTENSIONS, path.name.split(".")[0]))


def _sources() -> Iterator[tuple[str, pathlib.Path]]:
    """Path in the guest, and the file on this machine, of all that does not change."""
    busybox = shutil.which("busybox")
    if not busybox:
        raise debian.Missing("busybox is missing: apt-get install busybox-static")
    yield "bin/busybox", pathlib.Path(busybox)
    interpreter = pathlib.Path(sys.executable).resolve()
    yield "bin/python3", interpreter
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    inside = f"usr/lib/{library.name}"
    for directory, names, files in os.walk(library):
        names[:] = [name for name in names if not re.fullmatch(UNWANTED, name) and name != "lib-dynload"]
        for name in files:
            if name.endswith(".py") and not re.fullmatch(UNWANTED, name):
                path = pathlib.Path(directory) / name
                yield f"{inside}/{path.relative_to(library)}", path
    linked = [interpreter]
    for path in (library / "lib-dynload").glob("*.so"):
        if not _extension_unwanted(path):
            linked.append(path)
            yield f"{inside}/lib-dynload/{path.name}", path
    for path in _libraries(linked):
        yield str(path).lstrip("/"), path
    yield from _plugin(inside)


def _plugin(inside: str) -> Iterator[tuple[str, pathlib.Path]]:
    """nagiosplugin of this machine, as it is Python alone."""
    plugin = importlib.util.find_spec("nagiosplugin")
    if not plugin or not plugin.origin:
        raise debian.Missing("nagiosplugin is not installed")
    home = pathlib.Path(plugin.origin).parent
    for path in home.rglob("*.py"):
        yield f"{inside}/nagiosplugin/{path.relative_to(home)}", path


def _libraries(binaries: list[pathlib.Path]) -> set[pathlib.Path]:
    """The shared libraries these need, by the paths they are looked for at, the loader included."""
    needed = set()
    for binary in binaries:
        done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True)
        needed |= {pathlib.Path(path) for path in re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)}
    return needed


def _compiled(files: Files, machine: Machine, sourceless: bool = False) -> Files:
    """``files`` with the bytecode of the Python ones, so that the slow guest compiles nothing; as they are for another Python."""
    if not machine.own_userland and sys.version_info[:2] != (3, 11):
        return files
    made: Files = {}
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-lab.") as directory:
        source, code = pathlib.Path(directory, "source"), pathlib.Path(directory, "code")
        for name, (mode, content) in files.items():
            if not sourceless or not name.endswith(".py"):
                made[name] = (mode, content)
            if name.endswith(".py"):
                source.write_bytes(content)
                py_compile.compile(
                    str(source), str(code), dfile=f"/{name}", doraise=True,
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )  # fmt: skip
                path = pathlib.PurePosixPath(name)
                cached = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
                target = path.with_suffix(".pyc") if sourceless else cached
                made[str(target)] = (0o100644, code.read_bytes())
    return made
