"""What came of a connection, read from its events alone: who answered, what was rewritten, where it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labkit.measure.journey.events import Drop, Event, Lane, Outcome, Rewrite
from labkit.measure.journey.kerneltelling import NO_SERVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.measure.journey.events import Headers, Packet, Question
    from labkit.measure.journey.places import Places
    from labkit.traffic.flow import FlowError

_BY: Mapping[str, str] = {"iptables": "iptables", "nftables": "nftables", "ipvs": "IPVS"}
_WORDS = {
    "NETFILTER_DROP": "a rule dropped it",
    "NO_SOCKET": "nobody listens there",
    "IP_RPFILTER": "its source address is not where it comes from",
    "IP_INNOROUTES": "there is no way to its destination",
    "IP_OUTNOROUTES": "there is no way to its destination",
    "NOT_SPECIFIED": "routing refused it: its source is one of this node's own addresses",
}


def read_outcome(
    question: Question, mode: str, packets: Sequence[Packet], events: Sequence[Event], places: Places
) -> Outcome:
    """Return what came of the connection that `events` are of."""
    reached = _reached(packets, events, places)
    seen_as = _seen_as(packets, events, reached) if reached else None
    answer = _answer(question, packets, events, places)
    drop = None if answer is not None and answer[1] is None else _drop(events)
    name = places.name(reached) if reached else None
    error: FlowError | None = None
    if answer is None:
        error = "timeout"
    elif answer[1]:
        error = answer[1]
    answered_by = name if answer is not None and not error else None
    return Outcome(answered_by, name, seen_as, error, tuple(_rewrites(events, packets, mode)), drop)


def lanes_of(events: Sequence[Event], places: Places) -> tuple[Lane, ...]:
    """Return the namespaces that a packet of the connection was in, in the order of the request."""
    ordered = [*(one for one in events if one.direction == "request"), *events]
    namespaces = dict.fromkeys(one.namespace for one in ordered if one.packet and one.namespace)
    return tuple(Lane(name, places.kinds[name]) for name in namespaces if name in places.kinds)


def _reached(packets: Sequence[Packet], events: Sequence[Event], places: Places) -> str:
    """Return the namespace that the first request came to: where the last of it was seen, undropped."""
    first = next((one.number for one in packets if one.direction == "request"), 0)
    its = [one for one in events if one.packet == first]
    if not its or any(one.kind == "drop" and one.reason != "NO_SOCKET" for one in its):
        return ""
    last = next((one for one in reversed(its) if one.kind in {"interface", "hook"}), its[-1])
    if last.kind == "interface" and last.out_interface and last.out_interface != "lo":
        return ""  # it left, and came nowhere that is watched
    is_end = places.kinds.get(last.namespace) != "lan" and last.hook in {"", "input"}
    return last.namespace if is_end else ""


def _seen_as(packets: Sequence[Packet], events: Sequence[Event], namespace: str) -> str | None:
    first = next((one.number for one in packets if one.direction == "request"), 0)
    its = [one.after or one.before for one in events if (one.namespace, one.packet) == (namespace, first)]
    headers = next((one for one in reversed(its) if one is not None), None)
    return headers.source if headers else None


def _answer(
    question: Question, packets: Sequence[Packet], events: Sequence[Event], places: Places
) -> tuple[str, FlowError | None] | None:
    """Return where the client's first answer was made, and which refusal it is; None where none came."""
    client = places.addresses.get(_host(question.source), question.client)
    for packet in packets:
        if packet.direction != "reply":
            continue
        its = [one for one in events if one.packet == packet.number]
        home = [one for one in its if one.namespace == client and one.before is not None]
        if not home or any(one.kind == "drop" and one.reason == "NETFILTER_DROP" for one in its):
            continue
        last = home[-1].after or home[-1].before
        if last is None or not _is_answer(question, last, places):
            continue
        maker = its[0].namespace
        return maker, "refused" if _is_refusal(last) else None
    return None


def _is_answer(question: Question, headers: Headers, places: Places) -> bool:
    if headers.protocol == "ICMP":
        return _is_refusal(headers) and headers.destination == _host(question.source)
    if headers.destination != question.source:
        return False
    if headers.protocol != "SCTP" or headers.source == question.target:
        return headers.source == question.target
    # SCTP may answer from another of the address's owner: the handshake names them all.
    owners = {places.addresses.get(_host(end)) for end in (headers.source, question.target)}
    return len(owners) == 1 and None not in owners


def _host(end: str) -> str:
    return end.rpartition(":")[0]


def _rewrites(events: Sequence[Event], packets: Sequence[Packet], mode: str) -> Iterator[Rewrite]:
    first = next((one.number for one in packets if one.direction == "request"), 0)
    for event in events:
        if event.kind != "nat" or event.packet != first or not (event.before and event.after):
            continue
        kinds: tuple[tuple[Literal["DNAT", "SNAT"], str, str], ...] = (
            ("DNAT", event.before.destination, event.after.destination),
            ("SNAT", event.before.source, event.after.source),
        )
        for kind, before, after in kinds:
            if before != after:
                by = "IPVS" if event.text == "ipvs" else "iptables" if mode == "ipvs" else _BY[mode]
                yield Rewrite(event.namespace, kind, by, before, after)


def _drop(events: Sequence[Event]) -> Drop | None:
    event = next((one for one in events if one.kind == "drop"), None)
    if event is None:
        return None
    words = _WORDS.get(event.reason, "the kernel dropped it")
    if event.verdict == "rejected" and not any(one.verdict == NO_SERVER for one in events):
        words = "a rule rejects it, and its sender is told"
    elif event.verdict == "rejected":
        words = "IPVS has no real server for it, and its sender is told"
    elif event.reason == "NETFILTER_DROP" and not event.text:
        words = "netfilter dropped it"
    told = any(one.packet and one.before and _is_refusal(one.before) for one in events)
    return Drop(event.namespace, event.packet, f"{event.reason}: {words}", event.text, told)


def _is_refusal(headers: Headers) -> bool:
    if headers.protocol == "ICMP":
        return headers.flags.endswith(("unreachable", "prohibited"))  # not a redirect
    return "R" in headers.flags
