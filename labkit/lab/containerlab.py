"""A lab as files that containerlab deploys: NAME.clab.yml, and beside it NAME/ with a script for each node.

The network is that of the lab's AddressPlan, the rules are what kube-proxy would program: the same plans that
`Lab.open` builds and programs here. Pods answer nobody there: the lab's backends are part of labkit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.proxy.extension import lab_extension
from labkit.proxy.merge import CANARY
from labkit.proxy.plans import Mode, lab_config, plan_node
from labkit.proxy.printing import plan_script
from labkit.spec.addressing import plan_addresses
from labkit.spec.balancer import plan_balancer
from labkit.spec.clabscripts import IMAGE, network_scripts, plan_topology, script_name
from labkit.spec.clabwriting import write_clab

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.spec.addressplan import AddressPlan
    from labkit.spec.model import ClusterSpec


def containerlab_files(
    name: str, cluster: ClusterSpec, mode: Mode, scheduler: str = "rr", image: str = IMAGE
) -> Mapping[str, str]:
    """Return the files of a lab called `name` by their paths: `NAME.clab.yml`, `NAME/NODE.sh`.

    Raises RequestError where names or addresses clash, as `Lab.open` does.
    """
    plan = plan_addresses(cluster, balancer=plan_balancer(cluster))
    scripts = {**network_scripts(plan)}
    for node, rules in _rules(cluster, plan, mode, scheduler).items():
        scripts[script_name(node)] += f"\n{rules}{_canaries() if mode == 'iptables' else ''}"
    files = {f"{name}.clab.yml": _header(mode, scheduler) + write_clab(plan_topology(name, plan, image))}
    return files | {f"{name}/{file}": text for file, text in scripts.items()}


def _canaries() -> str:
    commands = "".join(f"iptables -t {table} -N {CANARY}\n" for table in ("mangle", "nat", "filter"))
    return f"\n# chains whose absence tells kube-proxy that somebody flushed its rules\n{commands}"


def _header(mode: Mode, scheduler: str) -> str:
    how = f"{mode} mode, {scheduler}" if mode == "ipvs" else f"{mode} mode"
    return (
        f"# Written by labkit clab: kube-proxy in {how}.\n"
        "# sudo containerlab deploy --topo THIS-FILE, or without containers: labkit shell THIS-FILE\n"
    )


def _rules(cluster: ClusterSpec, plan: AddressPlan, mode: Mode, scheduler: str) -> Mapping[str, str]:
    config = lab_config(cluster)
    config = replace(config, ipvs=replace(config.ipvs, scheduler=scheduler))
    extension = lab_extension(cluster)
    return {
        node.name: plan_script(
            plan_node(
                mode,
                cluster,
                node,
                config,
                addresses=[one.address for one in plan.node(node.name).addresses],
                extension=extension,
            )
        )
        for node in cluster.nodes
    }
