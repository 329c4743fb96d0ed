"""One order out of all streams: each namespace's own, and the kernel's trace over all of them.

Whatever a tap catches passes a device, and the kernel's trace has an event for it: the same device, direction
and length. Each namespace's captures are in order, and so is the trace; so the trace tells which namespace's
next capture comes next. nlmon interfaces have names of their own, so that their messages fit one place only.
"""

from __future__ import annotations

from collections import deque
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING

from labkit.errors import TrafficError
from labkit.measure.journey.observed import Captured, Observed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labkit.measure.journey.spine import SpineEvent

End = tuple[str, str]  # namespace and interface
LEAVING, ENTERING = "net_dev_start_xmit", "netif_receive_skb"


def join_by_trace(
    streams: Mapping[str, Sequence[Captured]], trace: Iterable[SpineEvent], peers: Mapping[End, End]
) -> Iterator[Observed]:
    """Yield the reports of all namespaces and the trace's other events, in the order of the trace.

    `peers` are the ends of the links, each by the other. Raises TrafficError where a capture has no event:
    then something was lost.
    """
    places = _Places(streams, peers)
    for event in trace:
        if event.name not in {LEAVING, ENTERING}:
            yield Observed(event.time_ns, "", event)
        elif (found := places.find(event)) is not None:
            namespace, captured = found
            yield Observed(event.time_ns, namespace, event)
            if captured.report is not None:
                yield Observed(event.time_ns, namespace, captured.report)
    places.require_empty()


class _Places:
    """The captures that wait for their event, and where each packet (by its address) was last."""

    def __init__(self, streams: Mapping[str, Sequence[Captured]], peers: Mapping[End, End]) -> None:
        self.waiting = {namespace: deque(stream) for namespace, stream in streams.items()}
        self.peers = peers
        self.last: dict[int, tuple[End, bool]] = {}

    def find(self, event: SpineEvent) -> tuple[str, Captured] | None:
        """Take the capture of `event` out; None where it happened in a namespace without a tap."""
        device, leaving, length = event.fields["name"], event.name == LEAVING, event.fields["len"]
        fitting = [
            namespace
            for namespace, stream in self.waiting.items()
            if stream and (stream[0].device, stream[0].leaving, stream[0].length) == (device, leaving, length)
        ]
        if not fitting:
            return None
        packet = event.fields["skbaddr"]
        expected = self._expected(packet, leaving=leaving)
        earliest = min(fitting, key=lambda namespace: self.waiting[namespace][0].time_ns)
        namespace = expected if expected in fitting else earliest
        self.last[packet] = (namespace, device), leaving
        return namespace, self.waiting[namespace].popleft()

    def _expected(self, packet: int, *, leaving: bool) -> str:
        """Return where the packet must be: at the other end of a link it has left by, else where it was."""
        if packet not in self.last:
            return ""
        place, has_left = self.last[packet]
        return self.peers.get(place, place)[0] if has_left and not leaving else place[0]

    def require_empty(self) -> None:
        """Raise TrafficError for captures that no event was found for."""
        for namespace, rest in self.waiting.items():
            if rest:
                raise TrafficError(
                    f"{len(rest)} captures have no place in the kernel's trace: something was lost",
                    where=f"{namespace}, from {rest[0].device} on",
                    todo="record the journey again",
                )


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
