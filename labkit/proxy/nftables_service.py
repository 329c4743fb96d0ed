"""The nftables statements of one service port: how traffic finds it, and how it chooses an endpoint.

kube-proxy's own order and wording (v1.30, pkg/proxy/nftables/proxier.go, syncProxyRules and its
writeService...).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.proxy.names import nft_endpoint_base, nft_service_base
from labkit.proxy.nftables_statements import Statement, add, emptied_chain, rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.proxy.endpoints import ServiceEndpoint
    from labkit.proxy.services import ForwardedPort
    from labkit.proxy.settings import LocalDetector, NodeSettings

_MARK = "jump mark-for-masquerade"
_FROM_NODE = "fib saddr type local"
_INTERFACE_WORD = {"interface": "", "prefix": "*"}


@dataclass(frozen=True, slots=True)
class _Chains:
    """The chains of one service port; `inside` is where its cluster IP leads, `outside` external-*.

    `endpoints` maps each endpoint (`address:port`) to what ends the names of its chain and affinity set.
    """

    cluster: str
    local: str
    external: str
    firewall: str
    inside: str
    outside: str
    endpoints: Mapping[str, str]


def service_statements(port: ForwardedPort, settings: NodeSettings) -> Iterator[Statement]:
    """Yield all statements of one service port, every chain and set before what leads to it."""
    chains = _chains(port)
    yield from _declarations(port, chains)
    yield from _access(port, chains)
    if port.answers_inside:
        yield from _masquerade_inside(port, chains, settings)
    if port.has_any and port.externally_accessible:
        yield from _external_rules(port, chains, settings)
    if port.affinity_s is not None:
        remembering = f"{{ type ipv4_addr ; flags dynamic,timeout ; timeout {port.affinity_s}s ; }}"
        for base in chains.endpoints.values():
            yield add("set", f"affinity-{base}", remembering)
    if port.uses_cluster and port.cluster:
        yield from _choice(port, chains, chains.cluster, port.cluster)
    if port.uses_local and port.local:
        yield from _choice(port, chains, chains.local, port.local)
    for endpoint in port.reachable:
        yield from _endpoint_rules(port, chains, endpoint)


def _chains(port: ForwardedPort) -> _Chains:
    port_name = port.name.partition(":")[2]
    end = nft_service_base(port.service, port_name, port.protocol)
    cluster, local = f"service-{end}", f"local-{end}"
    return _Chains(
        cluster=cluster,
        local=local,
        external=f"external-{end}",
        firewall=f"firewall-{end}",
        inside=local if port.internal_local else cluster,
        outside=local if port.external_local else cluster,
        endpoints={
            one.name: nft_endpoint_base(port.service, port_name, port.protocol, one.address, one.port)
            for one in port.reachable
        },
    )


def _declarations(port: ForwardedPort, chains: _Chains) -> Iterator[Statement]:
    for base in chains.endpoints.values():
        yield from emptied_chain(f"endpoint-{base}")
    if port.uses_cluster and port.cluster:
        yield from emptied_chain(chains.cluster)
    if port.uses_local and port.local:
        yield from emptied_chain(chains.local)
    if port.has_any and port.externally_accessible:
        yield from emptied_chain(chains.external)


def _access(port: ForwardedPort, chains: _Chains) -> Iterator[Statement]:
    """Yield the elements by which traffic to the port's addresses finds its chains, or is refused."""
    yield add("element", "cluster-ips", f"{{ {port.cluster_ip} }}")
    if port.answers_inside:
        yield _led(port, port.cluster_ip, chains.inside)
    else:
        yield _refused(port, port.cluster_ip)
    for address in port.external_ips:
        yield from _outside(port, address, chains)
    yield from _vip_access(port, chains)
    if port.node_port:
        element = f"{port.protocol.lower()} . {port.node_port}"
        if port.has_any:
            yield add("element", "service-nodeports", f"{{ {element} : goto {chains.external} }}")
        if not port.answers_outside:
            body = f'{{ {element} comment "{port.name}" : {_verdict(port)} }}'
            yield add("element", "no-endpoint-nodeports", body)


def _vip_access(port: ForwardedPort, chains: _Chains) -> Iterator[Statement]:
    firewalled = bool(port.vips and port.ranges)
    if firewalled:
        # The node itself may reach the VIP; its packets may carry the VIP as source.
        admitted = (*map(str, port.ranges), *(port.vips if port.ranges_hold_node else ()))
        yield from emptied_chain(chains.firewall)
        yield rule(chains.firewall, f"ip saddr != {{ {' , '.join(admitted)} }} drop")
    for address in port.vips:
        if port.has_any:
            yield _led(port, address, chains.external)
        if firewalled:
            yield _explained(port, "firewall-ips", address, f"goto {chains.firewall}")
    if not port.answers_outside:
        yield from (_refused(port, address) for address in port.vips)


def _outside(port: ForwardedPort, address: str, chains: _Chains) -> Iterator[Statement]:
    if port.has_any:
        yield _led(port, address, chains.external)
    if not port.answers_outside:
        yield _refused(port, address)


def _key(port: ForwardedPort, address: str) -> str:
    return f"{address} . {port.protocol.lower()} . {port.port}"


def _led(port: ForwardedPort, address: str, chain: str) -> Statement:
    return add("element", "service-ips", f"{{ {_key(port, address)} : goto {chain} }}")


def _refused(port: ForwardedPort, address: str) -> Statement:
    return _explained(port, "no-endpoint-services", address, _verdict(port))


def _explained(port: ForwardedPort, name: str, address: str, verdict: str) -> Statement:
    return add("element", name, f'{{ {_key(port, address)} comment "{port.name}" : {verdict} }}')


def _verdict(port: ForwardedPort) -> str:
    return "drop" if port.has_any else "goto reject-chain"


def _masquerade_inside(port: ForwardedPort, chains: _Chains, settings: NodeSettings) -> Iterator[Statement]:
    to_cluster_ip = f"ip daddr {port.cluster_ip} {port.protocol.lower()} dport {port.port}"
    if settings.masquerade_all:
        yield rule(chains.inside, f"{to_cluster_ip} {_MARK}")
    elif settings.local_detector:
        yield rule(chains.inside, f"{to_cluster_ip} {_origin(settings.local_detector, '!= ')} {_MARK}")


def _origin(detector: LocalDetector, comparison: str = "") -> str:
    if detector.kind == "network":
        return f"ip saddr {comparison}{detector.value}"
    return f"iif {comparison}{detector.value}{_INTERFACE_WORD[detector.kind]}"


def _external_rules(port: ForwardedPort, chains: _Chains, settings: NodeSettings) -> Iterator[Statement]:
    chain = chains.external
    if not port.external_local:
        yield rule(chain, _MARK)
    else:
        if settings.local_detector:
            from_pod = _origin(settings.local_detector)
            yield rule(chain, f'{from_pod} goto {chains.cluster} comment "short-circuit pod traffic"')
        yield rule(chain, f'{_FROM_NODE} {_MARK} comment "masquerade local traffic"')
        yield rule(chain, f'{_FROM_NODE} goto {chains.cluster} comment "short-circuit local traffic"')
    if port.answers_outside:
        yield rule(chain, f"goto {chains.outside}")


def _choice(
    port: ForwardedPort, chains: _Chains, chain: str, endpoints: tuple[ServiceEndpoint, ...]
) -> Iterator[Statement]:
    """Yield the rules that choose an endpoint: the client's last one with affinity, else any."""
    bases = [chains.endpoints[one.name] for one in endpoints]
    if port.affinity_s is not None:
        for base in bases:
            yield rule(chain, f"ip saddr @affinity-{base} goto endpoint-{base}")
    choices = " , ".join(f"{number} : goto endpoint-{base}" for number, base in enumerate(bases))
    yield rule(chain, f"numgen random mod {len(bases)} vmap {{ {choices} }}")


def _endpoint_rules(port: ForwardedPort, chains: _Chains, endpoint: ServiceEndpoint) -> Iterator[Statement]:
    base = chains.endpoints[endpoint.name]
    chain = f"endpoint-{base}"
    # Hairpin: a pod that reaches itself through the Service must see the node's address, or it would answer
    # itself.
    yield rule(chain, f"ip saddr {endpoint.address} {_MARK}")
    if port.affinity_s is not None:
        yield rule(chain, f"update @affinity-{base} {{ ip saddr }}")
    yield rule(chain, f"meta l4proto {port.protocol.lower()} dnat to {endpoint.name}")
