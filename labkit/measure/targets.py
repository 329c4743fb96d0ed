"""Which Service port is meant by `web`, `shop/web`, `web:http`, `web:80` or `dns:53/UDP`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import RequestError
from labkit.measure.experiment import plan_service_targets

if TYPE_CHECKING:
    from labkit.measure.experiment import ServiceTarget
    from labkit.spec.model import ClusterSpec

DEFAULT_NAMESPACE = "default"


def find_service_target(cluster: ClusterSpec, wanted: str) -> ServiceTarget:
    """Return the Service port that `wanted` names; "" is the cluster's only one.

    Raises RequestError where no port or more than one goes by that name, with the names there are.
    """
    targets = plan_service_targets(cluster)
    named = {_full_name(target): target for target in targets}
    found = [target for target in targets if not wanted or wanted in _names(cluster, target)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(named) or "none: the cluster has no Service with a cluster IP and a TCP or UDP port"
    if not found:
        raise RequestError(
            f"there is no Service {wanted!r} to call", where="the lab's cluster", todo=f"there are: {known}"
        )
    several = ", ".join(_full_name(target) for target in found)
    raise RequestError(
        f"{wanted!r} is more than one Service port" if wanted else "which Service port is meant?",
        where="the lab's cluster",
        todo=f"write one of: {several}",
    )


def _full_name(target: ServiceTarget) -> str:
    return f"{target.service}/{target.target.protocol}"


def _names(cluster: ClusterSpec, target: ServiceTarget) -> set[str]:
    key, _, number = target.service.rpartition(":")
    protocol = target.target.protocol
    services = {service.key: service for service in cluster.services}
    ports = {number} | {
        port.name
        for port in services[key].ports
        if port.name and (port.port, port.protocol) == (target.target.port, protocol)
    }
    keys = {key} | ({key.partition("/")[2]} if key.startswith(f"{DEFAULT_NAMESPACE}/") else set())
    with_port = {f"{one}:{port}" for one in keys for port in ports}
    return keys | with_port | {f"{one}/{protocol}" for one in keys | with_port}
