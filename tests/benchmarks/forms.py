"""What the form of the suite costs: a virtual environment, the single file, and the package of Debian, by one interpreter.

The commands of the package are those of ``dist/*.deb``, unpacked into a folder; without one they are left out, as
``contrib/package/build deb`` makes it.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import zipfile

from benchmarks import measure
from benchmarks.measure import BIN, Command

RUNS = 40
LIMITS = {"the single file": 1.6, "the package": 1.0}
ROOT = pathlib.Path(__file__).parents[2]
CHECK = "check_tcp_mem"


def single_file(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Built for this interpreter, and as it is for every other: without byte code."""
    file, bare = folder / "tcp-headroom.pyz", folder / "bare.pyz"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1000000000"}
    subprocess.run([sys.executable, ROOT / "contrib/package/single_file.py", ROOT, file], check=True, env=environment)
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(bare, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in archive.namelist():
            if not name.endswith(".pyc"):
                copy.writestr(name, archive.read(name))
    return file, bare


def package(folder: pathlib.Path) -> pathlib.Path | None:
    """The command of the package, which finds its modules in ``folder``."""
    for deb in sorted((ROOT / "dist").glob("monitoring-plugins-tcp-headroom_*.deb"))[-1:]:
        subprocess.run(["dpkg-deb", "-x", deb, folder / "deb"], check=True)
        command = folder / "deb/usr/lib/nagios/plugins" / CHECK
        command.write_text(command.read_text().replace('"/usr/share/', f'"{folder}/deb/usr/share/'))
        subprocess.run([sys.executable, "-m", "compileall", "-q", folder / "deb/usr/share"], check=True)
        return command
    return None


def main(runs: int) -> None:
    with measure.workplace(0) as folder:
        file, bare = single_file(folder)
        commands = [
            Command("virtual environment", [str(BIN / CHECK)], "TCP MEM"),
            Command("the single file", [sys.executable, "-IS", str(file), CHECK], "TCP MEM"),
            Command("the single file, no byte code", [sys.executable, "-IS", str(bare), CHECK], "TCP MEM"),
        ]
        command = package(folder)
        if command:
            commands.append(Command("the package", [sys.executable, "-I", str(command)], "TCP MEM"))
        else:
            print("not measured: the package, as dist/ has none; contrib/package/build deb makes it")
        costs = measure.table("forms of the suite", commands, runs, "virtual environment")
        for name, limit in LIMITS.items():
            if name in costs:
                measure.target(f"{name} / virtual environment", costs[name], [costs["virtual environment"]], limit)
