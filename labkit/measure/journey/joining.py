"""One order out of all streams: each namespace's own, and the kernel's trace over all of them.

Whatever a tap catches passes a device, and the kernel's trace has an event for it: the same device, direction
and length. Each namespace's captures are in order, and so is the trace; so the trace tells which namespace's
next capture comes next. nlmon interfaces have names of their own, so that their messages fit one place only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING

from labkit.errors import TrafficError
from labkit.measure.journey.observed import Captured, Observed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.measure.journey.spine import SpineEvent

End = tuple[str, str]  # namespace and interface
Kind = tuple[str, bool, int]  # device, leaving, length
_MOST_CHOICES = 1000
LEAVING, ENTERING = "net_dev_start_xmit", "netif_receive_skb"


def join_by_trace(
    streams: Mapping[str, Sequence[Captured]], trace: Sequence[SpineEvent], peers: Mapping[End, End]
) -> Iterator[Observed]:
    """Yield the reports of all namespaces and the trace's other events, in the order of the trace.

    `peers` are the ends of the links, each by the other. Raises TrafficError where a capture has no event:
    then something was lost.
    """
    devices = [event for event in trace if event.name in {LEAVING, ENTERING}]
    placed = iter(_Search(streams, devices, peers).place())
    for event in trace:
        if event.name not in {LEAVING, ENTERING}:
            yield Observed(event.time_ns, "", event)
            continue
        found = next(placed)
        namespace, report = (found[0], found[1].report) if found is not None else ("", None)
        yield Observed(event.time_ns, namespace, event)
        if report is not None:
            yield Observed(event.time_ns, namespace, report)


@dataclass(slots=True)
class _State:
    """How far the search has come: in each stream, and where each packet (by its address) was last."""

    event: int
    taken: dict[str, int]
    last: dict[int, tuple[End, bool]]

    def copy(self) -> _State:
        return _State(self.event, dict(self.taken), dict(self.last))


class _Search:
    """Finds whose each device event is. Where several namespaces fit, it tries one, and others if that fails.

    It fails as soon as there are fewer events of a kind to come than captures that wait for one.
    """

    def __init__(
        self,
        streams: Mapping[str, Sequence[Captured]],
        events: Sequence[SpineEvent],
        peers: Mapping[End, End],
    ) -> None:
        self.streams, self.events, self.peers = streams, events, peers
        self.spare = Counter(map(_kind, events))
        self.spare.subtract(_kind_of(one) for stream in streams.values() for one in stream)

    def place(self) -> list[tuple[str, Captured] | None]:
        """Return the capture of each event, None for one in a namespace without a tap."""
        self._require(self.spare)
        state, spare = _State(0, dict.fromkeys(self.streams, 0), {}), Counter(self.spare)
        found: list[tuple[str, Captured] | None] = []
        choices: list[tuple[_State, Counter[Kind], list[str]]] = []
        others: list[str] | None = None
        while state.event < len(self.events):
            event = self.events[state.event]
            fitting = self._fitting(state, event) if others is None else others
            others = None
            if fitting:
                if len(fitting) > 1:
                    choices.append((state.copy(), Counter(spare), fitting[1:]))
                found[state.event :] = [self._take(state, event, fitting[0])]
            else:
                found[state.event :] = [None]
                spare[_kind(event)] -= 1
                if spare[_kind(event)] < 0:
                    if not choices or len(choices) > _MOST_CHOICES:
                        self._require(spare)
                    state, spare, others = choices.pop()
                    continue
            state.event += 1
        return found

    def _fitting(self, state: _State, event: SpineEvent) -> list[str]:
        """Return the namespaces whose next capture fits, the likeliest first."""
        kind = _kind(event)
        heads = {
            name: stream[state.taken[name]]
            for name, stream in self.streams.items()
            if state.taken[name] < len(stream)
        }
        fitting = [name for name, head in heads.items() if _kind_of(head) == kind]
        expected = self._expected(state, event) if len(fitting) > 1 else ""
        return sorted(fitting, key=lambda name: (name != expected, heads[name].time_ns))

    def _expected(self, state: _State, event: SpineEvent) -> str:
        """Return where the packet must be: at the other end of a link it has left by, else where it was."""
        if event.fields["skbaddr"] not in state.last:
            return ""
        place, has_left = state.last[event.fields["skbaddr"]]
        return self.peers.get(place, place)[0] if has_left and event.name == ENTERING else place[0]

    def _take(self, state: _State, event: SpineEvent, namespace: str) -> tuple[str, Captured]:
        captured = self.streams[namespace][state.taken[namespace]]
        state.taken[namespace] += 1
        state.last[event.fields["skbaddr"]] = (namespace, event.fields["name"]), event.name == LEAVING
        return namespace, captured

    def _require(self, spare: Counter[Kind]) -> None:
        """Raise TrafficError if captures of some kind are more than the events for them."""
        for (device, _, _), count in spare.items():
            if count < 0:
                raise TrafficError(
                    "captures have no place in the kernel's trace: something was lost",
                    where=f"at {device}",
                    todo="record the journey again",
                )


def _kind(event: SpineEvent) -> Kind:
    return event.fields["name"], event.name == LEAVING, event.fields["len"]


def _kind_of(captured: Captured) -> Kind:
    return captured.device, captured.leaving, captured.length


def join_by_time(streams: Mapping[str, Sequence[Captured]]) -> Iterator[Observed]:
    """Yield the reports of all namespaces by their stamps; in real time only, where there is no trace."""
    reported = [
        [
            Observed(captured.time_ns, namespace, captured.report)
            for captured in stream
            if captured.report is not None
        ]
        for namespace, stream in streams.items()
    ]
    yield from merge(*reported, key=attrgetter("time_ns"))  # each stream's own order stays
