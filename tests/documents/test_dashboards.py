"""The dashboards for Grafana are what their source says, fit its published schema, and can be read in both themes."""

from __future__ import annotations

import copy
import enum
import itertools
import json
import math
import pathlib
import runpy
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from workbench.command import CONTRIB

GENERATE = runpy.run_path(str(CONTRIB / "grafana/generate.py"))
MADE: dict[pathlib.Path, str] = dict(GENERATE["files"]())
DASHBOARDS = [pytest.param(json.loads(text), id=path.name) for path, text in MADE.items()]
THEMES = {"light": "#ffffff", "dark": "#181b1f"}
"""Background of a panel."""
SIMPLE: dict[Any, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int,), float: (int, float)}


def test_made_from_the_source() -> None:
    """After a change, tests/renew writes them again."""
    assert {path: path.read_text() for path in (CONTRIB / "grafana").glob("*.json")} == MADE


def properties(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panel as it is for each of its curves and columns: an override is any value to the schema, a default is not."""
    for override in panel.get("fieldConfig", {}).get("overrides", ()):
        changed = copy.deepcopy(panel)
        for entry in override["properties"]:
            place = changed["fieldConfig"]["defaults"]
            *above, last = entry["id"].split(".")
            for key in above:
                place = place.setdefault(key, {})
            place[last] = entry["value"]
        yield changed


def assert_fits(value: Any, hint: Any, where: str) -> None:
    """``value``, of JSON or a model of the schema, is of the type that the schema says, in each of its parts."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        model = hint.from_json(value)
        unknown = set(value) - set(model.to_json())
        assert not unknown, f"{where}: {unknown}"
        value = model
    if hasattr(value, "to_json") and hasattr(type(value), "from_json"):
        for name, part in typing.get_type_hints(type(value)).items():
            assert_fits(getattr(value, name), part, f"{where}.{name}")
    elif origin in (typing.Union, types.UnionType):
        refused = []
        for choice in inner:
            try:
                return assert_fits(value, choice, where)
            except (AssertionError, ValueError, TypeError) as error:
                refused.append(str(error))
        raise AssertionError(f"{where}: {refused}")
    elif origin is list:
        assert isinstance(value, list), where
        for index, part in enumerate(value):
            assert_fits(part, inner[0], f"{where}[{index}]")
    elif origin is typing.Literal:
        assert value in inner, f"{where}: {value!r}"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        hint(value)
    elif hint in SIMPLE:
        assert isinstance(value, SIMPLE[hint]) and (hint is bool) == isinstance(value, bool), f"{where}: {value!r}"
    elif hint is type(None):
        assert value is None, where


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_fits_the_published_schema(dashboard: dict[str, Any]) -> None:
    """No field that Grafana does not know, no value of another type."""
    reason = "no schema: pip install grafana-foundation-sdk, which needs Python 3.11"
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason=reason)
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    assert_fits(dashboard, models.Dashboard, "dashboard")
    for panel in dashboard["panels"]:
        for changed in properties(panel):
            assert_fits(changed, models.Panel, panel["title"])
            custom = changed["fieldConfig"]["defaults"]["custom"]
            assert set(custom) <= set(_known(models.Panel.from_json(changed))), panel["title"]


def _known(panel: Any) -> dict[str, Any]:
    found: dict[str, Any] = panel.field_config.defaults.custom.to_json()
    return found


@pytest.mark.parametrize("wrong", [
    {"graphTooltip": 7}, {"titel": ""}, {"time": {"from": 1, "to": "now"}}, {"panels": [{"type": "table", "links": [{"urll": ""}]}]},
    {"panels": [{"type": "timeseries", "fieldConfig": {"defaults": {"custom": {"drawStyle": "bar"}}, "overrides": []}}]},
], ids=str)  # fmt: skip
def test_the_schema_is_held(wrong: dict[str, Any]) -> None:
    """The check above does refuse."""
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="see above")
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    with pytest.raises((AssertionError, ValueError)):
        assert_fits(wrong, models.Dashboard, "dashboard")


def linear(colour: str) -> list[float]:
    """Red, green and blue of #rrggbb, in proportion to light."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def weighed(weights: Sequence[Sequence[float]], parts: list[float]) -> list[float]:
    return [sum(weight * part for weight, part in zip(line, parts)) for line in weights]


def luminance(colour: str) -> float:
    (found,) = weighed(CIE_XYZ[1:2], linear(colour))
    return found


def lab(colour: str, sight: str) -> list[float]:
    """In CIELAB, as somebody with this sight sees it."""
    seen = [min(1.0, max(0.0, part)) for part in weighed(SIGHT[sight], linear(colour))]
    x, y, z = (part / white for part, white in zip(weighed(CIE_XYZ, seen), (0.9505, 1, 1.089)))
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


CIE_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
SIGHT = {
    "ordinary": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""The model of Machado, Oliveira and Fernandes (2009), at full severity."""

TOGETHER = [
    {curve.colour for curve in panel.curves} | {line[1] for line in panel.lines} for panel in GENERATE["PANELS"]
]
TOGETHER += [{level[1] for level in fleet.levels} for fleet in GENERATE["FLEET"]]
"""Colours of one panel."""


@pytest.mark.parametrize("theme", THEMES)
def test_contrast(theme: str) -> None:
    """Each colour is at least 3 to 1 against the background, which WCAG asks of graphs."""
    for colour in set().union(*TOGETHER):
        darker, lighter = sorted((luminance(colour), luminance(THEMES[theme])))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, colour


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_distinct(sight: str) -> None:
    """Those of one panel, by the distance of CIE 1976, of which 2 can just be seen side by side."""
    for colours in TOGETHER:
        for one, other in itertools.combinations(sorted(colours), 2):
            assert math.dist(lab(one, sight), lab(other, sight)) >= 20, (one, other)


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_laid_out(dashboard: dict[str, Any]) -> None:
    """No two panels on one place, none outside the 24 columns; a band is filled down to a curve of its panel."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        across = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in across for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and across.stop <= 24
        taken |= cells
        names = {override["matcher"]["options"] for override in panel.get("fieldConfig", {}).get("overrides", ())}
        for changed in properties(panel):
            assert changed["fieldConfig"]["defaults"].get("custom", {}).get("fillBelowTo") in names | {None}
