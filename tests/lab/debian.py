"""Debian's packages of any architecture, from the mirror that apt of this machine uses, verified by Debian's keyring.

apt runs in a directory of its own. What is made of the packages is kept in the cache, and used from there without a
look at the mirror.
"""

from __future__ import annotations

import fnmatch
import os
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Sequence

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Missing(Exception):
    """Something cannot be had; ``str()`` says why."""


def cache() -> pathlib.Path:
    """Where downloads and what is built of them are kept, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "tcp-headroom"


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


def mirrors() -> dict[str, str]:
    """Debian's mirrors in the configuration of apt, by label."""
    done = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"], pathlib.Path("/"))
    rows = [line.split("|") for line in done.splitlines()]
    return {label: uri for origin, label, uri in rows if origin == "Debian"}


def unpack(architecture: str, suites: Sequence[str], packages: Sequence[str], directory: pathlib.Path) -> pathlib.Path:
    """Fetch ``packages``, of a meta package the kernel it stands for, and unpack them. The root they are in.

    ``directory``, an empty one, is for apt. Raises ``Missing``.
    """
    apt, wanted = _found(architecture, suites, packages, directory)
    run(["apt-get", *apt, "-qq", "download", *wanted], directory)
    for deb in sorted(directory.glob("*.deb")):
        run(["dpkg-deb", "--extract", str(deb), str(directory / "unpacked")], directory)
    return directory / "unpacked"


def offered(architecture: str, suites: Sequence[str], package: str) -> list[str]:
    """What ``unpack`` would fetch for ``package``, by the mirror's index. Raises ``Missing``."""
    with tempfile.TemporaryDirectory(prefix="tcp-headroom-lab.") as name:
        directory = pathlib.Path(name)
        apt, wanted = _found(architecture, suites, [package], directory)
        run(["apt-get", *apt, "-qq", "--print-uris", "download", *wanted], directory)
        return wanted


def _found(
    architecture: str, suites: Sequence[str], packages: Sequence[str], directory: pathlib.Path
) -> tuple[list[str], list[str]]:
    """The options of apt, and the packages behind the meta packages, once the index of today is there."""
    apt = _options(architecture, suites, directory)
    run(["apt-get", *apt, "-qq", "update"], directory)
    return apt, [part for package in packages for part in _parts(package, apt, directory)]


def _options(architecture: str, suites: Sequence[str], directory: pathlib.Path) -> list[str]:
    known = mirrors()
    sources = directory / "sources.list"
    lines = []
    for suite in suites:
        label = "Debian-Security" if suite.endswith("-security") else "Debian"
        if label not in known:
            raise Missing(f"apt of this machine has no mirror labelled {label}")
        lines.append(f"deb [arch={architecture} signed-by={KEYRING}] {known[label]} {suite} main\n")
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
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _parts(package: str, apt: list[str], directory: pathlib.Path) -> list[str]:
    """What holds a kernel and its modules, at the end of the chain of meta packages: one, in newer suites one of each.

    Of a pattern it is the newest match.
    """
    if "*" in package:
        names = run(["apt-cache", *apt, "pkgnames", package.partition("*")[0]], directory).split()
        # Names end in -unsigned, too.
        matches = fnmatch.filter(names, package)
        if not matches:
            raise Missing(f"no suite has a package {package}")
        package = max(matches, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    while package.startswith("linux-image-"):
        fields = run(["apt-cache", *apt, "show", "--no-all-versions", package], directory)
        depends = "".join(re.findall(r"^Depends:(.*)", fields, re.MULTILINE))
        parts = re.findall(r"\blinux-(?:binary|modules)-\d[^ ,]*", depends)
        if parts:
            return parts
        needs = re.search(r"\blinux-image-\d[^ ,]*", depends)
        if not needs or needs[0] == package:
            break
        package = needs[0]
    return [package]


def run(command: list[str], directory: pathlib.Path) -> str:
    """What a command prints. Raises ``Missing`` if it fails."""
    try:
        done = subprocess.run(command, cwd=directory, env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise Missing(f"{command[0]} failed: {said[:300]}")
    return done.stdout
