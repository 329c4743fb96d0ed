"""Packets for eyes: crafted and sent by Scapy, and real connections followed from the client to the pod.

Crafted packets have source ports that a socket holds, so that the system takes their answers for expected
ones. (To an answer to a crafted SYN it still says RST: it knows of no connection. That ends the half-open
one.)
"""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import RequestError, TrafficError
from labkit.traffic.answer import read_answer
from labkit.traffic.capture import Capture, CapturePoint, SeenPacket
from labkit.traffic.flow import FlowOutcome, Target, datagram_of
from labkit.traffic.flows import send_flows
from labkit.traffic.ports import bind_source
from labkit.traffic.scapylock import SCAPY
from labkit.traffic.workload import FlowPlan, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_DATAGRAMS = 500
ANSWER_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class FollowedConnection:
    """One connection as both of its ends saw it: packets at the client and at the pod, in order of time."""

    outcome: FlowOutcome
    packets: tuple[SeenPacket, ...]


@dataclass(frozen=True, slots=True)
class DatagramAnswers:
    """What came of crafted datagrams: how many were sent, and who answered how many of them."""

    sent: int
    answers: Mapping[str, int]
    packets: tuple[SeenPacket, ...]


def follow_connection(
    client: CapturePoint, source: str, target: Target, pods: Sequence[CapturePoint]
) -> FollowedConnection:
    """Open one real flow from address `source` to `target`; return its packets at `client` and at its pod.

    The same packet stands there twice, before and after address translation. `pods` are all who may answer,
    `where` being their names. Raises TrafficError as `send_flows` does.
    """
    with Capture([client, *pods]) as capture:
        (outcome,) = send_flows(client.namespace, target, Workload(connections=1), [FlowPlan(0, source)])

        def own(packets: Iterable[SeenPacket]) -> tuple[SeenPacket, ...]:
            return tuple(packet for packet in packets if _belongs(packet, client.where, outcome))

        packets = capture.wait(lambda seen: _has_ended(own(seen), outcome), ANSWER_TIMEOUT_S)
    return FollowedConnection(outcome, own(packets))


def probe(client: CapturePoint, source: str, target: Target) -> tuple[SeenPacket, ...]:
    """Send one SYN that Scapy crafted and return what passed at `client`: the SYN, and what came back.

    SYN-ACK (SA): somebody listens there. RST (RA): nobody does. Nothing in 2 s: the packet was dropped.
    """
    with ExitStack() as stack:
        port = _hold_ports(stack, client, socket.SOCK_STREAM, [source])[0]
        capture = stack.enter_context(Capture([client]))
        _send(client, [_craft_syn(source, port, target)])
        own = f"{source}:{port}"
        packets = capture.wait(
            lambda seen: any(packet.destination == own for packet in seen), ANSWER_TIMEOUT_S
        )
    return tuple(packet for packet in packets if own in {packet.source, packet.destination})


def send_datagrams(
    client: CapturePoint, sources: Sequence[str], target: Target, count: int = 100
) -> DatagramAnswers:
    """Send `count` UDP datagrams that Scapy crafted, each from a port of its own, and count who answers.

    The addresses `sources` take turns. Waits until all have an answer, at most 2 s after the last sign of
    one. Raises RequestError for more than 500.
    """
    if not 1 <= count <= MOST_DATAGRAMS:
        raise RequestError(f"{count} datagrams cannot be sent at once", todo=f"1 to {MOST_DATAGRAMS}")
    with ExitStack() as stack:
        turns = [sources[number % len(sources)] for number in range(count)]
        ports = _hold_ports(stack, client, socket.SOCK_DGRAM, turns)
        capture = stack.enter_context(Capture([client]))
        datagrams = [
            _craft_datagram(source, port, target, datagram_of(number))
            for number, (source, port) in enumerate(zip(turns, ports, strict=True))
        ]
        _send(client, datagrams)
        own = {f"{source}:{port}" for source, port in zip(turns, ports, strict=True)}

        def all_answered(seen: Iterable[SeenPacket]) -> bool:
            return own <= {packet.destination for packet in seen}

        packets = capture.wait(all_answered, ANSWER_TIMEOUT_S)
    its = tuple(packet for packet in packets if own & {packet.source, packet.destination})
    bodies = {packet.destination: packet.payload for packet in its if packet.destination in own}
    answers = [answer.pod for body in bodies.values() if (answer := read_answer(body))]
    return DatagramAnswers(count, dict(sorted(Counter(answers).items())), its)


def _belongs(packet: SeenPacket, client: str, outcome: FlowOutcome) -> bool:
    ends = {packet.source, packet.destination}
    if packet.where == client:
        return outcome.client in ends
    return packet.where == outcome.pod and outcome.peer in ends


def _has_ended(packets: Sequence[SeenPacket], outcome: FlowOutcome) -> bool:
    """Whether both ends have said FIN, and heard it, at every place where packets were seen."""
    if outcome.error or outcome.connect_us is None:
        return True
    for where in {packet.where for packet in packets}:
        flags = [packet.flags for packet in packets if packet.where == where]
        ends = {packet.source for packet in packets if packet.where == where and "F" in packet.flags}
        if len(ends) < 2 or "F" in flags[-1]:
            return False
    return bool(packets)


def _hold_ports(
    stack: ExitStack, client: CapturePoint, kind: socket.SocketKind, sources: Iterable[str]
) -> list[int]:
    """Bind sockets to `sources` in the client's namespace until the stack ends; return their ports."""

    def hold(source: str) -> int:
        return bind_source(stack.enter_context(socket.socket(socket.AF_INET, kind)), source)

    def bind_all() -> list[int]:
        return [hold(source) for source in sources]

    return client.namespace.run(bind_all)


def _send(client: CapturePoint, crafted: Sequence[Any]) -> None:
    """Let Scapy send packets of layer 3 from the client's namespace."""

    def send_here() -> None:
        from scapy.supersocket import L3RawSocket

        with SCAPY, L3RawSocket() as line:
            for packet in crafted:
                if not line.send(packet):
                    raise TrafficError(
                        f"Scapy could not send {packet.summary()}",
                        where=client.where,
                        todo="look at the client's routes: ip route",
                    )

    client.namespace.run(send_here)


def _craft_syn(source: str, port: int, target: Target) -> Any:
    with SCAPY:
        from scapy.layers.inet import IP, TCP

        return IP(src=source, dst=target.address) / TCP(sport=port, dport=target.port, flags="S")


def _craft_datagram(source: str, port: int, target: Target, payload: bytes) -> Any:
    with SCAPY:
        from scapy.layers.inet import IP, UDP

        return IP(src=source, dst=target.address) / UDP(sport=port, dport=target.port) / payload
