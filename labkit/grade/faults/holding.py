"""What a node holds that a fault can change, part by part: kube-proxy's, everybody else's, the network's."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from labkit.errors import ProgramError
from labkit.proxy.merge import is_own_chain
from labkit.proxy.program_device import has_device
from labkit.proxy.program_tables import read_tables
from labkit.proxy.restore import render_rule
from labkit.proxy.state import Part, diff_states, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.program_restore import Backend
    from labkit.proxy.state import State

SETTINGS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.all.arp_announce",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.vs.conntrack",
    "net.ipv4.vs.expire_nodest_conn",
    "net.ipv4.vs.expire_quiescent_template",
)
LOOSE = frozenset({"chain nat KUBE-SERVICES", "chain nat KUBE-NODEPORTS"})
"""Chains whose rules match different packets: their order means nothing."""
_WORDS_OF_A_ROUTE = ("via", "dev")
_COMMENT = re.compile(r'(?<!\S)-m comment --comment ("(?:\\.|[^"\\])*"|\S+) ?')
_PORT = re.compile(r"^\d+: ([^@:]+)[@:].*?(?=^\d+: |\Z)", re.MULTILINE | re.DOTALL)


def read_node(node: Namespace, backend: Backend) -> State:
    """Return what the node holds. Raises ProgramError where it cannot be read."""
    proxy = {name: _plain(name, part) for name, part in read_state(node, backend).items()}
    return {**proxy, **dict(_builtin_chains(node, backend)), **dict(_network(node)), **dict(_settings(node))}


def differences(wanted: State, held: State) -> Mapping[str, tuple[str, ...]]:
    """Return by part, in words, what `held` has otherwise than `wanted`.

    Neighbours that are missing are no difference: who is not in the table is asked for.
    """
    found = {}
    for name in {**wanted, **held}:
        before, after = ({name: state[name]} if name in state else {} for state in (wanted, held))
        sentences = diff_states(before, after)
        if name == "neighbours":
            sentences = tuple(one for one in sentences if " should not have: " in one)
        if sentences:
            found[name] = sentences
    return found


def _plain(name: str, part: Part) -> Part:
    """Return a part without its rules' comments, in no order where the order means nothing."""
    if name.startswith(("chain ", "jumps ")):
        lines = tuple(_COMMENT.sub("", line) for line in part.lines)
        return Part(lines, ordered=part.ordered and name not in LOOSE)
    return part


def _builtin_chains(node: Namespace, backend: Backend) -> Iterator[tuple[str, Part]]:
    """Yield the built-in chains that do something: a table that somebody only looked at is there as well."""
    for table, held in read_tables(node, backend).items():
        for chain, content in held.chains.items():
            if not is_own_chain(chain) and (content.policy != "ACCEPT" or content.rules):
                rules = (_COMMENT.sub("", render_rule(one.rule)) for one in content.rules)
                yield f"chain {table} {chain}", Part((f"policy {content.policy}", *rules))


def _network(node: Namespace) -> Iterator[tuple[str, Part]]:
    routes = (_route(line.split()) for line in _lines(node, "ip", "route", "show"))
    yield "routes", Part(tuple(sorted(routes)), ordered=False)
    neighbours = _lines(node, "ip", "neighbour", "show", "nud", "permanent")
    yield "neighbours", Part(tuple(sorted(" ".join(line.split()) for line in neighbours)), ordered=False)
    addresses = (line for line in _lines(node, "ip", "-brief", "address") if "kube-ipvs0" not in line)
    yield "addresses", Part(tuple(" ".join(line.split()) for line in addresses), ordered=False)
    ports = "\n".join(_lines(node, "bridge", "-d", "link", "show"))
    hairpins = (
        f"{found[1]} hairpin {'on' if ' hairpin on ' in found[0] else 'off'}"
        for found in _PORT.finditer(ports)
    )
    yield "bridge ports", Part(tuple(sorted(hairpins)), ordered=False)
    yield "nftables' tables", Part(tuple(sorted(_lines(node, "nft", "list", "tables"))), ordered=False)


def _route(words: Sequence[str]) -> str:
    """Return what a route says of the way: `proto`, `metric` and the like are how it came to be."""
    is_way = words[0] in {"blackhole", "unreachable", "prohibit"}
    head = words[:2] if is_way else words[:1]
    pairs = pairwise(words)
    return " ".join((*head, *(f"{word} {value}" for word, value in pairs if word in _WORDS_OF_A_ROUTE)))


def _settings(node: Namespace) -> Iterator[tuple[str, Part]]:
    for name in SETTINGS:
        if ".vs." not in name or has_device(node):
            yield f"sysctl {name}", Part((node.read_sysctl(name).strip(),))


def _lines(node: Namespace, *argv: str) -> list[str]:
    done = node.command(argv)
    if done.status:
        raise ProgramError(f"{' '.join(argv)}: {done.complaint}", where=node.name)
    return done.stdout.splitlines()
