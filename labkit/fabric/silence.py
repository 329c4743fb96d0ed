"""Silence: a namespace that receives from some addresses, and answers nothing.

Its routes back to them lead nowhere, and strict reverse path filtering (ip-sysctl.rst, rp_filter) drops what
comes from where no route leads: after packet sockets have seen it, before any program does. No process is
started and no firewall is needed.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.fabric import links
from labkit.fabric.netlink import RouteSocket
from labkit.spec.clients import networks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from ipaddress import IPv4Network

    from labkit.fabric.namespace import Namespace
    from labkit.fabric.netlink import Message


@contextmanager
def unanswered(namespace: Namespace, interface: str, sources: Sequence[str]) -> Iterator[None]:
    """Drop in `namespace` what arrives on `interface` from the addresses `sources`, until the end of `with`.

    Raises BuildError or CapabilityError where Linux refuses that.
    """
    networks = [str(half) for network in networks_of(sources) for half in _halves(network)]
    setting = f"net/ipv4/conf/{interface}/rp_filter"
    before = namespace.read_sysctl(setting)
    _send(namespace, [links.add_blackhole(network) for network in networks])
    try:
        namespace.write_sysctl(setting, 1)
        yield
    finally:
        namespace.write_sysctl(setting, before)
        _send(namespace, [links.remove_blackhole(network) for network in networks])


def _halves(network: IPv4Network) -> Iterator[IPv4Network]:
    """Yield the halves of a network: longer prefixes win over a route to all of it that there may be."""
    return network.subnets() if network.prefixlen < network.max_prefixlen else iter((network,))


def _send(namespace: Namespace, messages: Sequence[Message]) -> None:
    with namespace.run(lambda: RouteSocket(namespace.name)) as socket:
        socket.send(messages)
