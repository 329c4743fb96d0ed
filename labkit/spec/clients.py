"""The lab's clients: who they are, where they stand and which addresses they send from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import TYPE_CHECKING

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

CLIENT_ADDRESSES = 64
OUTSIDE_BLOCKS = IPv4Network("172.18.255.0/24")
BALANCER_BLOCK = IPv4Network("172.18.254.0/24")


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """A client: as a pod on `node`, or where that is None outside of the cluster, on the nodes' own network.

    It sends from many addresses, so that no test meets the TIME_WAIT of another. `addresses` () lets the
    planner choose 64 in a row: .128 to .191 of the node's pod CIDR, or of 172.18.255.0/24, where free.
    """

    name: str
    node: str | None = None
    addresses: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The first of its addresses: the one it sends from unless it chooses."""
        return self.addresses[0]


def networks_of(addresses: Iterable[str]) -> tuple[IPv4Network, ...]:
    """Return addresses as the fewest networks that hold exactly them."""
    return tuple(collapse_addresses(IPv4Network(address) for address in addresses))


def client_block(within: IPv4Network) -> IPv4Network:
    """Return what the first client in a network gets where nobody has it: .128/26 of a /24."""
    return next(_blocks(within), IPv4Network((int(within[-1]), 32)))


def place_client(client: ClientPlan, within: IPv4Network, taken: Container[str]) -> ClientPlan:
    """Return the client with addresses: a free block of 64, less in a small network. RequestError if full."""
    if client.addresses:
        return _checked(client)
    for block in _blocks(within):
        addresses = tuple(str(address) for address in block)
        if not any(address in taken for address in addresses):
            return replace(client, addresses=addresses)
    raise RequestError(
        f"no address is left in {within} for the client {client.name}",
        where=f"node {client.node}" if client.node else "outside of the cluster",
        todo="give the node a larger pod CIDR or fewer pods, or name the client's addresses",
    )


def place_balancer(taken: Container[str]) -> str:
    """Return the balancer's own address on the nodes' network: the first that is free in its block."""
    return next(str(address) for address in BALANCER_BLOCK.hosts() if str(address) not in taken)


def _checked(client: ClientPlan) -> ClientPlan:
    for address in client.addresses:
        try:
            IPv4Address(address)
        except ValueError:
            raise RequestError(
                f"{address!r} is no IPv4 address",
                where=f"client {client.name}",
                todo="write it like 10.244.1.200",
            ) from None
    return client


def _blocks(within: IPv4Network) -> Iterator[IPv4Network]:
    """Yield aligned blocks, large before small, from the middle up, then from the start; never the edges."""
    size = min(CLIENT_ADDRESSES, within.num_addresses // 4)
    base, middle, end = int(within[0]), int(within[within.num_addresses // 2]), int(within[-1])
    while size >= 1:
        prefix_length = 33 - size.bit_length()
        for first in (*range(middle, end + 1, size), *range(base, middle, size)):
            if first > base and first + size - 1 < end:
                yield IPv4Network((first, prefix_length))
        size //= 2
