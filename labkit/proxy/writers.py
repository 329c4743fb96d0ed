"""What a mode's writer is given and what it must do: write everything, or only what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.proxy.extension import Extension
    from labkit.proxy.services import ForwardedPort
    from labkit.proxy.settings import NodeSettings
    from labkit.spec.proxyconfig import ProxyConfig

Ports = tuple["ForwardedPort", ...]
"""The ports of one Service that a node forwards."""
Writes = dict[str, int]
"""How many of each kind of thing were written: {"virtual servers": 1, "real servers": 3}; 0 is left out."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan depends on beside the cluster: when it changes, everything is planned anew."""

    settings: NodeSettings
    config: ProxyConfig
    extension: Extension


@dataclass(frozen=True, slots=True)
class PortsChange:
    """A Service's ports as the node forwarded them before, and as it shall now; () is none."""

    before: Ports
    after: Ports


class FullSyncNeededError(Exception):
    """A change is of a kind that only a full sync can make; the text says which. Nothing was written."""


class Writer(Protocol):
    """Writes one mode's rules into one namespace. Ports are by Service, in the cluster's order."""

    def write_all(self, basis: Basis, ports: Mapping[str, Ports]) -> Writes:
        """Reach the state for `ports` from any other. Raises RequestError and ProgramError.

        After ProgramError the rules from before are in force.
        """

    def write_changes(
        self, basis: Basis, changes: Mapping[str, PortsChange], ports: Mapping[str, Ports]
    ) -> Writes:
        """Reach the state for `ports` from the one that the last call left, of which only `changes` differ.

        Raises FullSyncNeededError, and ProgramError where the state is not the one that it left.
        """

    def forget(self) -> None:
        """Take what was written for removed: somebody else has the namespace now."""


def counted(**numbers: int) -> Writes:
    """Return the numbers that are not 0, by their names with blanks."""
    return {name.replace("_", " "): number for name, number in numbers.items() if number}
