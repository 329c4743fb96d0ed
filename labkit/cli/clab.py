"""`labkit clab`: a lab as files that containerlab deploys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from labkit.errors import RequestError
from labkit.lab.containerlab import containerlab_files
from labkit.proxy.plans import known_mode
from labkit.spec.clabscripts import IMAGE
from labkit.spec.cluster import read_manifests

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def clab(
    manifests: Annotated[
        list[str],
        typer.Argument(help="Kubernetes manifests, or the names of shipped labs.", metavar="MANIFEST..."),
    ],
    *,
    mode: Annotated[str, typer.Option("--mode", help="iptables, nftables or ipvs.")] = "iptables",
    scheduler: Annotated[str, typer.Option("--scheduler", help="IPVS mode's scheduler.")] = "rr",
    name: Annotated[
        str, typer.Option("--name", help="What the topology is called. Default: the first manifest's name.")
    ] = "",
    image: Annotated[str, typer.Option("--image", help="The nodes' image.")] = IMAGE,
    output: Annotated[Path, typer.Option("--output", help="The folder to write into.")] = Path(),
) -> None:
    """Write a lab as NAME.clab.yml with a folder NAME of scripts beside it, which containerlab deploys.

    Nodes, addresses and rules are those of the lab. `labkit shell NAME.clab.yml` builds it here.
    """
    planned_mode = known_mode(mode)
    cluster = read_manifests(manifests)
    for warning in cluster.warnings:
        typer.echo(f"warning: {warning}", err=True)
    name = name or Path(manifests[0]).name.partition(".")[0]
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"no topology can be called {name!r}", todo="choose letters, digits and hyphens: --name my-lab"
        )
    try:
        for path, text in containerlab_files(name, cluster, planned_mode, scheduler, image).items():
            file = output / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"cannot be written: {error.strerror}", where=str(error.filename), todo="name another --output"
        ) from error
    typer.echo(output / f"{name}.clab.yml")
