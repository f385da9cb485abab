"""The dashboards for Grafana are what their source says, fit its published schema, and can be read in both themes."""

from __future__ import annotations

import copy
import enum
import json
import pathlib
import runpy
import types
import typing
from collections.abc import Iterator
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


def luminance(colour: str) -> float:
    """Of #rrggbb, as WCAG has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", THEMES)
def test_contrast(theme: str) -> None:
    """Each colour is at least 3 to 1 against the background, which WCAG asks of graphs."""
    colours = {curve.colour for panel in GENERATE["PANELS"] for curve in panel.curves}
    colours |= {colour for panel in GENERATE["PANELS"] for _value, colour in panel.lines}
    colours |= {colour for fleet in GENERATE["FLEET"] for _value, colour in fleet.levels}
    for colour in colours:
        darker, lighter = sorted((luminance(colour), luminance(THEMES[theme])))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, colour


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
