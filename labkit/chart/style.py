"""How every chart looks: palette, type, and the axes and layout that figures share, as plotly's own JSON."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Okabe and Ito's colour-blind-safe hues (https://jfly.uni-koeln.de/color/), two of them darkened: white
# numbers on them reach a contrast of 4.5, they themselves 3 on white and on near-black.
MODE_COLOUR: Mapping[str, str] = {"iptables": "#c05200", "ipvs": "#0072b2", "nftables": "#00795a"}
OTHER_COLOUR = "#7f7f7f"
INK = "#24292f"
MUTED = "#59636e"
GRID = "#d8dee4"
PAPER = "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
ROW_PX = 24
TOP_PX = 112  # title, legend, the axis' heading and its ticks
LEGEND_PX = 46  # from the top edge to the legend's middle
AXIS_PX = 54  # the heading and its ticks alone
BOTTOM_PX = 12
CONFIG: Mapping[str, Any] = {"responsive": True, "displaylogo": False, "displayModeBar": False}


def mode_colour(mode: str) -> str:
    """Return the colour that stands for a mode in every chart."""
    return MODE_COLOUR.get(mode, OTHER_COLOUR)


def layout(title: str, rows: int) -> dict[str, Any]:
    """Return the layout of a chart with one line of `rows` for each run; axes are added by the caller."""
    height = TOP_PX + ROW_PX * rows + BOTTOM_PX
    return {
        "title": {
            "text": title,
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1 - 22 / height,
            "yanchor": "middle",
            "pad": {"l": 12},
            "font": {"size": 16, "weight": 600},
        },
        "font": {"family": FONT, "size": 13, "color": INK},
        "height": height,
        "margin": {"l": 8, "r": 20, "t": TOP_PX, "b": BOTTOM_PX},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "barmode": "overlay",
        "bargap": 0.3,
        "dragmode": False,
        "hoverlabel": {"font": {"family": FONT}},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1 - LEGEND_PX / height,
            "yref": "container",
            "yanchor": "middle",
            "font": {"size": 12},
            "itemclick": False,
            "itemdoubleclick": False,
        },
    }


def bare(drawing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the drawing without title and legend, for a page that has both as text of its own."""
    old = drawing["layout"]
    above = old["margin"]["t"] - AXIS_PX
    layout = {key: value for key, value in old.items() if key not in {"title", "legend"}} | {
        "height": old["height"] - above,
        "margin": old["margin"] | {"t": AXIS_PX, "r": 8},
        "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
    }
    data = [
        trace | {"showscale": False} if trace["type"] == "heatmap" else trace for trace in drawing["data"]
    ]
    return {"data": data, "layout": layout}


def row_axis(labels: Sequence[str]) -> dict[str, Any]:
    """Return the vertical axis: one label a row, the first row on top."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "range": [len(labels) - 0.4, -0.6],
        "automargin": True,
        "ticklabelstandoff": 8,
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
    }


def value_axis(title: str, ticks: Mapping[float, str]) -> dict[str, Any]:
    """Return a horizontal axis on top of the rows, like a table's heading, with exactly these ticks."""
    return {
        "title": {"text": title, "standoff": 6, "font": {"size": 13}},
        "side": "top",
        "tickmode": "array",
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
        "tickangle": 0,
        "tickfont": {"size": 12, "color": MUTED},
        "gridcolor": GRID,
        "showgrid": True,
        "zeroline": False,
        "fixedrange": True,
        "ticks": "",
    }


def even_ticks(limit: float) -> dict[float, str]:
    """Return about six ticks from 0 to `limit`, at round numbers."""
    power = 10.0 ** floor(log10(limit))
    step = power * next(part for part in (0.2, 0.5, 1, 2, 5) if limit / (part * power) <= 7)
    return {number * step: f"{number * step:g}" for number in range(int(limit / step) + 1)}
