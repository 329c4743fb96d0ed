"""Names of the lab's network namespaces and of the nodes' bridge ports: readable, unique, deterministic."""

from __future__ import annotations

import hashlib
import re
from itertools import count
from typing import TYPE_CHECKING

from labkit.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.spec.model import Pod, Service

LAN = "lan"
BALANCER = "balancer"
PORT_PREFIX = "veth-"
PORT_ROOM = 15 - len(PORT_PREFIX)  # IFNAMSIZ is 16 with the closing zero byte
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def namespace_name(named: Pod | Service) -> str:
    """`NAME` for a pod or Service in the Kubernetes namespace `default`, else `KUBENAMESPACE.NAME`."""
    return named.name if named.namespace == "default" else f"{named.namespace}.{named.name}"


def check_names(wanted: Sequence[tuple[str, str]]) -> None:
    """Check (name, who wants it) pairs: each name is a file in /run/netns. RequestError with all clashes."""
    owners: dict[str, str] = {}
    complaints = []
    for name, owner in wanted:
        if not _FILE_NAME.fullmatch(name):
            complaints.append(
                f"{owner} cannot be called {name!r}: letters, digits, `-`, `_`, `.`, at most 255"
            )
        elif name in owners:
            complaints.append(f"{owners[name]} and {owner} would both be the network namespace `{name}`")
        owners.setdefault(name, owner)
    if complaints:
        raise RequestError(
            "\n".join(complaints),
            where="names of nodes, pods and clients",
            todo="rename one of each two: in the lab they share one list of names (`ip netns`)",
        )


def port_names(inner_names: Iterable[str]) -> list[str]:
    """Name the bridge ports that lead to these namespaces, in their order: `veth-` and as much as fits in 15.

    A long pod name keeps its beginning and the random end that tells replicas apart: `web-7d4b9c-x2x8q` is
    `veth-web-x2x8q`. Where two would be equal, the later one gets a hash of its whole name.
    """
    taken: set[str] = set()
    ports = []
    for name in inner_names:
        port = next(candidate for candidate in _port_candidates(name) if candidate not in taken)
        taken.add(port)
        ports.append(port)
    return ports


def _port_candidates(name: str) -> Iterable[str]:
    if len(name) <= PORT_ROOM:
        yield PORT_PREFIX + name
    head, _, tail = name.rpartition("-")
    if head and 0 < len(tail) <= PORT_ROOM - 2:
        yield PORT_PREFIX + head[: PORT_ROOM - 1 - len(tail)].rstrip("-.") + "-" + tail
    for salt in count():
        digest = hashlib.sha256(f"{name}{salt or ''}".encode()).hexdigest()[:4]
        yield PORT_PREFIX + name[: PORT_ROOM - 5].rstrip("-.") + "-" + digest
