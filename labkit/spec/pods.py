"""Pods: those of the workloads and those written out; which are there, under which names.

A workload that already has pods of its own in the manifests (a cluster's dump) only gets those it lacks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count

from labkit.spec import model
from labkit.spec.objects import (
    DaemonSet,
    LabelSelector,
    Object,
    Pod,
    PodSpec,
    Requirement,
    StatefulSet,
    WorkloadSpec,
)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.spec.manifest import Item
    from labkit.spec.documents import Findings, Place
    from collections.abc import Iterator, Mapping, Sequence

WEIGHT_ANNOTATION = "labkit.dev/weight"
HEAVIEST = 65_535


@dataclass(frozen=True, slots=True)
class PodDraft:
    """A pod before it has a node and an address; `address` is set where the manifest gives one.

    `path` leads to the pod's template in its document. `on_every_node` is a DaemonSet's pod, one for each node it fits.
    """

    item: Item[Object] = field(repr=False)
    path: tuple[str, ...]
    name: str
    labels: Mapping[str, str]
    spec: PodSpec
    weight: int
    owner: str = ""
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
    """Return every pod that the objects ask for, in their order; a DaemonSet's once for each of `node_count` nodes."""
    written = {
        id(item): _written_pod(item, item.object, findings) for item in items if isinstance(item.object, Pod)
    }
    taken = {(draft.namespace, draft.name) for draft in written.values() if draft}
    owned = _owned(items)
    drafts: list[PodDraft] = []
    for item in items:
        draft = written.get(id(item))
        if draft is not None:
            drafts.append(draft)
        elif isinstance(spec := getattr(item.object, "spec", None), WorkloadSpec):
            drafts += _workload_pods(item, spec, owned[_key(item)], node_count, taken, findings)
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


def _written_pod(item: Item[Object], pod: Pod, findings: Findings) -> PodDraft | None:
    if pod.status.phase in ("Succeeded", "Failed"):
        return None
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
        weight=_weight(item, (), pod.metadata.annotations, findings),
        owner=owner,
        ready=ready,
        terminating=pod.metadata.deletion_timestamp is not None,
        address="" if pod.spec.host_network else pod.status.pod_ip,
    )


def _workload_pods(
    item: Item[Object],
    spec: WorkloadSpec,
    existing: int,
    node_count: int,
    taken: set[tuple[str, str]],
    findings: Findings,
) -> Iterator[PodDraft]:
    path, template = ("spec", "template"), spec.template
    if not selects(spec.selector, template.metadata.labels):
        findings.mistake(item.place("spec", "selector"), f"{item.kind} {item.name} does not select its own pods",
                         "write the same labels in spec.selector.matchLabels and spec.template.metadata.labels")  # fmt: skip
    elif not spec.selector.match_labels and not spec.selector.match_expressions:
        findings.mistake(item.place("spec", "selector"), f"{item.kind} {item.name} selects every pod there is",
                         "write labels in spec.selector.matchLabels")  # fmt: skip
    on_every_node = isinstance(item.object, DaemonSet)
    wanted = node_count if on_every_node else getattr(spec, "replicas", 1)
    draft = PodDraft(
        item=item,
        path=path,
        name="",
        labels=template.metadata.labels,
        spec=template.spec,
        weight=_weight(item, path, template.metadata.annotations, findings),
        owner=f"{item.kind}/{item.name}",
        on_every_node=on_every_node,
    )
    numbers = count(getattr(spec, "ordinals").start if isinstance(item.object, StatefulSet) else 1)
    for _ in range(wanted - existing):
        name = next(
            name for number in numbers if (item.namespace, name := f"{item.name}-{number}") not in taken
        )
        taken.add((item.namespace, name))
        yield replace(draft, name=name)


def _weight(
    item: Item[Object], path: tuple[str, ...], annotations: Mapping[str, str], findings: Findings
) -> int:
    text = annotations.get(WEIGHT_ANNOTATION, "1")
    if text.isdecimal() and text.isascii() and len(text) < 10 and int(text) <= HEAVIEST:
        return int(text)
    findings.mistake(item.place(*path, "metadata", "annotations", WEIGHT_ANNOTATION),
                     f"{text!r} is not a weight", f"write a whole number of 0-{HEAVIEST} in quotes")  # fmt: skip
    return 1


def _key(item: Item[Object]) -> tuple[str, str, str]:
    return item.namespace, item.kind, item.name


def _owned(items: Sequence[Item[Object]]) -> Counter[tuple[str, str, str]]:
    """Return how many pods each workload already has: its own, and those of a ReplicaSet that it owns."""
    owned: Counter[tuple[str, str, str]] = Counter()
    for kind in (Pod, Object):
        for item in items:
            if isinstance(item.object, Pod) is not (kind is Pod):
                continue
            number = 1 if kind is Pod else getattr(getattr(item.object, "spec", None), "replicas", 0)
            for owner in item.object.metadata.owner_references:
                owned[item.namespace, owner.kind, owner.name] += number
    return owned
