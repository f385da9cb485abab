"""Minimal Debian roots: what a newcomer types there, as root and as an ordinary user, under every umask."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from lab.debian import Missing
from roots import debian

CHECKOUT = pathlib.Path(__file__).parents[2]
MINUTES = 40
"""After which a row counts as hung."""


class Row(NamedTuple):
    """One newcomer."""

    release: int
    user: str
    umask: str
    what: str = "quick"

    @property
    def name(self) -> str:
        return f"debian{self.release}-{self.user}-{self.umask}-{self.what}"


ROWS = (
    Row(12, "root", "022", "whole"),
    Row(11, "root", "022"),
    Row(11, "user", "077"),
    Row(12, "root", "077"),
    Row(12, "user", "002"),
    Row(12, "user", "022", "nagiosplugin 1.3.2"),
    Row(13, "root", "027"),
    Row(13, "user", "002"),
    Row(13, "user", "077", "sdist"),
    Row(12, "root", "022", "ways"),
    Row(11, "root", "022", "deb"),
    Row(12, "root", "022", "deb"),
    Row(13, "root", "022", "deb"),
)


class Seen(NamedTuple):
    """How a row went."""

    code: int
    passed: int
    skipped: int
    failed: int
    seconds: float
    log: pathlib.Path


def package() -> pathlib.Path:
    """The Debian package of this commit: the one in dist/ if it was made since, else made now, without its tests."""
    log = subprocess.run(
        ["git", "-C", CHECKOUT, "log", "-1", "--format=%ct"], check=True, capture_output=True, text=True
    )

    def made() -> list[pathlib.Path]:
        found = (CHECKOUT / "dist").glob("monitoring-plugins-tcp-headroom_*_all.deb")
        return [path for path in found if path.stat().st_mtime > int(log.stdout)]

    if not made():
        environment = os.environ | {"DEB_BUILD_OPTIONS": "nocheck"}
        subprocess.run([CHECKOUT / "contrib/package/build", "deb"], check=True, env=environment)
    return max(made(), key=lambda path: path.stat().st_mtime)


def judge(row: Row, carried: dict[str, str], results: pathlib.Path) -> Seen:
    """Let the newcomer of ``row`` do it."""
    begun = time.monotonic()
    log = results / f"{row.name.replace(' ', '-')}.log"
    scripts = {f"/mnt/{path.name}": str(path) for path in results.glob("*.sh")}
    command = f"sh -eu /mnt/newcomer.sh {row.user} {row.umask} '{row.what}'"
    if row.what == "ways":
        command = f"sh -eu /mnt/ways.sh {row.release}"
    if row.what == "deb":
        command = "sh -eu /mnt/deb.sh"
    code = debian.enter(debian.root(row.release), carried | scripts, f"exec timeout {MINUTES * 60} {command}", log)
    text = log.read_text(errors="replace")
    last = (re.findall(r"^=* ?((?:\d+ \w+,? )+)in [\d.]+s", text, re.MULTILINE) or [""])[-1]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    if not counts.get("passed") and row.what not in ("deb", "ways"):
        code = code or 1
    if row.what == "whole":
        # All packages are there, so nothing but the lab may be left out.
        section = text.rpartition(" not run ")[2].partition("more of them")[0] if " not run ===" in text else ""
        left = [line for line in section.splitlines() if re.match(r" *\d+ ", line) and " kernel " not in line]
        if left:
            log.write_text(f"{text}\nleft out although everything is installed:\n" + "\n".join(left) + "\n")
            code = code or 1
    return Seen(code, counts.get("passed", 0), counts.get("skipped", 0), failed, time.monotonic() - begun, log)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/roots/run", description=__doc__)
    parser.add_argument(
        "--only", metavar="PATTERN", default="", help="only the rows in whose name this regular expression is found"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=min(2, os.cpu_count() or 1), help="rows at a time; default: 2"
    )
    options = parser.parse_args()
    rows = [row for row in ROWS if re.search(options.only, row.name)]
    if options.list:
        print("\n".join(row.name for row in rows))
        return 0
    results = pathlib.Path(tempfile.mkdtemp(prefix="tcp-headroom-roots."))
    results.chmod(0o755)
    bundle = results / "source.bundle"
    subprocess.run(["git", "-C", CHECKOUT, "bundle", "create", "--quiet", bundle, "HEAD"], check=True)
    bundle.chmod(0o644)
    for script in pathlib.Path(__file__).parent.glob("*.sh"):
        shutil.copy(script, results)
    carried = {"/mnt/source.bundle": str(bundle)}
    if any(row.what == "deb" for row in rows):
        carried["/mnt/package.deb"] = str(package())
    missing: dict[int, Missing] = {}

    def made(number: int) -> None:
        try:
            debian.root(number)
        except Missing as reason:
            missing[number] = reason

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        [*pool.map(made, sorted({row.release for row in rows}))]
        rows = [row for row in rows if row.release not in missing]
        futures = {pool.submit(judge, row, carried, results): row for row in rows}
        seen: dict[Row, Seen] = {}
        for future in concurrent.futures.as_completed(futures):
            row = futures[future]
            seen[row] = future.result()
            print(f"{row.name}: {'red' if seen[row].code else 'green'} ({seen[row].seconds:.0f} s)", flush=True)
            if seen[row].code:
                print("    " + "\n    ".join(seen[row].log.read_text(errors="replace").splitlines()[-40:]), flush=True)
    print(f"{'root':10}{'user':6}{'umask':7}{'what':20}{'passed':>7}{'skipped':>9}{'failed':>8}{'seconds':>9}")
    for row in rows:
        one = seen[row]
        print(
            f"{f'Debian {row.release}':10}{row.user:6}{row.umask:7}{row.what:20}"
            f"{one.passed:7}{one.skipped:9}{one.failed:8}{one.seconds:9.0f}{'  red' if one.code else ''}"
        )
    for number, reason in missing.items():
        print(f"Debian {number} not run: {reason}")
    print(f"the output of each row is in {results}")
    return int(any(one.code for one in seen.values()) or (bool(missing) and os.environ.get("CI") == "true"))


if __name__ == "__main__":
    sys.exit(main())
