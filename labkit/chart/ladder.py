"""A journey as a ladder: a still <svg> with all its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.ladder_marks import mark
from labkit.chart.ladder_plan import EDGE_PX, HEAD_PX, HEADS_Y, NUMBER_PX, plan_ladder
from labkit.chart.ladder_words import ARROW
from labkit.chart.svg import (
    MONO_EM,
    Box,
    clipped,
    outline,
    path,
    picture,
    rect,
    text,
    width_px,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labkit.chart.ladder_plan import Carries, LadderPlan, LaneHead, Line, Row, Section, Thread
    from labkit.chart.ladder_steps import StepKind
    from labkit.chart.svg import Paint
    from labkit.measure.journey.journey import Journey
    from labkit.measure.journey.levels import Level

THREAD: dict[Carries, tuple[Paint, str]] = {
    "service": ("service", "6 4"),
    "pod": ("pod", ""),
    "other": ("muted", "2 3"),
}
CHANGE_PX, CODE_PX = 12.0, 11.5
LABEL_PX = 36.0  # from a lane to the middle of a packet's name
LABEL_ROOM_PX = 62.0
THREAD_KEY: tuple[tuple[Carries, str], ...] = (
    ("service", "carries the Service's address"),
    ("pod", "carries the pod's address"),
)
MARK_KEY: tuple[tuple[StepKind, str], ...] = (
    ("choice", "the pod is chosen"),
    ("nat", "an address is rewritten"),
)


def ladder_svg(journey: Journey, level: Level = "summary") -> str:
    """Return the ladder of a journey as one <svg>, its text included.

    Raises RequestError for a level that there is not.
    """
    plan = plan_ladder(journey, level)
    return draw_ladder(plan, ladder_alt(plan))


def ladder_alt(plan: LadderPlan) -> str:
    """Return the ladder in one sentence or two: who asked, who answered, where addresses were rewritten."""
    rewritten = [
        f"on {row.words.where} the {one.what} {one.before} becomes {one.after}"
        for row in plan.rows
        if row.step.kind == "nat"
        for one in row.words.changes
        if one.after
    ]
    chosen = [f"on {row.words.where} {row.words.title}" for row in plan.rows if row.step.kind == "choice"]
    told = "; ".join([*chosen, *rewritten])
    return (
        f"{plan.title}, in {len(plan.rows)} steps. "
        + (f"{told[0].upper()}{told[1:]}. " if told else "")
        + plan.footer
    )


def draw_ladder(plan: LadderPlan, alt: str) -> str:
    """Return the picture of a planned ladder, which `alt` describes."""
    room = plan.width - 2 * EDGE_PX
    bottom = max((row.box.bottom for row in plan.rows), default=HEADS_Y + HEAD_PX)
    threads: dict[int, list[Thread]] = {}
    for thread in plan.threads:
        threads.setdefault(thread.number, []).append(thread)
    parts = [
        text(EDGE_PX, 27, clipped(plan.title, room, 17, weight=600), size=17, weight=600),
        text(EDGE_PX, 46, clipped(plan.subtitle, room, 12.5), size=12.5, paint="muted"),
        *_key(plan),
        *(_machine(head, bottom + 8) for head in plan.heads if head.lane.kind == "node"),
        *(_band(row) for row in plan.rows),
        *(_lane(head, bottom + 8) for head in plan.heads),
        *(_leader(row, plan) for row in plan.rows),
        *(_section(section, plan) for section in plan.sections),
        *(_threads(number, pieces) for number, pieces in threads.items()),
        *(_row(row, plan) for row in plan.rows),
        text(EDGE_PX, plan.height - 14, clipped(plan.footer, room, 12.5), size=12.5),
    ]
    return picture(plan.width, plan.height, plan.title, alt, parts)


def _key(plan: LadderPlan) -> Iterator[str]:
    """Yield what threads and marks mean, of those that are in the picture."""
    x, y = EDGE_PX, 70.0
    carried = {thread.carries for thread in plan.threads}
    kinds = {row.step.kind for row in plan.rows}
    for carries, words in THREAD_KEY:
        if carries not in carried:
            continue
        paint, dash = THREAD[carries]
        yield path([(x, y - 4), (x + 26, y - 4)], stroke=paint, width=3, dash=dash)
        yield text(x + 33, y, words, size=12, paint="muted")
        x += 33 + width_px(words, 12) + 22
    for kind, words in MARK_KEY:
        if kind not in kinds:
            continue
        yield mark(kind, (x + 10, y - 4))
        yield text(x + 25, y, words, size=12, paint="muted")
        x += 25 + width_px(words, 12) + 22


def _machine(head: LaneHead, bottom: float) -> str:
    """Return the ground of a node's lane: what happens on it happens in one machine."""
    box = head.box
    return rect(Box(box.middle - 22, box.bottom - 4, 44, bottom - box.bottom), fill="panel")


def _lane(head: LaneHead, bottom: float) -> str:
    box, lane = head.box, head.lane
    line = path([(box.middle, box.bottom), (box.middle, bottom)], stroke="line")
    frame = rect(box, fill="panel" if lane.kind == "node" else "paper", stroke="line", radius=6)
    shown = clipped(lane.namespace, box.width - 8, 12.5, weight=600)
    name = text(box.middle, box.y + 18, shown, size=12.5, anchor="middle", weight=600)
    kind = text(box.middle, box.y + 33, lane.kind, size=11, anchor="middle", paint="muted")
    return line + frame + name + kind


def _section(section: Section, plan: LadderPlan) -> str:
    x = plan.words_x
    words = text(x, section.y, section.words, size=12, paint="muted", weight=600)
    end = x + width_px(section.words, 12, weight=600) + 10
    return words + path([(end, section.y - 4), (plan.width - EDGE_PX, section.y - 4)], stroke="line")


def _band(row: Row) -> str:
    """Return what lies under a row: yellow where an address is rewritten."""
    is_nat = row.step.kind == "nat" and any(one.after for one in row.words.changes)
    box = Box(row.box.x, row.box.y + 1, row.box.width, row.box.height - 2)
    return f'<g data-band="{row.number}">{rect(box, fill="mark" if is_nat else "none", radius=6)}</g>'


def _leader(row: Row, plan: LadderPlan) -> str:
    (x, y), end = row.mark, plan.words_x + 4
    return path([(x + 14, y), (end, y)], stroke="line", dash="1 4")


def _threads(number: int, pieces: Iterable[Thread]) -> str:
    return f'<g data-thread="{number}">{"".join(map(_thread, pieces))}</g>'


def _row(row: Row, plan: LadderPlan) -> str:
    x, y = row.mark
    number = text(
        plan.words_x + NUMBER_PX - 10,
        row.lines[0].y,
        str(row.number),
        size=12,
        anchor="end",
        paint="muted",
        mono=True,
    )
    parts = [mark(row.step.kind, row.mark), number, *_words(row, plan)]
    return f'<g data-step="{row.number}" data-x="{x:.1f}" data-y="{y:.1f}">{"".join(parts)}</g>'


def _thread(thread: Thread) -> str:
    paint, dash = THREAD[thread.carries]
    start, end = thread.points
    turn = mark("nat", start) if thread.turn else ""
    label = ""
    if thread.label:
        at = start[0] + (LABEL_PX if end[0] > start[0] else -LABEL_PX)
        fits = width_px(thread.label, 10.5, weight=600) < LABEL_ROOM_PX
        name = thread.label if fits else thread.label.split()[0]
        label = text(at, start[1] - 7, name, size=10.5, anchor="middle", weight=600, halo=True)
    if not thread.arrow:
        return path([start, end], stroke=paint, width=3, dash=dash) + label
    way = 1 if end[0] > start[0] else -1
    tip = end[0] - way * 9
    line = path([start, (tip - way * 7, end[1])], stroke=paint, width=3, dash=dash)
    head = outline(f"M{tip:.1f} {end[1]:.1f}l{-10 * way} -5.5v11z", fill=paint)
    return line + head + turn + label


def _words(row: Row, plan: LadderPlan) -> Iterator[str]:
    x = plan.words_x + NUMBER_PX
    code = [line for line in row.lines if line.kind == "code"]
    if code:
        room = plan.width - EDGE_PX - x
        box = Box(x, code[0].y - 15.5, room, 16 * len(code) + 8)
        yield rect(box, fill="paper", stroke="ink" if row.step.kind == "choice" else "line", radius=4)
    for number, line in enumerate(row.lines):
        match line.kind:
            case "title":
                yield _title(row, line, x) if number == 0 else text(x, line.y, line.words, weight=600)
            case "change":
                yield from _change(line, x, plan)
            case "code":
                yield text(x + 8, line.y, line.words, size=CODE_PX, mono=True)
            case "note":
                yield text(x, line.y, line.words, size=12.5, paint="muted")


def _title(row: Row, line: Line, x: float) -> str:
    paint: Paint = "bad" if row.step.kind == "drop" else "ink"
    where = text(x, line.y, row.words.where, paint="muted")
    return where + text(x + width_px(f"{row.words.where}  "), line.y, line.words, weight=600, paint=paint)


def _change(line: Line, x: float, plan: LadderPlan) -> Iterator[str]:
    change = line.change
    if change is None:
        return
    if change.what:
        yield text(x, line.y, change.what, size=CHANGE_PX, paint="muted")
        x += 82
    if not change.after:
        yield from _ends(change.before, x, line.y, plan)
        return
    wide = len(change.before) * MONO_EM * CHANGE_PX
    yield _address(change.before, x, line.y, plan)
    yield path([(x, line.y - 4), (x + wide, line.y - 4)], stroke="ink", width=1.2)
    yield text(x + wide + 8, line.y, "→", size=14)
    x += wide + 30
    after = len(change.after) * MONO_EM * CHANGE_PX
    yield rect(Box(x - 5, line.y - 13, after + 10, 17.5), fill="paper", stroke="ink", radius=3, width=1.5)
    yield _address(change.after, x, line.y, plan, weight=700)


def _ends(words: str, x: float, y: float, plan: LadderPlan) -> Iterator[str]:
    source, arrow, destination = words.partition(ARROW)
    yield _address(source, x, y, plan)
    x += len(source) * MONO_EM * CHANGE_PX
    yield text(x + MONO_EM * CHANGE_PX, y, arrow.strip(), size=CHANGE_PX, mono=True, paint="muted")
    yield _address(destination, x + len(arrow) * MONO_EM * CHANGE_PX, y, plan)


def _address(words: str, x: float, y: float, plan: LadderPlan, weight: int = 400) -> str:
    paint: Paint = "service" if words == plan.target else "pod" if words == plan.pod else "ink"
    return text(x, y, words, size=CHANGE_PX, mono=True, paint=paint, weight=weight)
