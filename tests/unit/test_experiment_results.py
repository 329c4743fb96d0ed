"""What whole experiments found: their plans, their files and published schemas, their charts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chart_samples import quantiles, run
from jsonschema import Draft202012Validator

from labkit import measure
from labkit.chart.algorithms import show_algorithms
from labkit.chart.consistency import show_consistency
from labkit.chart.failure import show_failure
from labkit.chart.shortconnections import show_short_connections
from labkit.errors import RequestError
from labkit.experiments import consistency, failure, shortconnections
from labkit.experiments.algorithms import TRAFFIC, compare_algorithms
from labkit.measure.algorithms import AlgorithmsPlan, AlgorithmsResult, AlgorithmsRow
from labkit.measure.consistency import ConsistencyPlan, ConsistencyResult, ConsistencyRow
from labkit.measure.failure import FailurePlan, FailureResult, FailureRow
from labkit.measure.records import GuestFacts
from labkit.measure.recovery import Recovery
from labkit.measure.shortconnections import (
    Held,
    Reuse,
    ShortConnectionsPlan,
    ShortConnectionsResult,
    ShortConnectionsRow,
)
from labkit.spec.text import Text
from labkit.traffic.retrying import Attempt, Call, CallPlan

GUEST = GuestFacts("uml", "6.12", 1)
MANIFEST = Text("web.yaml", "kind: Service")


def compared():
    rows = tuple(
        AlgorithmsRow(kind, run(name, clock="virtual", connect_us=1000 * at), GUEST, 0.5)
        for kind in TRAFFIC
        for at, name in enumerate(("rr", "lc"), 1)
    )
    return AlgorithmsResult(AlgorithmsPlan((MANIFEST,), ("rr", "lc"), dict(TRAFFIC), 1), rows)


def moved():
    plan = ConsistencyPlan(("sh", "mh", "iptables"), pods=5, services=64, flows=500, seed=1)
    rows = (
        ConsistencyRow("ipvs", "sh", 500, 100, 100, 402, 0, 402, 0.8, GUEST, 0.5),
        ConsistencyRow("ipvs", "mh", 500, 97, 70, 99, 0, 99, 0.2, GUEST, 0.5),
        ConsistencyRow("iptables", "random", 500, 104, 0, 395, 0, None, 0.8, GUEST, 0.5),
    )
    return ConsistencyResult(plan, rows)


def recovery(algorithm, answers):
    attempts = {
        "+": (Attempt("default/web-1", None, 0.001),),
        "~": (Attempt(None, "refused", 0.001), Attempt("default/web-2", None, 0.001)),
        "-": (Attempt(None, "refused", 0.001), Attempt(None, "timeout", 1.0)),
    }
    calls = tuple(Call(float(at), attempts[one]) for at, one in enumerate(answers))
    return Recovery("default/web:80", "ipvs", algorithm, calls)


def failed():
    plan = FailurePlan((MANIFEST,), ("rr", "sh"), ("refuses",), CallPlan(calls=8), "web-1", 1.5, 4.5)
    seen = {"rr": "++~+~+++", "sh": "++------"}
    rows = tuple(
        FailureRow("ipvs", name, "refuses", recovery(name, answers), GUEST, 0.5)
        for name, answers in seen.items()
    )
    return FailureResult(plan, rows)


def short():
    row = ShortConnectionsRow(
        mode="ipvs",
        algorithm="rr",
        pods=4,
        latency_us={"connect": quantiles(80), "response": quantiles(400)},
        errors=0,
        held=(Held(0, 50, 50), Held(100, 150, 140)),
        conntrack_max=131072,
        reuse=Reuse(8, 8, 2, quantiles(500), quantiles(600)),
        guest=GUEST,
        load_1m=0.5,
    )
    return ShortConnectionsResult(ShortConnectionsPlan(("ipvs",), 100, 8, 1), (row,))


RESULTS = [compared, moved, failed, short]
SHOWN = {
    compared: show_algorithms,
    moved: show_consistency,
    failed: show_failure,
    short: show_short_connections,
}


@pytest.mark.parametrize("made", RESULTS)
def test_what_is_written_is_read_back_and_fits_the_published_schema(made, tmp_path):
    result, path = made(), tmp_path / "result.jsonl"
    result.write(path)
    assert type(result).read(path) == result
    published = Path(measure.__file__).with_name(f"{result.name}.schema.json")
    schema = json.loads(published.read_text())
    assert schema == result.schema()
    for line in path.read_text().splitlines():
        Draft202012Validator(schema).validate(json.loads(line))


@pytest.mark.parametrize("made", RESULTS)
def test_another_experiment_s_file_is_refused(made, tmp_path):
    path = tmp_path / "result.jsonl"
    made().write(path)
    for other in RESULTS:
        if other is not made:
            with pytest.raises(RequestError, match="it does not begin with schema 1 of"):
                type(other()).read(path)


@pytest.mark.parametrize("made", RESULTS)
def test_a_chart_has_a_line_a_row_a_still_picture_and_plotly_takes_it(made):
    chart = SHOWN[made](made())
    assert len(chart.table.rows) == len(made().rows)
    assert chart.still.startswith("<svg")
    assert chart.figure.layout.title.text == chart.title


def test_the_sentences_say_what_was_found():
    assert show_consistency(moved()).alt == (
        "When 1 of 5 pods leaves, ipvs mh moves 19.8 % of 500 flows (theory: 20 %), ipvs sh 80.4 % (80 %); "
        "while its connections drain, flows of ipvs sh and ipvs mh get no answer."
    )
    assert show_failure(failed()).alt == (
        "Pod web-1 dies; of 8 calls with 2 retries, no call fails with ipvs rr (refuses); 6 fail with "
        "ipvs sh (refuses); with ipvs sh trouble goes on for 2 s after its endpoints went."
    )
    assert "lowest ipvs rr (6.24 ms), highest ipvs lc (12.5 ms)" in show_algorithms(compared()).alt
    assert "1.00 conntrack and 0.90 IPVS entries each, 2 of 8 reused ports met the same pod" in (
        show_short_connections(short()).alt
    )


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: compare_algorithms(names=("best",)), "no algorithm is called 'best'"),
        (lambda: compare_algorithms(names=()), "no algorithm is named"),
        (lambda: compare_algorithms(traffic={}), "no traffic is given"),
        (lambda: consistency.consistency(("best",)), "no algorithm is called 'best'"),
        (lambda: consistency.consistency(pods=1), "pods=1 cannot be"),
        (lambda: consistency.consistency(flows=5000), "flows=5000 cannot be"),
        (lambda: failure.failure(algorithms=("best",)), "there is no algorithm 'best'"),
        (lambda: failure.failure(deaths=("sleeps",)), "there is no way to die 'sleeps'"),
        (lambda: failure.failure(dies_s=50), "are not in this order"),
        (lambda: failure.failure(pod="web-9"), "there is no pod 'web-9'"),
        (lambda: shortconnections.short_connections(("ebpf",)), "there is no mode 'ebpf'"),
        (lambda: shortconnections.short_connections(connections=1), "connections=1 cannot be"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_starts(ask, message):
    with pytest.raises(RequestError, match=message):
        ask()
