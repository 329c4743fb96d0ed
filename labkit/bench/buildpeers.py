"""How others build a network: ip -batch, pyroute2's objects, Mininet. Each returns seconds, and cleans up.

Where theirs is less than ours, it is so in their favour: no settings, no forwarding entries. Mininet's is one
Linux bridge with so many hosts.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.bench.stopwatch import wall_s
from labkit.errors import CapabilityError, GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroute2 import NetNS

    from labkit.fabric.namespace import Namespace
    from labkit.spec.addressplan import AddressPlan, LinkPlan, NamespacePlan, Route

_DEBIAN_PYTHON = "/usr/bin/python3"  # Debian's package is for Debian's Python
_LAST_CHARACTERS = 300
_MININET = """
import sys, time
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
begun = time.monotonic()
net = Mininet(switch=LinuxBridge, controller=None, ipBase="10.0.0.0/16")
switch = net.addSwitch("s1")
for number in range(int(sys.argv[1])):
    host = net.addHost(f"h{number}", defaultRoute="via 10.0.255.254")
    net.addLink(host, switch)
net.build()
net.start()
print(time.monotonic() - begun)
net.stop()
"""


def build_with_ip(plan: AddressPlan) -> float:
    """Return the seconds that `ip -batch` takes, a process for all names and then two for each namespace."""
    names = [one.name for one in plan.namespaces]
    batches = [("", "".join(f"netns add {name}\n" for name in names))]
    batches += [
        (outer, "".join(f"{line}\n" for line in _outer_lines(plan.namespace(outer), list(inner))))
        for outer, inner in groupby(plan.links, key=lambda link: link.outer)
    ]
    batches += [(one.name, "".join(f"{line}\n" for line in _inner_lines(one))) for one in plan.namespaces]

    def run_all() -> None:
        for namespace, text in batches:
            ip_batch(text, namespace)

    try:
        return wall_s(run_all)
    finally:
        ip_batch("".join(f"netns delete {name}\n" for name in names))


def ip_batch(text: str, namespace: str = "") -> None:
    """Give `text` to one `ip -batch`. Raises CapabilityError without ip, GuestError where it fails."""
    command = ["ip", *(("-n", namespace) if namespace else ()), "-batch", "-"]
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise CapabilityError("there is no ip here", todo="sudo apt-get install iproute2") from error
    if done.returncode:
        raise GuestError("ip -batch failed", where=done.stderr.strip()[-_LAST_CHARACTERS:])


def build_with_pyroute2(plan: AddressPlan) -> float:
    """Return the seconds that pyroute2's NetNS objects take, one for each namespace."""
    from pyroute2 import NetNS, netns

    sockets: dict[str, NetNS] = {}
    try:
        return wall_s(lambda: _build_with_objects(plan, sockets, NetNS))
    finally:
        for name, one in sockets.items():
            one.close()
            with suppress(FileNotFoundError):  # interrupted before it was made
                netns.remove(name)


def build_with_mininet(hosts: int, apart: Namespace) -> float:
    """Return the seconds that Mininet takes for a bridge with so many hosts, in the namespace `apart`.

    Raises CapabilityError where it is not installed.
    """
    if not Path("/usr/bin/mnexec").exists() or not Path("/usr/sbin/brctl").exists():
        raise CapabilityError("Mininet is not installed", todo="make bench-peers")
    done = apart.command([_DEBIAN_PYTHON, "-c", _MININET, str(hosts)])
    if done.status:
        raise GuestError("Mininet failed", where=done.stderr.strip()[-_LAST_CHARACTERS:])
    return float(done.stdout.split()[-1])


def _outer_lines(plan: NamespacePlan, inner: list[LinkPlan]) -> Iterator[str]:
    if plan.bridge is not None:
        yield f"link add name {plan.bridge.name} index {plan.bridge.index} up type bridge mcast_snooping 0"
    for link in inner:
        port, peer = link.port, link.interface
        yield (
            f"link add name {port.name} index {port.index} address {port.mac} type veth "
            f"peer name {peer.name} index {peer.index} address {peer.mac} netns {link.inner}"
        )
        yield f"link set {port.name} up master {link.bridge.name}"
        if link.hairpin:
            yield f"link set {port.name} type bridge_slave hairpin on"


def _inner_lines(plan: NamespacePlan) -> Iterator[str]:
    yield "link set lo up"
    for name in dict.fromkeys(address.interface.name for address in plan.addresses):
        yield f"link set {name} up"
    for address in plan.addresses:
        yield f"address add {address.address}/{address.prefix_length} dev {address.interface.name}"
    for route in plan.routes:
        yield f"route add {route.destination}{_via(route)} dev {route.interface.name}"
    for one in plan.neighbours:
        yield f"neighbour replace {one.address} lladdr {one.mac} nud permanent dev {one.interface.name}"


def _via(route: Route) -> str:
    return f" via {route.via}{' onlink' if route.onlink else ''}" if route.via else ""


def _build_with_objects(plan: AddressPlan, sockets: dict[str, NetNS], make: type[NetNS]) -> None:
    for one in plan.namespaces:
        sockets[one.name] = make(one.name, flags=os.O_CREAT)
        if one.bridge is not None:
            bridge = {"ifname": one.bridge.name, "index": one.bridge.index, "state": "up"}
            sockets[one.name].link("add", kind="bridge", **bridge)
    for link in plan.links:
        port, peer = link.port, link.interface
        far = {"ifname": peer.name, "index": peer.index, "address": peer.mac, "net_ns_fd": link.inner}
        near = {"ifname": port.name, "index": port.index, "address": port.mac}
        sockets[link.outer].link("add", kind="veth", **near, peer=far)
        sockets[link.outer].link("set", index=port.index, master=link.bridge.index, state="up")
    for one in plan.namespaces:
        sockets[one.name].link("set", index=1, state="up")
        for index in dict.fromkeys(address.interface.index for address in one.addresses):
            sockets[one.name].link("set", index=index, state="up")
        _configure_with_object(one, sockets[one.name])


def _configure_with_object(plan: NamespacePlan, namespace: NetNS) -> None:
    for address in plan.addresses:
        namespace.addr(
            "add", index=address.interface.index, address=address.address, prefixlen=address.prefix_length
        )
    for route in plan.routes:
        via = {"gateway": route.via} if route.via else {"scope": 253}
        onlink = {"flags": 4} if route.onlink else {}
        namespace.route("add", dst=route.destination, oif=route.interface.index, **via, **onlink)
    for one in plan.neighbours:
        namespace.neigh("replace", dst=one.address, lladdr=one.mac, ifindex=one.interface.index, state=0x80)
