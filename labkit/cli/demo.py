"""`labkit demo`: the same traffic under every algorithm, compared."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.memory import parse_memory_mb
from labkit.cli.progress import progress_display
from labkit.errors import RequestError

if TYPE_CHECKING:
    from labkit.comparison import Comparison, CraftedTraffic

DEFAULT_LAB = "weighted"
REPORT = "report.html"
# Columns that a narrow terminal does without, in this order; the report has them all.
DISPENSABLE = ("response p95", "connect p95", "response p50", "p value", "as expected?")


def demo(
    manifest: Annotated[
        list[str] | None, typer.Argument(help="Kubernetes manifests, or the names of shipped labs.")
    ] = None,
    algorithms: Annotated[
        str, typer.Option(help="Modes and IPVS schedulers, comma-separated: iptables,nftables,rr,wlc.")
    ] = "",
    connections: Annotated[int, typer.Option(help="How many, to each Service port under each.", min=1)] = 300,
    seed: Annotated[int, typer.Option(help="The same seed sends the same traffic.")] = 1,
    output: Annotated[Path, typer.Option(help="Where the report and the results go.")] = Path("out/demo"),
    guest: Annotated[
        str | None,
        typer.Option(help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."),
    ] = None,
    memory: Annotated[str, typer.Option(help="The guest's memory.")] = "512M",
) -> None:
    """Build the lab, send the same traffic under every algorithm, and compare.

    Without a manifest: a shipped lab of four unequal pods, in iptables mode, in nftables mode where the guest
    has nf_tables, and with every IPVS scheduler of the guest. With manifests: every Service port in them, in
    every mode of the guest (IPVS: rr).
    """
    from labkit.guest.rerun import rerun_inside
    from labkit.spec.cluster import read_manifests

    names = manifest or [DEFAULT_LAB]
    cluster = read_manifests(names)  # mistakes are said before anything is started
    _require_writable(output)
    rerun_inside(sys.argv[1:], guest, memory_mb=parse_memory_mb(memory))
    for warning in cluster.warnings:
        sys.stderr.write(f"note: {warning}\n")
    comparison = _measure(names, algorithms, connections, seed, all_schedulers=not manifest)
    _write(comparison, output)
    _print(comparison, output)


def _measure(
    names: list[str], algorithms: str, connections: int, seed: int, *, all_schedulers: bool
) -> Comparison:
    from labkit import comparison
    from labkit.lab import Lab

    with progress_display("labkit demo") as on_progress, Lab.open(*names, on_progress=on_progress) as lab:
        if algorithms:
            chosen = comparison.parse_algorithms(algorithms, lab.schedulers)
        elif all_schedulers:
            chosen = comparison.every_algorithm(lab.modes, lab.schedulers)
        else:
            chosen = comparison.every_mode(lab.modes)
        return comparison.compare(lab, chosen, connections, seed, on_progress)


def _require_writable(directory: Path) -> None:
    """Make the directory now: half an hour of work is not to be lost for want of a place to write to."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"the results cannot be written there: {error.strerror}",
            where=str(directory),
            todo="name another directory with --output",
        ) from error


def _write(comparison: Comparison, directory: Path) -> None:
    from labkit.chart.report import report_html
    from labkit.chart.rewriting import show_rewriting
    from labkit.measure.results import write_report, write_text

    rows = show_rewriting(comparison.followed).rows if comparison.followed else ()
    write_text(directory / REPORT, report_html(comparison.report, rows))
    write_report(comparison.report, directory)


def _print(comparison: Comparison, directory: Path) -> None:
    from labkit.chart.comparison import comparison_table
    from labkit.chart.rewriting import show_rewriting

    table = comparison_table(comparison.report.runs)
    if sys.stdout.isatty():
        table = table.fitted(shutil.get_terminal_size().columns, DISPENSABLE)
    typer.echo(table.text())
    if comparison.followed:
        typer.echo(f"\n{show_rewriting(comparison.followed)}")
    mode = comparison.report.runs[0].mode
    typer.echo(f"\nPackets made with Scapy, in {mode} mode:" if comparison.crafted else "")
    for crafted in comparison.crafted:
        typer.echo(f"  {crafted.service}: {_crafted_words(crafted)}")
    typer.echo(f"\nThe charts: {directory / REPORT} (the figures: results.json, flows.jsonl beside it)")


def _crafted_words(crafted: CraftedTraffic) -> str:
    if crafted.datagrams is not None:
        answers = crafted.datagrams.answers
        return (
            f"{sum(answers.values())} of {crafted.datagrams.sent} datagrams answered, by {len(answers)} pods"
        )
    syn, *back = crafted.probe
    if not back:
        return f"a SYN to {syn.destination} was not answered"
    return f"a SYN to {syn.destination} was answered {back[0].flags} from {back[0].source}"
