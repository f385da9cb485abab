"""Make the single file: single_file.py SOURCE TARGET.

A zip archive that Python runs (PEP 441), with the suite and nagiosplugin inside, their licences too. Annotations are
stripped, and with them the line that Python 3.6 rejects; docstrings stay, as ``-h`` prints them. Beside each module lies its
byte code for the interpreter that builds: Debian's 3.11 starts faster with it, every other reads the source
(``zipimport`` passes over byte code of another version).
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import os
import pathlib
import re
import stat
import sys
import time
import zipfile

import library
from strip_hints import strip_string_to_string

MAIN = '''\
"""Call this file by the name of a check, through a link, or with the name as its first word."""
import os
import sys

CHECKS = ("check_tcp_kernel_log", "check_tcp_limits", "check_tcp_mem", "check_tcp_orphans")


def refuse(reason, step):
    sys.stdout.write("TCP HEADROOM UNKNOWN - {0}. Next: {1}\\n".format(reason, step))
    sys.exit(3)


if sys.version_info < (3, 6):
    refuse(
        "Python 3.6 or later is needed, this is {0}.{1}".format(*sys.version_info[:2]),
        "call it with such a one, python3 FILE CHECK",
    )

name = os.path.basename(sys.argv[0])
name = name[:-4] if name.endswith(".pyz") else name
words = sys.argv[1:]
if name not in CHECKS:
    name = words.pop(0) if words else ""
if name in ("-V", "--version"):
    from tcp_headroom import __version__

    print("tcp-headroom " + __version__)
    sys.exit(0)
if name not in CHECKS:
    refuse("no check is named", "put one of these before the options: " + ", ".join(CHECKS))
sys.argv[0] = name
__import__("tcp_headroom.commands." + name, fromlist=["main"]).main(words)
'''
SHEBANG = b"#!/usr/bin/python3 -IS\n"
"""Without the site module, which is for what is installed: all that is needed is inside."""


def stripped(source: str) -> str:
    """The source without annotations, line for line."""
    source = re.sub(r"(?m)^from __future__ import annotations$", "", source)
    return str(strip_string_to_string(source, to_empty=True, strip_nl=True))


def suite(source: pathlib.Path) -> dict[str, str]:
    """The modules of the suite, and its licence."""
    folder = source / "checks"
    found = {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.py")}
    return {name: stripped(text) for name, text in found.items()} | {"LICENSE": (source / "LICENSE").read_text("utf-8")}


def compiled(name: str, source: str) -> bytes:
    """Byte code that is not compared with its source (PEP 552)."""
    code = compile(source, name, "exec", dont_inherit=True)
    flags = (0b01).to_bytes(4, "little")
    digest = importlib.util.source_hash(source.encode())
    return importlib.util.MAGIC_NUMBER + flags + digest + marshal.dumps(code)


def main() -> None:
    source, target = map(pathlib.Path, sys.argv[1:])
    texts = {"__main__.py": MAIN} | suite(source) | library.files()
    contents = {name: text.encode() for name, text in texts.items()}
    for name, text in texts.items():
        if name.endswith(".py") and name != "__main__.py":
            contents[f"{name}c"] = compiled(name, text)
    day = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, day)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, contents[name])
    target.write_bytes(SHEBANG + archive.getvalue())
    target.chmod(0o755)


if __name__ == "__main__":
    main()
