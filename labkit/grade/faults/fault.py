"""What a fault is, planned for one place in one cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.grade.faults.scene import Scene
    from labkit.proxy.plans import Mode

Argv = tuple[str, ...]
Damage = tuple[str, tuple[Argv, ...], tuple[Argv, ...]]
"""The first parts of a PlannedFault: the part of the node's state, what breaks it, what mends it."""
Kind = Literal["answered", "shared", "itself"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault is: a node, a Service by its name, a pod of the Service (`namespace/name`)."""

    node: str
    service: str
    pod: str


@dataclass(frozen=True, slots=True)
class Symptom:
    """Who notices a fault: `caller` (as `Lab.namespace` knows it) calls `address`:`port`.

    `answered`: not every call is answered. `shared`: all are, but not evenly by the pods. `itself`: the
    caller, a pod behind the address, is never answered by itself.
    """

    kind: Kind
    caller: str
    address: str
    port: int
    service: str


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault in its place: commands in the network namespace of `node` that make it, and that mend it.

    `part` is what of the node's state they change, as `holding.read_node` names it; `hint` is where to look.
    """

    node: str
    part: str
    breaks: tuple[Argv, ...]
    mends: tuple[Argv, ...]
    symptom: Symptom
    hint: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the catalogue. `on_pod_node`: its place's pod must be on its node.

    `node_port`: only for a Service that has one.
    """

    name: str
    modes: tuple[Mode, ...]
    plan: Callable[[Scene, Place], PlannedFault]
    on_pod_node: bool = False
    node_port: bool = False
