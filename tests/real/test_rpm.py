"""The rpm: the spec by the macros of each target, the packages built, read by rpmlint, installed and run."""

from __future__ import annotations

import gzip
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest

from tcp_headroom import __version__
from workbench.command import BIN, COMMANDS, CONTRIB, FIXTURES, ROOT
from workbench.machine import program, require_namespaces

PACKAGE = CONTRIB / "package"
TARGETS = ("el8", "el9", "el10", "fedora", "sles15", "sles16")
BUILT = ("el8", "sles15")
"""Those whose Python is that of Debian 12."""
HOST = FIXTURES / "article" / "front-end-32g"
DATE = "2026-11-26"


def run(*command: object, home: pathlib.Path, **extra: str) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", **extra}
    done = subprocess.run([str(word) for word in command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(place: pathlib.Path) -> pathlib.Path:
    """Run rpm.sh on this tree as it is, with what it has in common with an sdist."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.mtime, member.uid, member.gid, member.uname, member.gname = 1764115200, 0, 0, "", ""
        return None if member.name.endswith(("__pycache__", ".egg-info")) else member

    dist = place / "dist"
    dist.mkdir(parents=True)
    top = f"tcp_headroom-{__version__}"
    with (
        gzip.GzipFile(dist / f"{top}.tar.gz", "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as sdist,
    ):
        included = re.findall(r"^include (.*)$", (ROOT / "MANIFEST.in").read_text(), re.M)[0].split()
        for name in (*included, "checks", "contrib", "tests/fixtures/article"):
            sdist.add(ROOT / name, f"{top}/{name}", filter=kept)
    run(
        "sh",
        "-eu",
        PACKAGE / "rpm.sh",
        home=place,
        WORK=str(place),
        DIST=str(dist),
        SDIST=str(dist / f"{top}.tar.gz"),
        VERSION=__version__,
        DATE=DATE,
        SOURCE_DATE_EPOCH="1764115200",
        TARGETS=" ".join(BUILT),
        PYTHON=sys.executable,
    )
    return dist


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    program("rpm", "rpmbuild")
    program("python3.11", "/usr/bin/python3.11")
    return build(tmp_path_factory.mktemp("rpm"))


def package(dist: pathlib.Path, target: str) -> pathlib.Path:
    return dist / f"tcp-headroom-{__version__}-1.{target}.noarch.rpm"


def filled(place: pathlib.Path) -> pathlib.Path:
    text = (PACKAGE / "tcp-headroom.spec").read_text()
    for word, value in {"VERSION": __version__, "LIBRARY": "1.4.0", "CHANGED": "Thu Nov 26 2026"}.items():
        text = text.replace(f"@{word}@", value)
    spec = place / "tcp-headroom.spec"
    spec.write_text(text)
    return spec


def row(target: str, place: pathlib.Path) -> dict[str, str]:
    """What the spec comes to with the macros of a target."""
    macros = PACKAGE / "rpm" / f"{target}.macros"
    text = run("rpmspec", "-P", "--load", macros, filled(place), home=place)

    def one(pattern: str) -> str:
        found = set(re.findall(pattern, text, re.M))
        assert len(found) == 1, (pattern, found)
        return str(found.pop())

    requires = re.findall(r"^Requires: +(.*)$", text, re.M)
    bundled = re.findall(r"^Provides: +(bundled\(.*)$", text, re.M)
    library = [word for word in requires if "nagiosplugin" in word]
    assert len(bundled) + len(library) == 1
    folder = one(r"^(/\S*)/check_tcp_\*$")
    named = run(
        "rpm",
        "--load",
        macros,
        "--eval",
        "%{?nagios_plugindir}%{!?nagios_plugindir:%{_libdir}/nagios/plugins}",
        home=place,
    )
    assert named.strip() == folder
    commands = re.findall(r"^%config\(noreplace\) (\S*-commands.cfg)$", text, re.M)
    owner, group = one(r"/ nagios nagios /( \w+ \w+) /").split()
    assert owner == group
    python = one(r"^#!(.*) -I$")
    version = re.search(r"3[.]\d+$", python)
    own = run("rpm", "--load", macros, "--eval", "%{python3_version}", home=place).strip()
    return {
        "target": target,
        "Python": f"{version.group() if version else own}, `{python}`, {one(r'^Requires: +(python3[.0-9]*) >= 3.9$')}",
        "plugin directory": folder,
        "library": (bundled + library)[0].replace("= 1.4.0", "").strip(),
        "NRPE's snippet": one(r"^%config\(noreplace\) (\S*/nrpe.d/\S*)$"),
        "Nagios' commands": commands[0] if commands else "example",
        "user of the state": owner,
        "also called": one(r"^Provides: +(\w+-plugins-\S*) = "),
    }


def test_table(tmp_path: pathlib.Path) -> None:
    """The table of the document is what rpmspec and rpm --eval say with the macros of each target."""
    program("rpm", "rpmspec")
    rows = [row(target, tmp_path) for target in TARGETS]
    lines = ["| " + " | ".join(rows[0]) + " |", "| " + " | ".join("---" for _ in rows[0]) + " |"]
    lines += [
        "| " + " | ".join(f"`{value}`" if value.startswith("/") else value for value in each.values()) + " |"
        for each in rows
    ]
    assert "\n".join(lines) in (CONTRIB / "doc" / "packages.md").read_text(), "\n" + "\n".join(lines)


def test_same_bytes(dist: pathlib.Path, tmp_path: pathlib.Path) -> None:
    again = build(tmp_path)
    names = sorted(path.name for path in dist.glob("*.rpm"))
    assert names == sorted(path.name for path in again.glob("*.rpm")) and len(names) == 4
    for name in names:
        assert (dist / name).read_bytes() == (again / name).read_bytes(), name


def test_rpmlint(dist: pathlib.Path) -> None:
    """Nothing that tcp-headroom.rpmlintrc does not explain, and nothing explained that is not found."""
    rpmlint = program("rpmlint", "rpmlint")
    shown = run(rpmlint, "-r", PACKAGE / "tcp-headroom.rpmlintrc", *sorted(dist.glob("*.rpm")), home=dist.parent)
    assert "4 packages and 0 specfiles checked; 0 errors, 0 warnings" in shown, shown


@pytest.mark.parametrize("target", BUILT)
def test_contents(dist: pathlib.Path, target: str, tmp_path: pathlib.Path) -> None:
    def ask(*words: object) -> str:
        return run("rpm", "--nosignature", "-qp", *words, package(dist, target), home=tmp_path)

    assert ask("--configfiles").split() == ["/etc/nrpe.d/tcp-headroom.cfg"]
    assert f"- {__version__}-1\n" in ask("--changelog")
    assert "bundled(python3-nagiosplugin) = " in ask("--provides")
    folder = row(target, tmp_path)["plugin directory"]
    listed = {line.split()[-1]: line for line in ask("-lv").splitlines()}
    for command in COMMANDS:
        # SELinux goes by the label of a regular file in the plugin directory; a link would have that of its target.
        assert listed[f"{folder}/{command}"].startswith("-rwxr-xr-x")
        assert f"/usr/share/man/man1/{command}.1.gz" in listed
    assert any(name.startswith("/usr/share/licenses/") and name.endswith("LICENSE.nagiosplugin") for name in listed)
    assert ("systemd-tmpfiles --create" in ask("--scripts")) is target.startswith("sles")


def rooted(tree: pathlib.Path, *commands: str) -> str:
    """Run shell commands as root of a tree of its own, with the interpreter and the kernel's files of this machine."""
    script = """
        cd "$0"
        mkdir -p usr/bin usr/lib lib64 proc fixture dev
        ln -sfn usr/bin bin
        ln -sfn usr/lib lib
        mount --rbind /usr/bin usr/bin
        mount --rbind /usr/lib usr/lib
        mount --rbind /lib64 lib64
        mount --rbind /proc proc
        mount --rbind /dev dev
        mount --rbind "$1" fixture
        exec chroot . /bin/sh -c "$2"
    """
    unshare = ("unshare", "--mount", "--propagation", "private", "--map-root-user")
    require_namespaces(*unshare)
    done = subprocess.run(
        [*unshare, "sh", "-euc", script, tree, HOST, "; ".join(commands)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout


def rpm(tree: pathlib.Path, *words: object) -> None:
    """As root of a user namespace where this user is none; the dependencies are no packages of this machine."""
    unshare = () if os.geteuid() == 0 else ("unshare", "--map-root-user")
    run(*unshare, "rpm", "--root", tree, "--nodeps", "--nosignature", *words, home=tree.parent)


def test_installed(dist: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The four commands in a root with the package of EL 8, its files alone, say what this environment's say."""
    tree = tmp_path / "tree"
    tree.mkdir()
    rpm(tree, "-i", package(dist, "el8"))
    compiled = sorted((tree / "usr/share/tcp-headroom").rglob("*.pyc"))
    assert len(compiled) == len(list((tree / "usr/share/tcp-headroom").rglob("*.py"))) > 60
    if sys.version_info[:2] == (3, 11):
        for path in compiled:
            head = path.read_bytes()[:8]
            assert head == importlib.util.MAGIC_NUMBER + b"\1\0\0\0" and str(tmp_path).encode() not in path.read_bytes()
    for command in COMMANDS:
        words = ["--no-state", "-v"]
        if command != "check_tcp_kernel_log":
            words += ["--procfs", "/fixture"]
        shown = rooted(tree, f"/usr/lib64/nagios/plugins/{command} {' '.join(words)} || echo exit $?")
        assert shown.startswith(command.removeprefix("check_").replace("_", " ").upper()), shown
        if command == "check_tcp_orphans":
            here = subprocess.run(
                [BIN / command, *words[:-1], HOST], env={}, capture_output=True, text=True
            ).stdout.replace(str(HOST), "/fixture")
            assert shown == here + "exit 1\n"
        assert rooted(tree, f"/usr/lib64/nagios/plugins/{command} --version").strip().endswith(__version__)
    # A library or a module of the caller is not loaded.
    hostile = "cd /tmp; echo 'raise SystemExit(9)' | tee nagiosplugin.py >tcp_headroom.py; export PYTHONPATH=/tmp"
    (tree / "tmp").mkdir(exist_ok=True)
    assert rooted(tree, hostile, "/usr/lib64/nagios/plugins/check_tcp_mem --version").strip().endswith(__version__)


def test_upgrade_and_removal(dist: pathlib.Path, tmp_path: pathlib.Path) -> None:
    tree = tmp_path / "tree"
    state = tree / "var/lib/tcp-headroom"
    state.mkdir(parents=True)
    (state / "kept").touch()
    rpm(tree, "-i", package(dist, "el8"))
    snippet = tree / "etc/nrpe.d/tcp-headroom.cfg"
    text = snippet.read_text()
    assert text.count("]=/usr/lib64/nagios/plugins/check_tcp_") == 4 and "/usr/lib/nagios" not in text
    snippet.write_text(text.replace("'90'", "'80'"))
    rpm(tree, "-U", "--force", package(dist, "el8"))
    assert "'80'" in snippet.read_text()
    rpm(tree, "-e", "tcp-headroom")
    left = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file() and ".rpmdb" not in path.parts}
    left = {name for name in left if not name.startswith("var/lib/rpm/")}
    assert left == {"etc/nrpe.d/tcp-headroom.cfg.rpmsave", "var/lib/tcp-headroom/kept"}
