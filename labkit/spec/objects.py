"""The Kubernetes objects that the lab understands, as the API defines them.

Only fields that mean something to the lab are declared; the others of a real manifest are let through unread.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from labkit.spec.fields import (
    EMPTY,
    Annotations,
    Cidr,
    DnsLabel,
    DnsSubdomain,
    Fields,
    Labels,
    Many,
    Port,
    PortLabel,
    PortName,
    PortOrNone,
    PortReference,
    ServiceName,
    lowered_protocol,
)
from labkit.spec.probeobjects import ReadinessProbe

Protocol = Annotated[Literal["TCP", "UDP", "SCTP"], BeforeValidator(lowered_protocol)]
Policy = Literal["Cluster", "Local"]


class OwnerReference(Fields):
    """Who made an object: a Deployment its ReplicaSet, a ReplicaSet its pods."""

    kind: str
    name: str
    controller: bool = False


class Metadata(Fields):
    """An object's name and what is written on it."""

    name: DnsSubdomain
    namespace: DnsLabel = "default"
    labels: Labels = EMPTY
    annotations: Annotations = EMPTY
    owner_references: Many[OwnerReference] = ()
    deletion_timestamp: Any = None


class ServiceMetadata(Metadata):
    """A Service's metadata: its name is a DNS label that starts with a letter."""

    name: ServiceName


class Object(Fields):
    """Anything with a kind and a name. `api_version` is the group and version the lab reads it in."""

    api_version_read: ClassVar[str] = "v1"
    metadata: Metadata


class NodeAddress(Fields):
    """One entry of a node's status.addresses."""

    type: str
    address: str


class Taint(Fields):
    """What keeps pods off a node."""

    key: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class NodeSpec(Fields):
    """A node's addresses for pods, and whether it takes any."""

    pod_cidr: Cidr | None = Field(default=None, alias="podCIDR")
    pod_cidrs: Many[Cidr] = Field(default=(), alias="podCIDRs")
    unschedulable: bool = False
    taints: Many[Taint] = ()


class NodeStatus(Fields):
    """A node's own addresses."""

    addresses: Many[NodeAddress] = ()


class Node(Object):
    """v1 Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ContainerPort(Fields):
    """A port that a container says it listens on."""

    container_port: Port
    name: PortName | None = None
    protocol: Protocol = "TCP"


class Container(Fields):
    """A container: the lab runs its own server in its place and reads its ports and its readiness probe."""

    name: DnsLabel
    ports: Many[ContainerPort] = ()
    readiness_probe: ReadinessProbe | None = None


class PodSpec(Fields):
    """Where a pod may run and what it listens on."""

    containers: Annotated[Many[Container], Field(min_length=1)]
    node_name: str = ""
    node_selector: Labels = EMPTY
    host_network: bool = False


class Condition(Fields):
    """One condition of a status."""

    type: str
    status: Literal["True", "False", "Unknown"]


class PodStatus(Fields):
    """What a running cluster knows of a pod."""

    pod_ip: str = Field(default="", alias="podIP")
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"] = "Running"
    conditions: Many[Condition] = ()


class Pod(Object):
    """v1 Pod."""

    spec: PodSpec
    status: PodStatus = PodStatus()


class TemplateMetadata(Fields):
    """A pod template's metadata: pods get their names from their owner."""

    labels: Labels = EMPTY
    annotations: Annotations = EMPTY


class PodTemplate(Fields):
    """What every pod of a workload looks like."""

    metadata: TemplateMetadata = TemplateMetadata()
    spec: PodSpec


class Requirement(Fields):
    """One of a selector's matchExpressions."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Many[str] = ()


class LabelSelector(Fields):
    """Which labels an object must have."""

    match_labels: Labels = EMPTY
    match_expressions: Many[Requirement] = ()


class Ordinals(Fields):
    """Where a StatefulSet's numbers begin."""

    start: Annotated[int, Field(ge=0)] = 0


class WorkloadSpec(Fields):
    """What a DaemonSet says about its pods."""

    selector: LabelSelector
    template: PodTemplate


class ReplicatedSpec(WorkloadSpec):
    """What a Deployment, ReplicaSet or StatefulSet says about its pods."""

    replicas: Annotated[int, Field(ge=0, le=10_000)] = 1
    ordinals: Ordinals = Ordinals()


class DaemonSet(Object):
    """apps/v1 DaemonSet."""

    api_version_read: ClassVar[str] = "apps/v1"
    spec: WorkloadSpec


class Deployment(Object):
    """apps/v1 Deployment."""

    api_version_read: ClassVar[str] = "apps/v1"
    spec: ReplicatedSpec


class ReplicaSet(Object):
    """apps/v1 ReplicaSet."""

    api_version_read: ClassVar[str] = "apps/v1"
    spec: ReplicatedSpec


class StatefulSet(Object):
    """apps/v1 StatefulSet."""

    api_version_read: ClassVar[str] = "apps/v1"
    spec: ReplicatedSpec


class ServicePort(Fields):
    """One port of a Service."""

    port: Port
    name: PortLabel = ""
    protocol: Protocol = "TCP"
    target_port: PortReference | None = None
    node_port: PortOrNone = 0


class ClientIpConfig(Fields):
    """How long a client stays with its endpoint; at most a day, as the API says."""

    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 10_800


class SessionAffinityConfig(Fields):
    """The settings of sessionAffinity ClientIP."""

    client_ip: ClientIpConfig = Field(default=ClientIpConfig(), alias="clientIP")


class ServiceSpec(Fields):
    """What a Service offers and how. Addresses that kube-proxy itself judges stay text."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: str = Field(default="", alias="clusterIP")
    cluster_ips: Many[str] = Field(default=(), alias="clusterIPs")
    ip_families: Many[Literal["IPv4", "IPv6"]] = ()
    ports: Many[ServicePort] = ()
    selector: Labels = EMPTY
    external_ips: Many[str] = Field(default=(), alias="externalIPs")
    load_balancer_source_ranges: Many[str] = ()
    external_traffic_policy: Policy = "Cluster"
    internal_traffic_policy: Policy = "Cluster"
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_config: SessionAffinityConfig = SessionAffinityConfig()
    health_check_node_port: PortOrNone = 0
    allocate_load_balancer_node_ports: bool = True
    publish_not_ready_addresses: bool = False
    external_name: str = ""


class LoadBalancerIngress(Fields):
    """One address of a load balancer."""

    ip: str = ""
    ip_mode: Literal["VIP", "Proxy"] = "VIP"


class LoadBalancerStatus(Fields):
    """The addresses that a load balancer gave."""

    ingress: Many[LoadBalancerIngress] = ()


class ServiceStatus(Fields):
    """What a running cluster knows of a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Object):
    """v1 Service."""

    metadata: ServiceMetadata
    spec: ServiceSpec
    status: ServiceStatus = ServiceStatus()


class EndpointConditions(Fields):
    """An endpoint's conditions; unset ready and serving mean true (discovery.k8s.io/v1)."""

    ready: bool = True
    serving: bool = True
    terminating: bool = False


class Zone(Fields):
    """A zone that an endpoint is hinted for."""

    name: str


class Hints(Fields):
    """Who should use an endpoint."""

    for_zones: Many[Zone] = ()


class TargetReference(Fields):
    """The object behind an endpoint."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


class Endpoint(Fields):
    """One endpoint of a slice."""

    addresses: Many[str] = ()
    conditions: EndpointConditions = EndpointConditions()
    node_name: str = ""
    target_ref: TargetReference = TargetReference()
    hints: Hints = Hints()


class EndpointPort(Fields):
    """A port of a slice; kube-proxy passes over one without a number."""

    name: str = ""
    protocol: Protocol = "TCP"
    port: PortOrNone = 0


class EndpointSlice(Object):
    """discovery.k8s.io/v1 EndpointSlice."""

    api_version_read: ClassVar[str] = "discovery.k8s.io/v1"
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: Many[Endpoint] = ()
    ports: Many[EndpointPort] = ()
