"""Rows of the flow table, each asked while its journey is recorded: what came, and what the journey says.

labkit exec --virtual-time -- python -m flows.journeys [MODE ...]      (make journeys)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flows.live import NAMES, Scene
from flows.packets import StrayPacket
from flows.places import target
from flows.questions import Question as AskedQuestion
from flows.round import AnyQuestion, Asked, Patience, Round, _seen
from flows.rows import Row
from flows.scene import CLUSTER, DAEMON_PORT
from flows.table import ROWS

from labkit.guest.clock import Clock
from labkit.measure.journey.composing import compose_journey
from labkit.measure.journey.events import Provenance, Question
from labkit.measure.journey.journey import Journey
from labkit.measure.journey.observed import Frame, Observed
from labkit.measure.journey.places import NodeRules, plan_places
from labkit.measure.journey.recorder import Recorder, Watched
from labkit.measure.journey.rulebook import read_iptables, read_nftables
from labkit.measure.journey.wire import read_packet
from labkit.measure.records import GuestFacts
from labkit.proxy.plans import MODES, Mode

PATIENCE = Patience(silence_s=0.5)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a row, as asker and responders saw it, and what its journey says; they must be equal."""

    row: Row
    came: str
    said: str
    journey: Journey

    def __str__(self) -> str:
        return f"{self.row}\n  came: {self.came}, its journey: {self.said}: {self.journey.outcome}"


class JourneyScene(Scene):
    """The scene, with a recorder for every question."""

    def told(self, rows: Iterable[Row]) -> Iterator[Told]:
        """Ask rows one by one, each under a recorder of its own."""
        rules = self._rules()
        places = plan_places(self.network.plan)
        for row in rows:
            with Recorder(self._watched(), places) as recorder:
                name = NAMES.get(row.source, row.source)
                (asked,) = self.namespace(name).run(lambda row=row: self._questions([row]))
                wires = [self._wire(row, one) for one in asked.questions]
                words = self._words(asked)
                observed = recorder.observed()
            for question, (source, to), came in zip(asked.questions, wires, words, strict=True):
                known = source or _source_of_datagram(observed, to)
                about = Question(name, known, row.service, to, row.protocol, "all")
                journey = compose_journey(observed, about, self._provenance(), places, rules)
                yield Told(row, came, self._word(row, question, journey), journey)

    def _words(self, asked: Asked) -> list[str]:
        one_by_one = [Asked(asked.row, (question,)) for question in asked.questions]
        words = [word for _, word in Round(self.responders, one_by_one, self.patience).outcomes()]
        return [
            "drop" if word == "forbidden" else word for word in words
        ]  # what its process is told is no step

    def _wire(self, row: Row, question: AnyQuestion) -> tuple[str, str]:
        if isinstance(question, StrayPacket):
            return f"{question.own}:{question.port}", "{}:{}".format(*question.peer)
        if isinstance(question, AskedQuestion):
            address, port = question.socket.getsockname()[:2]
            return f"{address}:{port}", "{}:{}".format(*target(row))
        return "", f"127.0.0.1:{DAEMON_PORT}"

    def _watched(self) -> Watched:
        plan, names = self.network.plan, self.network.namespaces
        nodes = [one.name for one in plan.namespaces if one.kind == "node"]
        addresses = {one.address for namespace in plan.namespaces for one in namespace.addresses}
        addresses |= {one for client in plan.clients.values() for one in client.addresses} | {"127.0.0.1"}
        addresses |= {target(row)[0] for row in ROWS if row.source == "node"}
        return Watched(
            tuple(names[name] for name in nodes),
            tuple(namespace for name, namespace in names.items() if name not in nodes),
            tuple(sorted(addresses)),
            nft=self.mode == "nftables" or self.backend.name == "nft",
            ipvs=self.mode == "ipvs",
        )

    def _rules(self) -> dict[str, NodeRules]:
        with_nft = self.mode == "nftables" or self.backend.name == "nft"
        return {
            name: NodeRules(
                read_iptables(proxier.namespace, self.backend.save),
                read_nftables(proxier.namespace) if with_nft else None,
            )
            for name, proxier in self.proxiers.items()
        }

    def _provenance(self) -> Provenance:
        clock: Clock = "virtual"
        return Provenance(GuestFacts("", "", 1), clock, self.mode, "", self.backend.name, (), ())

    def _word(self, row: Row, question: AnyQuestion, journey: Journey) -> str:
        """Return the table's word for what the journey says came of the question."""
        outcome = journey.outcome
        kinds = {packet.what for packet in journey.packets if packet.direction == "reply"}
        # A stray packet's asker has no socket that could have an error: it sees the RST itself.
        is_reset = isinstance(question, StrayPacket) and "RST" in kinds
        if outcome.error in {"refused", "reset"} or is_reset:
            return "reject" if "ICMP port unreachable" in kinds else "reset" if "RST" in kinds else str(kinds)
        name = outcome.answered_by or outcome.reached
        if name is None or (outcome.answered_by is None and row.protocol != "UDP"):
            return "drop"
        name = {"node-1": "daemon"}.get(name, name.removeprefix("default/"))
        word = _seen(row, question, name, (outcome.seen_as or "").rpartition(":")[0])
        return word if outcome.answered_by else f"{word}!"


def _source_of_datagram(observed: Iterable[Observed], to: str) -> str:
    for one in observed:
        seen = read_packet(one.what.data[14:]) if isinstance(one.what, Frame) else None
        if seen is not None and seen.headers.destination == to:
            return seen.headers.source
    return ""


def occasions(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return rows by what node-1 is like for them: setup and weather."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.setup, row.weather), []).append(row)
    return found


def tell_all(mode: Mode, rows: Iterable[Row], patience: Patience = PATIENCE) -> Iterator[Told]:
    """Yield all rows of a mode as told."""
    assert CLUSTER
    with JourneyScene(mode, patience) as scene:
        for (setup, weather), its in occasions(row for row in rows if row.mode == mode).items():
            scene.program(setup)
            with scene.weather(weather):
                yield from scene.told(its)


def main(modes: list[str]) -> int:
    """Tell every row; 1 where a journey says something else than what came."""
    wrong = 0
    for mode in modes or MODES:
        rows = 0
        for told in tell_all(mode, ROWS):  # type: ignore[arg-type]
            rows += 1
            if told.came != told.said:
                wrong += 1
                print(told)  # noqa: T201
        print(f"{mode}: {rows} rows told, {wrong} wrong so far", flush=True)  # noqa: T201
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
