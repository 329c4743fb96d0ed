"""The load balancer's process: a proxy in a namespace of its own, outside of the cluster.

It is started by `balancer.py` with its plan as the first line of standard input, writes `ready` when it
listens, answers every further line with its counts, and ends with its input. Standard library only.

A connection to a Service's port goes to the Service's node port on one node after the other. One to port 80
of an Ingress goes where its first request's host and path lead, whole: what follows on it goes there too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import socket
import struct
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from labkit.traffic.ingressroutes import choose_route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONNECT_TIMEOUT_S = 5.0
HEALTH_PERIOD_S = 2.0
HEALTH_TIMEOUT_S = 1.0
UDP_SESSION_S = 30.0
MOST_HEAD_BYTES = 1 << 16
CHUNK_BYTES = 1 << 16
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Counts = dict[str, Any]


class Nodes:
    """The nodes that a Service port is forwarded to, in turn; only healthy ones where they are asked."""

    def __init__(self, nodes: Sequence[tuple[str, str]]) -> None:
        self.nodes = [(name, address) for name, address in nodes]
        self.healthy = {name for name, _ in nodes}
        self._turn = itertools.cycle(self.nodes)

    def next(self) -> tuple[str, str] | None:
        """Return the next node (name, address) that is healthy, None if none is."""
        for name, address in itertools.islice(self._turn, len(self.nodes)):
            if name in self.healthy:
                return name, address
        return None

    async def watch(self, port: int) -> None:
        """Ask each node's health check node port again and again; any answer but 200 takes it out."""
        while True:
            answers = await asyncio.gather(*(is_healthy(address, port) for _, address in self.nodes))
            self.healthy = {name for (name, _), good in zip(self.nodes, answers, strict=True) if good}
            await asyncio.sleep(HEALTH_PERIOD_S)


class Door:
    """One port of the balancer and what it has counted."""

    def __init__(self) -> None:
        self.accepted = 0
        self.failed = 0
        self.forwarded: Counter[str] = Counter()

    def counts(self) -> Counts:
        """Return what reached this port and where it went: by node, or by Service and node."""
        return {"accepted": self.accepted, "failed": self.failed, "forwarded": dict(self.forwarded)}


class TcpDoor(Door):
    """A Service's TCP port: each connection goes to the next node."""

    def __init__(self, nodes: Nodes, node_port: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.node_port = node_port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        self.accepted += 1
        node = self.nodes.next()
        onward = await connect(node, self.node_port)
        if node is None or onward is None:
            self.failed += 1
            reset(writer)
            return
        self.forwarded[node[0]] += 1
        await relay((reader, writer), onward)


class HttpDoor(Door):
    """Port 80 of an Ingress: the first request's host and path choose the Service."""

    def __init__(self, nodes: Nodes, routes: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self.nodes = nodes
        self.routes = routes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection, or answer it here: 404 for no route, 503 for no way to the Service."""
        self.accepted += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            return refuse(writer, "400 Bad Request", "no HTTP request")
        route = choose_route(self.routes, head)
        if route is None:
            return refuse(writer, "404 Not Found", "no rule of the Ingress has this host and path")
        node = self.nodes.next()
        onward = await connect(node, route["node_port"]) if route["node_port"] else None
        if node is None or onward is None:
            self.failed += 1
            return refuse(writer, "503 Service Unavailable", f"no way to {route['service']}")
        self.forwarded[f"{route['service']} {node[0]}"] += 1
        onward[1].write(head)
        return await relay((reader, writer), onward)


class UdpDoor(Door, asyncio.DatagramProtocol):
    """A Service's UDP port: each client (address and port) keeps its node until it is silent for a while."""

    def __init__(self, nodes: Nodes, node_port: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.node_port = node_port
        self.sessions: dict[Any, tuple[UdpSession, asyncio.TimerHandle]] = {}
        self.transport: asyncio.DatagramTransport

    def as_protocol(self) -> UdpDoor:
        """Return itself, as the one protocol of its socket."""
        return self

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keep the port's own socket."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Pass a datagram on from the client's own session."""
        self.accepted += 1
        loop = asyncio.get_running_loop()
        if addr in self.sessions:
            session, timer = self.sessions[addr]
            timer.cancel()
        else:
            node = self.nodes.next()
            if node is None:
                self.failed += 1
                return
            session = UdpSession(functools.partial(self.transport.sendto, addr=addr), node[0])
            task = loop.create_datagram_endpoint(lambda: session, remote_addr=(node[1], self.node_port))
            session.opening = loop.create_task(task)
        self.sessions[addr] = session, loop.call_later(UDP_SESSION_S, self.end, addr)
        self.forwarded[session.node] += 1
        session.send(data)

    def end(self, addr: Any) -> None:
        """Forget a client."""
        session, _ = self.sessions.pop(addr)
        if session.transport is not None:
            session.transport.close()


class UdpSession(asyncio.DatagramProtocol):
    """What one client sends to its node, and the answers back."""

    def __init__(self, answer: Callable[[bytes], None], node: str) -> None:
        self.answer = answer
        self.node = node
        self.unsent: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None
        self.opening: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Send what has come in the meantime."""
        self.transport = transport
        for data in self.unsent:
            transport.sendto(data)
        self.unsent.clear()

    def send(self, data: bytes) -> None:
        """Send to the node, as soon as the socket is there."""
        if self.transport is None:
            self.unsent.append(data)
        else:
            self.transport.sendto(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002  asyncio's signature
        """Pass an answer back."""
        self.answer(data)


async def connect(node: tuple[str, str] | None, port: int) -> Stream | None:
    """Connect to a node's port; None where that fails or takes too long."""
    if node is None:
        return None
    try:
        return await asyncio.wait_for(asyncio.open_connection(node[1], port), CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError):
        return None


async def relay(one: Stream, other: Stream) -> None:
    """Carry bytes both ways until both sides have ended; a reset on one side resets the other."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(one[0], other[1]))
            group.create_task(pump(other[0], one[1]))
    except* OSError:
        reset(one[1])
        reset(other[1])
    one[1].close()
    other[1].close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way, and then the end."""
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a TCP reset."""
    opened = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.close()


def refuse(writer: asyncio.StreamWriter, status: str, why: str) -> None:
    """Answer a request here."""
    body = f"balancer: {why}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    writer.close()


async def is_healthy(address: str, port: int) -> bool:
    """Ask a health check node port; whether it answers 200 in time."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n")
            answer = await reader.read(CHUNK_BYTES)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return answer.split(b" ", 2)[1:2] == [b"200"]


async def balance(plan: dict[str, Any]) -> None:
    """Listen as planned, then answer each line of standard input with the counts."""
    loop = asyncio.get_running_loop()
    doors: dict[str, Door] = {}
    watchers = []
    for service in plan["services"]:
        nodes = Nodes(plan["nodes"])
        if service["health_port"]:
            watchers.append(loop.create_task(nodes.watch(service["health_port"])))
        place = service["address"], service["port"]
        name = f"{service['address']}:{service['port']}/{service['protocol']}"
        if service["protocol"] == "TCP":
            doors[name] = tcp = TcpDoor(nodes, service["node_port"])
            await asyncio.start_server(tcp.serve, *place, limit=MOST_HEAD_BYTES)
        else:
            doors[name] = udp = UdpDoor(nodes, service["node_port"])
            await loop.create_datagram_endpoint(udp.as_protocol, local_addr=place)
    for site in plan["ingresses"]:
        doors[f"{site['address']}:80/TCP"] = http = HttpDoor(Nodes(plan["nodes"]), site["routes"])
        await asyncio.start_server(http.serve, site["address"], 80, limit=MOST_HEAD_BYTES)
    await answer_lines(lambda: {name: door.counts() for name, door in doors.items()})


async def answer_lines(counts: Callable[[], dict[str, Counts]]) -> None:
    """Write `ready`, then the counts for each line that comes; return at the end of the input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while await reader.readline():
        sys.stdout.write(json.dumps(counts()) + "\n")
        sys.stdout.flush()


def first_line() -> bytes:
    """Return the first line of standard input; what follows is left for the loop."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:
        return unbuffered.readline()


def main() -> None:
    """Balance as the first line of standard input plans it, until the input ends."""
    asyncio.run(balance(json.loads(first_line())))
