"""What is counted for the ledger in a live lab: who answers, at which hook, through which address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.claims.figures import Figure, answers, exact
from labkit.claims.plan import CALLS, HOOK_CALLS
from labkit.lab import Lab
from labkit.measure.targets import find_service_target
from labkit.proxy.ipvs import DEVICE
from labkit.traffic.fixed import FixedFlow, send_fixed_flows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.fabric.namespace import Namespace

FIRST_PORT = 41_000
CALL_TIMEOUT_S = "2"
INGRESS, API = "203.0.113.10:80", "203.0.113.10:8080"
TRAP_LABS = {
    "iptables": ("ingress-trap", "iptables"),
    "IPVS": ("ingress-trap", "ipvs"),
    "IPVS, two addresses": ("ingress-two-addresses", "ipvs"),
    "IPVS, ipMode: Proxy": ("ingress-ipmode-proxy", "ipvs"),
}


def count_sharing() -> Iterator[Figure]:
    """Send connections in every mode; count who answers, and the sockets that listen on the nodes."""
    with Lab.open("web") as lab:
        for mode in lab.modes:
            lab.switch(mode)
            run = lab.measure(connections=CALLS)
            reached = sum(count > 0 for count in run.answers.values())
            yield exact(answers(mode, "connections"), run.connections)
            yield exact(answers(mode, "answered"), run.answered)
            yield exact(answers(mode, "pods that answered"), reached)
            yield exact(answers(mode, "p of the shares"), run.p_value or 0.0)
            listening = sum(len(_lines(node, "ss", "-Haltun")) for node in lab.nodes.values())
            yield exact(answers(mode, "sockets on the nodes"), listening)
        yield exact("pods", len(lab.cluster.pods))


def count_hooks() -> Iterator[Figure]:
    """Call from a pod and from the node itself; count at which hook of the nat table they met the rules."""
    with Lab.open("web", mode="iptables") as lab:
        node = lab.nodes["node-1"]
        target = find_service_target(lab.cluster, "web").target
        for name, caller, address in (
            ("a pod", lab.clients["client"], lab.network.plan.clients["client"].address),
            ("the node", node, lab.cluster.nodes[0].address),
        ):
            for table in ("nat", "mangle"):
                node.command(["iptables-legacy", "-t", table, "-Z"])
            flows = [FixedFlow(address, FIRST_PORT + number, target) for number in range(HOOK_CALLS)]
            outcomes = send_fixed_flows(caller, flows)
            yield exact(f"calls of {name} that were answered", sum(one.pod is not None for one in outcomes))
            for hook in ("PREROUTING", "OUTPUT"):
                yield exact(f"calls of {name} that met KUBE-SERVICES at {hook}", _jumps(node, hook))
            if name == "a pod":
                yield exact("packets that passed PREROUTING meanwhile", _passed(node))


def count_trap() -> Iterator[Figure]:
    """Call an Ingress and a Service that share a load balancer's address, from inside and from outside."""
    for name, (manifest, mode) in TRAP_LABS.items():
        with Lab.open(manifest, mode=mode) as lab:
            shop = INGRESS if "two" not in name else INGRESS.replace(".10:", ".20:")
            inside = ("shop-1", "node-1")
            yield exact(f"{name}: of 2 calls inside to the Ingress", _reached(lab, inside, shop))
            yield exact(f"{name}: of 2 calls inside to the Service", _reached(lab, inside, API))
            yield exact(f"{name}: of 1 call outside to the Ingress", _reached(lab, ("outside",), shop))
            bound = _lines(lab.nodes["node-1"], "ip", "-o", "address", "show", "dev", DEVICE)
            is_bound = any(f" {shop.partition(':')[0]}/" in line for line in bound)
            yield exact(f"{name}: the Ingress' address on {DEVICE}", int(is_bound))


def count_transport() -> Iterator[Figure]:
    """Ask the DNS Service of the lab `shop` by TCP and UDP in IPVS mode; read its virtual servers."""
    with Lab.open("shop", mode="ipvs") as lab:
        node = lab.nodes["node-1"]
        for protocol in ("TCP", "UDP"):
            target = find_service_target(lab.cluster, f"kube-system/names:53/{protocol}")
            run = lab.measure(target, connections=100)
            yield exact(f"IPVS, {protocol}: of 100 answered", run.answered)
            yield exact(
                f"IPVS, {protocol}: pods that answered", sum(count > 0 for count in run.answers.values())
            )
            flag = "-t" if protocol == "TCP" else "-u"
            servers = _lines(node, "ipvsadm", "-L", "-n", flag, str(target.target))
            real = sum(line.lstrip().startswith("->") for line in servers) - 1  # the first has the titles
            yield exact(f"IPVS, {protocol}: real servers behind {target.target}", real)
        listening = _lines(node, "ss", "-Haltun", "sport = :53")
        yield exact("sockets on the node for port 53", len(listening))


def _reached(lab: Lab, callers: tuple[str, ...], place: str) -> int:
    argv = ["curl", "-sS", "--noproxy", "*", "-m", CALL_TIMEOUT_S, f"http://{place}/"]
    return sum(lab.namespace(caller).command(argv).status == 0 for caller in callers)


def _jumps(node: Namespace, hook: str) -> int:
    """Return how many packets the jump from a built-in chain to KUBE-SERVICES matched."""
    lines = _lines(node, "iptables-legacy", "-t", "nat", "-nvxL", hook)
    return sum(int(line.split()[0]) for line in lines if " KUBE-SERVICES " in line)


def _passed(node: Namespace) -> int:
    """Return how many packets the mangle table has seen at PREROUTING: it has no rules, but sees them all."""
    policy = _lines(node, "iptables-legacy", "-t", "mangle", "-nvxL", "PREROUTING")[0]
    return int(policy.split()[policy.split().index("packets,") - 1])


def _lines(namespace: Namespace, *argv: str) -> list[str]:
    return namespace.command(list(argv)).stdout.splitlines()
