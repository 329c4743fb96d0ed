"""The documents that the exercises' drawn clusters are put together from: nodes, pods and their Services."""

from __future__ import annotations

APPS = ("web", "shop", "news", "mail", "maps")

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: server, ports: [{{name: http, containerPort: {pod_port}}}]}}]
"""
_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels: {{app: {app}}}
{annotations}spec:
{node}  containers: [{{name: server, ports: [{{name: http, containerPort: 8080}}]}}]
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: {type}
{fields}  selector: {{app: {app}}}
  ports: [{{name: http, port: {port}, targetPort: http{node_port}}}]
"""
_INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  defaultBackend: {{service: {{name: {name}, port: {{name: http}}}}}}
"""


def joined(*documents: str) -> str:
    """Return one manifest of these documents."""
    return "---\n".join(documents)


def nodes(count: int) -> str:
    """Return `count` nodes, `node-1` and so on."""
    return joined(
        *(
            f"apiVersion: v1\nkind: Node\nmetadata: {{name: node-{number}}}\n"
            for number in range(1, count + 1)
        )
    )


def deployment(name: str, replicas: int, pod_port: int = 8080) -> str:
    """Return a Deployment whose pods, `name-1` and so on, carry the label `app: name` and listen on TCP."""
    return _DEPLOYMENT.format(name=name, replicas=replicas, pod_port=pod_port)


def pod(name: str, app: str, *, node: str = "", service_ms: float | None = None) -> str:
    """Return a pod of `app` on port 8080, on `node` if named, that needs `service_ms` for an answer."""
    annotations = "" if service_ms is None else f'  annotations: {{labkit.dev/service-ms: "{service_ms}"}}\n'
    return _POD.format(
        name=name, app=app, annotations=annotations, node=f"  nodeName: {node}\n" if node else ""
    )


def service(
    name: str,
    *,
    app: str = "",
    type: str = "ClusterIP",  # noqa: A002  the field's own name
    port: int = 80,
    node_port: int | None = None,
    cluster_ip: str = "",
    external_traffic_policy: str = "",
) -> str:
    """Return a Service for the pods of `app` (of its own name, if empty); what is empty is left out."""
    fields = {"clusterIP": cluster_ip, "externalTrafficPolicy": external_traffic_policy}
    lines = "".join(f"  {field}: {value}\n" for field, value in fields.items() if value)
    node_port_field = "" if node_port is None else f", nodePort: {node_port}"
    return _SERVICE.format(
        name=name, app=app or name, type=type, port=port, fields=lines, node_port=node_port_field
    )


def ingress(name: str) -> str:
    """Return an Ingress that leads to the Service of the same name."""
    return _INGRESS.format(name=name)


def published_at(address: str, ip_mode: str = "") -> str:
    """Return the status that a load balancer of this address adds to a Service or an Ingress."""
    mode = f"        ipMode: {ip_mode}\n" if ip_mode else ""
    return f"status:\n  loadBalancer:\n    ingress:\n      - ip: {address}\n{mode}"
