"""What the nodes may be like beside kube-proxy's work on node-1: how it is made so, and undone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from flows.memory import await_expiry
from flows.scene import BEYOND, CLUSTER, NODES, POD_PORT, SERVICE_PORT, SERVICES, THERE

if TYPE_CHECKING:
    from flows.live import Scene

Weather = Callable[["Scene"], contextlib.AbstractContextManager[object]]
MARK = "0x4000"
NOTHING_MARKED_LEAVES = "nothing marked may leave"
ON_LOOPBACK = (
    SERVICES["guarded-node"].load_balancer[0].ip,
    *(SERVICES[name].cluster_ip for name in ("empty", "own-empty", "guarded-empty")),
)
_ESTABLISHED = "INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT"
_HOST_PORTS = tuple(
    f"PREROUTING -p {protocol} -m multiport --dports 80,83 -m addrtype --dst-type LOCAL"
    f" -j DNAT --to-destination {BEYOND}:81"
    for protocol in ("tcp", "udp")
)
_ONLOOKERS = (
    "add table ip onlookers",
    "add chain ip onlookers leaving { type filter hook postrouting priority 300 ; }",
    f"add rule ip onlookers leaving meta mark and {MARK} != 0 drop",
)


def _node_1(*steps: tuple[str, str]) -> Weather:
    """Return the weather that commands make on node-1; the one beside each undoes it."""

    @contextlib.contextmanager
    def made(scene: Scene) -> Iterator[None]:
        with contextlib.ExitStack() as undoing:
            for make, undo in steps:
                undoing.callback(scene.run, "node-1", undo)
                scene.run("node-1", make)
            yield

    return made


@contextlib.contextmanager
def _marked_stays(scene: Scene) -> Iterator[None]:
    scene.run("node-1", "nft -f -", "\n".join(_ONLOOKERS))
    try:
        yield
    finally:
        scene.run("node-1", "nft delete table ip onlookers")


@contextlib.contextmanager
def _node_2_bare(scene: Scene) -> Iterator[None]:
    network = CLUSTER.service_cidr
    scene.proxiers["node-2"].cleanup()
    scene.run("node-2", f"ip route replace {network} via {NODES[0].address}")
    try:
        yield
    finally:
        scene.run("node-2", f"ip route replace {network} via {BEYOND}")
        scene.proxiers["node-2"].sync(CLUSTER)


@contextlib.contextmanager
def _endpoint_gone(scene: Scene) -> Iterator[None]:
    # What kube-proxy does when `there` leaves, for UDP; and while it has connections, for TCP.
    datagrams, visits = (f"{SERVICES[name].cluster_ip}:{SERVICE_PORT}" for name in ("cluster", "sticky"))
    there = f"{THERE.address}:{POD_PORT}"
    scene.acquaint("pod", "cluster", "UDP", "there")
    scene.acquaint("pod", "sticky", "TCP", "there")
    scene.run("node-1", f"ipvsadm -e -t {visits} -r {there} -m -w 0")
    scene.run("node-1", f"ipvsadm -d -u {datagrams} -r {there}")
    scene.namespace("node-1").run(partial(await_expiry, *scene.acquaintances["cluster", "UDP"]))
    try:
        yield
    finally:
        scene.run("node-1", f"ipvsadm -e -t {visits} -r {there} -m -w 1")
        scene.run("node-1", f"ipvsadm -a -u {datagrams} -r {there} -m -w 1")


WEATHERS: dict[str, Weather] = {
    "": lambda _: contextlib.nullcontext(),
    "FORWARD drops": _node_1(("iptables -P FORWARD DROP", "iptables -P FORWARD ACCEPT")),
    "INPUT drops": _node_1(
        ("iptables -P INPUT DROP", "iptables -P INPUT ACCEPT"),
        (f"iptables -A {_ESTABLISHED}", f"iptables -D {_ESTABLISHED}"),
    ),
    "ports 80 and 83 are host ports": _node_1(
        *((f"iptables -t nat -A {one}", f"iptables -t nat -D {one}") for one in _HOST_PORTS)
    ),
    "node-1 has addresses of Services": _node_1(
        *((f"ip address add {one} dev lo", f"ip address del {one} dev lo") for one in ON_LOOPBACK)
    ),
    NOTHING_MARKED_LEAVES: _marked_stays,
    "node-2 has no kube-proxy": _node_2_bare,
    "an endpoint is gone": _endpoint_gone,
}
"""In this order a mutant is asked: what costs most comes last."""
