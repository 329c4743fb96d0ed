"""What holds for all samples, counts, plans and reports."""

import json
import math
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from labkit.measure.distribution import chi_square_p, expected_shares, is_even, upper_gamma
from labkit.measure.latency import latency_quantiles, quantile_ranks
from labkit.measure.records import FlowRecord, GuestFacts, Quantile, Report, RunResult
from labkit.measure.results import flows_schema, read_report, results_schema, write_report
from labkit.traffic.answer import answer_line, answer_start, flow_id, read_answer
from labkit.traffic.workload import Workload, plan_flows

ADDRESSES = tuple(f"10.244.0.{number}" for number in range(128, 192))
NUMBERS = st.floats(0, 1e9)
NAMES = st.from_regex(r"[a-z]{1,8}/[a-z0-9-]{1,12}", fullmatch=True)
WORDS = st.text(max_size=12)


@given(st.floats(0.5, 400), st.floats(0, 800))
def test_tail_probabilities_stay_between_0_and_1_and_fall(a, x):
    probability = upper_gamma(a, x)
    assert 0 <= probability <= 1
    assert upper_gamma(a, x + 1) <= probability + 1e-12


@given(st.integers(1, 60), st.floats(0, 120))
def test_tails_of_whole_shapes_are_poisson_sums(a, x):
    # Q(n, x) = P(Poisson(x) < n), Abramowitz and Stegun 26.4.21
    terms = (math.exp(k * math.log(x) - x - math.lgamma(k + 1)) if x else float(k == 0) for k in range(a))
    assert math.isclose(upper_gamma(a, x), min(1.0, math.fsum(terms)), rel_tol=1e-9, abs_tol=1e-12)


@given(st.lists(st.integers(0, 500), min_size=2, max_size=20))
def test_even_counts_are_never_improbable(counts):
    pods = [f"d/{number}" for number in range(len(counts))]
    answers = dict(zip(pods, counts, strict=True))
    p = chi_square_p(answers, expected_shares("random", pods, {}))
    if not sum(counts):
        assert p is None
    else:
        assert 0 <= p <= 1
        if is_even(answers, pods):
            assert p > 0.3


@given(st.lists(NUMBERS, min_size=1, max_size=300))
def test_quantiles_are_samples_in_order_inside_their_intervals(samples):
    quantiles = latency_quantiles(samples)
    values = [quantiles[name].value for name in ("p05", "p50", "p95", "p99")]
    assert values == sorted(values)
    for one in quantiles.values():
        assert one.low <= one.value <= one.high
        assert {one.low, one.value, one.high} <= set(samples)


@given(st.integers(1, 5000), st.sampled_from([0.05, 0.5, 0.95, 0.99]))
def test_ranks_are_ranks(count, part):
    rank, low, high = quantile_ranks(count, part)
    assert 1 <= low <= rank <= high <= count
    assert rank - 1 < count * part + 1e-6
    assert rank >= count * part - 1e-6


@given(st.integers(1, 200), st.integers(1, 64), st.integers(), st.one_of(st.none(), st.floats(0.1, 1e5)))
def test_plans_are_ordered_and_share_the_addresses_fairly(connections, clients, seed, rate):
    arrivals = {"arrivals": "poisson", "rate_per_s": rate} if rate else {}
    workload = Workload(connections=connections, clients=clients, **arrivals)
    plans = plan_flows(workload, seed, ADDRESSES)
    assert [plan.number for plan in plans] == list(range(connections))
    turns = Counter(plan.client for plan in plans)
    assert set(turns) <= set(ADDRESSES[:clients])
    assert max(turns.values()) - min(turns.get(address, 0) for address in ADDRESSES[:clients]) <= 1
    starts = [plan.start_us for plan in plans]
    assert starts == sorted(starts) if rate else set(starts) == {None}


@given(NAMES, NAMES, st.ip_addresses(v=4), st.integers(0, 65535), st.binary(max_size=100))
def test_answers_are_read_as_they_were_written(pod, node, address, port, datagram):
    line = answer_line(answer_start(pod, node, "10.0.0.1:80"), (str(address), port), flow_id(datagram))
    answer = read_answer(line)
    assert (answer.pod, answer.node, answer.peer) == (pod, node, f"{address}:{port}")


FLOWS = st.builds(
    FlowRecord,
    number=st.integers(0),
    client=WORDS,
    service=WORDS,
    target=WORDS,
    protocol=st.sampled_from(["TCP", "UDP"]),
    started_us=NUMBERS,
    pod=st.none() | NAMES,
    connect_us=st.none() | NUMBERS,
    response_us=st.none() | NUMBERS,
    forward_us=st.none() | NUMBERS,
    error=st.sampled_from([None, "refused", "timeout", "reset"]),
)
QUANTILES = st.dictionaries(
    st.sampled_from(["p05", "p50", "p95", "p99"]), st.builds(Quantile, NUMBERS, NUMBERS, NUMBERS)
)
RUNS = st.builds(
    RunResult,
    mode=WORDS,
    algorithm=WORDS,
    clock=st.sampled_from(["real", "virtual"]),
    service=WORDS,
    protocol=WORDS,
    connections=st.integers(0),
    answered=st.integers(0),
    errors=st.dictionaries(st.sampled_from(["refused", "timeout", "reset"]), st.integers(0)),
    answers=st.dictionaries(NAMES, st.integers(0)),
    expected_share=st.none() | st.dictionaries(NAMES, st.floats(0, 1)),
    p_value=st.none() | st.floats(0, 1),
    overloaded=st.booleans(),
    latency_us=st.dictionaries(st.sampled_from(["connect", "response", "forward"]), QUANTILES),
    flows=st.lists(FLOWS, max_size=3).map(tuple),
    lost_stamps=st.integers(0),
)
REPORTS = st.builds(
    Report,
    guest=st.builds(GuestFacts, WORDS, WORDS, st.integers(1)),
    iptables_backend=st.sampled_from(["legacy", "nft"]),
    seed=st.integers(),
    manifests=st.lists(WORDS, max_size=3).map(tuple),
    workload=st.builds(Workload, service_ms=st.dictionaries(NAMES, NUMBERS)),
    runs=st.lists(RUNS, max_size=3).map(tuple),
)
RESULTS_SCHEMA = Draft202012Validator(results_schema())
FLOWS_SCHEMA = Draft202012Validator(flows_schema())


@settings(max_examples=40)
@given(REPORTS)
def test_every_report_fits_the_schemas_and_is_read_back(report):
    with tempfile.TemporaryDirectory() as name:
        write_report(report, Path(name))
        RESULTS_SCHEMA.validate(json.loads(Path(name, "results.json").read_text()))
        for line in Path(name, "flows.jsonl").read_text().split("\n")[:-1]:
            FLOWS_SCHEMA.validate(json.loads(line))
        assert read_report(Path(name)) == report
