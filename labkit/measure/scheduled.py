"""A real virtual server in a namespace, whose choices can be asked one by one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

from labkit.errors import ProgramError
from labkit.fabric.links import set_up
from labkit.fabric.netlink import RouteSocket
from labkit.proxy.ipvs import RealServer, VirtualServer
from labkit.proxy.ipvs_messages import Change, Command
from labkit.proxy.ipvs_netlink import IpvsSocket
from labkit.proxy.program_ipvs import make_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.algorithms import Connection
    from labkit.fabric.namespace import Namespace
    from labkit.spec.model import Protocol

VIRTUAL, PORT = "10.96.0.10", 80
REAL_NETWORK, REAL_PORT = "10.1.0.0/24", 8080
PATIENCE_S = 5.0  # for a connection over the loopback
_IP_PKTINFO, _IP_RECVERR = 8, 11  # linux/in.h


def real_address(name: str) -> str:
    """Return the address of the real server `web-7`: 10.1.0.7."""
    return f"10.1.0.{name.rpartition('-')[2]}"


def prepare_namespace(namespace: Namespace, clients: Iterable[str]) -> None:
    """Give a new namespace its loopback with every address that clients and real servers have.

    Raises ProgramError for an address that cannot be.
    """

    def bring_up() -> None:
        with RouteSocket(namespace.name) as route:
            route.send([set_up("lo", 1)])

    namespace.run(bring_up)
    for address in (f"{VIRTUAL}/32", REAL_NETWORK, *(f"{one}/32" for one in clients)):
        done = namespace.command(["ip", "route", "add", "local", address, "dev", "lo"])
        if done.status:
            raise ProgramError(f"{address} cannot be made local: {done.complaint}", where=namespace.name)
    namespace.write_sysctl("net/ipv4/vs/conntrack", "1")


class Scheduled:
    """One virtual server, 10.96.0.10:80; ask it with `choose_by_*`. A context manager.

    Its real servers `web-1`, `web-2` and so on are addresses of the same namespace, which
    `prepare_namespace` made ready. Raises ProgramError where the guest refuses a change.
    """

    def __init__(self, namespace: Namespace, scheduler: str, protocol: Protocol, flags: int = 0) -> None:
        """Hold what the virtual server is to be; `with` makes it."""
        self.namespace = namespace
        self.scheduler = scheduler
        self.protocol = protocol
        self.flags = flags
        self._open: dict[str, list[tuple[socket.socket, socket.socket]]] = {}

    def __enter__(self) -> Self:
        self.namespace.run(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        for pairs in self._open.values():
            for end in (end for pair in pairs for end in pair):
                end.close()
        self._change(Command.DEL_SERVICE)
        self._listener.close()
        self._ipvs.__exit__()

    def add(self, name: str, weight: int) -> None:
        """Add a real server: it goes to the front of the list."""
        self._change(Command.NEW_DEST, _real(name, weight))

    def remove(self, name: str) -> None:
        """Remove a real server."""
        self._change(Command.DEL_DEST, _real(name))

    def set_weight(self, name: str, weight: int) -> None:
        """Give a real server another weight."""
        self._change(Command.SET_DEST, _real(name, weight))

    def set_scheduler(self, name: str) -> None:
        """Let another scheduler choose from now on: it begins with the servers that there are."""
        self.scheduler = name
        self._change(Command.SET_SERVICE)

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return each real server's active and inactive connections."""
        (held,) = self._ipvs.read()
        return {f"web-{one.real.address.split('.')[3]}": (one.active, one.inactive) for one in held.reals}

    def choose_by_datagram(self, connection: Connection) -> str | None:
        """Send a datagram of a new connection; return who got it, None if nobody did."""
        with self.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.bind((connection.source, connection.source_port))
            client.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            try:
                client.sendto(b"?", (connection.destination, PORT))
            except OSError:
                return None
        try:
            _, ancillary, _, _ = self._listener.recvmsg(64, 64)
        except BlockingIOError:
            return None
        return f"web-{ancillary[0][2][11]}"

    def choose_by_connecting(self, connection: Connection) -> str | None:
        """Open a connection and keep it; return who accepted it, None where it was refused."""
        client = self.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        client.bind((connection.source, connection.source_port))
        client.settimeout(PATIENCE_S)
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

    def _start(self) -> None:
        self._ipvs = IpvsSocket()
        is_tcp = self.protocol == "TCP"
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("0.0.0.0", REAL_PORT))
        if is_tcp:
            self._listener.listen()
        else:
            self._listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._listener.settimeout(PATIENCE_S if is_tcp else 0)
        self._change(Command.NEW_SERVICE)

    def _change(self, command: Command, real: RealServer | None = None) -> None:
        server = VirtualServer(VIRTUAL, PORT, self.protocol, self.scheduler, self.flags, 0, (), "")
        make_changes(self._ipvs, [Change(command, server, real)], self.namespace.name)


def _real(name: str, weight: int = 1) -> RealServer:
    return RealServer(real_address(name), REAL_PORT, weight)
