"""Pods: those of the workloads and those written out; which are there, under which names.

A workload that already has pods of its own in the manifests (a cluster's dump) only gets those it lacks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from labkit.spec import model
from labkit.spec.annotations import LabAnnotations, read_annotations
from labkit.spec.objects import (
    DaemonSet,
    Deployment,
    LabelSelector,
    Object,
    Pod,
    PodSpec,
    ReplicaSet,
    Requirement,
    StatefulSet,
    WorkloadSpec,
)
from labkit.spec.probes import read_probes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.documents import Findings, Place
    from labkit.spec.manifest import Item


@dataclass(frozen=True, slots=True)
class PodDraft:
    """A pod before it has a node and an address; `address` is set where the manifest gives one.

    `path` leads to the pod's template in its document. `on_every_node`: a DaemonSet's pod, one for each node.
    """

    item: Item[Object] = field(repr=False)
    path: tuple[str, ...]
    name: str
    labels: Mapping[str, str]
    spec: PodSpec
    annotations: LabAnnotations
    owner: str = ""
    probes: tuple[model.Probe, ...] = ()
    ready: bool = True
    terminating: bool = False
    address: str = ""
    on_every_node: bool = False

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.item.namespace

    @property
    def ports(self) -> tuple[model.ContainerPort, ...]:
        """What the pod's containers say they listen on."""
        declared = (port for container in self.spec.containers for port in container.ports)
        return tuple(
            model.ContainerPort(port.name or "", port.container_port, port.protocol) for port in declared
        )

    def place(self, *path: str | int) -> Place:
        """Return where the value at `path` of the pod, or of its template, stands."""
        return self.item.place(*self.path, *path)


def plan_drafts(items: Sequence[Item[Object]], node_count: int, findings: Findings) -> list[PodDraft]:
    """Return every pod that the objects ask for, in order; a DaemonSet's `node_count` times."""
    taken = {(item.namespace, item.name) for item in items if isinstance(item.object, Pod)}
    owned = _owned(items)
    drafts: list[PodDraft] = []
    for item in items:
        made = item.object
        if isinstance(made, Pod) and _runs(made):
            drafts.append(_written_pod(item, made, findings))
        elif isinstance(made, DaemonSet | Deployment | ReplicaSet | StatefulSet):
            wanted = node_count if isinstance(made, DaemonSet) else made.spec.replicas
            first = made.spec.ordinals.start if isinstance(made, StatefulSet) else 1
            draft = _template_draft(item, made.spec, findings)
            missing = range(wanted - owned[item.namespace, item.kind, item.name])
            names = _free_names(item, first, taken)
            pods = [replace(draft, name=name) for _, name in zip(missing, names, strict=False)]
            taken.update((pod.namespace, pod.name) for pod in pods)
            drafts += pods
    return drafts


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Tell whether a selector picks labels (apimachinery's metav1.LabelSelectorAsSelector)."""
    exact = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return exact and all(_meets(requirement, labels) for requirement in selector.match_expressions)


def _meets(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    if requirement.operator == "In":
        return value in requirement.values
    if requirement.operator == "NotIn":
        return value not in requirement.values
    return (value is not None) == (requirement.operator == "Exists")


def _written_pod(item: Item[Object], pod: Pod, findings: Findings) -> PodDraft:
    _warn_of_host_network(item, pod.spec, findings)
    ready = next(
        (condition.status == "True" for condition in pod.status.conditions if condition.type == "Ready"), True
    )
    owner = next((f"{owner.kind}/{owner.name}" for owner in pod.metadata.owner_references), "")
    return PodDraft(
        item=item,
        path=(),
        name=pod.metadata.name,
        labels=pod.metadata.labels,
        spec=pod.spec,
        annotations=read_annotations(item, (), pod.metadata.annotations, findings),
        probes=read_probes(item, ("spec",), pod.spec, findings),
        owner=owner,
        ready=ready,
        terminating=pod.metadata.deletion_timestamp is not None,
        address="" if pod.spec.host_network else pod.status.pod_ip,
    )


def _runs(pod: Pod) -> bool:
    return pod.status.phase not in ("Succeeded", "Failed")


def _free_names(item: Item[Object], first: int, taken: set[tuple[str, str]]) -> Iterator[str]:
    """Yield `web-1`, `web-2` ... from `first` on, but for names that a pod written out has."""
    names = (f"{item.name}-{number}" for number in count(first))
    return (name for name in names if (item.namespace, name) not in taken)


def _template_draft(item: Item[Object], spec: WorkloadSpec, findings: Findings) -> PodDraft:
    """Return the draft that all pods of a workload share; their names are still missing."""
    template, selector = spec.template, spec.selector
    place = ("spec", "selector")
    if not selector.match_labels and not selector.match_expressions:
        wrong = f"{item.kind} {item.name} selects every pod there is"
        findings.mistake(item.place(*place), wrong, "write labels in spec.selector.matchLabels")
    elif not selects(selector, template.metadata.labels):
        wrong = f"{item.kind} {item.name} does not select its own pods"
        same = "write the same labels in spec.selector.matchLabels and spec.template.metadata.labels"
        findings.mistake(item.place(*place), wrong, same)
    _warn_of_host_network(item, template.spec, findings)
    return PodDraft(
        item=item,
        path=("spec", "template"),
        name="",
        labels=template.metadata.labels,
        spec=template.spec,
        annotations=read_annotations(item, ("spec", "template"), template.metadata.annotations, findings),
        probes=read_probes(item, ("spec", "template", "spec"), template.spec, findings),
        owner=f"{item.kind}/{item.name}",
        on_every_node=isinstance(item.object, DaemonSet),
    )


def _warn_of_host_network(item: Item[Object], spec: PodSpec, findings: Findings) -> None:
    if spec.host_network:
        findings.warn(
            item.place("spec"), f"{item.kind} {item.name}: hostNetwork is ignored, pods get addresses"
        )


def _owned(items: Sequence[Item[Object]]) -> Counter[tuple[str, str, str]]:
    """Return how many pods each workload already has: its own, and those that its ReplicaSets ask for."""
    owned: Counter[tuple[str, str, str]] = Counter()
    for item in items:
        made = item.object
        number = (
            made.spec.replicas if isinstance(made, ReplicaSet) else int(isinstance(made, Pod) and _runs(made))
        )
        for owner in made.metadata.owner_references:
            owned[item.namespace, owner.kind, owner.name] += number
    return owned
