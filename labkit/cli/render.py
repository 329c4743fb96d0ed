"""`labkit render`: what kube-proxy would program on a node. Needs no guest and no rights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from labkit.proxy.plans import find_node, known_mode, lab_config, plan_node
from labkit.proxy.printing import plan_document, plan_script
from labkit.spec.cluster import read_manifests
from labkit.spec.proxyconfigfile import read_proxy_config


def render(
    manifests: Annotated[
        list[str],
        typer.Argument(help="Kubernetes manifests, or the names of shipped labs.", metavar="MANIFEST..."),
    ],
    *,
    mode: Annotated[str, typer.Option("--mode", help="iptables, nftables or ipvs.", metavar="MODE")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="A KubeProxyConfiguration. Default: kubeadm's, with the cluster's pod CIDR."
        ),
    ] = None,
    node: Annotated[str, typer.Option("--node", help="On which node. Default: the first one.")] = "",
    form: Annotated[
        Literal["text", "json"],
        typer.Option("--format", help="text: a shell script that programs it. json: for other programs."),
    ] = "text",
) -> None:
    """Print what kube-proxy would program on a node: sysctls, rules, sets, maps and virtual servers."""
    planned_mode = known_mode(mode)
    chosen = read_proxy_config(config) if config else None
    cluster = read_manifests(manifests)
    for warning in cluster.warnings:
        typer.echo(f"warning: {warning}", err=True)
    settings = chosen or lab_config(cluster)
    plan = plan_node(planned_mode, cluster, find_node(cluster, node or settings.hostname_override), settings)
    if form == "json":
        json.dump(plan_document(plan), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(plan_script(plan))
