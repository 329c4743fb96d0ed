"""`labkit capture`: a real node's rules, explained, compared with what labkit would program, replayed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

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
from labkit.spec.text import Text

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
    """A real node's rules, with its Services: explained, compared with labkit's own, replayed."""


@app.command()
def explain(files: _FilesArgument, node: _NodeOption = "", config: _ConfigOption = None) -> None:
    """Say what the node's rules do with each Service port: needs no guest and no rights."""
    from labkit.capture.explaining import explain as lines_about

    captured, _ = _read(files, node, config)
    typer.echo("\n".join((_head(captured), *lines_about(captured), "", *_left_out(captured))))


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

    captured, _ = _read(files, node, config)  # mistakes are said before anything is started
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


@app.command()
def replay(
    files: _FilesArgument,
    node: _NodeOption = "",
    config: _ConfigOption = None,
    guest: GuestOption = None,
    memory: MemoryOption = DEFAULT_MEMORY,
) -> None:
    """Build the cluster as a lab, give the node the rules that it held, and open a shell there.

    It ends with the shell's own status, as labkit shell does.
    """
    from labkit.cli.exec import end_with

    end_with(lambda: _replay_shell(files, node, config, guest, memory))


def _replay_shell(
    files: list[Path], node: str, config: Path | None, guest: str | None, memory: str
) -> NoReturn:
    from labkit.capture.pods import plan_pods
    from labkit.capture.replaying import replay as lab_of
    from labkit.cli.progress import progress_display
    from labkit.cli.shell import shell_in
    from labkit.guest.rerun import rerun_inside

    captured, objects = _read(files, node, config)
    rerun_inside(sys.argv[1:], guest, memory_mb=parse_memory_mb(memory))
    with progress_display("building the lab") as on_progress:
        lab = lab_of(captured, objects, on_progress=on_progress)
    nobody = (f"nobody answers at {one}" for one in plan_pods(captured.cluster).left_out)
    with lab:
        status = shell_in(
            "\n".join((str(lab), f"{_head(captured)}, as captured", *nobody, *_notes(captured)))
        )
    raise SystemExit(status)


@app.command()
def pods(files: _FilesArgument) -> None:
    """Print a manifest of pods for the endpoints: with the Services it is a lab for any other command."""
    from labkit.capture.pods import plan_pods

    _, objects = _sorted_texts(files)
    made = plan_pods(read_cluster(objects))
    for one in made.left_out:
        typer.echo(f"no pod for {one}", err=True)
    typer.echo(made.manifest.text, nl=False)


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
    yield from _left_out(captured)


def _left_out(captured: Captured) -> Iterator[str]:
    if captured.dump.left_out:
        yield "left out, as it is not kube-proxy's:"
        yield from (f"  {one}" for one in captured.dump.left_out)


def _read(files: list[Path], node: str, config: Path | None) -> tuple[Captured, list[Text]]:
    printed, objects = _sorted_texts(files)
    dump = read_dump(printed)
    cluster = read_cluster(objects)
    return capture_node(dump, cluster, node, read_proxy_config(config) if config else None), objects


def _sorted_texts(files: list[Path]) -> tuple[list[Text], list[Text]]:
    """Return what a node's tools printed, and the objects."""
    findings = Findings()
    texts = read_texts(files, findings)
    findings.raise_mistakes()
    objects = [text for text in texts if not tool_of(text.text)]
    if not objects:
        raise RequestError(
            "the Services are missing",
            todo="give the output of kubectl get services,endpointslices,nodes -A -o yaml, too",
        )
    return [text for text in texts if tool_of(text.text)], objects
