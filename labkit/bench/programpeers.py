"""The limits of programming a node, and how others do it. Each returns seconds, in a namespace of its own.

A fresh namespace for each: IPVS keeps removed real servers for minutes, which makes adding them again slow.
"""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.bench.rawsend import send_batches
from labkit.bench.stopwatch import wall_s
from labkit.errors import GuestError
from labkit.fabric import links
from labkit.fabric.namespace import Namespace
from labkit.fabric.netlink import CHUNK_BYTES, RouteSocket, packed
from labkit.proxy.ipvs_netlink import IpvsSocket
from labkit.proxy.ipvs_netlink import packed as packed_changes
from labkit.proxy.program_device import apply_addresses
from labkit.spec.addressplan import Address, Interface

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from labkit.proxy.ipvs import VirtualServer
    from labkit.proxy.ipvs_messages import Change

_NETLINK_GENERIC = 16
_LAST_CHARACTERS = 300


@contextmanager
def empty_node() -> Iterator[Namespace]:
    """Yield a namespace with nothing in it, where IPVS takes real servers: its lo is up."""
    with Namespace.create("bench-node") as node:
        with node.run(lambda: RouteSocket(node.name)) as route:
            route.send([links.set_up("lo", links.LOOPBACK_INDEX)])
        yield node


def encode_and_send_changes(changes: Sequence[Change]) -> float:
    """Return the seconds that packing `changes` takes, and then those for sending what was packed."""
    with empty_node() as node, node.run(IpvsSocket) as ipvs, node.run(_generic_socket) as raw:
        batches: list[bytes] = []
        encoding_s = wall_s(
            lambda: batches.extend(batch for _, batch in packed_changes(changes, ipvs.family, 1))
        )
        return encoding_s + wall_s(lambda: send_batches(raw, batches))


def send_changes(changes: Sequence[Change]) -> float:
    """Return the seconds that sending `changes` takes, packed before."""
    with empty_node() as node, node.run(IpvsSocket) as ipvs, node.run(_generic_socket) as raw:
        batches = [batch for _, batch in packed_changes(changes, ipvs.family, 1)]
        return wall_s(lambda: send_batches(raw, batches))


def restore_with_ipvsadm(text: str) -> float:
    """Return the seconds that `ipvsadm -R` takes for `text`. Raises CapabilityError where there is none."""
    with empty_node() as node, node.run(IpvsSocket):  # the socket loads ip_vs: that is not measured
        return _command_s(node, ["ipvsadm", "-R"], text)


def ipvsadm_text(servers: Iterable[VirtualServer]) -> str:
    """Return the input of `ipvsadm -R` for virtual servers with TCP, and their real servers."""
    lines = []
    for server in servers:
        name = f"-t {server.address}:{server.port}"
        lines.append(f"-A {name} -s {server.scheduler}")
        lines += [f"-a {name} -r {real.name} -m -w {real.weight}" for real in server.real_servers]
    return "".join(f"{line}\n" for line in lines)


def restore_file(command: str, path: Path) -> float:
    """Return the seconds that iptables-restore takes for a file."""
    with empty_node() as node:
        return _command_s(node, [command, str(path)])


def bind_packed(addresses: Sequence[str]) -> float:
    """Return the seconds that it takes to bind `addresses` on kube-ipvs0 by messages packed before."""
    with empty_node() as node:
        index = _make_device(node)
        messages = [
            links.add_address(Address(Interface("kube-ipvs0", index, ""), one, 32)) for one in addresses
        ]
        size = CHUNK_BYTES // (len(messages[0].body) + 16)
        chunks = [messages[start : start + size] for start in range(0, len(messages), size)]
        batches = [b"".join(packed(chunk, 1)) for chunk in chunks]
        with node.run(_route_socket) as raw:
            return wall_s(lambda: send_batches(raw, batches))


def bind_with_ip(addresses: Sequence[str]) -> float:
    """Return the seconds that one `ip -batch` takes to bind `addresses` on kube-ipvs0."""
    text = "".join(f"address add {one}/32 dev kube-ipvs0\n" for one in addresses)
    with empty_node() as node:
        _make_device(node)
        return _command_s(node, ["ip", "-batch", "-"], text)


def bind_ours(addresses: Sequence[str]) -> float:
    """Return the seconds that `apply_addresses` takes."""
    with empty_node() as node:
        _make_device(node)
        return wall_s(lambda: apply_addresses(node, addresses))


def _make_device(node: Namespace) -> int:
    apply_addresses(node, ())
    (index,) = (index for index, name in node.run(socket.if_nameindex) if name == "kube-ipvs0")
    return index


def _command_s(node: Namespace, argv: list[str], text: str = "") -> float:
    begun = time.monotonic()
    done = node.command(argv, stdin=text)
    seconds = time.monotonic() - begun
    if done.status:
        raise GuestError(f"{argv[0]} failed", where=done.stderr.strip()[-_LAST_CHARACTERS:])
    return seconds


def _generic_socket() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)


def _route_socket() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
