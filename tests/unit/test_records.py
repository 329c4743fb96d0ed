"""results.json and flows.jsonl: one definition, published schemas, nothing half written."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import labkit.measure
from labkit.errors import RequestError
from labkit.measure.experiment import Programmed, ServiceTarget, record_flows, summarise
from labkit.measure.records import GuestFacts, Report
from labkit.measure.results import flows_schema, read_report, results_schema, write_report
from labkit.traffic.flow import FlowOutcome, Target
from labkit.traffic.workload import Workload

HERE = Path(labkit.measure.__file__).parent
SERVICE = ServiceTarget("default/web:80", Target("10.96.0.10", 80), ("default/web-0", "default/web-1"))
WORKLOAD = Workload(connections=6, service_ms={"*": 2.0}, weights={"default/web-0": 2})


def outcome(number, *, pod=None, error=None):
    answered = error is None
    return FlowOutcome(
        number=number,
        client=f"10.244.0.128:{10_000 + number}",
        started_us=number * 10.5,
        pod=pod,
        peer="10.244.0.128:1" if pod else None,
        connect_us=100.0 + number if answered else None,
        response_us=200.0 + number if answered else None,
        error=error,
    )


def run(algorithm="rr", *, service=SERVICE, lost=0):
    outcomes = [outcome(number, pod=f"default/web-{number % 2}") for number in range(4)]
    outcomes += [outcome(4, error="refused"), outcome(5, error="timeout")]
    flows = record_flows(service, outcomes, {0: 5.25, 1: 6.5})
    received = {"default/web-0": 2, "default/web-1": 3}
    return summarise(
        service, WORKLOAD, Programmed("ipvs", algorithm), flows, received=received, lost_stamps=lost
    )


def report():
    guest = GuestFacts("uml", "6.1.176", 1)
    return Report(guest, "legacy", 7, ("labs/web.yaml",), WORKLOAD, (run("rr"), run("sh", lost=3)))


def test_a_run_counts_who_answered_and_what_failed():
    result = run()
    assert (result.connections, result.answered) == (6, 4)
    assert result.errors == {"refused": 1, "timeout": 1, "reset": 0}
    assert result.answers == {"default/web-0": 2, "default/web-1": 2}
    assert result.expected_share == {"default/web-0": 0.5, "default/web-1": 0.5}
    assert result.p_value == 1.0
    assert not result.overloaded
    assert result.latency_us["connect"]["p50"].value == 101.0
    assert result.latency_us["forward"]["p50"].value == 5.25


def test_nothing_is_expected_of_hashes_nor_of_sessions_with_affinity():
    sticky = dataclasses.replace(SERVICE, has_affinity=True)
    for result in (run("sh"), run("rr", service=sticky)):
        assert result.expected_share is None
        assert result.p_value is None


def test_a_run_without_answers_has_no_latencies():
    flows = record_flows(SERVICE, [outcome(0, error="reset")], {})
    result = summarise(SERVICE, WORKLOAD, Programmed("iptables", "random"), flows, received={})
    assert result.latency_us == {}
    assert (result.answered, set(result.answers.values()), result.p_value) == (0, {0}, None)


def test_who_was_given_up_on_was_work_all_the_same():
    """Nobody is answered by a pod slower than its clients are patient: but it had the work."""
    poisson = Workload(connections=4, arrivals="poisson", rate_per_s=2.0, service_ms={"*": 700.0})
    given_up = [dataclasses.replace(outcome(n, error="timeout"), started_us=n * 5e5) for n in range(4)]
    flows, random = record_flows(SERVICE, given_up, {}), Programmed("iptables", "random")
    all_to_one, shared = {"default/web-0": 4}, {"default/web-0": 2, "default/web-1": 2}
    assert summarise(SERVICE, poisson, random, flows, received=all_to_one).overloaded
    assert not summarise(SERVICE, poisson, random, flows, received=shared).overloaded


def test_what_is_written_is_read_back(tmp_path):
    write_report(report(), tmp_path / "out" / "demo")
    assert read_report(tmp_path / "out" / "demo") == report()
    assert sorted(path.name for path in (tmp_path / "out" / "demo").iterdir()) == [
        "flows.jsonl",
        "results.json",
    ]


def test_the_published_schemas_are_those_of_the_definition():
    for name, schema in (("results", results_schema()), ("flows", flows_schema())):
        Draft202012Validator.check_schema(schema)
        assert json.loads((HERE / f"{name}.schema.json").read_text()) == schema


def test_what_is_written_fits_the_schemas(tmp_path):
    write_report(report(), tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    Draft202012Validator(results_schema()).validate(results)
    lines = (tmp_path / "flows.jsonl").read_text().splitlines()
    assert len(lines) == 12
    for line in lines:
        Draft202012Validator(flows_schema()).validate(json.loads(line))


@pytest.mark.parametrize(
    "change",
    [
        lambda results: results.update(more=1),
        lambda results: results.pop("seed"),
        lambda results: results["runs"][0].update(clock="sidereal"),
        lambda results: results["runs"][0].update(flows=[]),
        lambda results: results["runs"][0]["errors"].update(bored=1),
        lambda results: results["runs"][0]["latency_us"].update(think={}),
        lambda results: results["runs"][0]["latency_us"]["connect"].update(p42={}),
        lambda results: results["runs"][1].update(connections=1.5),
        lambda results: results["runs"][1].update(overloaded="no"),
        lambda results: results.update(schema=2),
    ],
)
def test_what_the_schema_refuses_the_reader_refuses_with_its_place(tmp_path, change):
    write_report(report(), tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    change(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert not Draft202012Validator(results_schema()).is_valid(results)
    with pytest.raises(RequestError, match=re.escape("results.json")):
        read_report(tmp_path)


def test_a_broken_line_of_flows_is_named_by_its_number(tmp_path):
    write_report(report(), tmp_path)
    lines = (tmp_path / "flows.jsonl").read_text().splitlines()
    for broken in ('{"run": 0', '{"run": 0}', lines[2].replace('"run": 0', '"run": 9'), "[]"):
        (tmp_path / "flows.jsonl").write_text("\n".join([*lines[:2], broken, *lines[3:]]))
        with pytest.raises(RequestError, match=re.escape("flows.jsonl:3")):
            read_report(tmp_path)


def test_missing_results_are_said_to_be_missing(tmp_path):
    with pytest.raises(RequestError, match=re.escape("results.json cannot be read")):
        read_report(tmp_path)


def test_a_failed_write_leaves_the_old_results_and_nothing_else(tmp_path):
    write_report(report(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    endless = dataclasses.replace(run(), p_value=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        write_report(dataclasses.replace(report(), runs=(endless,)), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be written") as caught:
        write_report(report(), tmp_path / "file" / "out")
    assert caught.value.todo
