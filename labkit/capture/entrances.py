"""By which addresses and ports a Service port is reached, and how a way from there is told: lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from labkit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.proxy.services import ForwardedPort
    from labkit.spec.model import Protocol as IpProtocol

INDENT = "  "
UNTRANSLATED = "what is not translated"


class Entrance(Record):
    """An address and port of a Service port; a node port has no address of its own."""

    what: str
    address: str
    port: int
    protocol: IpProtocol

    def __str__(self) -> str:
        port = f"{self.port}/{self.protocol}"
        return (
            f"{self.address}:{port}, {self.what}" if self.address else f"port {port} of the node, {self.what}"
        )


class Reading(Protocol):
    """The rules of one mode, asked for the way from an entrance."""

    introduction: ClassVar[str]

    def way(self, entrance: Entrance) -> tuple[str, ...]:
        """Return what the rules do with a new connection to `entrance`, line by line; () if nothing."""


def entrances(port: ForwardedPort) -> Iterator[Entrance]:
    """Yield the entrances of a Service port."""
    yield Entrance("its cluster IP", port.cluster_ip, port.port, port.protocol)
    for address in port.external_ips:
        yield Entrance("an external IP", address, port.port, port.protocol)
    for address in port.vips:
        yield Entrance("an address of its load balancer", address, port.port, port.protocol)
    if port.node_port:
        yield Entrance("its node port", "", port.node_port, port.protocol)


def share(fraction: float) -> str:
    """Return a share of all connections in words."""
    return f"{100 * fraction:.3g} % of all"
