"""A journey's events -> the steps of its ladder, at three levels. Pure.

summary     about a dozen: hops between namespaces, the rule (or IPVS) that chose the pod, what was rewritten,
            the route, what conntrack remembers, where it ended; later packets are one step each
rules       also every rule that was compared, and every packet in full
everything  every event
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal, get_args

from labkit.errors import RequestError
from labkit.measure.journey.events import Lane
from labkit.measure.journey.levels import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.measure.journey.events import Direction, Event
    from labkit.measure.journey.journey import Journey

StepKind = Literal[
    "hop",
    "pass",
    "more",
    "interface",
    "hook",
    "route",
    "rule",
    "ipvs",
    "choice",
    "nat",
    "conntrack",
    "socket",
    "drop",
]
LEVELS: tuple[Level, ...] = get_args(Level)
PASSES_SHOWN = 3
# Kinds of events that happen where the packet itself is.
ON_THE_WAY = frozenset({"interface", "hook", "route", "rule", "ipvs", "nat", "drop"})
ENDPOINT_CHAINS = ("KUBE-SEP-", "endpoint-")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `event` happened in the namespace of lane `at`; a hop came there from lane `start`.

    `rule` is the rule that did it, where one did. `compared` counts the rules compared for the packet in this
    namespace so far. A `pass` is a whole later packet, a `more` stands for the `packets` that it names.
    """

    kind: StepKind
    event: Event
    at: int
    start: int
    packet: int
    direction: Direction
    rule: Event | None = None
    compared: int = 0
    packets: tuple[int, ...] = ()


def journey_lanes(journey: Journey, level: Level) -> tuple[Lane, ...]:
    """Return the lanes of the ladder: those of the journey, the lan only with everything."""
    known = {lane.namespace for lane in journey.lanes}
    strange = dict.fromkeys(one.namespace for one in journey.events if one.namespace not in known)
    lanes = (*journey.lanes, *(Lane(namespace, "node") for namespace in strange))
    return tuple(lane for lane in lanes if lane.kind != "lan" or level == "everything")


def journey_steps(journey: Journey, level: Level = "summary") -> tuple[Step, ...]:
    """Return the steps of a journey at a level, in order. RequestError for a level that there is not."""
    if level not in LEVELS:
        raise RequestError(f"there is no level {level!r}", todo=f"use one of: {', '.join(LEVELS)}")
    lanes = {lane.namespace: number for number, lane in enumerate(journey_lanes(journey, level))}
    steps = list(_walk(journey.events, lanes))
    if level == "everything":
        return tuple(steps)
    steps = [step for step in steps if _is_a_deed(step, steps)]
    if level == "rules":
        return tuple(steps)
    leading = _leading(steps)
    told = [step for step in steps if step.packet in leading and _is_telling(step, steps)]
    told += _passes(step for step in steps if step.packet not in leading)
    return tuple(_folded(sorted(told, key=lambda step: step.event.sequence)))


def _walk(events: Sequence[Event], lanes: Mapping[str, int]) -> Iterator[Step]:
    """Yield a step for each event; where a packet turns up in another namespace, first a hop."""
    places: dict[int, int] = {}
    rules: dict[tuple[int, str], list[Event]] = {}  # those a packet met, by namespace
    here, packet = 0, 0
    direction: Direction = "request"
    for event in events:
        if event.namespace not in lanes:
            continue
        at = lanes[event.namespace]
        if event.packet:
            packet, direction = event.packet, event.direction or direction
        met = rules.setdefault((packet, event.namespace), [])
        step = Step(_kind(event), event, at, at, packet, direction)
        if event.packet and event.kind in ON_THE_WAY:
            # An answer that its sender was not seen to send comes from where the last packet ended.
            start = places.get(packet, here if event.in_interface else at)
            if start != at:
                yield replace(step, kind="hop", start=start)
            here = places[packet] = at
            if event.kind == "interface" and start != at:
                continue
        if event.kind in {"rule", "ipvs"}:
            met.append(event)
        compared = sum(one.compared for one in met)
        yield replace(step, rule=_responsible(event, met), compared=compared)


def _kind(event: Event) -> StepKind:
    if event.kind == "ipvs":
        return "choice" if ":" in event.verdict else "ipvs"  # a real server's address
    return "choice" if chosen_chain(event) else event.kind


def chosen_chain(event: Event) -> str:
    """Return the chain of one endpoint to which a rule sends the packet: the rule has chosen. Else ""."""
    target = event.verdict.rpartition(" ")[2]
    return target if event.kind == "rule" and target.startswith(ENDPOINT_CHAINS) else ""


def _responsible(event: Event, met: Sequence[Event]) -> Event | None:
    """Return what did it: for a rewriting the last rule (or IPVS) that asked for it, for others the reason.

    Of what IPVS says, the line that names the server is the clearest; a packet that it dropped has the last.
    """
    if event.kind == "ipvs":
        return next((one for one in reversed(met) if ": server " in one.text), event)
    if event.kind == "drop":
        return next((one for one in reversed(met) if one.text == event.text or one.kind == "ipvs"), None)
    if event.kind != "nat" or "undone" in event.verdict:
        return None
    words = ("SNAT", "MASQUERADE", "masquerade", "snat to") if _changes_source(event) else ("DNAT", "dnat to")
    for one in reversed(met):
        if one.kind == "ipvs" and not _changes_source(event):
            return one
        if any(word in one.verdict or word in one.text for word in words):
            return one
    return None


def _changes_source(event: Event) -> bool:
    return bool(event.before and event.after and event.before.source != event.after.source)


def _leading(steps: Iterable[Step]) -> set[int]:
    """Return the packets worth telling in full: the first each way, and those that had a choice or an end."""
    first: dict[Direction, int] = {}
    leading = {step.packet for step in steps if step.kind in {"choice", "drop"}}
    for step in steps:
        first.setdefault(step.direction, step.packet)
    return leading | set(first.values())


def _is_a_deed(step: Step, steps: Sequence[Step]) -> bool:
    """Say whether a step is more than something that was seen: it decided or changed something."""
    event = step.event
    match step.kind:
        case "interface" | "hook" | "ipvs":
            return False
        case "rule":  # a chain's end counts where it ends the packet
            return event.rule is not None or event.verdict in {"DROP", "drop"}
        case "conntrack":
            return event.verdict in {"new", "destroy"}
        case "route":
            return step is _last_route(step, steps)
        case _:
            return True


def _is_telling(step: Step, steps: Sequence[Step]) -> bool:
    """Say whether a step belongs into a summary."""
    match step.kind:
        case "rule":
            return False
        case "conntrack":
            return step.event.verdict == "new" and _rewrites(step.event)
        case "socket":
            return step.at == 0 and step.event.verdict.endswith("ESTABLISHED")
        case "route":
            return step.direction == "request" and _leads_on(step, steps)
        case _:
            return True


def _leads_on(step: Step, steps: Sequence[Step]) -> bool:
    """Say whether a route is of where addresses were rewritten, and not a look-up of the rewriting's own."""
    following = steps[steps.index(step) + 1 :]
    is_inside = bool(following) and following[0].kind == "nat" and not _changes_source(following[0].event)
    return not is_inside and step.at in {other.at for other in steps if other.kind in {"nat", "drop"}}


def _rewrites(event: Event) -> bool:
    """Say whether a connection's entry rewrites: its answer is then not just the way back."""
    entry = event.conntrack
    if entry is None:
        return False
    way_back = entry.original.destination, entry.original.source
    return (entry.reply.source, entry.reply.destination) != way_back


def _last_route(step: Step, steps: Sequence[Step]) -> Step | None:
    """Return the last look-up of those that follow each other: the others are source validation."""
    last = None
    for other in steps[steps.index(step) :]:
        if (other.packet, other.at) != (step.packet, step.at) or other.kind in {"nat", "choice"}:
            break
        last = other if other.kind == "route" else last
    return last


def _passes(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield one step for each later packet: from where it was first seen to where it came."""
    of_packet: dict[int, list[Step]] = {}
    for step in steps:
        if step.kind == "hop":
            of_packet.setdefault(step.packet, []).append(step)
    for hops in of_packet.values():
        last = hops[-1]
        yield replace(last, kind="pass", start=hops[0].start, packets=(last.packet,))


def _folded(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps; of many later packets the first few, then one that stands for the rest."""
    for kind, group in groupby(steps, key=lambda step: step.kind):
        run = list(group)
        if kind != "pass" or len(run) <= PASSES_SHOWN + 1:
            yield from run
            continue
        yield from run[:PASSES_SHOWN]
        rest = run[PASSES_SHOWN:]
        yield replace(rest[-1], kind="more", packets=tuple(step.packet for step in rest))
