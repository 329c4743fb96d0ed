"""From what was observed to a Journey: pure, but for the rules, which are read from the nodes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.measure.journey.connection import find_wires
from labkit.measure.journey.journey import Journey
from labkit.measure.journey.outcome import lanes_of, read_outcome
from labkit.measure.journey.packets import identify_all
from labkit.measure.journey.rulebook import show_rules, show_virtual_server
from labkit.measure.journey.telling import Material, Telling
from labkit.measure.journey.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.measure.journey.events import Event, Packet, Provenance, Question, Ruleset
    from labkit.measure.journey.observed import Observed
    from labkit.measure.journey.places import NodeRules, Places
    from labkit.measure.journey.rulebook import Rulebook

_SHOWN_AFTER = {"first": 1, "handshake": 3}  # packets


def compose_journey(
    observed: Sequence[Observed],
    question: Question,
    provenance: Provenance,
    places: Places,
    rules: Mapping[str, NodeRules],
) -> Journey:
    """Return the journey of the connection that `question` names, as far as its `packets` go."""
    wires = find_wires(
        observed, Wire(question.protocol, question.source, question.target), _aliases(question, places)
    )
    packets, sightings = identify_all(observed, wires)
    every = Telling(Material(observed, sightings, wires, places, rules, provenance.mode)).tell()
    outcome = read_outcome(question, provenance.mode, packets, every, places)
    most = _last_shown(question, packets)
    events = _until_packet(most, every)
    chains, events = _rulesets(events, rules)
    servers, events = _virtual_servers(events, rules)
    lanes = lanes_of(events, places)
    return Journey(provenance, question, lanes, packets[:most], events, chains + servers, outcome)


def _aliases(question: Question, places: Places) -> tuple[Wire, ...]:
    """Return the wires to the other addresses of who is asked: SCTP may answer from any of them."""
    address, _, port = question.target.rpartition(":")
    owner = places.addresses.get(address)
    if question.protocol != "SCTP" or owner is None:
        return ()
    its = (one for one, namespace in places.addresses.items() if namespace == owner)
    return tuple(Wire("SCTP", question.source, f"{one}:{port}") for one in its)


def _last_shown(question: Question, packets: Sequence[Packet]) -> int:
    """Return the number of the last packet asked for; ICMP messages on the way do not count."""
    own = [one.number for one in packets if one.headers.protocol != "ICMP"]
    count = _SHOWN_AFTER.get(question.packets, len(packets))
    return own[count - 1] if count <= len(own) else len(packets)


def _until_packet(most: int, every: Sequence[Event]) -> tuple[Event, ...]:
    """Return the events up to the last one of packet `most`, without those of later packets."""
    end = max((number for number, one in enumerate(every) if 0 < one.packet <= most), default=-1)
    kept = [one for one in every[: end + 1] if one.packet <= most]
    return tuple(replace(one, sequence=number) for number, one in enumerate(kept))


def _rulesets(
    events: Sequence[Event], rules: Mapping[str, NodeRules]
) -> tuple[tuple[Ruleset, ...], tuple[Event, ...]]:
    """Return the text of the chains that were met, and the events with the lines of their rules in it."""
    met: defaultdict[tuple[str, bool], defaultdict[tuple[str, str], set[int]]]
    met = defaultdict(lambda: defaultdict(set))
    for one in events:
        if one.kind == "rule":
            met[one.namespace, _is_nft(one, rules)][one.table, one.chain].add(one.rule or 0)
    shown: list[Ruleset] = []
    lines: dict[tuple[str, bool, str, str, int], int] = {}
    for (namespace, is_nft), chains in met.items():
        book = _book(rules[namespace], is_nft=is_nft)
        ruleset, places = show_rules(namespace, book, chains)
        shown.append(ruleset)
        lines |= {(namespace, is_nft, *place): line for place, line in places.items()}
    placed = tuple(
        replace(
            one, line=lines.get((one.namespace, _is_nft(one, rules), one.table, one.chain, one.rule or 0))
        )
        if one.kind == "rule"
        else one
        for one in events
    )
    return tuple(shown), placed


def _virtual_servers(
    events: Sequence[Event], rules: Mapping[str, NodeRules]
) -> tuple[tuple[Ruleset, ...], tuple[Event, ...]]:
    """Return the virtual servers that chose, and the events with the lines of the real servers chosen."""
    shown: dict[str, Ruleset] = {}
    placed: list[Event] = []
    for one in events:
        line = None
        if one.kind == "ipvs" and one.verdict and one.before is not None:
            printed = rules[one.namespace].virtual_servers
            ruleset = shown.setdefault(
                one.namespace, show_virtual_server(one.namespace, printed, one.before.destination)
            )
            lines = enumerate(ruleset.text.splitlines(), 1)
            line = next((number for number, text in lines if f" -r {one.verdict} " in text), None)
        placed.append(replace(one, line=line) if line else one)
    return tuple(shown.values()), tuple(placed)


def _is_nft(event: Event, rules: Mapping[str, NodeRules]) -> bool:
    nft = rules[event.namespace].nft
    return nft is not None and (event.table, event.chain) in nft.chains


def _book(rules: NodeRules, *, is_nft: bool) -> Rulebook:
    book = rules.nft if is_nft else rules.iptables
    if book is None:
        raise ValueError("an event of rules that were not read")
    return book
