"""What may stand in a state file: damaged, foreign, older, newer and much. At worst it is forgotten."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tcp_headroom.memory import state
from workbench.command import Run
from workbench.states import HIT, Host, check, forgets, hits, host, line, seen


class TestContent:
    DAMAGED = {
        "empty": b"",
        "blank": b" \n",
        "zeros": b"\0" * 5000,
        "no JSON": b"\x89PNG\r\n\x1a\n",
        "not UTF-8": b'{"format":1,"x":"\xff\xfe"}',
        "cut": b'{"format":1,"logs":{"1h',
        "two": b'{"format":1}{"format":1}',
        "list": b"[]",
        "a number": b"7",
        "null": b"null",
        "no format": b'{"logs":{}}',
        "format of text": b'{"format":"1"}',
        "format true": b'{"format":true}',
        "format 1.0": b'{"format":1.0}',
        "format 0": b'{"format":0}',
        "format -1": b'{"format":-1}',
        "format null": b'{"format":null}',
        "huge": b'{"format":1,"x":"' + b"x" * (16 << 20) + b'"}',
        "huge blank": b" " * (64 << 20),
        "deep": b'{"format":1,"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "number": b'{"format":10000}',
        "long number": b'{"format":' + b"1" * 4000 + b"}",
        "number beyond what is read": b'{"format":' + b"1" * 5000 + b"}",
    }

    @pytest.mark.parametrize("name", DAMAGED)
    def test_damaged(self, seen: Host, run: Run, name: str) -> None:
        seen.file.write_bytes(self.DAMAGED[name])
        output = check(seen, run)
        assert hits(output) == 1
        assert f"the state in {seen.state}"[:60] in output.text and "was damaged; it is written new" in output.text
        seen.write()
        output = check(seen, run)
        assert hits(output) == 1
        assert "was damaged" not in output.text

    @pytest.mark.parametrize("depth", range(900, 1001, 4))
    def test_as_deep_as_can_be_read(self, seen: Host, run: Run, depth: int) -> None:
        """Near Python's limit what can be read might be too deep to be written."""
        seen.file.write_bytes(b'{"format":1,"x":' + b"[" * depth + b"]" * depth + b"}")
        assert hits(check(seen, run)) == 1
        assert hits(check(seen, run)) == 1

    def spoilt(self) -> Iterator[Any]:
        """Values that are JSON and not what they should be."""
        yield from (None, 0, "x", [], [[]], {"x": 1}, {"": None}, True, float("nan"), float("inf"), 10**400, "\ud800")

    def test_foreign_values(self, seen: Host, run: Run) -> None:
        """Each part of the state, in turn, made something else: at worst it is forgotten."""
        good = json.loads(seen.file.read_bytes())
        (name,) = good["logs"]

        def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
            yield path
            if isinstance(value, (dict, list)):
                for key in value if isinstance(value, dict) else range(len(value)):
                    yield from places(value[key], (*path, key))

        for place in places(good["logs"]):
            for part in self.spoilt():
                values = json.loads(json.dumps({"at": good}))
                holder: Any = values["at"]
                way: tuple[Any, ...] = ("logs", *place)
                for key in way[:-1]:
                    holder = holder[key]
                holder[way[-1]] = part
                seen.file.write_text(json.dumps(values["at"]))
                output = check(seen, run)
                assert re.search(r"\bhits=[0-9]+", output.text) and "internal error" not in output.text, (
                    way,
                    part,
                    output.text,
                )
                # The count of an event is the one number that is believed.
                if way[-1] != 2:
                    assert hits(output) in (1, 2), (way, part)

    def test_any_end_cut_off(self, seen: Host, run: Run) -> None:
        whole = seen.file.read_bytes()
        for size in range(0, len(whole), 7):
            seen.file.write_bytes(whole[:size])
            assert hits(check(seen, run)) == 1

    def test_newer_format(self, seen: Host, run: Run) -> None:
        newer = b'{"format": 2,\n "logs": "something else"}\n'
        seen.file.write_bytes(newer)
        forgets(seen, run, "was written by a later version of this suite, format 2, and is not changed")
        assert seen.file.read_bytes() == newer
        assert os.listdir(seen.state) == ["state.json"]

    def test_older_format(self, seen: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two formats back: both steps are taken, and the messages stay."""
        values = json.loads(seen.file.read_bytes())
        seen.file.write_text(json.dumps({"format": 1, "memories": values["logs"]}))
        monkeypatch.setattr(state, "FORMAT", 3)
        monkeypatch.setattr(
            state,
            "MIGRATIONS",
            {1: lambda old: {"history": old["memories"]}, 2: lambda old: {"logs": old["history"], "added": 7}},
        )
        output = check(seen, run)
        assert hits(output) == 2 and "remembered" not in output.text
        after = json.loads(seen.file.read_bytes())
        assert (after["format"], after["added"]) == (3, 7) and "memories" not in after

    @pytest.mark.slow
    def test_bounded(self, host: Host, run: Run) -> None:
        """Thousands of hits and many different requests leave a small file."""
        host.write()
        host.log.write_text(host.log.read_text() + line(HIT) * 3000)
        for number in range(1, 21):
            output = run("check_tcp_kernel_log", *host.arguments, "--lookback", f"{number}h")
            assert hits(output) == 3000
        assert host.file.stat().st_size < 400_000
