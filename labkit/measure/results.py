"""Results on disk: results.json (a Report without its flows) and flows.jsonl (every flow on a line).

Their JSON Schemas are published beside this module: results.schema.json and flows.schema.json. Files are
written under another name first and then renamed: a reader finds the old results or the new ones, never
half of them.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from labkit.errors import RequestError
from labkit.measure.records import FlowRecord, Report
from labkit.measure.schema import decode, encode, json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
RESULTS = "results.json"
FLOWS = "flows.jsonl"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class RunReference:
    """Which run of results.json (the first is 0) a line of flows.jsonl belongs to, and what ran there."""

    run: int
    mode: str
    algorithm: str


def write_report(report: Report, directory: Path) -> None:
    """Write results.json and flows.jsonl into `directory`, which is made if it is not there.

    Raises RequestError where it cannot be written; what was there before then still is.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Left in reverse order: results.json, which readers look for first, comes last.
        with _replacing(directory / RESULTS) as results, _replacing(directory / FLOWS) as flows:
            flows.writelines(line + "\n" for line in _flow_lines(report))
            json.dump({"schema": FORMAT, **encode(report)}, results, indent=1, allow_nan=False)
            results.write("\n")
    except OSError as error:
        raise _unwritable(error, directory) from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises RequestError where it cannot be written."""
    try:
        with _replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise _unwritable(error, path) from error


def read_report(directory: Path) -> Report:
    """Return the Report that `write_report` wrote into `directory`, flows included.

    Raises RequestError where a file is missing or does not have the format: which place, and what stands
    there.
    """
    document = _load(_read_text(directory / RESULTS), RESULTS)
    if not isinstance(document, dict) or document.pop("schema", None) != FORMAT:
        raise RequestError(
            f"{RESULTS} has not the format {FORMAT}",
            where=str(directory / RESULTS),
            todo="it was written by another version of labkit: run the measurement again",
        )
    report: Report = decode(Report, document, RESULTS)
    flows: list[list[FlowRecord]] = [[] for _ in report.runs]
    for number, line in enumerate(_read_text(directory / FLOWS).splitlines(), 1):
        run, flow = _read_line(line, f"{FLOWS}:{number}")
        if run >= len(flows):
            raise RequestError(f"{FLOWS}:{number} belongs to run {run}, {RESULTS} has {len(flows)} runs")
        flows[run].append(flow)
    runs = tuple(replace(run, flows=tuple(its)) for run, its in zip(report.runs, flows, strict=True))
    return replace(report, runs=runs)


def results_schema() -> dict[str, Any]:
    """Return the JSON Schema of results.json."""
    body = json_schema(Report)
    properties = {"schema": {"const": FORMAT}, **body["properties"]}
    return {
        "$schema": DIALECT,
        "title": RESULTS,
        **body,
        "properties": properties,
        "required": ["schema", *body["required"]],
    }


def flows_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of flows.jsonl."""
    head, body = json_schema(RunReference), json_schema(FlowRecord)
    return {
        "$schema": DIALECT,
        "title": f"one line of {FLOWS}",
        **body,
        "properties": head["properties"] | body["properties"],
        "required": head["required"] + body["required"],
    }


def _flow_lines(report: Report) -> Iterator[str]:
    for number, run in enumerate(report.runs):
        head = encode(RunReference(number, run.mode, run.algorithm))
        for flow in run.flows:
            yield json.dumps(head | encode(flow), allow_nan=False)


def _read_line(line: str, place: str) -> tuple[int, FlowRecord]:
    data = _load(line, place)
    head = {name: data.pop(name) for name in ("run", "mode", "algorithm") if name in data}
    reference: RunReference = decode(RunReference, head, place)
    flow: FlowRecord = decode(FlowRecord, data, place)
    return reference.run, flow


def _load(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RequestError(f"{place} is not JSON: {error}", todo="write it again, or correct it") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RequestError(
            f"{path.name} cannot be read: {reason}",
            where=str(path),
            todo="give the directory that labkit demo wrote (--output)",
        ) from error


def _unwritable(error: OSError, place: Path) -> RequestError:
    return RequestError(
        f"the results cannot be written: {error.strerror}",
        where=str(error.filename or place),
        todo="choose another directory, or make room there",
    )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """Yield a file to write; at a good end it takes the place of `path`, else it is removed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
