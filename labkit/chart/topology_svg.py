"""A planned topology as one <svg>. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.chart.svg import Box, clipped, outline, path, picture, rect, text, width_px
from labkit.chart.topology_plan import EDGE_PX, MARKS_SHOWN, SHARE_PX, TITLE_PX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.chart.svg import Paint
    from labkit.chart.topology_plan import Chip, NodeBox, PodLook, ServiceLabel, TopologyPlan

MARK_PX = 16.0
LOOK_PAINT: dict[PodLook, Paint] = {"refuses": "bad", "unreachable": "bad"}


def topology_svg(plan: TopologyPlan, alt: str) -> str:
    """Return the picture of a planned topology, which `alt` describes."""
    parts = [
        text(EDGE_PX, 28, clipped(plan.title, plan.width - 2 * EDGE_PX, 16, weight=600), size=16, weight=600),
        *_services(plan),
        *(path(link, stroke="muted", width=2) for link in plan.links),
        *_lan(plan),
        *map(_chip, plan.guests),
        *map(_node, plan.nodes),
    ]
    if plan.nodes_folded:
        parts.append(text(EDGE_PX, plan.height - 14, plan.nodes_folded, paint="muted"))
    return picture(plan.width, plan.height, plan.title, alt, parts)


def _services(plan: TopologyPlan) -> Iterator[str]:
    if not plan.services:
        return
    heading = "Services: addresses without a place, kept by rules on every node"
    more = f" ({plan.services_folded:,} more are in the table)" if plan.services_folded else ""
    yield text(EDGE_PX, TITLE_PX + 8, heading + more, size=12, paint="muted")
    yield from map(_service, plan.services)


def _service(label: ServiceLabel) -> str:
    box, baseline = label.box, label.box.y + 17.5
    name_px = width_px(label.name, weight=600)
    where_room = box.width - 38 - name_px - 8
    return "".join(
        [
            rect(box, fill="paper", stroke="service", radius=13, dash="5 3"),
            _mark(label.mark, box.x + 6, box.y + 5),
            text(box.x + 28, baseline, label.name, weight=600),
            text(
                box.x + 28 + name_px + 8,
                baseline,
                clipped(label.where, where_room, 12, mono=True),
                size=12,
                mono=True,
                paint="service",
            ),
        ]
    )


def _mark(number: int, x: float, y: float) -> str:
    box = Box(x, y, MARK_PX, MARK_PX)
    return rect(box, fill="service", radius=8) + text(
        box.middle,
        y + 12,
        str(number) if number < 100 else "…",
        size=10.5,
        anchor="middle",
        paint="paper",
        weight=600,
    )


def _lan(plan: TopologyPlan) -> Iterator[str]:
    for number, bar in enumerate(plan.bars):
        if len(plan.bars) > 1:
            yield path([(6, bar.middle_y), (bar.x, bar.middle_y)], stroke="muted", width=2)
        yield rect(bar, fill="panel", stroke="line", radius=4)
        words = f"lan  {plan.lan}" if number == 0 else "lan"
        yield text(bar.x + 10, bar.y + 15.5, words, size=12, mono=True, paint="muted")


def _node(node: NodeBox) -> str:
    box = node.box
    head = text(
        box.x + 14, box.y + 21, clipped(node.name, 0.45 * box.width, 14, weight=600), size=14, weight=600
    )
    address = text(box.right - 14, box.y + 21, node.address, size=12, mono=True, anchor="end")
    pods = text(box.x + 14, box.y + 38, f"pods {node.pod_cidr}", size=11.5, paint="muted")
    frame = rect(box, fill="panel", stroke="line", radius=8)
    return frame + head + address + pods + "".join(map(_chip, node.chips))


def _chip(chip: Chip) -> str:
    box, look = chip.box, chip.look
    usual = chip.kind == "pod" and look == "ready"
    frame = rect(
        box,
        fill="paper",
        stroke=LOOK_PAINT.get(look, "pod" if usual else "muted"),
        radius=14 if chip.kind == "client" else 5,
        dash="" if usual or chip.kind in {"client", "balancer"} else "4 3",
    )
    marks_px = min(len(chip.marks), MARKS_SHOWN) * (MARK_PX + 2)
    note = "" if look == "ready" else look
    name_room = box.width - 22 - (width_px(note, 11, weight=600) + 18 if note else marks_px)
    parts = [
        frame,
        text(box.x + 11, box.y + 17, clipped(chip.name, name_room, 13, weight=600), weight=600),
        text(box.x + 11, box.y + 33.5, _address(chip), size=12, mono=True, paint="muted"),
    ]
    if note:
        parts.append(_note(note, chip))
    else:
        parts += _marks(chip)
    if chip.share is not None:
        parts.append(_share(chip, chip.share))
    return "".join(parts)


def _address(chip: Chip) -> str:
    room = chip.box.width - 22
    # How many more there are matters less than the first address, whole.
    whole = chip.address if width_px(chip.address, 12, mono=True) <= room else chip.address.partition(" +")[0]
    return clipped(whole, room, 12, mono=True)


def _marks(chip: Chip) -> Iterator[str]:
    shown = chip.marks if len(chip.marks) <= MARKS_SHOWN else (*chip.marks[: MARKS_SHOWN - 1], 100)
    for number, mark in enumerate(shown):
        x = chip.box.right - 8 - (len(shown) - number) * (MARK_PX + 2)
        yield _mark(mark, x, chip.box.y + 6)


def _note(note: str, chip: Chip) -> str:
    paint = LOOK_PAINT.get(chip.look, "muted")
    right, y = chip.box.right - 9, chip.box.y + 17
    words = text(right, y, note, size=11, anchor="end", paint=paint, weight=600)
    if paint != "bad":
        return words
    x, y = right - width_px(note, 11, weight=600) - 12, y - 8
    return words + outline(f"M{x:.1f} {y:.1f}l7 8m0 -8l-7 8", stroke="bad", width=2)


def _share(chip: Chip, share: float) -> str:
    box = chip.box
    track = Box(box.x + 11, box.bottom - SHARE_PX + 3, box.width - 22 - 42, 7)
    filled = Box(track.x, track.y, max(track.width * share, 0.01), track.height)
    return (
        rect(track, fill="panel", stroke="line", radius=2)
        + rect(filled, fill="pod", radius=2)
        + text(box.right - 11, track.bottom + 1, f"{share:.0%}", size=11.5, anchor="end", mono=True)
    )
