"""What a ladder says about its steps: titles, what changed, rules' texts, explanations. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labkit.chart.facts import counted, listing
from labkit.chart.journey_facts import pod_address, pod_names, service_address, short_name
from labkit.chart.ladder_steps import chosen_chain

if TYPE_CHECKING:
    from labkit.chart.ladder_steps import Step
    from labkit.measure.journey.events import Event, Headers, Rewrite
    from labkit.measure.journey.journey import Journey

ARROW = " → "
_PROBABILITY = re.compile(r"--probability (0\.\d+)")
_REASONS = {"NETFILTER_DROP": ""}  # the kernel's word for: by a rule, or by IPVS; the text says which
_NUMGEN = re.compile(r"numgen random mod (\d+)")
_NO_ENDPOINTS = re.compile(r"has no endpoints|no-endpoint")  # in iptables' and in nftables' rules
_HANDLE = re.compile(r"\s*# handle \d+$")


@dataclass(frozen=True, slots=True)
class Change:
    """One address of a packet: `after` is "" where it stays as it was."""

    what: str
    before: str
    after: str = ""

    @property
    def spoken(self) -> str:
        """The change as a sentence."""
        words = f"{self.what} {self.before}".strip().replace(ARROW, " to ")
        return f"{words} becomes {self.after}." if self.after else f"{words}."


@dataclass(frozen=True, slots=True)
class Words:
    """A step in words: `where`, a title, the addresses, `code` (a rule, or another's own words), a note."""

    where: str
    title: str
    changes: tuple[Change, ...] = ()
    code: str = ""
    note: str = ""

    @property
    def spoken(self) -> str:
        """The step as one paragraph, for a screen reader and a plain list."""
        parts = [f"{self.where}: {self.title}.", *(one.spoken for one in self.changes)]
        parts += [f"It reads: {self.code}."] if self.code else []
        return " ".join([*parts, self.note]).strip()


class Narrator:
    """Says what the steps of one journey are."""

    def __init__(self, journey: Journey) -> None:
        """Learn from the journey whose the addresses are and what the packets are called."""
        self._asked = journey.question
        self._made = journey.provenance
        self._pod_address = pod_address(journey)
        self._service_address = service_address(journey)
        self._rewrites = journey.outcome.rewrites
        self._reached = short_name(journey.outcome.reached or journey.outcome.answered_by or "")
        self._names = pod_names(journey)
        self._is_told = any(packet.direction == "reply" for packet in journey.packets)
        self._packets = {packet.number: packet.what for packet in journey.packets}

    def words(self, step: Step) -> Words:
        """Return a step in words."""
        words: Words = getattr(self, f"_{step.kind}")(step)
        if step.event.evidence == "inferred":
            return replace(words, title=f"{words.title} (inferred)")
        return words

    def packet_name(self, number: int) -> str:
        """Return what a packet is: "SYN", "answer"; its number where that is not known."""
        return self._packets.get(number) or f"packet {number}"

    def _hop(self, step: Step) -> Words:
        event, asked = step.event, self._asked
        far_end = _far_end(event.before, step.direction)
        note = ""
        if not self._service_address:
            return Words(event.namespace, self._arrives(step), _ends(event.before))
        if step.start == 0 and step.direction == "request" and far_end == asked.target:
            note = f"{asked.client} knows only this address, and no pod's."
        if step.at == 0 and step.direction == "reply" and far_end == asked.target:
            note = f"For {asked.client} the answer comes from the address that it called."
        return Words(event.namespace, self._arrives(step), _ends(event.before), note=note)

    def _pass(self, step: Step) -> Words:
        title, where = f"{self.packet_name(step.packet)} arrives", step.event.namespace
        if not self._rewrites:
            return Words(where, title, _ends(step.event.before))
        keeper = "IPVS" if self._made.mode == "ipvs" else "conntrack"
        places = listing(list(dict.fromkeys(one.namespace for one in self._rewrites)))
        note = f"On {places} {keeper} knows it: it is rewritten as before, and nothing is chosen anew."
        return Words(where, title, tuple(_again(one, step.direction) for one in self._rewrites), note=note)

    def _more(self, step: Step) -> Words:
        names = listing([self.packet_name(number) for number in step.packets], 6)
        title = f"and so do {counted(len(step.packets), 'more packet')}"
        return Words(step.event.namespace, title, note=f"{names}.")

    def _interface(self, step: Step) -> Words:
        event = step.event
        leaves = f"{self.packet_name(step.packet)} leaves through {event.out_interface}"
        title = leaves if event.out_interface else self._arrives(step)
        return Words(event.namespace, title, _ends(event.before))

    def _arrives(self, step: Step) -> str:
        interface = step.event.in_interface
        return f"{self.packet_name(step.packet)} arrives" + (f" through {interface}" if interface else "")

    def _hook(self, step: Step) -> Words:
        event = step.event
        title = f"hook {event.hook}" + (f", {event.text}" if event.text else "")
        return Words(event.namespace, title, _ends(event.before), note=_marked(event))

    def _route(self, step: Step) -> Words:
        event, note = step.event, ""
        is_called = event.before is not None and event.before.destination == self._asked.target
        if event.verdict == "local" and self._made.mode == "ipvs" and is_called:
            which = "The Service's address, on kube-ipvs0," if "/" in self._asked.service else "This address"
            note = f"{which} is the node's own: hook input comes next, where IPVS waits."
        way = event.verdict if event.verdict.startswith("to ") else f"is {event.verdict}"
        title = f"the route leads {way}" if way.startswith("to ") else f"the route {way}"
        return Words(event.namespace, title, code=event.text, note=note)

    def _rule(self, step: Step) -> Words:
        event = step.event
        place = f"{event.table} {event.chain}".strip()
        if event.verdict == "no match":
            which = event.text.partition(":")[0] or f"rule {event.rule}"
            return Words(event.namespace, f"{which} of {place}: no match")
        if event.rule is None:
            return Words(event.namespace, f"the end of {place}: {event.verdict}", note=_marked(event))
        title = f"rule {event.rule} of {place}: {event.verdict}"
        return Words(event.namespace, title, code=rule_text(event), note=_marked(event))

    def _ipvs(self, step: Step) -> Words:
        return Words(step.event.namespace, "IPVS says", code=step.event.text)

    def _choice(self, step: Step) -> Words:
        event = step.event
        if event.kind == "ipvs":
            name = self._names.get(event.verdict)
            title = f"IPVS chooses {name} ({event.verdict})" if name else f"IPVS chooses {event.verdict}"
            found = "It finds the Service in a hash table; no rule of iptables chooses."
            note = f"By its scheduler {self._made.algorithm}. {found}"
            return Words(event.namespace, title, code=(step.rule or event).text, note=note)
        title = f"this rule chooses {self._reached or self._pod_address or chosen_chain(event)}"
        note = f"{_place(event)}{_chance(event.text)} Compared up to here: {counted(step.compared, 'rule')}."
        return Words(event.namespace, title, code=_chosen_text(event), note=note)

    def _nat(self, step: Step) -> Words:
        event, by = step.event, step.rule
        changes = _changes(event.before, event.after)
        what = listing([one.what for one in changes if one.after] or ["nothing"])
        back = "back " if "undone" in event.verdict else ""
        code = rule_text(by) if by and by.kind == "rule" else ""
        title = f"{what} rewritten {back}({event.verdict})"
        return Words(event.namespace, title, changes, code, self._why_rewritten(step))

    def _why_rewritten(self, step: Step) -> str:
        event, by = step.event, step.rule
        if "undone" in event.verdict:
            aim = f"{self._asked.client} is to see an answer from the address that it called"
            if event.before and event.after and event.before.source == event.after.source:
                aim = f"the answer is to go on to {self._asked.client}"
            keeper = "IPVS" if event.text == "ipvs" else "conntrack"
            return f"{keeper} remembers the connection and undoes the rewriting: {aim}."
        if event.before and event.after and event.before.source != event.after.source:
            return (
                f"So the answer will come back through {event.namespace}, which alone can undo the rewriting."
            )
        return "IPVS does it itself: there is no such rule." if by and by.kind == "ipvs" else ""

    def _conntrack(self, step: Step) -> Words:
        event, entry = step.event, step.event.conntrack
        state = f": {entry.state}" if entry and entry.state else ""
        titles = {
            "new": "conntrack remembers the connection",
            "destroy": "conntrack forgets the connection",
            "update": f"conntrack changes its entry{state}",
        }
        title = titles.get(event.verdict, f"conntrack {event.verdict}")
        if entry is None:
            return Words(event.namespace, title)
        changes = (
            Change("asked", f"{entry.original.source}{ARROW}{entry.original.destination}"),
            Change("answer", f"{entry.reply.source}{ARROW}{entry.reply.destination}"),
        )
        known = "By this it will know the answer, and what to rewrite back."
        if self._made.mode == "ipvs":
            known = "By this the node's rules will know the answer; IPVS itself knows what to rewrite back."
        return Words(event.namespace, title, changes, note=known if event.verdict == "new" else "")

    def _socket(self, step: Step) -> Words:
        verdict = step.event.verdict.replace("->", "→")
        title = "connected" if verdict.endswith("ESTABLISHED") else "socket"
        return Words(step.event.namespace, f"{title} ({verdict})")

    def _drop(self, step: Step) -> Words:
        event, client = step.event, self._asked.client
        what = "rejected" if event.verdict == "rejected" else "dropped"
        reason = _REASONS.get(event.reason, event.reason).removeprefix("REJECT: ")
        title = f"{self.packet_name(step.packet)} is {what}" + (f": {reason}" if reason else "")
        if step.rule and step.rule.kind == "ipvs":
            title = f"IPVS has no pod for it: {title}"
        code = rule_text(event) or (step.rule.text if step.rule else "")
        told = f"Nobody tells {client}: it waits, and tries again."
        if self._is_told:
            told = f"{client} is told so, and its call fails at once."
        if _NO_ENDPOINTS.search(code):
            told = f"The Service has no endpoints: no pod is there to answer. {told}"
        return Words(event.namespace, title, _ends(event.before), code, told)


def _place(event: Event | None) -> str:
    """Return where a rule stands, unless its text says so itself, as that of iptables does."""
    if event is None or event.kind != "rule" or event.text.startswith("-A "):
        return ""
    return f"Rule {event.rule} of {event.chain}. "


def rule_text(event: Event) -> str:
    """Return a rule's text without nft's handle, which is a number and no part of the rule."""
    return _HANDLE.sub("", event.text)


def _chosen_text(event: Event) -> str:
    """Return a choosing rule's text; of a verdict map with all its endpoints only the one that was chosen."""
    text, chain = rule_text(event), chosen_chain(event)
    chosen = re.search(rf"[^\s,{{]+ : goto {re.escape(chain)}(?=[\s,}}])", text)
    return re.sub(r"\{.*\}", lambda _: f"{{ … {chosen[0]} … }}", text) if chosen and "," in text else text


def _far_end(headers: Headers | None, direction: str) -> str:
    """Return the address at the Service's end of a packet."""
    if headers is None:
        return ""
    return headers.destination if direction == "request" else headers.source


def _ends(headers: Headers | None) -> tuple[Change, ...]:
    return (Change("", f"{headers.source}{ARROW}{headers.destination}"),) if headers else ()


def _again(rewrite: Rewrite, direction: str) -> Change:
    """Return what the first packet's rewriting is for a later packet: the same, for an answer the inverse."""
    if direction == "request":
        return Change("source" if rewrite.kind == "SNAT" else "destination", rewrite.before, rewrite.after)
    return Change("destination" if rewrite.kind == "SNAT" else "source", rewrite.after, rewrite.before)


def _changes(before: Headers | None, after: Headers | None) -> tuple[Change, ...]:
    if before is None or after is None:
        return _ends(after or before)
    pairs = (
        ("source", before.source, after.source),
        ("destination", before.destination, after.destination),
    )
    return tuple(Change(what, old, new if new != old else "") for what, old, new in pairs)


def _marked(event: Event) -> str:
    return f"The packet carries the mark {event.mark:#x}." if event.mark else ""


def _chance(rule: str) -> str:
    """Say by which chance a rule chooses, from its text."""
    if "recent" in rule or "affinity-" in rule:
        return "Not by chance: this client has been there before (session affinity)."
    numgen = _NUMGEN.search(rule)
    if numgen:
        return f"By chance, 1 in {numgen[1]}." if numgen[1] != "1" else "There is no other endpoint."
    probability = _PROBABILITY.search(rule)
    if probability:
        return f"By chance, 1 in {1 / float(probability[1]):.0f} of what comes to it."
    return "The last rule of its chain: it takes what the others left."
