"""Objects -> ClusterSpec: everything that a control plane decides, decided the same way every time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from labkit.spec.documents import Findings, read_texts
from labkit.spec.endpointobjects import Endpoints
from labkit.spec.endpoints import plan_slices
from labkit.spec.ingresses import plan_ingresses
from labkit.spec.ingressobjects import Ingress
from labkit.spec.manifest import Item, read_objects, shipped_lab
from labkit.spec.mirroring import mirror_endpoints
from labkit.spec.model import ClusterSpec
from labkit.spec.nodes import plan_nodes, pod_cidr_of
from labkit.spec.objects import EndpointSlice, Node, Object, Service
from labkit.spec.pods import plan_drafts
from labkit.spec.scheduling import plan_pods
from labkit.spec.services import plan_services
from labkit.spec.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Wanted = TypeVar("Wanted", bound=Object)


def read_manifests(names: Iterable[str | Path | Text]) -> ClusterSpec:
    """Return the cluster of manifests that a user named: files, `-` for standard input, or shipped labs.

    A `Text`, or a string of several lines, is a manifest itself.

    Raises:
        SpecError: every mistake of all of them.
        RequestError: for a name that is neither a file nor a shipped lab.

    """
    return read_cluster([_source(name) for name in names])


def load_manifests(names: Iterable[str | Path | Text]) -> tuple[Text, ...]:
    """Return the manifests that a user named as they read now, whole; raises what `read_manifests` raises."""
    findings = Findings()
    texts = read_texts([_source(name) for name in names], findings)
    findings.raise_mistakes()
    read_cluster(texts)
    return texts


def _source(name: str | Path | Text) -> Path | Text:
    if isinstance(name, Text):
        return name
    if isinstance(name, str) and "\n" in name:
        return Text("the manifest", name)
    path = Path(name)
    if isinstance(name, Path) or name == "-" or path.suffix or len(path.parts) > 1 or path.exists():
        return path
    return shipped_lab(name)


def read_cluster(sources: Sequence[Path | Text]) -> ClusterSpec:
    """Return the cluster that manifests describe, every choice made that its control plane would make.

    A source is a file (`Path("-")`: standard input) or a `Text`; shipped ones: `shipped_lab(name)`.

    Raises:
        SpecError: every mistake of all sources, in their order.

    """
    findings = Findings()
    cluster = plan_cluster(read_objects(sources, findings), findings)
    findings.raise_mistakes()
    return cluster


def plan_cluster(items: Sequence[Item[Object]], findings: Findings) -> ClusterSpec:
    """Return the cluster of valid objects; what is wrong between them goes to `findings`."""
    nodes = plan_nodes(_of_kind(items, Node), findings)
    pods = plan_pods(plan_drafts(items, len(nodes), findings), nodes, findings)
    services, service_cidr = plan_services(
        _of_kind(items, Service), [planned.node for planned in nodes], findings
    )
    slices = plan_slices(_of_kind(items, EndpointSlice), services, pods, findings)
    slices += mirror_endpoints(_of_kind(items, Endpoints), services, slices, findings)
    ingresses = plan_ingresses(_of_kind(items, Ingress), services, findings)
    return ClusterSpec(
        nodes=tuple(planned.node for planned in nodes),
        pods=tuple(planned.pod for planned in pods),
        services=tuple(planned.service for planned in services),
        slices=slices,
        pod_cidr=pod_cidr_of(nodes),
        service_cidr=service_cidr,
        warnings=findings.warnings,
        ingresses=ingresses,
    )


def _of_kind(items: Sequence[Item[Object]], kind: type[Wanted]) -> list[Item[Wanted]]:
    return [Item(item.object, item.document) for item in items if isinstance(item.object, kind)]
