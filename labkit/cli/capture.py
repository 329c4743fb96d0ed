"""`labkit capture`: a real node's rules, compared with what labkit would program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.capture.captured import Captured, capture_node
from labkit.capture.dump import read_dump, tool_of
from labkit.cli.memory import parse_memory_mb
from labkit.cli.options import DEFAULT_MEMORY, GuestOption, MemoryOption
from labkit.errors import RequestError
from labkit.proxy.printing import KUBE_PROXY
from labkit.spec.cluster import read_cluster
from labkit.spec.documents import Findings, read_texts
from labkit.spec.proxyconfigfile import read_proxy_config

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True)

_FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        help="What iptables-save, ipvsadm-save -n, ipset save or nft list ruleset printed on the node, "
        "and kubectl get services,endpointslices,nodes -A -o yaml.",
        metavar="FILE...",
    ),
]
_NodeOption = Annotated[
    str, typer.Option("--node", help="Which node printed the rules. Default: the only one.")
]
_ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Its KubeProxyConfiguration. Default: what its rules tell of it."),
]


@app.callback()
def capture() -> None:
    """A real node's rules, with its Services: compared with what labkit would program."""


@app.command()
def compare(
    files: _FilesArgument,
    node: _NodeOption = "",
    config: _ConfigOption = None,
    guest: GuestOption = None,
    memory: MemoryOption = DEFAULT_MEMORY,
) -> None:
    """Say where the node's rules differ from what kube-proxy v1.30.3 would program for these Services."""
    from labkit.capture.comparing import compare as differences_of
    from labkit.guest.rerun import rerun_inside

    captured = _read(files, node, config)  # mistakes are said before anything is started
    rerun_inside(sys.argv[1:], guest, memory_mb=parse_memory_mb(memory))
    differences = differences_of(captured)
    count = (
        f"{len(differences)} difference{'s' if len(differences) != 1 else ''}"
        if differences
        else "no difference"
    )
    lines = [f"{_head(captured)}, beside kube-proxy v{KUBE_PROXY}: {count}"]
    lines += [f"  {difference}" for difference in differences]
    typer.echo("\n".join((*lines, *_notes(captured))))


def _head(captured: Captured) -> str:
    services = len(captured.cluster.services)
    return (
        f"node {captured.node.name}, {captured.mode} mode, {services} Service{'s' if services != 1 else ''}"
    )


def _notes(captured: Captured) -> Iterator[str]:
    if captured.guessed:
        yield f"read out of the rules: {', '.join(captured.guessed)}"
    if captured.mode == "ipvs" and captured.dump.sets is None:
        yield "not compared, as `ipset save` is not there: the members of the sets that the rules ask"
    if captured.dump.left_out:
        yield "left out, as it is not kube-proxy's:"
        yield from (f"  {one}" for one in captured.dump.left_out)


def _read(files: list[Path], node: str, config: Path | None) -> Captured:
    findings = Findings()
    texts = read_texts(files, findings)
    findings.raise_mistakes()
    objects = [text for text in texts if not tool_of(text.text)]
    if not objects:
        raise RequestError(
            "the Services are missing",
            todo="give the output of kubectl get services,endpointslices,nodes -A -o yaml, too",
        )
    dump = read_dump([text for text in texts if tool_of(text.text)])
    cluster = read_cluster(objects)
    return capture_node(dump, cluster, node, read_proxy_config(config) if config else None)
