"""Events in words: one sentence for each, for texts, tables and pictures alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labkit.measure.journey.kerneltelling import NO_SERVER
from labkit.measure.journey.rulebook import SHOWN_COMMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.measure.journey.events import Event, Headers, Kind
    from labkit.measure.journey.journey import Journey

_COMMENT = re.compile(SHOWN_COMMENT)
_BY = {"rule": "as the rule says", "ipvs": "by IPVS", "conntrack": "as conntrack remembers"}


def sentence(event: Event) -> str:
    """Return what happened, in one sentence without its end's full stop; the namespace is not named."""
    return _WORDS[event.kind](event)


def _interface(event: Event) -> str:
    way = f"leaves by {event.out_interface}" if event.out_interface else f"enters by {event.in_interface}"
    return f"{way}: {ends(event.before)}"


def _hook(event: Event) -> str:
    mark = f", mark {event.mark:#x}" if event.mark else ""
    return f"at {event.hook.upper()}, after {event.text}: {ends(event.before)}{mark}"


def _route(event: Event) -> str:
    return "routing: it is for this place" if event.verdict == "local" else f"routing: {event.verdict}"


def _ipvs(event: Event) -> str:
    if event.verdict == NO_SERVER:
        return "IPVS has no real server for it"
    return f"IPVS chooses {event.verdict}" if event.verdict else f"IPVS: {event.text}"


def _nat(event: Event) -> str:
    return f"{event.verdict}, {_BY.get(event.text, event.text)}: {_change(event)}"


def _socket(event: Event) -> str:
    return f"its socket goes from {event.verdict.replace(' -> ', ' to ')}"


def _drop(event: Event) -> str:
    return f"{event.verdict} here ({event.reason})" + (f", by {event.text}" if event.text else "")


def _rule(event: Event) -> str:
    place = f"{event.table} {event.chain}"
    if event.evidence == "inferred":
        return f"{place}: {event.text}"
    if event.rule is None:
        return f"{place}: {event.text}: {event.verdict}"
    comment = _COMMENT.search(event.text)
    named = f" ({comment[1] or comment[2]})" if comment else ""
    return f"{place} rule {event.rule}{named}: {event.verdict}"


def _conntrack(event: Event) -> str:
    entry = event.conntrack
    if entry is None:
        return f"conntrack: {event.verdict}"
    if event.verdict != "new":
        return f"conntrack {event.verdict}s its entry: {entry.state or ', '.join(entry.status)}"
    if entry.reply.source == entry.original.destination:
        return f"conntrack notes a connection to {entry.original.destination}"
    return f"conntrack notes: what answers {entry.reply.source} belongs to {entry.original.destination}"


_WORDS: Mapping[Kind, Callable[[Event], str]] = {
    "interface": _interface,
    "hook": _hook,
    "route": _route,
    "rule": _rule,
    "ipvs": _ipvs,
    "conntrack": _conntrack,
    "nat": _nat,
    "socket": _socket,
    "drop": _drop,
}


def _change(event: Event) -> str:
    if event.before is None or event.after is None:
        return ""
    pairs = (
        ("source", event.before.source, event.after.source),
        ("destination", event.before.destination, event.after.destination),
    )
    return ", ".join(f"{name} {before} becomes {after}" for name, before, after in pairs if before != after)


def ends(headers: Headers | None) -> str:
    """Return `source > destination`, with what the packet is."""
    if headers is None:
        return ""
    flags = f" [{headers.flags}]" if headers.flags else ""
    return f"{headers.source} > {headers.destination}{flags}"


def outcome_sentence(journey: Journey) -> str:
    """Return what came of the connection, in one or two sentences."""
    outcome, question = journey.outcome, journey.question
    rewrites = "; ".join(
        f"{one.kind} in {one.namespace} by {one.by}, {one.before} to {one.after}" for one in outcome.rewrites
    )
    told = f" Rewritten: {rewrites}." if rewrites else " No address was rewritten."
    if outcome.answered_by:
        seen = "" if outcome.seen_as == question.source else f", which saw it come from {outcome.seen_as}"
        return f"{outcome.answered_by} answered {question.client}{seen}.{told}"
    how = {"refused": "was refused", "reset": "was reset", "timeout": "got no answer", None: "ended"}
    words = f"{question.client} {how[outcome.error]}."
    if outcome.drop is not None:
        words += f" It ended in {outcome.drop.namespace}: {outcome.drop.reason.partition(': ')[2]}."
    elif outcome.reached:
        words += (
            f" {outcome.reached} got the request, as from {outcome.seen_as}; its answer did not find back."
        )
    else:
        words += _last_seen(journey)
    return words + (told if rewrites else "")


def _last_seen(journey: Journey) -> str:
    its = [one for one in journey.events if one.direction == "request" and one.kind in {"interface", "route"}]
    return f" The last of it: {its[-1].namespace}, {sentence(its[-1])}." if its else ""
