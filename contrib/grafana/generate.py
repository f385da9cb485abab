"""Write the dashboards of this directory, one for each kind of data source, all from one source.

That source is ``PANELS`` and ``FLEET`` below. After a change run, in the checkout,

    .venv/bin/python contrib/grafana/generate.py
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

HERE = pathlib.Path(__file__).parent

# Each is at least 3 to 1 against both themes, and those of one panel are distinct to the colour-blind.
BLUE, GREEN, AMBER, RED, VIOLET, PLUM, GREY = "#0072b2 #009e73 #c08600 #b84030 #8840f0 #806080 #808080".split()


class Curve(NamedTuple):
    """One curve of one host, whatever it is stored in."""

    name: str
    check: str
    """The check command, which is also the service: ``tcp_orphans``."""
    label: str
    """Of the perfdata."""
    colour: str
    field: str = "value"
    """Or ``warn``, ``crit``, ``max``."""
    factor: float = 1
    rate: bool = False
    """Of a counter: its growth a minute, whatever range is looked at."""
    merged: str = "max"
    """What is shown of points that lie too close: ``max``, or ``min`` where the least is the worst."""
    look: str = "line"
    """Or ``area``, ``dashed``, ``bars``."""
    down_to: str = ""
    """The curve down to which the band below this one is filled."""
    right: bool = False
    """In percent, on an axis of its own."""


class Panel(NamedTuple):
    """Curves on one time axis."""

    title: str
    text: str
    curves: tuple[Curve, ...]
    every: int = 1
    """Minutes between two checks."""
    unit: str = "short"
    width: int = 12
    height: int = 8
    stacked: bool = False
    signed: bool = False
    """The axis may go below zero."""
    lines: tuple[tuple[float, str], ...] = ()
    """Levels that are the same on every host, in the order of their values: (value, colour)."""


def orphans(name: str, label: str, colour: str, **more: Any) -> Curve:
    return Curve(name, "tcp_orphans", label, colour, **more)


def memory(name: str, label: str, colour: str, **more: Any) -> Curve:
    return Curve(name, "tcp_mem", label, colour, **more)


def log(name: str, label: str, colour: str, **more: Any) -> Curve:
    return Curve(name, "tcp_kernel_log", label, colour, **more)


def limits(name: str, label: str, colour: str, **more: Any) -> Curve:
    return Curve(name, "tcp_limits", label, colour, **more)


BOTH, ONE, EVERY = "both penalties (25 %)", "one penalty (50 %)", "everyone (100 %)"

PANELS = (
    Panel(
        "Orphans, and whom the kernel resets",
        "Above 25 % of tcp_max_orphans sockets with both penalties are reset, above 50 % those with one, above 100 % all.",
        (
            orphans("orphans", "orphans", BLUE, look="area"),
            limits("peak of two weeks", "orphans_peak", PLUM, look="dashed"),
            orphans(BOTH, "orphans", AMBER, field="max", factor=0.25),
            orphans(ONE, "orphans", RED, field="max", factor=0.5, down_to=BOTH),
            orphans(EVERY, "orphans", VIOLET, field="max", down_to=ONE),
        ),
        width=24,
        height=10,
    ),
    Panel(
        "Resets a minute",
        "Growth of TCPAbortOnMemory, an average of the minutes in a bar.",
        (orphans("resets", "aborts_on_memory", RED, rate=True, look="bars"),),
        width=24,
        height=5,
    ),
    Panel(
        "Headroom",
        "Orphans that may still come before sockets are reset. Below zero they are.",
        (
            orphans("everyone (1x)", "headroom_1x", VIOLET, merged="min"),
            orphans("one penalty (2x)", "headroom_2x", RED, merged="min"),
            orphans("both penalties (4x)", "headroom_4x", AMBER, merged="min"),
        ),
        signed=True,
        lines=((0, GREY),),
    ),
    Panel(
        "Limit against peak",
        "The limit should be four times the peak.",
        (
            orphans("limit", "orphans", VIOLET, field="max"),
            limits("recommended", "orphans_recommended", GREEN, look="dashed"),
            limits("peak of two weeks", "orphans_peak", PLUM, look="area"),
        ),
        every=60,
    ),
    Panel(
        "TCP memory, pages",
        "Against the levels of tcp_mem: from pressure on the kernel makes buffers smaller, at the maximum it drops.",
        (
            memory("in use", "pages", BLUE, look="area"),
            memory("pressure", "pages", AMBER, field="warn"),
            memory("critical", "pages", RED, field="crit"),
            memory("maximum", "pages", VIOLET, field="max", look="dashed"),
        ),
    ),
    Panel(
        "Share of the machine's memory",
        "What TCP holds of it. WARNING above 50 %, CRITICAL above 75 %.",
        (memory("held by TCP", "memory_usage", BLUE, look="area"),),
        unit="percent",
        lines=((50, AMBER), (75, RED)),
    ),
    Panel(
        "Under pressure, a minute",
        "Receive queues made smaller, segments dropped for lack of memory; the log shows neither.",
        (
            memory("queues made smaller", "prune_called", AMBER, rate=True, look="bars"),
            memory("segments dropped", "rcvq_drop", RED, rate=True),
            memory("pressure phase (100 % is yes)", "under_pressure", VIOLET, factor=100, look="dashed", right=True),
        ),
    ),
    Panel(
        "Kernel messages of the last hour",
        "A lower bound of the resets. Where coverage is low, a zero means little.",
        (
            log("orphans", "orphan_hits", AMBER, look="area"),
            log("memory", "memory_hits", RED, look="area"),
            log("unclear", "unclear_hits", GREY, look="area"),
            log("coverage", "coverage", BLUE, merged="min", look="dashed", right=True),
        ),
        every=5,
        stacked=True,
    ),
    Panel(
        "Limits, share of the kernel's default",
        "WARNING below 50 %, CRITICAL below 10 %.",
        (
            limits("tcp_max_orphans", "orphans_limit_pct", BLUE, merged="min"),
            limits("tcp_mem", "mem_limit_pct", PLUM, merged="min", look="dashed"),
        ),
        every=60,
        unit="percent",
        width=24,
        height=6,
        lines=((10, RED), (50, AMBER)),
    ),
)


class Fleet(NamedTuple):
    """A table with a bar for each host, the worst first."""

    title: str
    text: str
    column: str
    unit: str
    levels: tuple[tuple[float | None, str], ...]
    """From which value on a bar has which colour."""
    top: float
    """Where the bar ends."""
    falling: bool
    """The worst are the largest."""
    queries: dict[str, tuple[str, str]]
    """By kind of data source: back to when values are looked at, and the query."""


FLEET = (
    Fleet(
        "Hosts, least headroom first",
        "Share of tcp_max_orphans in use. A click on a host shows its graphs below.",
        "in use",
        "percent",
        ((None, BLUE), (25, AMBER), (50, RED), (100, VIOLET)),
        100,
        True,
        {
            "graphite": (
                "1h",
                "sortBy(aliasByNode(icinga2.*.services.tcp_orphans.tcp_orphans.perfdata.usage.value, 1), 'last', true)",
            ),
            "influxdb": (
                "1h",
                'SELECT last("value") FROM "tcp_orphans" WHERE "metric" = \'usage\' AND $timeFilter GROUP BY "hostname"',
            ),
        },
    ),
    Fleet(
        "Limit below four times the peak",
        "tcp_max_orphans, in multiples of the peak of two weeks. A host that is not here has four or more, or no values.",
        "times the peak",
        "none",
        ((None, VIOLET), (1, RED), (2, AMBER)),
        4,
        False,
        {
            # The last of either is taken, as one is checked each minute and the other each hour.
            "graphite": (
                "3h",
                "sortBy(filterSeries(aliasByNode(applyByNode("
                "icinga2.*.services.tcp_limits.tcp_limits.perfdata.orphans_peak.value, 1, "
                '"divideSeries(keepLastValue(%.services.tcp_orphans.tcp_orphans.perfdata.orphans.max), '
                'keepLastValue(%.services.tcp_limits.tcp_limits.perfdata.orphans_peak.value))", "%"), 1), '
                "'last', '<', 4), 'last')",
            ),
            # One query cannot compare two measurements, so the peak is that of what was stored.
            "influxdb": (
                "14d",
                'SELECT "times" FROM (SELECT last("max") / max("value") AS "times" FROM "tcp_orphans" '
                'WHERE "metric" = \'orphans\' AND $timeFilter GROUP BY "hostname") WHERE "times" < 4 GROUP BY "hostname"',
            ),
        },
    ),
)


def graphite(text: str, name: str = "") -> dict[str, Any]:
    """A query of Graphite, with the name of its one curve."""
    return {"target": f"alias({text}, '{name}')" if name else text, "textEditor": True}


def influxdb(text: str, name: str = "$tag_hostname") -> dict[str, Any]:
    """A query of InfluxDB."""
    return {"query": text, "rawQuery": True, "resultFormat": "time_series", "alias": name}


def graphite_curve(curve: Curve) -> str:
    """The query of Graphite, for the names that GraphiteWriter gives by default."""
    text = f"icinga2.$host.services.{curve.check}.{curve.check}.perfdata.{curve.label}.{curve.field}"
    if curve.rate:
        # A straight line through empty slots: else the growth of five minutes would be that of one.
        text = f"scaleToSeconds(nonNegativeDerivative(interpolate({text}, 10)), 60)"
    else:
        text = f"consolidateBy({text}, '{curve.merged}')"
    if curve.factor != 1:
        text = f"scale({text}, {curve.factor})"
    return text


def influxql_curve(curve: Curve) -> str:
    """The query of InfluxDB, for the measurements and tags that InfluxdbWriter and Influxdb2Writer give by default."""
    value = f'{curve.merged}("{curve.field}")'
    if curve.rate:
        value = f"non_negative_derivative({value}, 1m)"
    if curve.factor != 1:
        value += f" * {curve.factor}"
    condition = f'"hostname" =~ /^${{host:regex}}$/ AND "metric" = \'{curve.label}\' AND $timeFilter'
    return f'SELECT {value} FROM "{curve.check}" WHERE {condition} GROUP BY time($__interval) fill(null)'


class Source(NamedTuple):
    """A kind of data source."""

    kind: str
    """Grafana's name of it, and a part of the file's."""
    title: str
    curve: Callable[[Curve], str]
    """The query of a curve."""
    target: Callable[..., dict[str, Any]]
    """The entry of a query, and of the name of its curve, in the dashboard."""
    hosts: dict[str, Any]
    """How the hosts are found."""


SOURCES = (
    Source(
        "graphite",
        "Graphite",
        graphite_curve,
        graphite,
        {"query": "expand(icinga2.*.services.tcp_orphans)", "regex": r"/^icinga2\.([^.]+)\./"},
    ),
    Source(
        "influxdb",
        "InfluxDB",
        influxql_curve,
        influxdb,
        {"query": 'SHOW TAG VALUES FROM "tcp_orphans" WITH KEY = "hostname"', "regex": ""},
    ),
)


def steps(base: str, lines: tuple[tuple[float, str], ...]) -> dict[str, Any]:
    """Levels as Grafana has them, the first without a value."""
    levels: list[tuple[float | None, str]] = [(None, base), *lines]
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in levels]}


def override(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """What holds for one curve, or one column."""
    listed = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def look(curve: Curve) -> dict[str, Any]:
    """The properties of a curve."""
    found: dict[str, Any] = {"color": {"mode": "fixed", "fixedColor": curve.colour}}
    if curve.look == "area":
        found["custom.fillOpacity"] = 45
    elif curve.look == "dashed":
        found["custom.lineStyle"] = {"fill": "dash", "dash": [8, 6]}
    elif curve.look == "bars":
        found |= {"custom.drawStyle": "bars", "custom.fillOpacity": 90}
    if curve.down_to:
        found |= {"custom.fillBelowTo": curve.down_to, "custom.fillOpacity": 14}
    if curve.right:
        found |= {"custom.axisPlacement": "right", "unit": "percent", "min": 0, "max": 100}
        found["custom.stacking"] = {"mode": "none", "group": "A"}
    return found


def graph(panel: Panel, source: Source) -> dict[str, Any]:
    custom = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "never",
        # Panels below each other keep their time axes in line.
        "axisWidth": 80,
        # As long as the check that is missed.
        "spanNulls": max(10, 3 * panel.every) * 60_000,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.lines else "off"},
    }
    defaults: dict[str, Any] = {"unit": panel.unit, "custom": custom, "thresholds": steps("transparent", panel.lines)}
    if not panel.signed:
        defaults["min"] = 0
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "interval": f"{panel.every}m",
        "targets": [source.target(source.curve(curve), curve.name) for curve in panel.curves],
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [override(curve.name, look(curve)) for curve in panel.curves],
        },
        "options": {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    }


def table(fleet: Fleet, source: Source) -> dict[str, Any]:
    link = f"/d/{uid(source)}?var-host=${{__value.text}}&${{datasource:queryparam}}&${{__url_time_range}}"
    since, query = fleet.queries[source.kind]
    levels = [{"value": value, "color": colour} for value, colour in fleet.levels]
    defaults = {
        "unit": fleet.unit,
        "decimals": 1,
        "min": 0,
        "max": fleet.top,
        "noValue": "no host",
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": levels},
    }
    bar = {"custom.cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}}
    host = {"custom.width": 220, "links": [{"title": "graphs", "url": link}]}
    return {
        "type": "table",
        "title": fleet.title,
        "description": fleet.text,
        "timeFrom": since,
        "interval": "1m",
        "targets": [source.target(query)],
        # Each series becomes a row: its name, and its last value.
        "transformations": [
            {"id": "reduce", "options": {"reducers": ["lastNotNull"], "mode": "seriesToRows"}},
            {"id": "organize", "options": {"renameByName": {"Field": "host", "Last *": fleet.column}}},
        ],
        "fieldConfig": {"defaults": defaults, "overrides": [override("host", host), override(fleet.column, bar)]},
        "options": {
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [{"displayName": fleet.column, "desc": fleet.falling}],
        },
    }


def row(title: str) -> dict[str, Any]:
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def placed(source: Source) -> Iterator[dict[str, Any]]:
    """The panels, each with its place in a grid of 24 columns."""
    parts = [(row("All hosts"), 24, 1), *((table(fleet, source), 12, 9) for fleet in FLEET), (row("$host"), 24, 1)]
    parts += [(graph(panel, source), panel.width, panel.height) for panel in PANELS]
    across, down = 0, 0
    for number, (panel, width, height) in enumerate(parts, 1):
        if panel["type"] != "row":
            panel["datasource"] = {"type": source.kind, "uid": "${datasource}"}
            panel["targets"] = [
                {"refId": chr(ord("A") + index), "datasource": panel["datasource"], **target}
                for index, target in enumerate(panel["targets"])
            ]
        yield {"id": number, **panel, "gridPos": {"x": across, "y": down, "w": width, "h": height}}
        across = (across + width) % 24
        down += 0 if across else height


def uid(source: Source) -> str:
    return f"tcp-headroom-{source.kind}"


def dashboard(source: Source) -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    where = {"type": source.kind, "uid": "${datasource}"}
    return {
        "uid": uid(source),
        "title": f"TCP headroom ({source.title})",
        "description": "Orphans, memory and limits of TCP, of all hosts and of one. By contrib/grafana/generate.py.",
        "tags": ["tcp-headroom", "icinga"],
        "schemaVersion": 39,
        "editable": True,
        # One line through all graphs at the time of the pointer.
        "graphTooltip": 1,
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "templating": {
            "list": [
                {"type": "datasource", "name": "datasource", "label": "data source", "query": source.kind},
                {"type": "query", "name": "host", "datasource": where, "refresh": 2, "sort": 1, **source.hosts},
            ]
        },
        "panels": list(placed(source)),
    }


def files() -> Iterator[tuple[pathlib.Path, str]]:
    """The files of this directory, with their contents."""
    for source in SOURCES:
        text = json.dumps(dashboard(source), indent=1, ensure_ascii=False) + "\n"
        yield HERE / f"tcp-headroom-{source.kind}.json", text


if __name__ == "__main__":
    for path, text in files():
        path.write_text(text)
