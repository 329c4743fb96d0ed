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
    from collections.abc import Callable

    from labkit.comparison import Algorithm, Comparison, CraftedTraffic
    from labkit.experiment import GuestChoice, Offered

DEFAULT_LAB = "weighted"
VIRTUAL_LAB = "unequal"
CONNECTIONS = 300
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
    connections: Annotated[
        int | None,
        typer.Option(help="How many, to each Service port under each: 300; 3600 in virtual time.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the same traffic.")] = 1,
    output: Annotated[Path, typer.Option(help="Where the report and the results go.")] = Path("out/demo"),
    guest: Annotated[
        str | None,
        typer.Option(help="Which Linux: auto, host, uml or a path. Default: LABKIT_GUEST, else auto."),
    ] = None,
    memory: Annotated[str, typer.Option(help="The guest's memory.")] = "512M",
    *,
    virtual_time: Annotated[
        bool,
        typer.Option("--virtual-time", help="Exact delays: each run in a guest of its own that never waits."),
    ] = False,
) -> None:
    """Build the lab, send the same traffic under every algorithm, and compare.

    Without a manifest: a shipped lab of four unequal pods, in iptables mode, in nftables mode where the guest
    has nf_tables, and with every IPVS scheduler of the guest. With manifests: every Service port in them, in
    every mode of the guest (IPVS: rr).

    In virtual time connections arrive at random, 60 a second, whatever the pods do: queues build up, the
    latencies are exact and do not depend on this machine, and a minute of it takes seconds.
    """
    from labkit.experiment import GuestChoice
    from labkit.guest.rerun import rerun_inside
    from labkit.spec.cluster import read_manifests

    names = manifest or [VIRTUAL_LAB if virtual_time else DEFAULT_LAB]
    cluster = read_manifests(names)  # mistakes are said before anything is started
    _require_writable(output)
    memory_mb = parse_memory_mb(memory)
    if not virtual_time:
        rerun_inside(sys.argv[1:], guest, memory_mb=memory_mb)
    for warning in cluster.warnings:
        sys.stderr.write(f"note: {warning}\n")
    if virtual_time:
        guests = GuestChoice(guest, memory_mb)
        comparison = _measure_virtually(
            names, algorithms, connections, seed, guests, all_schedulers=not manifest
        )
    else:
        comparison = _measure(names, algorithms, connections, seed, all_schedulers=not manifest)
    _write(comparison, output)
    _print(comparison, output)
    for failure in comparison.failures:
        sys.stderr.write(f"labkit: {failure}\n")
    if comparison.failures:
        raise typer.Exit(comparison.failures[0].exit_status)


def _measure(
    names: list[str], algorithms: str, connections: int | None, seed: int, *, all_schedulers: bool
) -> Comparison:
    from labkit import comparison
    from labkit.experiment import Offered
    from labkit.lab import Lab

    with progress_display("labkit demo") as on_progress, Lab.open(*names, on_progress=on_progress) as lab:
        chosen = _choose(
            algorithms, lambda: Offered(lab.modes, lab.schedulers), all_schedulers=all_schedulers
        )
        return comparison.compare(lab, chosen, connections or CONNECTIONS, seed, on_progress)


def _measure_virtually(
    names: list[str],
    algorithms: str,
    connections: int | None,
    seed: int,
    guests: GuestChoice,
    *,
    all_schedulers: bool,
) -> Comparison:
    from labkit.comparison import compare_in_virtual_time, open_loop
    from labkit.experiment import find_offered
    from labkit.spec.cluster import load_manifests

    with progress_display("labkit demo") as on_progress:
        chosen = _choose(algorithms, lambda: find_offered("virtual", guests), all_schedulers=all_schedulers)
        return compare_in_virtual_time(
            load_manifests(names), chosen, open_loop(connections), seed, on_progress, guests=guests
        )


def _choose(
    algorithms: str, offered: Callable[[], Offered], *, all_schedulers: bool
) -> tuple[Algorithm, ...]:
    from labkit import comparison

    there = offered()
    if algorithms:
        return comparison.parse_algorithms(algorithms, there.schedulers)
    if all_schedulers:
        return comparison.every_algorithm(there.modes, there.schedulers)
    return comparison.every_mode(there.modes)


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
