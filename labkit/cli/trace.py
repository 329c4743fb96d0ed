"""`labkit trace`: one connection's journey through the cluster, printed in a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labkit.cli.memory import parse_memory_mb
from labkit.cli.options import DEFAULT_MEMORY, GuestOption, MemoryOption
from labkit.cli.progress import progress_display

if TYPE_CHECKING:
    from labkit.measure.journey.journey import Journey


def trace(
    manifests: Annotated[
        list[str],
        typer.Argument(help="Kubernetes manifests, or the names of shipped labs.", metavar="MANIFEST..."),
    ],
    *,
    client: Annotated[
        str, typer.Option("--from", help="Who asks: a client, node or pod.", metavar="CLIENT")
    ] = "client",
    service: Annotated[
        str,
        typer.Option(
            "--to", help="Whom: a Service's port (web, web:http) or HOST:PORT[/UDP].", metavar="SERVICE"
        ),
    ] = "",
    mode: Annotated[str, typer.Option(help="iptables, nftables or ipvs.")] = "iptables",
    scheduler: Annotated[str, typer.Option(help="IPVS mode's scheduler.")] = "rr",
    packets: Annotated[
        Literal["first", "handshake", "all"], typer.Option(help="Which packets of the connection.")
    ] = "handshake",
    level: Annotated[
        Literal["summary", "rules", "everything"], typer.Option(help="How much of it is printed.")
    ] = "summary",
    svg: Annotated[Path | None, typer.Option("--svg", help="Also draw it into this file.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write all of it, as JSON, into this file.")
    ] = None,
    pcapng: Annotated[
        Path | None, typer.Option("--pcapng", help="Also write its packets into this file, for Wireshark.")
    ] = None,
    guest: GuestOption = None,
    memory: MemoryOption = DEFAULT_MEMORY,
) -> None:
    """Send one connection through the cluster of the manifests and print everything that happens to it."""
    from labkit.guest.rerun import rerun_inside
    from labkit.lab import Lab
    from labkit.proxy.plans import known_mode
    from labkit.spec.cluster import read_manifests

    known_mode(mode)
    read_manifests(manifests)  # mistakes are said before anything is started
    rerun_inside(sys.argv[1:], guest, memory_mb=parse_memory_mb(memory))
    with progress_display("building the lab") as on_progress:
        lab = Lab.open(*manifests, mode=mode, scheduler=scheduler, on_progress=on_progress)
    with lab, lab.journey(client, service=service, packets=packets) as journey:
        sys.stdout.write(f"{journey.text(level)}\n")
        _write_files(journey, svg, json_file, pcapng)


def _write_files(journey: Journey, svg: Path | None, json_file: Path | None, pcapng: Path | None) -> None:
    from labkit.chart.ladder import ladder_svg
    from labkit.measure.journey.form import to_json
    from labkit.measure.results import write_text

    if json_file is not None:
        write_text(json_file, to_json(journey))
    if pcapng is not None:
        journey.to_pcapng(pcapng)
    if svg is not None:
        write_text(svg, ladder_svg(journey))
