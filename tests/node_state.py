"""What a node's namespace holds of all that a proxy writes, as values that can be compared."""

from __future__ import annotations

import json
import re

from labkit.proxy.program import read_virtual_servers
from labkit.proxy.program_device import read_bound_addresses
from labkit.proxy.program_sets import read_sets
from labkit.proxy.program_tables import read_tables


def node_state(namespace, backend):
    """Return rules (without counters), sets, addresses, virtual servers and nftables of the namespace."""
    tables = {
        (table, name): (chain.policy, [one.rule for one in chain.rules])
        for table, held in read_tables(namespace, backend).items()
        for name, chain in held.chains.items()
        if chain.rules or chain.policy != "ACCEPT"
    }
    return {
        "rules": tables,
        "sets": read_sets(namespace),
        "addresses": set(read_bound_addresses(namespace)),
        "servers": {
            one.server.key: (
                one.server.scheduler,
                one.server.flags,
                one.server.timeout_s if one.server.flags & 1 else 0,
                {(real.address, real.port, real.weight) for real in one.server.real_servers},
            )
            for one in read_virtual_servers(namespace)
        },
        "nftables": nft_tables(namespace) if backend.name == "legacy" else "",
    }


def nft_tables(namespace):
    """Return every chain, set and map by table and name; elements sorted, without their remaining time."""
    listed = json.loads(namespace.command(["nft", "-j", "list", "ruleset"]).stdout)["nftables"]
    found = {}
    for kind, value in (pair for one in listed for pair in one.items()):
        place = value.get("family"), value.get("table"), value.get("chain") or value.get("name")
        value.pop("handle", None)
        if kind == "rule":
            found[*place, "chain"]["rules"].append(value["expr"])
        elif kind in {"chain", "set", "map"}:
            elements = sorted(map(_without_time, value.pop("elem", ())))
            found[*place, kind] = value | {"rules": [], "elements": elements}
    return found


def _without_time(element):
    return re.sub(r', "expires": \d+', "", json.dumps(element))
