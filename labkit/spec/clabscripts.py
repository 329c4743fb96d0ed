"""AddressPlan -> shell scripts, one for each network namespace, and the topology whose nodes run them.

A script does what `fabric/build.py` does by netlink once the interfaces are there: settings, bridge,
addresses, routes, neighbours. Interface indexes, which Linux chooses there, are the only thing left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.spec.topology import Bind, Endpoint, Link, Topology, TopologyNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.spec.addressplan import AddressPlan, LinkPlan, NamespacePlan

IMAGE = "labkit-node"
"""The image of a generated file's nodes; docs/containerlab.md says what it must have."""

MTU = 1500  # the lab's veth pairs have Linux' own
SCRIPTS = "/mnt"  # in a node; a folder that every Linux has
KEEPS_RUNNING = "sleep infinity"


def plan_topology(name: str, plan: AddressPlan, image: str = IMAGE) -> Topology:
    """Return the topology of a lab's network: each node runs its own script of the folder `name`.

    Containers are called as the lab's network namespaces are. Nothing is on the management network.
    """
    nodes = tuple(
        TopologyNode(
            name=namespace.name,
            kind="linux",
            network_mode="none",
            image=image,
            cmd=KEEPS_RUNNING,
            user="root",
            binds=(Bind(name, SCRIPTS, read_only=True),),
            exec=(f"bash {SCRIPTS}/{script_name(namespace.name)}",),
        )
        for namespace in plan.namespaces
    )
    return Topology(name, nodes, tuple(_link(link) for link in plan.links), prefix="")


def script_name(namespace: str) -> str:
    """Return the file name of a namespace's script."""
    return f"{namespace}.sh"


def network_scripts(plan: AddressPlan) -> Mapping[str, str]:
    """Return the scripts that configure the namespaces, by file name."""
    return {
        script_name(namespace.name): "".join(f"{line}\n" for line in _script(namespace, plan))
        for namespace in plan.namespaces
    }


def _link(link: LinkPlan) -> Link:
    ends = (
        Endpoint(link.outer, link.port.name, link.port.mac),
        Endpoint(link.inner, link.interface.name, link.interface.mac),
    )
    return Link("veth", ends, mtu=MTU)


def _script(namespace: NamespacePlan, plan: AddressPlan) -> Iterator[str]:
    ports = [link for link in plan.links if link.outer == namespace.name]
    yield f"# {namespace.name} ({namespace.kind}): its network, where its interfaces are there already"
    yield "set -e"
    settings = " ".join(f"'{path}={value}'" for path, value in namespace.sysctls)
    yield f"sysctl -qw {settings}"
    yield from _fed("ip -batch -", _ip_lines(namespace, ports))
    yield from _fed("bridge -batch -", _bridge_lines(ports))


def _ip_lines(namespace: NamespacePlan, ports: list[LinkPlan]) -> Iterator[str]:
    bridge = namespace.bridge
    if bridge is not None:
        settings = "mcast_snooping 0 vlan_default_pvid 0"  # as in fabric/links.py
        yield f"link add name {bridge.name} address {bridge.mac} type bridge {settings}"
        yield f"link set dev {bridge.name} up"
        yield from (f"link set dev {link.port.name} master {bridge.name}" for link in ports)
    yield "link set dev lo up"
    for address in namespace.addresses:
        yield f"address add {address.address}/{address.prefix_length} dev {address.interface.name}"
    for route in namespace.routes:
        via = f" via {route.via}" if route.via else ""
        onlink = " onlink" if route.onlink else ""
        yield f"route add {route.destination}{via} dev {route.interface.name}{onlink}"
    for neighbour in namespace.neighbours:
        yield (
            f"neighbour replace {neighbour.address} lladdr {neighbour.mac} dev {neighbour.interface.name} "
            "nud permanent"
        )


def _bridge_lines(ports: list[LinkPlan]) -> Iterator[str]:
    for link in ports:
        if link.hairpin:
            yield f"link set dev {link.port.name} hairpin on"
        yield f"fdb replace {link.interface.mac} dev {link.port.name} master static"


def _fed(command: str, lines: Iterator[str]) -> Iterator[str]:
    body = list(lines)
    if body:
        yield from (f"{command} <<'END'", *body, "END")
