"""What a node of a lab or of a deployed topology is, asked by commands: for comparing one with the other.

python tests/network_state.py FILE.clab.yml, in the lab's Linux: the topology built there, as JSON by node.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from labkit.fabric.namespace import Namespace
from labkit.fabric.topology import build_topology
from labkit.proxy.merge import is_own_chain
from labkit.proxy.restore import parse_save, render_rule
from labkit.spec.clab import read_clab

Run = Callable[[str], str]
SETTINGS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/disable_ipv6", "net/ipv4/ip_local_port_range")


def run_in(namespace: Namespace) -> Run:
    """Return what runs a command in a namespace and returns what it prints."""

    def run(command: str) -> str:
        done = namespace.command(command.split())
        assert done.status == 0, done.complaint
        return done.stdout

    return run


def network_of(run: Run, settings: Iterable[str] = SETTINGS) -> dict:
    """Return interfaces, addresses, routes, permanent neighbours, a bridge's fixed entries, settings."""
    links = [*_asked(run, "ip -json -details -4 address show"), *_asked(run, "ip -json -details link show")]
    neighbours = _asked(run, "ip -json neighbour show")
    entries = _asked(run, "bridge -json fdb show")
    return {
        "links": _sorted(map(_interface, links)),
        "routes": _sorted(_asked(run, "ip -json route show table all")),
        "neighbours": _sorted(one for one in neighbours if "PERMANENT" in one["state"]),
        "bridge": _sorted(one for one in entries if one.get("state") == "static"),
        "settings": {path: run(f"cat /proc/sys/{path}").strip() for path in settings},
    }


def rules_of(run: Run) -> dict:
    """Return kube-proxy's chains in the tables of the command `iptables`, by table and name."""
    tables = parse_save(run("iptables-save"))
    return {
        f"{table} {name}": [render_rule(one.rule) for one in chain.rules]
        for table, held in tables.items()
        for name, chain in held.chains.items()
        if is_own_chain(name)
    }


def _asked(run: Run, command: str) -> list[dict]:
    return json.loads(run(command) or "[]")


def _interface(link: dict) -> dict:
    known = {key: link.get(key) for key in ("ifname", "address", "mtu", "master")}
    if link["ifname"] == "kube-ipvs0":
        del known["address"]  # Linux draws one each time
    known["up"] = "UP" in link["flags"]
    known["addresses"] = sorted(f"{one['local']}/{one['prefixlen']}" for one in link.get("addr_info", ()))
    details = link.get("linkinfo", {})
    known["kind"] = details.get("info_kind")
    known["hairpin"] = details.get("info_slave_data", {}).get("hairpin")
    return known


def _sorted(entries: Iterable[dict]) -> list[str]:
    return sorted(json.dumps(entry, sort_keys=True) for entry in entries)


def main(file: Path) -> None:
    with build_topology(read_clab(file, os.environ), file.resolve().parent) as live:
        assert live.failures == ()
        nodes = {name: run_in(namespace) for name, namespace in live.namespaces.items()}
        json.dump(
            {name: {**network_of(run), "rules": rules_of(run)} for name, run in nodes.items()}, sys.stdout
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
