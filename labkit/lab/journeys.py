"""A lab's journeys: who is watched, what is sent, whose rules are read."""

from __future__ import annotations

import contextlib
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from labkit.errors import RequestError
from labkit.guest.info import current
from labkit.measure.experiment import ServiceTarget, plan_service_targets
from labkit.measure.journey.composing import compose_journey
from labkit.measure.journey.events import Packets, Provenance, Question
from labkit.measure.journey.observed import Frame
from labkit.measure.journey.places import NodeRules, plan_places
from labkit.measure.journey.recorder import Recorder, Watched
from labkit.measure.journey.rulebook import read_iptables, read_nftables, read_virtual_servers
from labkit.measure.journey.wire import read_packet
from labkit.measure.records import GuestFacts
from labkit.measure.targets import find_service_target
from labkit.traffic.flow import Target
from labkit.traffic.flows import send_flows
from labkit.traffic.workload import FlowPlan, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.lab.live import LiveCluster
    from labkit.measure.journey.journey import Journey
    from labkit.measure.journey.observed import Captured
    from labkit.traffic.flow import FlowOutcome

TIMEOUT_S = 0.9  # less than the second after which TCP sends a SYN again
_ENDING_TIMEOUT_S = 2.0
_PLACE = re.compile(r"^(?P<host>[^:/]+):(?P<port>\d{1,5})(?:/(?P<protocol>TCP|UDP))?$", re.IGNORECASE)


@contextlib.contextmanager
def record_journey(lab: LiveCluster, client: str, asked: str, packets: Packets) -> Iterator[Journey]:
    """Send one connection from `client` to `asked` and yield its journey; errors as for `Lab.journey`."""
    if packets not in get_args(Packets):
        raise RequestError(f"there are no {packets!r} packets", todo="write first, handshake or all")
    namespace, target = lab.namespace(client), find_asked(lab, asked)
    source = _source(lab, client, target.target)
    with open_recorder(lab, client, asked) as recorder:
        flow = _send(namespace, target.target, source)
        protocol = target.target.protocol
        if packets == "all" and flow.error is None and protocol == "TCP":
            recorder.wait(lambda captured: _has_ended(captured[namespace.name], flow), _ENDING_TIMEOUT_S)
        question = Question(client, flow.client, target.service, str(target.target), protocol, packets)
        made = replace(provenance(lab), missing=recorder.missing)
        places = plan_places(lab.network.plan)
        yield compose_journey(recorder.observed(), question, made, places, read_rules(lab))


def open_recorder(lab: LiveCluster, client: str, asked: str) -> Recorder:
    """Return a recorder of what goes from `client` to `asked` and back, recording; errors as above."""
    target = find_asked(lab, asked)
    watched = _watched(lab, lab.namespace(client).name, target, _source(lab, client, target.target))
    return Recorder(watched, plan_places(lab.network.plan))


def _send(namespace: Namespace, target: Target, source: str) -> FlowOutcome:
    workload = Workload(connections=1, timeout_s=TIMEOUT_S)
    (flow,) = send_flows(namespace, target, workload, [FlowPlan(0, source)])
    return flow


def find_asked(lab: LiveCluster, asked: str) -> ServiceTarget:
    """Return what `asked` means: a Service's port (`web`, `web:http`), or `HOST:PORT[/UDP]`.

    HOST is an address, a node, a pod or a client. Raises RequestError where it is none of them.
    """
    place = _PLACE.match(asked)
    names = {
        service.partition(":")[0] for service in (*lab.services, *(one.key for one in lab.cluster.services))
    }
    if place is None or place["host"] in names:
        return find_service_target(lab.cluster, asked)
    host, protocol = place["host"], (place["protocol"] or "TCP").upper()
    port = int(place["port"])
    if not 0 < port < 65536:
        raise RequestError(f"there is no port {port}", where=asked, todo="ports are 1 to 65535")
    address = host if _is_address(host) else _own_address(lab, host)
    target = Target(address, port, "UDP" if protocol == "UDP" else "TCP")
    known = {str(one.target): one for one in plan_service_targets(lab.cluster)}
    pods = tuple(pod.key for pod in lab.cluster.pods)
    return known.get(str(target)) or ServiceTarget(asked, target, pods)


def _own_address(lab: LiveCluster, name: str) -> str:
    addresses = lab.network.plan.namespace(lab.namespace(name).name).addresses
    if not addresses:
        raise RequestError(f"{name} has no address", todo="name a node, pod or client")
    return addresses[0].address


def _is_address(text: str) -> bool:
    try:
        socket.inet_aton(text)
    except OSError:
        return False
    return text.count(".") == 3


def _source(lab: LiveCluster, client: str, target: Target) -> str:
    """Return the address that the client asks from: its own first one, or what its routes choose."""
    if client in lab.network.plan.clients:
        return lab.network.plan.clients[client].address
    return lab.namespace(client).run(lambda: _chosen_source(target))


def _chosen_source(target: Target) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            asker.connect((target.address, target.port))
        except OSError as error:
            raise RequestError(
                f"there is no way to {target.address} from there: {error.strerror}",
                todo="ask from a client, node or pod that has a route to it (lab.route)",
            ) from error
        return str(asker.getsockname()[0])


def _watched(lab: LiveCluster, client: str, target: ServiceTarget, source: str) -> Watched:
    plan = lab.network.plan
    nodes = {one.name for one in plan.namespaces if one.kind == "node"}
    pods = [plan.pod(key) for key in target.pods or (pod.key for pod in lab.cluster.pods)]
    asked = plan_places(plan).addresses.get(target.target.address, client)
    lans = (one.name for one in plan.namespaces if one.kind == "lan")
    others = {client, asked, *lans, *(pod.name for pod in pods)}
    addresses = {source, target.target.address} | {
        pod.addresses[0].address for pod in pods if pod.kind == "pod"
    }
    names = lab.network.namespaces
    return Watched(
        nodes=tuple(names[name] for name in names if name in nodes),
        others=tuple(names[name] for name in names if name in others - nodes),
        addresses=tuple(sorted(addresses)),
        nft=lab.mode == "nftables" or lab.iptables_backend == "nft",
        ipvs=lab.mode == "ipvs",
    )


def read_rules(lab: LiveCluster) -> Mapping[str, NodeRules]:
    """Return the rules of every node."""
    uses_nft = lab.mode == "nftables" or lab.iptables_backend == "nft"
    return {
        name: NodeRules(
            read_iptables(namespace, f"iptables-{lab.iptables_backend}-save"),
            read_nftables(namespace) if uses_nft else None,
            read_virtual_servers(namespace) if lab.mode == "ipvs" else "",
        )
        for name, namespace in lab.nodes.items()
    }


def provenance(lab: LiveCluster) -> Provenance:
    """Return where a journey of this lab comes from."""
    guest = current()
    facts = GuestFacts(guest.kind, guest.release, guest.cpus) if guest else GuestFacts("", "", 0)
    return Provenance(facts, lab.clock, lab.mode, lab.algorithm, lab.iptables_backend, lab.manifests, ())


def _has_ended(captured: Sequence[Captured], flow: FlowOutcome) -> bool:
    """Return whether both ends have said FIN, and the last one was acknowledged."""
    enders: list[str] = []
    for one in captured:
        seen = read_packet(one.report.data[14:]) if isinstance(one.report, Frame) else None
        if seen is None or flow.client not in {seen.headers.source, seen.headers.destination}:
            continue
        if len(set(enders)) == 2 and seen.headers.source != enders[-1]:
            return True
        if "F" in seen.headers.flags:
            enders.append(seen.headers.source)
    return False
