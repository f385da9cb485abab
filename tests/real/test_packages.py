"""What is given away: built twice, from two clones in two places, it has the same bytes."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import subprocess

import pytest

import tcp_headroom
from workbench.command import ROOT
from workbench.machine import program

BUILT = ("sdist", "wheel", "pyz", "deb")
NEEDED = {"git": "git", "dh": "debhelper", "dh_python3": "dh-python", "dpkg-buildpackage": "dpkg-dev"}


def built(place: pathlib.Path) -> dict[str, str]:
    """Name and checksum of what a clone there builds of the last commit."""
    subprocess.run(["git", "clone", "--quiet", ROOT, place], check=True)
    environment = {**os.environ, "DEB_BUILD_OPTIONS": "nocheck"}
    done = subprocess.run([place / "contrib/package/build", *BUILT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (place / "dist").iterdir()}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="packages are built of a commit, and this is no clone")
def test_twice_the_same_bytes(tmp_path: pathlib.Path) -> None:
    for name, package in NEEDED.items():
        program(package, name)
    once, again = built(tmp_path / "one"), built(tmp_path / "a-longer-name")
    version = tcp_headroom.__version__
    assert once == again
    assert sorted(once) == [
        f"monitoring-plugins-tcp-headroom_{version}-1_all.deb", "tcp-headroom.pyz",
        f"tcp_headroom-{version}-py3-none-any.whl", f"tcp_headroom-{version}.tar.gz",
    ]  # fmt: skip


def test_one_version() -> None:
    """The changelog's first release is the version of the package, and has a date, which all files carry."""
    found = re.search(r"^## (.*) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found and found[1] == tcp_headroom.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", found[1])
