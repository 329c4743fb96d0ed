"""The scene, alive: programs kube-proxy on both nodes, puts rows to it, and says what came of each."""

from __future__ import annotations

import contextlib
import itertools
import resource
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from flows.memory import forget_affinity
from flows.packets import StrayPacket, WirePacket
from flows.places import target
from flows.questions import ANY, Question, source_towards
from flows.responders import Responder, open_responders
from flows.round import Asked, Patience, Round
from flows.rows import FORGOTTEN, SEVERAL_TIMES, VISITS, Row
from flows.scene import (
    CLIENTS,
    CLUSTER,
    DAEMON_PORT,
    HEALTH_PORT,
    NODES,
    OTHER_ADDRESS,
    POD_PORT,
    SERVICE_NETWORKS,
    SERVICES,
    UNKNOWN_PORT,
)
from flows.weathers import WEATHERS

from labkit.fabric.build import Network, build_network
from labkit.fabric.namespace import Namespace
from labkit.fabric.sysctl import write_sysctl
from labkit.proxy.plans import Mode, lab_config
from labkit.proxy.sync import Proxier
from labkit.spec.addressing import plan_addresses
from labkit.spec.clients import networks_of
from labkit.spec.proxyconfig import ProxyConfig

ALL = ("TCP", "UDP", "SCTP")
MOST_ROUNDS = 40
NAMES = {
    **dict.fromkeys(("node", "loopback", "main-address", "cni0-address", "service-address"), "node-1"),
    "acquaintance": "pod",
}
SOURCES = {
    "node": ANY,
    "loopback": "127.0.0.1",
    "main-address": NODES[0].address,
    "cni0-address": OTHER_ADDRESS,
    "service-address": SERVICES["guarded-node"].load_balancer[0].ip,
}


def _setup(name: str) -> ProxyConfig:
    usual = lab_config(CLUSTER)
    if name == "masqueradeAll":
        everywhere = replace(usual.iptables, masquerade_all=True)
        return replace(usual, iptables=everywhere, nftables=replace(usual.nftables, masquerade_all=True))
    if name == "no clusterCIDR":
        return replace(usual, cluster_cidr="")
    if name.startswith("nodePortAddresses"):
        return replace(usual, node_port_addresses=(name.split()[1],))
    return usual


class Scene:
    """The live network of the flow table, in one mode; `close()` removes it."""

    def __init__(self, mode: Mode, patience: Patience) -> None:
        """Build it; nothing is programmed yet."""
        self.mode = mode
        self.patience = patience
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.parts = contextlib.ExitStack()
        self.network: Network = self.parts.enter_context(build_network(plan_addresses(CLUSTER, CLIENTS)))
        self.acquaintances: dict[tuple[str, str], tuple[str, int]] = {}
        self.responders = {one.socket.fileno(): one for one in self._open_responders()}
        self.addresses = {
            client.name: itertools.cycle(self.network.plan.clients[client.name].addresses)
            for client in CLIENTS
        }
        self._lay_routes()
        self.proxiers = {
            node.name: Proxier(self.network.node(node.name), node.name, mode, _setup("")) for node in NODES
        }
        self.backend = self.proxiers["node-1"].backend

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything."""
        for responder in self.responders.values():
            responder.socket.close()
        self.parts.close()

    def namespace(self, name: str) -> Namespace:
        """Return the namespace that a source or responder lives in."""
        return self.network.namespaces[NAMES.get(name, name)]

    def _open_responders(self) -> Iterator[Responder]:
        for pod in ("here", "there"):
            yield from open_responders(self.namespace(pod), pod, ALL, (POD_PORT,))
        used = sorted(
            {
                port
                for service in SERVICES.values()
                for one in service.ports
                for port in (one.port, one.node_port)
            }
            - {0}
        )
        taken = (*used, UNKNOWN_PORT, HEALTH_PORT)
        yield from open_responders(self.namespace("node"), "daemon", ALL, taken)
        yield from open_responders(
            self.namespace("node"), "daemon", ("TCP", "UDP"), (DAEMON_PORT,), "127.0.0.1"
        )
        yield from open_responders(self.namespace("beyond"), "beyond", ALL, taken)

    def _lay_routes(self) -> None:
        beyond = self.network.plan.clients["beyond"].address
        routes = {
            "beyond": [f"route add local {network} dev lo" for network in SERVICE_NETWORKS],
            "node-1": [f"route add {network} via {beyond}" for network in SERVICE_NETWORKS],
            "node-2": [f"route add {network} via {beyond}" for network in SERVICE_NETWORKS],
            "outside": [f"route add {network} via {NODES[0].address}" for network in SERVICE_NETWORKS],
        }
        # Answers go the way that the questions came: conntrack in node-1 has to see both.
        outside = networks_of(self.network.plan.clients["outside"].addresses)
        routes["beyond"] += [f"route replace {network} via {NODES[0].address}" for network in outside]
        for name, lines in routes.items():
            run(self.namespace(name), "ip -batch -", "\n".join(lines))
        for namespace in self.network.namespaces.values():
            namespace.run(_refuse_always_and_redirect_never)

    def program(self, setup: str = "") -> None:
        """Let kube-proxy work on both nodes, configured as `setup` says."""
        for proxier in self.proxiers.values():
            proxier.config = _setup(setup)
            proxier.sync(CLUSTER)

    def weather(self, name: str) -> contextlib.AbstractContextManager[object]:
        """Return the context in which the nodes are as `name` says."""
        return WEATHERS[name](self)

    def run(self, name: str, command: str, stdin: str = "") -> None:
        """Run a command on a node; it has to succeed. `iptables` is the kind that works here."""
        first, _, rest = command.partition(" ")
        program = f"iptables-{self.backend.name}" if first == "iptables" else first
        run(self.namespace(name), f"{program} {rest}", stdin)

    def contradictions(self, rows: Iterable[Row]) -> dict[Row, frozenset[str]]:
        """Put rows to the scene, all at once; return what came of those that say something else.

        A row is asked until all that it expects has come, so that chance decides nothing. Once something
        unexpected has come, nothing more is asked.
        """
        found: dict[Row, set[str]] = {row: set() for row in rows}
        waiting = list(found)
        for _ in range(MOST_ROUNDS):
            copies = [row for row in waiting for _ in range(_copies(row, found[row]))]
            for row, word in self._ask(copies):
                found[row].add(word)
            if wrong := {row: frozenset(words) for row, words in found.items() if words - row.expected}:
                return wrong
            waiting = [row for row in waiting if found[row] < row.expected]
            if not waiting:
                break
        return {row: frozenset(found[row]) for row in waiting}

    def acquaint(self, client: str, service: str, protocol: str, endpoint: str) -> None:
        """Let an address and port of `client` ask a cluster IP until `endpoint` answers: the acquaintance."""
        answered = f"{endpoint}="
        row = Row(service, client, "cluster IP", protocol, self.mode, frozenset({answered}))
        for _ in range(MOST_ROUNDS):
            asked = self.namespace(client).run(partial(self._questions, [row]))
            self.acquaintances[service, protocol] = asked[0].questions[0].socket.getsockname()
            if Round(self.responders, asked, self.patience).outcomes() == [(row, answered)]:
                return
        raise AssertionError(f"{endpoint} never answered {client}")

    def _ask(self, rows: list[Row]) -> list[tuple[Row, str]]:
        if any(row.destination.endswith(FORGOTTEN) for row in rows):
            self.namespace("node-1").run(partial(forget_affinity, self.proxiers["node-1"]))
        by_place: dict[str, list[Row]] = {}
        for row in rows:
            by_place.setdefault(NAMES.get(row.source, row.source), []).append(row)
        asked = [
            one
            for name, group in by_place.items()
            for one in self.namespace(name).run(partial(self._questions, group))
        ]
        return Round(self.responders, asked, self.patience).outcomes()

    def _questions(self, rows: list[Row]) -> list[Asked]:
        """Ask every row once; the questions are on their way then."""
        return [Asked(row, tuple(self._ask_once(row))) for row in rows]

    def _ask_once(self, row: Row) -> Iterator[Question | StrayPacket | WirePacket]:
        if row.source == "acquaintance":
            address, port = self.acquaintances[row.service, row.protocol]
            # A connection is known by its address and port, a visitor by the address alone.
            yield Question(row.protocol, address, target(row), port if row.protocol == "UDP" else 0)
            return
        source = self._source(row.source)
        if row.destination.startswith("stray "):
            yield StrayPacket(source_towards(target(row), source), target(row), row.destination)
        elif row.destination == "loopback on the wire":
            yield WirePacket(source, self.network.plan.link("node-1").interface.mac)
        else:
            for _ in range(VISITS if row.destination.endswith(SEVERAL_TIMES) else 1):
                yield Question(row.protocol, source, target(row))

    def _source(self, name: str) -> str:
        if name in SOURCES:
            return SOURCES[name]
        if name in self.addresses:
            return next(self.addresses[name])
        return self.network.plan.pod(f"default/{name}").addresses[0].address


def _refuse_always_and_redirect_never() -> None:
    # No refusal is withheld because there were many; nobody tells or believes that there is a shorter way.
    write_sysctl("net/ipv4/icmp_ratemask", 0)
    for interface in Path("/proc/sys/net/ipv4/conf").iterdir():
        write_sysctl(f"net/ipv4/conf/{interface.name}/send_redirects", 0)
        write_sysctl(f"net/ipv4/conf/{interface.name}/accept_redirects", 0)


def run(namespace: Namespace, command: str, stdin: str = "") -> None:
    """Run a command that has to succeed."""
    done = namespace.command(command.split(), stdin=stdin)
    assert done.status == 0, f"{namespace.name}: {command}: {done.stderr}"


def _copies(row: Row, found: set[str]) -> int:
    # One port can ask once at a time. Silence costs waiting: a row that may meet it is asked often at once.
    if row.source == "acquaintance":
        return 1
    return 8 if row.may_be_silent and len(row.expected) > 1 else 2 if not found else 1
