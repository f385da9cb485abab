"""``workbench.icinga_table`` against the real code of Icinga DB Web, run by the real PHP."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from commands.test_transcripts import CALLS
from workbench.command import Output
from workbench.daemons import program
from workbench.icinga_table import Datum, colour, normalised, parsed, pie
from workbench.watched_host import CRITICAL, OK, WARNING

LIBRARY = pathlib.Path("/usr/share/icingaweb2/modules/icingadb/library/Icingadb")

CODE = """
    foreach (["Common/ServiceStates", "Util/ThresholdRange", "Util/PerfData"] as $part) {
        require "$argv[1]/$part.php";
    }
    foreach (file("php://stdin", FILE_IGNORE_NEW_LINES) as $line) {
        $data = Icinga\\Module\\Icingadb\\Util\\PerfData::fromString($line);
        echo $data->getState(), $data->isVisualizable() ? " pie" : " none", "\n";
    }
"""


def written(datum: Datum) -> str:
    """The normal form as text."""
    numbers = ["" if number is None else f"{number:f}" for number in datum[2:]]
    return ";".join([f"label={datum.value:f}{datum.unit}", *numbers]).rstrip(";")


def in_php(data: list[Datum]) -> list[tuple[int, bool]]:
    """State and pie of each."""
    if not LIBRARY.exists():
        pytest.skip(f"{LIBRARY} is missing: apt-get install icingadb-web")
    php = program("php-cli", "/usr/bin/php")
    lines = "".join(f"{written(datum)}\n" for datum in data)
    done = subprocess.run([php, "-r", CODE, LIBRARY], input=lines, capture_output=True, text=True, check=True)
    return [(int(line.split()[0]), line.endswith(" pie")) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("before_2_14_5", [True, False])
def test_what_the_checks_print(before_2_14_5: bool) -> None:
    texts = {text for call in CALLS for text in Output(call.code, call.output).perfdata.values()}
    data = [normalised(parsed(text), before_2_14_5) for text in sorted(texts)]
    assert len(data) > 100
    assert in_php(data) == [(colour(datum), pie(datum)) for datum in data]
    assert {colour(datum) for datum in data} == {OK, WARNING, CRITICAL}


def test_every_order_of_levels() -> None:
    places = (None, 0.0, 5.0, 10.0)
    data = [
        Datum(value, unit, warning, critical, 0.0, maximum)
        for value in (-1.0, 0.0, 4.5, 5.0, 7.0, 10.0, 11.0)
        for unit in ("", "%", "B")
        for warning in places
        for critical in places
        for maximum in (None, 10.0)
    ]
    assert in_php(data) == [(colour(datum), pie(datum)) for datum in data]
