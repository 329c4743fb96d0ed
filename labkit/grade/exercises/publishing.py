"""What lesson 10's exercises publish: an Ingress and a Service of type LoadBalancer, and calls to both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from labkit.lab import Lab

INGRESS_PORT = 80
CALL_TIMEOUT_S = 2

_NODES = """\
apiVersion: v1
kind: Node
metadata: {name: node-1}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
"""
_DEPLOYMENT = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: server, ports: [{{name: http, containerPort: 8080}}]}}]
"""
_INGRESS = """\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: NodePort
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  defaultBackend: {{service: {{name: {name}, port: {{name: http}}}}}}
status:
  loadBalancer:
    ingress:
      - ip: {address}
"""
_SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: LoadBalancer
  selector: {{app: {name}}}
  ports: [{{name: http, port: {port}, targetPort: http}}]
status:
  loadBalancer:
    ingress:
      - ip: {address}
"""


@dataclass(frozen=True, slots=True)
class Published:
    """An Ingress `app` on port 80 and a Service `api` on `api_port`, and two addresses for them."""

    app: str
    api: str
    api_port: int
    address: str
    second_address: str

    def manifest(self, app_address: str = "", ip_mode: str = "") -> str:
        """Return the manifest; the Ingress has `app_address` (the Service's own where it is empty)."""
        mode = f"        ipMode: {ip_mode}\n" if ip_mode else ""
        return "".join(
            [
                _NODES,
                _DEPLOYMENT.format(name=self.app),
                _DEPLOYMENT.format(name=self.api),
                _INGRESS.format(name=self.app, address=app_address or self.address),
                _SERVICE.format(name=self.api, port=self.api_port, address=self.address) + mode,
            ]
        )


def draw_published(random: Random) -> Published:
    """Return names, a port and addresses (of TEST-NET-3, RFC 5737) drawn at random."""
    app, api = random.choice(["shop", "blog", "news"]), random.choice(["api", "auth", "stock"])
    first, second = (f"203.0.113.{last}" for last in random.sample(range(10, 250), 2))
    return Published(app, api, random.choice([443, 3000, 8080, 8443, 9000]), first, second)


def call(lab: Lab, caller: str, address: str, port: int) -> str:
    """Return what `caller` gets from `address`:`port`: a pod's line, or curl's reason why nothing came."""
    argv = ["curl", "-sS", "--noproxy", "*", "-m", str(CALL_TIMEOUT_S), f"http://{address}:{port}/"]
    asked = lab.namespace(caller).command(argv)
    return (asked.stdout or asked.stderr).strip()
