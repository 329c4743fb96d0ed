"""One round of questions, all on their way at once: one loop answers as everybody, and takes what comes."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flows.packets import StrayPacket, WirePacket
from flows.places import handling_nodes, masquerade_address
from flows.questions import Question
from flows.responders import Responder
from flows.rows import Row

from labkit.traffic.answer import Answer

AnyQuestion = Question | StrayPacket | WirePacket


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: `silence_s` for nothing, where that may be right, `answer_s` for what has to come."""

    silence_s: float
    answer_s: float = 20.0  # on a slow machine it comes late, but it comes


@dataclass(slots=True)
class Asked:
    """A row that was asked: one question, or those of a visit, which all must have one outcome."""

    row: Row
    questions: tuple[AnyQuestion, ...]
    words: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """What came of it."""
        return self.words[0] if len(set(self.words)) == 1 else "changes"


class Round:
    """Questions of many rows, until each has an outcome or patience is over."""

    def __init__(
        self, responders: Mapping[int, Responder], asked: Sequence[Asked], patience: Patience
    ) -> None:
        """Take over questions that are on their way; `responders` by their descriptors."""
        self.responders = responders
        self.asked = asked
        self.patience = patience
        self.arrivals: dict[str, tuple[str, str]] = {}
        self.open = {one.socket.fileno(): (who, one) for who in asked for one in who.questions}
        self.awaited = sum(not who.row.may_be_silent for who, _ in self.open.values())

    def outcomes(self) -> list[tuple[Row, str]]:
        """Return what came of each row that was asked."""
        with select.epoll() as epoll:
            for descriptor in (*self.responders, *self.open):
                epoll.register(descriptor, select.EPOLLIN)
            for descriptor in self._ready(epoll):
                if (responder := self.responders.get(descriptor)) is not None:
                    responder.answer(self._arrived)
                elif descriptor in self.open:
                    self._take(descriptor)
        for who, question in self.open.values():
            who.words.append(self._silence(who.row, question))
            question.close()
        return [(who.row, who.outcome) for who in self.asked]

    def _ready(self, epoll: select.epoll) -> Iterator[int]:
        began = time.monotonic()
        while self.open:
            patience_s = self.patience.answer_s if self.awaited else self.patience.silence_s
            left_s = began + patience_s - time.monotonic()
            if left_s <= 0:
                return
            yield from (descriptor for descriptor, _ in epoll.poll(left_s))

    def _arrived(self, flow: str, name: str, peer: str) -> None:
        self.arrivals[flow] = name, peer

    def _take(self, descriptor: int) -> None:
        who, question = self.open[descriptor]
        if came := question.refusal or question.outcome():
            who.words.append(came if isinstance(came, str) else self._answered(who.row, question, came))
            self.awaited -= not who.row.may_be_silent
            del self.open[descriptor]
            question.close()

    def _answered(self, row: Row, question: AnyQuestion, answer: Answer) -> str:
        return _seen(row, question, answer.pod, answer.peer.rpartition(":")[0])

    def _silence(self, row: Row, question: AnyQuestion) -> str:
        if question.refusal:
            return question.refusal
        if question.flow not in self.arrivals:
            return "forbidden" if question.forbidden and "forbidden" in row.expected else "drop"
        return _seen(row, question, *self.arrivals[question.flow]) + "!"


def _seen(row: Row, question: AnyQuestion, name: str, peer: str) -> str:
    """Return the table's word for: `name` was reached and saw `peer`; where two fit, the one expected."""
    asked, other = handling_nodes(row)
    addresses = {
        "=": question.own,
        "~": masquerade_address(asked, name),
        "^": masquerade_address(other, name),
    }
    words = [f"{name}{sign}" for sign, address in addresses.items() if address == peer]
    expected = (word for word in words if {word, f"{word}!"} & row.expected)
    return next(expected, (words or [f"{name} sees {peer}"])[0])
