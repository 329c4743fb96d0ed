"""The table of a sweep: every row flat, as Parquet; and its rows by combination, over their seeds."""

from __future__ import annotations

import os
from collections import defaultdict
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, Any

from labkit.errors import CapabilityError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from labkit.measure.records import RunResult
    from labkit.sweeping.rows import SweepRow

PARQUET = "rows.parquet"
LATENCIES = ("connect", "response", "forward")
QUANTILES = ("p05", "p50", "p95", "p99")
INSTALL = "pip install 'labkit[sweep]'"


def require_parquet() -> None:
    """Raise CapabilityError where no Parquet can be written: pyarrow is an extra of this package."""
    if find_spec("pyarrow") is None:
        raise CapabilityError(f"{PARQUET} needs pyarrow, which is not installed", todo=INSTALL)


def write_parquet(rows: Sequence[SweepRow], directory: Path) -> Path:
    """Write the rows as Parquet, whole or not at all, and return the file.

    Raises CapabilityError where pyarrow is missing, RequestError where the file cannot be written.
    """
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, new = directory / PARQUET, directory / f".{PARQUET}.{os.getpid()}"
    table = pa.Table.from_pylist([flatten(row) for row in rows], schema=_schema())
    try:
        pq.write_table(table, new)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise RequestError(
            f"{PARQUET} cannot be written: {error.strerror or error}",
            where=str(path),
            todo="make room there; rows.jsonl has all of it",
        ) from error
    return path


def flatten(row: SweepRow) -> dict[str, Any]:
    """Return a row as columns: latencies in microseconds, null where nothing was measured."""
    run, where = row.run, row.circumstances
    columns: dict[str, Any] = {
        "cell": row.cell,
        "lab": row.lab,
        "service": run.service,
        "protocol": run.protocol,
        "mode": run.mode,
        "algorithm": run.algorithm,
        "workload": row.workload,
        "shaping": row.shaping,
        "outage": row.outage,
        "seed": row.seed,
        "clock": run.clock,
        "connections": run.connections,
        "answered": run.answered,
        **{error: run.errors.get(error, 0) for error in ("refused", "timeout", "reset")},
        "overloaded": run.overloaded,
        "p_value": run.p_value,
        "answers": dict(run.answers),
        "expected_share": None if run.expected_share is None else dict(run.expected_share),
    }
    return (
        columns
        | _latency_columns(run)
        | {
            "lost_stamps": run.lost_stamps,
            "begun": where.begun,
            "took_s": where.took_s,
            "load_1m": where.load_1m,
            "guest_kind": where.guest.kind,
            "guest_release": where.guest.release,
            "guest_cpus": where.guest.cpus,
            "iptables_backend": where.iptables_backend,
            "labkit": where.labkit,
            "kube_proxy": where.kube_proxy,
        }
    )


def _latency_columns(run: RunResult) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for latency in LATENCIES:
        for quantile in QUANTILES:
            found = run.latency_us.get(latency, {}).get(quantile)
            name = f"{latency}_{quantile}_us"
            columns[name] = found.value if found else None
            columns[f"{name}_low"] = found.low if found else None
            columns[f"{name}_high"] = found.high if found else None
    return columns


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, whole, number = pa.string(), pa.int64(), pa.float64()
    kinds: dict[str, Any] = dict.fromkeys(
        ("cell", "lab", "service", "protocol", "mode", "algorithm", "workload", "shaping", "outage"), text
    )
    kinds |= {"seed": whole, "clock": text}
    kinds |= dict.fromkeys(("connections", "answered", "refused", "timeout", "reset"), whole)
    kinds |= {"overloaded": pa.bool_(), "p_value": number}
    kinds |= {"answers": pa.map_(text, whole), "expected_share": pa.map_(text, number)}
    for latency in LATENCIES:
        for quantile in QUANTILES:
            name = f"{latency}_{quantile}_us"
            kinds |= {name: number, f"{name}_low": number, f"{name}_high": number}
    kinds |= {"lost_stamps": whole, "begun": text, "took_s": number, "load_1m": number}
    kinds |= {"guest_kind": text, "guest_release": text, "guest_cpus": whole}
    kinds |= dict.fromkeys(("iptables_backend", "labkit", "kube_proxy"), text)
    return pa.schema(list(kinds.items()))


def by_combination(rows: Iterable[SweepRow]) -> Mapping[tuple[str, ...], tuple[SweepRow, ...]]:
    """Return the rows of each (lab, workload, shaping, outage, algorithm), whatever their seeds."""
    groups: defaultdict[tuple[str, ...], list[SweepRow]] = defaultdict(list)
    for row in rows:
        algorithm = f"{row.run.mode} {row.run.algorithm}"
        groups[row.lab, row.workload, row.shaping, row.outage, algorithm].append(row)
    return {key: tuple(group) for key, group in groups.items()}


def over_seeds(rows: Sequence[SweepRow], quantile: str) -> tuple[float, float, float] | None:
    """Return median, least and most of a response time's quantile over rows, in us; None: none has it."""
    values = [
        row.run.latency_us["response"][quantile].value
        for row in rows
        if quantile in row.run.latency_us.get("response", {})
    ]
    return (median(values), min(values), max(values)) if values else None
