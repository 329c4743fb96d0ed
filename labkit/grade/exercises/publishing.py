"""What lesson 10's exercises publish: an Ingress and a Service of type LoadBalancer, and calls to both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.grade.exercises import clusters

if TYPE_CHECKING:
    from random import Random

    from labkit.lab import Lab

INGRESS_PORT = 80
CALL_TIMEOUT_S = 2


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
        api = clusters.service(self.api, type="LoadBalancer", port=self.api_port)
        return clusters.joined(
            clusters.nodes(2),
            clusters.deployment(self.app, 2),
            clusters.deployment(self.api, 2),
            clusters.service(self.app, type="NodePort"),
            clusters.ingress(self.app) + clusters.published_at(app_address or self.address),
            api + clusters.published_at(self.address, ip_mode),
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
