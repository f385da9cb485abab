"""The files of nagiosplugin that packages carry: its modules, without tests and examples, and its licence.

library.py FOLDER    copies them to FOLDER/nagiosplugin-VERSION and prints the version
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import sys


def files() -> dict[str, str]:
    """Their texts, by the names they have below the folder of a package; those of the library that is installed."""
    found = {}
    for path in importlib.metadata.files("nagiosplugin") or []:
        if path.name.startswith("LICENSE"):
            found["nagiosplugin/LICENSE"] = path.read_text("utf-8")
        elif path.parts[0] == "nagiosplugin" and path.suffix == ".py" and not {"examples", "tests"} & {*path.parts}:
            found[str(path)] = path.read_text("utf-8")
    assert "nagiosplugin/LICENSE" in found, "nagiosplugin has no licence to be carried along"
    return found


def main() -> None:
    version = importlib.metadata.version("nagiosplugin")
    for name, text in files().items():
        path = pathlib.Path(sys.argv[1], f"nagiosplugin-{version}", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    print(version)


if __name__ == "__main__":
    main()
