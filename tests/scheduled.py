"""A real virtual server in a namespace, whose choices can be asked one by one."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from labkit.algorithms import Connection
from labkit.fabric.links import set_up
from labkit.fabric.namespace import Namespace
from labkit.fabric.netlink import RouteSocket
from labkit.proxy.ipvs import RealServer, VirtualServer
from labkit.proxy.ipvs_messages import Change, Command
from labkit.proxy.ipvs_netlink import IpvsSocket

VIRTUAL, PORT = "10.96.0.10", 80
REAL_PORT = 8080
IP_PKTINFO = 8


def real_address(name: str) -> str:
    """Return the address of the real server `web-7`: 10.1.0.7."""
    return f"10.1.0.{name.removeprefix('web-')}"


@dataclass
class Scheduled:
    """One virtual server; real servers are addresses of the same namespace. Ask it with `choose_*`."""

    namespace: Namespace
    scheduler: str
    protocol: str
    flags: int = 0
    _open: dict[str, list[tuple[socket.socket, socket.socket]]] = field(default_factory=dict)

    def __enter__(self):
        self.namespace.run(self._start)
        return self

    def __exit__(self, *_):
        for pairs in self._open.values():
            for end in (end for pair in pairs for end in pair):
                end.close()
        self._change(Command.DEL_SERVICE)
        self._listener.close()
        self._ipvs.__exit__()

    def _start(self) -> None:
        self._ipvs = IpvsSocket()
        kind = socket.SOCK_STREAM if self.protocol == "TCP" else socket.SOCK_DGRAM
        self._listener = socket.socket(socket.AF_INET, kind)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("0.0.0.0", REAL_PORT))
        if self.protocol == "TCP":
            self._listener.listen()
        else:
            self._listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self._listener.settimeout(5 if self.protocol == "TCP" else 0)
        self._change(Command.NEW_SERVICE)

    def _change(self, command: Command, real: RealServer | None = None) -> None:
        server = VirtualServer(VIRTUAL, PORT, self.protocol, self.scheduler, self.flags, 0, (), "")
        assert not self._ipvs.change([Change(command, server, real)])

    def _real(self, name: str, weight: int = 1) -> RealServer:
        return RealServer(real_address(name), REAL_PORT, weight)

    def add(self, name: str, weight: int) -> None:
        self._change(Command.NEW_DEST, self._real(name, weight))

    def remove(self, name: str) -> None:
        self._change(Command.DEL_DEST, self._real(name))

    def set_weight(self, name: str, weight: int) -> None:
        self._change(Command.SET_DEST, self._real(name, weight))

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return each real server's active and inactive connections."""
        (held,) = self._ipvs.read()
        return {f"web-{one.real.address.split('.')[3]}": (one.active, one.inactive) for one in held.reals}

    def choose_by_datagram(self, connection: Connection) -> str | None:
        """Send a datagram of a new connection; return who got it."""
        with self.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.bind((connection.source, connection.source_port))
            client.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
            try:
                client.sendto(b"?", (connection.destination, PORT))
            except OSError:
                return None
        try:
            _, ancillary, _, _ = self._listener.recvmsg(64, 64)
        except BlockingIOError:
            return None
        return f"web-{int(IPv4Address(ancillary[0][2][8:12])) & 255}"

    def choose_by_connecting(self, connection: Connection) -> str | None:
        """Open a connection and keep it; return who accepted it, None where it was refused."""
        client = self.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        client.bind((connection.source, connection.source_port))
        client.settimeout(5)
        try:
            client.connect((connection.destination, PORT))
        except OSError:  # IPVS drops it, and answers with "port unreachable"
            client.close()
            return None
        accepted, _ = self._listener.accept()
        name = f"web-{accepted.getsockname()[0].split('.')[3]}"
        self._open.setdefault(name, []).append((client, accepted))
        return name

    def close_one(self, name: str) -> None:
        """End the oldest connection to a real server."""
        pairs = self._open.get(name)
        if pairs:
            for end in pairs.pop(0):
                end.close()


def prepare(namespace: Namespace, clients: list[str]) -> None:
    """Give a new namespace its loopback with every address that clients and real servers have."""

    def bring_up() -> None:
        with RouteSocket(namespace.name) as route:
            route.send([set_up("lo", 1)])

    namespace.run(bring_up)
    for address in ("10.96.0.10/32", "10.1.0.0/24", *(f"{one}/32" for one in clients)):
        completed = namespace.command(["ip", "route", "add", "local", address, "dev", "lo"])
        assert completed.status == 0, completed.stderr
    namespace.write_sysctl("net/ipv4/vs/conntrack", "1")
