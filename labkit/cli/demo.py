"""`labkit demo`: the same traffic under every algorithm, compared."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.limits import parse_limit_s
from labkit.cli.memory import parse_memory_mb
from labkit.cli.options import (
    DEFAULT_MEMORY,
    GuestOption,
    GuestTimeLimitOption,
    MemoryOption,
    WallTimeLimitOption,
)
from labkit.cli.progress import progress_display
from labkit.errors import RequestError
from labkit.guest.clock import GUEST_LIMIT_S, WALL_LIMIT_S, Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.comparison import Algorithm, Comparison, CraftedTraffic
    from labkit.errors import LabError
    from labkit.experiment import GuestChoice, Offered

DEFAULT_LAB = "weighted"
VIRTUAL_LAB = "unequal"
CONNECTIONS = 300
REPORT = "report.html"
# Columns that a narrow terminal does without, in this order; the report has them all.
DISPENSABLE = ("response p95", "connect p95", "response p50", "p value", "as expected?", "connect p50")

ManifestArguments = Annotated[
    list[str] | None, typer.Argument(help="Kubernetes manifests, or the names of shipped labs.")
]
AlgorithmsOption = Annotated[
    str, typer.Option(help="Modes and IPVS schedulers, comma-separated: iptables,nftables,rr,wlc.")
]
ConnectionsOption = Annotated[
    int | None,
    typer.Option(help="How many, to each Service port under each: 300; 3600 in virtual time.", min=1),
]
VirtualTimeOption = Annotated[
    bool,
    typer.Option("--virtual-time", help="Exact delays: each run in a guest of its own that never waits."),
]


@dataclass(frozen=True, slots=True)
class Request:
    """What is compared: `algorithms` as they were written; "": all that the guest has, without manifests."""

    manifests: tuple[str, ...]
    algorithms: str
    connections: int | None
    seed: int
    every_scheduler: bool

    def choose(self, there: Offered) -> tuple[Algorithm, ...]:
        """Return the algorithms to compare in a guest that offers these."""
        from labkit import comparison

        if self.algorithms:
            return comparison.parse_algorithms(self.algorithms, there.schedulers)
        if self.every_scheduler:
            return comparison.every_algorithm(there.modes, there.schedulers)
        return comparison.every_mode(there.modes)


def demo(
    manifest: ManifestArguments = None,
    algorithms: AlgorithmsOption = "",
    connections: ConnectionsOption = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the same traffic.")] = 1,
    output: Annotated[Path, typer.Option(help="Where the report and the results go.")] = Path("out/demo"),
    guest: GuestOption = None,
    memory: MemoryOption = DEFAULT_MEMORY,
    guest_time_limit: GuestTimeLimitOption = f"{GUEST_LIMIT_S:.0f}",
    wall_time_limit: WallTimeLimitOption = f"{WALL_LIMIT_S:.0f}",
    *,
    virtual_time: VirtualTimeOption = False,
) -> None:
    """Build the lab, send the same traffic under every algorithm, and compare.

    Without a manifest: a shipped lab of four unequal pods, in iptables mode, in nftables mode where the guest
    has nf_tables, and with every IPVS scheduler of the guest. With manifests: every Service port in them, in
    every mode of the guest (IPVS: rr).

    In virtual time connections arrive at random, 60 a second, whatever the pods do: queues build up, the
    latencies are exact and do not depend on this machine, and a minute of it takes seconds.
    """
    names = tuple(manifest or [VIRTUAL_LAB if virtual_time else DEFAULT_LAB])
    request = Request(names, algorithms, connections, seed, every_scheduler=not manifest)
    warnings = _read_warnings(names)  # mistakes are said before anything is started
    _require_writable(output)
    guests = _choose_guests(guest, memory, guest_time_limit, wall_time_limit)
    if not virtual_time:
        _enter_guest(guests)
    for warning in warnings:
        sys.stderr.write(f"note: {warning}\n")
    comparison = _measure_virtually(request, guests) if virtual_time else _measure(request)
    _write(comparison, output)
    _print(comparison, output)
    _report_failures(comparison.failures)


def _read_warnings(names: tuple[str, ...]) -> Sequence[object]:
    from labkit.spec.cluster import read_manifests

    return read_manifests(names).warnings


def _choose_guests(guest: str | None, memory: str, guest_limit: str, wall_limit: str) -> GuestChoice:
    from labkit.experiment import GuestChoice

    limits_s = (
        parse_limit_s(guest_limit, "--guest-time-limit"),
        parse_limit_s(wall_limit, "--wall-time-limit"),
    )
    return GuestChoice(guest, parse_memory_mb(memory), Timing("virtual", *limits_s))


def _enter_guest(guests: GuestChoice) -> None:
    from labkit.guest.rerun import rerun_inside

    rerun_inside(sys.argv[1:], guests.guest, memory_mb=guests.memory_mb)


def _measure(request: Request) -> Comparison:
    from labkit.comparison import compare
    from labkit.experiment import Offered
    from labkit.lab import Lab

    with (
        progress_display("labkit demo") as on_progress,
        Lab.open(*request.manifests, on_progress=on_progress) as lab,
    ):
        chosen = request.choose(Offered(lab.modes, lab.schedulers))
        return compare(lab, chosen, request.connections or CONNECTIONS, request.seed, on_progress)


def _measure_virtually(request: Request, guests: GuestChoice) -> Comparison:
    from labkit.comparison import compare_in_virtual_time, open_loop
    from labkit.experiment import find_offered
    from labkit.spec.cluster import load_manifests

    with progress_display("labkit demo") as on_progress:
        chosen = request.choose(find_offered("virtual", guests))
        manifests, workload = load_manifests(request.manifests), open_loop(request.connections)
        return compare_in_virtual_time(manifests, chosen, workload, request.seed, on_progress, guests=guests)


def _report_failures(failures: Sequence[LabError]) -> None:
    """Say which runs could not be measured, and end as the first of them does."""
    for failure in failures:
        sys.stderr.write(f"labkit: {failure}\n")
    if failures:
        raise typer.Exit(failures[0].exit_status)


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
