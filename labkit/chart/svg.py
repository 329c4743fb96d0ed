"""SVG for our own diagrams: paints that follow JupyterLab's theme, text of known width, shapes. Pure.

A paint is written as an attribute, so that the picture is right wherever it is opened, and as a class, by
which the picture's own style sheet changes it where JupyterLab's theme is dark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from labkit.chart import style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
MONO_EM = 0.605  # the width of a letter: DejaVu Sans Mono's and Menlo's, Consolas is narrower

Paint = Literal["ink", "muted", "line", "panel", "paper", "mark", "service", "pod", "bad", "none"]
Anchor = Literal["start", "middle", "end"]

# (light, dark). Text on paper, panel and mark reaches a contrast of 4.5; blue against orange survives every
# kind of colour blindness.
PAINTS: Mapping[Paint, tuple[str, str]] = MappingProxyType(
    {
        "ink": (style.INK, "#e6edf3"),
        "muted": (style.MUTED, "#a3adb8"),
        "line": ("#c4ccd4", "#4a535d"),
        "panel": ("#f4f6f8", "#1b2129"),
        "paper": (style.PAPER, "#111111"),
        "mark": ("#fff1bf", "#463a07"),
        "service": ("#0a5ea8", "#79b8ff"),
        "pod": ("#a84300", "#ffab70"),
        "bad": ("#b3261e", "#ff9492"),
        "none": ("none", "none"),
    }
)
# DejaVu Sans' letters by their width in hundredths of an em; its bold ones are about so much wider.
_EM: Mapping[str, float] = MappingProxyType(
    {
        letter: hundredths / 100
        for hundredths, letters in (
            (29, "'ijlIJ"),
            (33, " ,.·/:;\\|f"),
            (40, "-()[]t!r"),
            (50, '"*_`'),
            (53, "sz?"),
            (56, "cL"),
            (59, "Fkvxy"),
            (62, "PTYaoe"),
            (64, "ESbdghnpqu$0123456789{}"),
            (69, "KAVBRXZ"),
            (75, "CUHN"),
            (79, "DG&OQ"),
            (84, "w#+<=>^~→✓"),
            (87, "M"),
        )
        for letter in letters
    }
)
BOLD = 1.13
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
DARK = '[data-jp-theme-light="false"]'


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """Halfway from left to right."""
        return self.x + self.width / 2

    @property
    def middle_y(self) -> float:
        """Halfway from top to bottom."""
        return self.y + self.height / 2

    def holds(self, other: Box) -> bool:
        """Say whether the other box lies in this one."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def overlaps(self, other: Box) -> bool:
        """Say whether the two share a point inside."""
        return (
            self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom
        )


def picture(width: float, height: float, title: str, alt: str, parts: Iterable[str]) -> str:
    """Return one <svg> of the parts on paper: as wide as its place, described by `title` and `alt`."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'class="labkit" style="display:block;width:100%;max-width:{width:g}px;height:auto" '
        f'font-family="{escape(style.FONT)}" font-size="13">'
        f"<title>{written(title)}</title><desc>{written(alt)}</desc>{style_sheet()}"
        f"{rect(Box(0, 0, width, height), fill='paper')}{''.join(parts)}</svg>"
    )


def style_sheet() -> str:
    """Return the <style> that changes the paints where JupyterLab's theme is dark."""
    rules = [
        f"{DARK} .labkit .{kind[0]}-{name}{{{kind}:{dark}}}"
        for name, (_, dark) in PAINTS.items()
        for kind in ("fill", "stroke")
        if name != "none"
    ]
    return f"<style>{''.join(rules)}</style>"


def painted(fill: Paint = "none", stroke: Paint | None = None) -> str:
    """Return the attributes for these paints."""
    colours = f'fill="{PAINTS[fill][0]}"' + (f' stroke="{PAINTS[stroke][0]}"' if stroke else "")
    return f'{colours} class="f-{fill}{f" s-{stroke}" if stroke else ""}"'


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 13,
    anchor: Anchor = "start",
    paint: Paint = "ink",
    weight: int = 400,
    mono: bool = False,
    halo: bool = False,
) -> str:
    """Return one line of text whose baseline begins (or has its middle, or ends) at (x, y).

    A `halo` of paper parts it from the lines that it stands on.
    """
    family = f' font-family="{escape(MONO)}"' if mono else ""
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    around = ' stroke-width="4" paint-order="stroke" stroke-linejoin="round"' if halo else ""
    colours = painted(paint, "paper" if halo else None)
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{side}{bold}{family}{around} {colours}>'
        f"{written(words)}</text>"
    )


def rect(
    box: Box,
    *,
    fill: Paint = "none",
    stroke: Paint | None = None,
    radius: float = 0,
    dash: str = "",
    width: float = 1,
) -> str:
    """Return a rectangle."""
    round_ = f' rx="{radius:g}"' if radius else ""
    line = (f' stroke-width="{width:g}"' if stroke and width != 1 else "") + _dash(dash)
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        f"{round_}{line} {painted(fill, stroke)}/>"
    )


def path(points: Sequence[tuple[float, float]], *, stroke: Paint, width: float = 1, dash: str = "") -> str:
    """Return a line through the points, in pixels."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return (
        f'<path d="M{steps}" stroke-width="{width:g}" stroke-linejoin="round"{_dash(dash)} '
        f"{painted('none', stroke)}/>"
    )


def outline(d: str, *, fill: Paint = "none", stroke: Paint | None = None, width: float = 1) -> str:
    """Return the shape that a path's data describe."""
    line = f' stroke-width="{width:g}"' if stroke else ""
    return f'<path d="{d}"{line} {painted(fill, stroke)}/>'


def width_px(words: str, size: float = 13, *, mono: bool = False, weight: int = 400) -> float:
    """Return how wide text is at most, in pixels: by DejaVu Sans, the widest of the fonts we name."""
    if mono:
        return len(words) * MONO_EM * size
    return sum(_EM.get(letter, 1.0) for letter in words) * size * (BOLD if weight >= 600 else 1)


def written(words: str) -> str:
    """Return the words as XML holds them: its own signs escaped, what it cannot hold replaced."""
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", words), quote=False)


def wrapped(
    words: str, room_px: float, size: float = 13, *, mono: bool = False, weight: int = 400
) -> list[str]:
    """Return the words in lines that fit; a word that is too long for a line is cut where it must be."""
    lines: list[str] = []
    for word in words.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and width_px(joined, size, mono=mono, weight=weight) <= room_px:
            lines[-1] = joined
            continue
        rest = word
        while width_px(rest, size, mono=mono, weight=weight) > room_px and len(rest) > 1:
            cut = next(
                at
                for at in range(len(rest) - 1, 0, -1)
                if at == 1 or width_px(rest[:at], size, mono=mono, weight=weight) <= room_px
            )
            lines.append(rest[:cut])
            rest = rest[cut:]
        lines.append(rest)
    return lines


def clipped(words: str, room_px: float, size: float = 13, *, mono: bool = False, weight: int = 400) -> str:
    """Return the words, without as much of their middle (an ellipsis stands there) as they need to fit."""
    if width_px(words, size, mono=mono, weight=weight) <= room_px:
        return words
    kept = len(words) - 1
    while kept > 1:
        head = (kept + 1) // 2
        short = f"{words[:head].rstrip(' .-')}…{words[len(words) - (kept - head) :].lstrip(' .-')}"
        if width_px(short, size, mono=mono, weight=weight) <= room_px:
            return short
        kept -= 1
    return "…"


def _dash(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""
