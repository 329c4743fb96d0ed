"""What one sync did."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.proxy.plans import Mode

Scope = Literal["full", "partial"]


@dataclass(frozen=True, slots=True)
class SyncReport:
    """One sync of one node.

    A full sync reaches its state from any other, `why` says what made it necessary; a partial one ("" then)
    writes only what differs for the `services` (`namespace/name`) that changed. `writes` counts what was
    written, by kind: {"real servers": 1}; nothing was if it is empty. `stale_flows` are the UDP connections
    that were made to end. `seconds` is how long all of it took.
    """

    node: str
    mode: Mode
    scope: Scope
    why: str = ""
    services: tuple[str, ...] = ()
    writes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    stale_flows: int = 0
    seconds: float = 0.0

    @property
    def changes(self) -> int:
        """How many things were written."""
        return sum(self.writes.values())

    def __str__(self) -> str:
        what = ", ".join(f"{number} {name}" for name, number in self.writes.items()) or "nothing to write"
        why = f" ({self.why})" if self.why else ""
        flows = f", {self.stale_flows} stale UDP connections ended" if self.stale_flows else ""
        return (
            f"{self.node}, {self.mode}: {self.scope} sync{why}: {what}{flows}; {1000 * self.seconds:.1f} ms"
        )
