"""Where everything stands in a ladder: steps and words -> rows, lanes and threads, in pixels. Pure.

The lanes are on the left, one for each namespace in the order of the way; one row for each step; what there
is to say stands beside the lanes, never in them. A packet's thread runs through the lanes from step to step
and looks different while it carries the Service's address and while it carries the pod's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labkit.chart.journey_facts import footer_of, pod_address, service_address, subtitle_of, title_of
from labkit.chart.ladder_steps import journey_lanes, journey_steps
from labkit.chart.ladder_words import Narrator
from labkit.chart.svg import Box, width_px, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.chart.ladder_steps import Step
    from labkit.chart.ladder_words import Change, Words
    from labkit.measure.journey.events import Headers, Lane
    from labkit.measure.journey.journey import Journey
    from labkit.measure.journey.levels import Level

WIDTH_PX = 920.0
EDGE_PX = 16.0
LANE_PX = (66.0, 108.0)  # the least and the most room of a lane
LANES_PART = 0.44  # of the width, at most, while lanes have their least room
WORDS_PX = 400.0  # at least
HEADS_Y = 92.0
HEAD_PX = 42.0
PAD_PX = 9.0
CODE_LINES = 4
STEPS_SHOWN = 400  # more would make a notebook heavy
NUMBER_PX = 30.0
SECTION_PX = 34.0
LINE_PX = {"title": 19.0, "change": 19.0, "code": 16.0, "note": 17.0}

Carries = Literal["service", "pod", "other"]
LineKind = Literal["title", "change", "code", "note"]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a row's words; `y` is its baseline. A change of address comes with its parts."""

    kind: LineKind
    words: str
    y: float
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One step: its number from 1, the lane's point where its mark stands, its words."""

    number: int
    step: Step
    words: Words
    box: Box
    mark: Point
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Thread:
    """A piece of a packet's way, drawn with step `number`.

    `arrow`: it ends in another lane; `turn`: an address was rewritten where it begins.
    """

    number: int
    points: tuple[Point, ...]
    carries: Carries
    arrow: bool = False
    label: str = ""
    turn: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading between rows: which packet the following steps are about."""

    words: str
    y: float


@dataclass(frozen=True, slots=True)
class LaneHead:
    """A lane: its box on top, and the x of its line."""

    lane: Lane
    box: Box


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """The whole picture."""

    width: float
    height: float
    title: str
    subtitle: str
    footer: str
    words_x: float
    heads: tuple[LaneHead, ...]
    sections: tuple[Section, ...]
    rows: tuple[Row, ...]
    threads: tuple[Thread, ...]
    target: str
    pod: str


def plan_ladder(journey: Journey, level: Level = "summary") -> LadderPlan:
    """Return where everything of a journey's ladder stands. RequestError for a level that there is not."""
    every, lanes = journey_steps(journey, level), journey_lanes(journey, level)
    steps = every[:STEPS_SHOWN]
    narrator, target = Narrator(journey), service_address(journey)
    pitch = min(LANE_PX[1], max(LANE_PX[0], LANES_PART * WIDTH_PX / max(len(lanes), 1)))
    words_x = EDGE_PX + pitch * len(lanes) + 8
    width = max(WIDTH_PX, words_x + WORDS_PX + EDGE_PX)
    heads = tuple(
        LaneHead(lane, Box(EDGE_PX + number * pitch + 3, HEADS_Y, pitch - 6, HEAD_PX))
        for number, lane in enumerate(lanes)
    )
    columns = [head.box.middle for head in heads]
    sections, rows = _rows(steps, narrator, columns, words_x, width)
    bottom = max((row.box.bottom for row in rows), default=HEADS_Y + HEAD_PX) + 8
    return LadderPlan(
        width,
        bottom + 34,
        title_of(journey),
        subtitle_of(journey),
        footer_of(journey, len(every) - len(steps)),
        words_x,
        heads,
        sections,
        rows,
        tuple(_threads(rows, columns, target, narrator)),
        target,
        pod_address(journey),
    )


def _rows(
    steps: Sequence[Step], narrator: Narrator, columns: Sequence[float], words_x: float, width: float
) -> tuple[tuple[Section, ...], tuple[Row, ...]]:
    """Return the headings and rows from top to bottom."""
    sections, rows, y, told = [], [], HEADS_Y + HEAD_PX + 6, ""
    for number, step in enumerate(steps, 1):
        heading = _heading(step, narrator)
        if heading != told:
            sections.append(Section(heading, y + 22))
            y, told = y + SECTION_PX, heading
        words = narrator.words(step)
        room = width - words_x - NUMBER_PX - EDGE_PX
        lines, height = _lines(words, room, y + PAD_PX)
        box = Box(EDGE_PX / 2, y, width - EDGE_PX, height + 2 * PAD_PX)
        rows.append(Row(number, step, words, box, (columns[step.at], y + PAD_PX + 9), lines))
        y = box.bottom
    return tuple(sections), tuple(rows)


def _heading(step: Step, narrator: Narrator) -> str:
    if step.kind in {"pass", "more"}:
        return "Later packets of the connection"
    way = "request" if step.direction == "request" else "reply"
    return f"{narrator.packet_name(step.packet)}, {way}" if step.packet else "Before the first packet"


def _lines(words: Words, room: float, top: float) -> tuple[tuple[Line, ...], float]:
    """Return the lines of a row's words from `top` down, and how high they are together."""
    lines: list[Line] = []
    y = top
    for kind, text, change in _contents(words, room):
        after_code = lines and lines[-1].kind == "code" and kind != "code"
        before_code = kind == "code" and not (lines and lines[-1].kind == "code")
        y += 6 if after_code or before_code else 0
        lines.append(Line(kind, text, y + LINE_PX[kind] - 5, change))
        y += LINE_PX[kind]
    return tuple(lines), y - top + (5 if lines[-1].kind == "code" else 0)


def _contents(words: Words, room: float) -> Iterator[tuple[LineKind, str, Change | None]]:
    start = width_px(f"{words.where}  ")
    first, *others = wrapped(words.title, room - start, weight=600) or [""]
    yield "title", first, None
    for more in wrapped(" ".join(others), room, weight=600):
        yield "title", more, None
    for change in words.changes:
        yield "change", change.before, change
    code = wrapped(words.code, room - 16, 11.5, mono=True)
    if len(code) > CODE_LINES:
        code = [*code[: CODE_LINES - 1], f"{code[CODE_LINES - 1][:-2]} …"]
    for line in code:
        yield "code", line, None
    for line in wrapped(words.note, room, 12.5):
        yield "note", line, None


def _threads(
    rows: Sequence[Row], columns: Sequence[float], target: str, narrator: Narrator
) -> Iterator[Thread]:
    """Yield the pieces of each packet's way, in the order of the rows."""
    last: dict[int, tuple[Point, Carries]] = {}
    asked = (row.step for row in rows if row.step.kind == "nat" and row.step.direction == "request")
    rewriters = list(dict.fromkeys(step.at for step in asked))
    for row in rows:
        step, mark = row.step, row.mark
        if step.kind in {"pass", "more"}:
            yield from _passing(row, columns, narrator, rewriters)
            continue
        if step.kind in {"socket", "conntrack"} or not step.packet:
            continue
        before = carried(step.event.before, step.direction, target)
        point, carries = last.get(step.packet, ((columns[step.start], mark[1]), before or "other"))
        if step.kind == "hop":
            carries = before or carries
            corner = (columns[step.start], mark[1])
            label = narrator.packet_name(step.packet)
            if point[1] < corner[1]:
                yield Thread(row.number, (point, corner), carries)
            yield Thread(row.number, (corner, mark), carries, arrow=True, label=label)
        elif point != mark:
            yield Thread(row.number, ((mark[0], point[1]), mark), carries)
        after = carried(step.event.after, step.direction, target) if step.kind == "nat" else None
        last[step.packet] = (mark, after or carries)


def _passing(
    row: Row, columns: Sequence[float], narrator: Narrator, rewriters: Sequence[int]
) -> Iterator[Thread]:
    """Yield a later packet's way, which changes where the first packet's addresses were rewritten."""
    step, y = row.step, row.mark[1]
    start, end = columns[step.start], row.mark[0]
    label = narrator.packet_name(step.packet) if step.kind == "pass" else ""
    near: Carries = "service" if step.direction == "request" else "pod"
    far: Carries = "pod" if step.direction == "request" else "service"
    turns = [columns[lane] for lane in rewriters]
    if not turns:
        yield Thread(row.number, ((start, y), (end, y)), "pod", arrow=True, label=label)
    elif start == end:  # a pod that reaches itself: there and back
        yield Thread(row.number, ((start, y - 4), (turns[0], y - 4)), near, label=label)
        yield Thread(row.number, ((turns[0], y + 5), (end, y + 5)), far, arrow=True, turn=True)
    elif turns[0] in {start, end}:  # a node that asks rewrites itself
        yield Thread(row.number, ((start, y), (end, y)), "pod", arrow=True, label=label)
    else:
        yield Thread(row.number, ((start, y), (turns[0], y)), near, label=label)
        yield Thread(row.number, ((turns[0], y), (end, y)), far, arrow=True, turn=True)


def carried(headers: Headers | None, direction: str, target: str) -> Carries | None:
    """Return whose address a packet carries at the Service's end; None where nobody knows."""
    if headers is None:
        return None
    if headers.protocol == "ICMP":
        return "other"
    end = headers.destination if direction == "request" else headers.source
    return "service" if end == target else "pod"
