"""Topology -> X.clab.yml: what containerlab deploys, and what `read_clab` reads back as the same topology."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import yaml

from labkit.spec.topology import DEFAULT_MTU, STAGES, Management

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labkit.spec.topology import Endpoint, HealthCheck, Link, Stage, Topology, TopologyNode

_WORDS = ("kind", "image", "cmd", "user", "network-mode")
"""What stands below `defaults` where all nodes have it alike."""


def write_clab(topology: Topology) -> str:
    """Return the clab file of a topology. A dollar sign is doubled, so that no variable is looked for."""
    written = [_node(node) for node in topology.nodes]
    defaults = dict(_common(written))
    nodes = {
        node.name: {key: value for key, value in one.items() if defaults.get(key) != value}
        for node, one in zip(topology.nodes, written, strict=True)
    }
    document: dict[str, Any] = {"name": topology.name}
    if topology.prefix is not None:
        document["prefix"] = topology.prefix
    if topology.management != Management():
        document["mgmt"] = _management(topology.management)
    document["topology"] = {
        **({"defaults": defaults} if defaults else {}),
        "nodes": nodes,
        **({"links": [_link(link) for link in topology.links]} if topology.links else {}),
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return text.replace("$", "$$")


def _common(nodes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for key in (*_WORDS, "binds"):
        values = [node.get(key) for node in nodes]
        if len(values) > 1 and values[0] and all(value == values[0] for value in values):
            yield key, values[0]


def _node(node: TopologyNode) -> dict[str, Any]:
    words = {
        "kind": node.kind,
        "image": node.image,
        "cmd": node.cmd,
        "user": node.user,
        "network-mode": node.network_mode,
        "group": node.group,
        "mgmt-ipv4": node.mgmt_ipv4,
    }
    written: dict[str, Any] = {key: value for key, value in words.items() if value}
    for key, pairs in (("env", node.env), ("labels", node.labels), ("sysctls", node.sysctls)):
        if pairs:
            written[key] = dict(pairs)
    if node.binds:
        written["binds"] = [
            f"{bind.source}:{bind.target}{':ro' if bind.read_only else ''}" for bind in node.binds
        ]
    if node.exec:
        written["exec"] = list(node.exec)
    if stages := {stage: entry for stage in STAGES if (entry := _stage(node, stage))}:
        written["stages"] = stages
    if node.healthcheck:
        written["healthcheck"] = _healthcheck(node.healthcheck)
    return written


def _stage(node: TopologyNode, stage: Stage) -> dict[str, Any]:
    waits = [{"node": wait.node, "stage": wait.until} for wait in node.waits if wait.stage == stage]
    commands = [
        {
            "command": one.command,
            **({"target": "host"} if one.on_host else {}),
            **({"phase": "on-exit"} if one.on_exit else {}),
        }
        for one in node.stage_commands
        if one.stage == stage
    ]
    return {**({"wait-for": waits} if waits else {}), **({"exec": commands} if commands else {})}


def _healthcheck(check: HealthCheck) -> dict[str, Any]:
    return {
        "test": ["CMD", *check.test],
        "interval": check.interval_s,
        "retries": check.retries,
        "start-period": check.start_period_s,
        "timeout": check.timeout_s,
    }


def _link(link: Link) -> dict[str, Any]:
    written: dict[str, Any] = {"type": link.type}
    if link.type == "veth":
        written["endpoints"] = [_endpoint(end) for end in link.endpoints]
    else:
        written["endpoint"] = _endpoint(link.endpoints[0])
    if link.host_interface:
        written["host-interface"] = link.host_interface
    if link.mode:
        written["mode"] = link.mode
    if link.mtu != DEFAULT_MTU:
        written["mtu"] = link.mtu
    return written


def _endpoint(end: Endpoint) -> dict[str, str]:
    return {key: value for key in ("node", "interface", "mac") if (value := getattr(end, key))}


_KEYS = {"bridge": "bridge", "subnet": "ipv4-subnet", "gateway": "ipv4-gw", "mtu": "mtu"}


def _management(management: Management) -> dict[str, Any]:
    default = Management()
    values = {one.name: getattr(management, one.name) for one in fields(management)}
    return {_KEYS[name]: value for name, value in values.items() if value != getattr(default, name)}
