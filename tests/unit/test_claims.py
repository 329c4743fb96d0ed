"""The claim ledger: judges see figures only, each verdict can be reached, and two runs can be compared."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from labkit import claims
from labkit.claims.claim import CONFIRMED, CONTRADICTED, LIMITED, UNDECIDED, judge_claim, overall
from labkit.claims.figures import (
    MANY,
    SIZES,
    Figure,
    Figures,
    change_time,
    first_packet,
    number,
    ratio,
    rule_count,
)
from labkit.claims.ledger import Ledger, find_changes
from labkit.claims.page import render_lines, render_page
from labkit.claims.plan import MEASUREMENTS, plan_measurements
from labkit.claims.sentences import CLAIMS, find_claims
from labkit.errors import RequestError

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/claims"
RUN = Ledger.read(GOLDEN / "ledger.jsonl")
MEASURED = {figure.name: figure for row in RUN.rows for figure in row.figures}
DEAD = "of 60 calls failed while the dead pod was an endpoint"
LEGACY_LAST = [first_packet("iptables-legacy", size, "last") for size in SIZES]
LEGACY_FIRST = [first_packet("iptables-legacy", size, "first") for size in SIZES]
IPVS_LAST = [first_packet("ipvs", size, "last") for size in SIZES]


def times(factor, *names):
    """Those figures and their intervals, so many times as large."""
    return {
        name: replace(old, value=old.value * factor, low=old.low * factor, high=old.high * factor)
        for name in names
        for old in [MEASURED[name]]
    }


def said(value, *names):
    """Those figures, exactly this value."""
    return {name: replace(MEASURED[name], value=value, low=value, high=value) for name in names}


def between(low, high, *names):
    return {name: replace(MEASURED[name], value=(low + high) / 2, low=low, high=high) for name in names}


def growing(names, slope_us, start_us=3.0):
    """First packets on a line: what each thousand Services add."""
    lines = zip(names, SIZES, strict=True)
    return {
        name: replace(MEASURED[name], value=at, low=at, high=at)
        for name, size in lines
        for at in [start_us + slope_us * size / 1000]
    }


def flat(names):
    return growing(names, 0.0)


# What a run could show, the sentence, the part, and the verdict that it must come to.
JUDGED = [
    ({}, 1, "load-balances", CONFIRMED),
    (said(399, "iptables: answered"), 1, "load-balances", CONTRADICTED),
    (said(3, "ipvs: pods that answered"), 1, "load-balances", CONTRADICTED),
    (said(1e-9, "nftables: p of the shares"), 1, "load-balances", CONTRADICTED),
    ({}, 1, "forwards", LIMITED),
    (said(2, "iptables: sockets on the nodes"), 1, "forwards", CONFIRMED),
    ({}, 2, "faster forwarding", LIMITED),
    (times(5, *LEGACY_LAST), 2, "faster forwarding", CONFIRMED),
    (flat(LEGACY_LAST) | flat(IPVS_LAST), 2, "faster forwarding", CONTRADICTED),
    (between(5.0, 60.0, LEGACY_LAST[-1]), 2, "faster forwarding", UNDECIDED),
    ({}, 2, "higher throughput", UNDECIDED),
    (between(1.6, 2.0, "one connection's rate of IPVS / iptables"), 2, "higher throughput", LIMITED),
    ({}, 2, "suits large clusters", LIMITED),
    (said(500, change_time("ipvs", MANY)), 2, "suits large clusters", CONTRADICTED),
    ({}, 3, "few Services", CONFIRMED),
    (times(5, LEGACY_FIRST[0]), 3, "few Services", CONTRADICTED),
    (between(1.0, 9.0, LEGACY_FIRST[0]), 3, "few Services", UNDECIDED),
    ({}, 3, "many short connections", LIMITED),
    (flat(LEGACY_LAST) | flat(IPVS_LAST), 3, "many short connections", CONFIRMED),
    (
        times(3.0, "short connections, iptables: connect time"),
        3,
        "many short connections",
        CONTRADICTED,
    ),
    (
        between(1.0, 9999.0, "short connections, iptables: connect time"),
        3,
        "many short connections",
        UNDECIDED,
    ),
    (said(2, "entries that a connection leaves, iptables"), 3, "many short connections", UNDECIDED),
    ({}, 4, "the interface intercepts", CONFIRMED),
    (said(2, "IPVS: of 2 calls inside to the Ingress"), 4, "the interface intercepts", CONTRADICTED),
    (said(0, "IPVS: the Ingress' address on kube-ipvs0"), 4, "the interface intercepts", CONTRADICTED),
    (said(0, "IPVS: of 1 call outside to the Ingress"), 4, "the interface intercepts", CONTRADICTED),
    (said(0, "iptables: of 1 call outside to the Ingress"), 4, "the interface intercepts", CONTRADICTED),
    ({}, 4, "must not share", LIMITED),
    (said(0, "IPVS, ipMode: Proxy: of 2 calls inside to the Ingress"), 4, "must not share", CONFIRMED),
    ({}, 5, "NAT and balancing at PREROUTING", LIMITED),
    (
        said(40, "calls of the node that met KUBE-SERVICES at PREROUTING"),
        5,
        "NAT and balancing at PREROUTING",
        CONFIRMED,
    ),
    (
        said(0, "calls of a pod that met KUBE-SERVICES at PREROUTING"),
        5,
        "NAT and balancing at PREROUTING",
        CONTRADICTED,
    ),
    (said(39, "calls of the node that were answered"), 5, "NAT and balancing at PREROUTING", UNDECIDED),
    ({}, 6, "in Services", LIMITED),
    (growing(LEGACY_LAST, 3.0) | growing(LEGACY_FIRST, 3.0), 6, "in Services", CONFIRMED),
    (growing(LEGACY_LAST, 0.1), 6, "in Services", CONTRADICTED),
    (growing(LEGACY_LAST, 1.0) | said(20, LEGACY_LAST[2]), 6, "in Services", UNDECIDED),
    ({}, 6, "in pods", LIMITED),
    (said(2.6, "iptables, 64 pods: rules compared to choose one"), 6, "in pods", CONTRADICTED),
    ({}, 7, "TCP", CONFIRMED),
    ({}, 7, "UDP", CONFIRMED),
    (said(99, "IPVS, UDP: of 100 answered"), 7, "UDP", CONTRADICTED),
    (said(1, "IPVS, TCP: pods that answered"), 7, "TCP", CONTRADICTED),
    ({}, 7, "in the kernel", CONFIRMED),
    (said(1, "sockets on the node for port 53"), 7, "in the kernel", CONTRADICTED),
    ({}, 8, "a search of its own", CONFIRMED),
    (said(20_000, rule_count("ipvs", MANY)), 8, "a search of its own", CONTRADICTED),
    ({}, 8, "instead of rules", LIMITED),
    (said(0, rule_count("ipvs", MANY)), 8, "instead of rules", CONFIRMED),
    ({}, 9, "in Services", LIMITED),
    (growing(IPVS_LAST, 3.0), 9, "in Services", CONTRADICTED),
    (between(4.0, 40.0, IPVS_LAST[-1]), 9, "in Services", UNDECIDED),
    ({}, 9, "in pods", LIMITED),
    (said(3.6, "IPVS lc, 4,004 real servers: first packet"), 9, "in pods", CONFIRMED),
    (between(3.0, 30.0, "IPVS lc, 4,004 real servers: first packet"), 9, "in pods", UNDECIDED),
    ({}, 10, "several in IPVS", CONFIRMED),
    (said(9, "IPVS rr: most minus fewest answers of a pod"), 10, "several in IPVS", CONTRADICTED),
    (said(0, "IPVS sh: of 200 answered"), 10, "several in IPVS", CONTRADICTED),
    ({}, 10, "only random in iptables", CONFIRMED),
    (said(2, "iptables rules that choose at random"), 10, "only random in iptables", CONTRADICTED),
    ({}, 10, "of use in a cluster", LIMITED),
    (said(4, "real servers with another weight than 1"), 10, "of use in a cluster", CONFIRMED),
    (said(8, "of 8 connections through node-1, counted by node-2"), 10, "of use in a cluster", CONFIRMED),
    ({}, 11, "better scalability", LIMITED),
    ({}, 11, "better algorithms", LIMITED),
    (said(40, "unequal pods, iptables: p99 of the response"), 11, "better algorithms", CONTRADICTED),
    (between(30, 200, "unequal pods, iptables: p99 of the response"), 11, "better algorithms", UNDECIDED),
    ({}, 11, "health checks", CONTRADICTED),
    (said(0, "IPVS rr: of the last 20 of them"), 11, "health checks", CONFIRMED),
    ({}, 11, "connection retries", CONTRADICTED),
    (said(0, f"IPVS rr: {DEAD}"), 11, "connection retries", CONFIRMED),
]


def judged(changes, claim):
    return judge_claim(CLAIMS[claim - 1], Figures((MEASURED | changes).values()))


@pytest.mark.parametrize(("changes", "claim", "says", "verdict"), JUDGED)
def test_a_judge_says_what_the_figures_say(changes, claim, says, verdict):
    (part,) = (one for one in judged(changes, claim).parts if one.says == says)
    assert part.verdict == verdict, part
    assert part.why.endswith(".")
    assert part.figures


def test_every_part_of_every_sentence_has_another_verdict_for_other_figures():
    reached = {}
    for _, claim, says, verdict in JUDGED:
        reached.setdefault((claim, says), set()).add(verdict)
    parts = {(one.claim.number, part.says) for one in RUN.judgements for part in one.parts}
    # UDP and TCP share a judge; scalability is "faster forwarding" of sentence 2.
    assert {key for key in parts if len(reached.get(key, ())) < 2} == {(11, "better scalability")}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim.number))
def test_a_claim_needs_what_it_names_and_nothing_else(claim):
    names = {one.name for one in MEASUREMENTS}
    assert set(claim.measurements) <= names
    alone = {str(one) for one in plan_measurements(frozenset(claim.measurements))}
    rows = [row for row in RUN.rows if row.measurement in alone]
    told = judge_claim(claim, Figures(figure for row in rows for figure in row.figures))
    assert told.verdict == judged({}, claim.number).verdict
    for left_out in claim.measurements:
        lacking = {str(one) for one in plan_measurements(frozenset({left_out}))}
        kept = [row for row in rows if row.measurement not in lacking]
        blind = judge_claim(claim, Figures(figure for row in kept for figure in row.figures))
        assert (blind.verdict, len(blind.parts)) == (UNDECIDED, 1)
        assert blind.parts[0].why.startswith("This run did not measure: ")


def test_the_eleven_sentences_are_numbered():
    assert [claim.number for claim in CLAIMS] == list(range(1, 12))
    assert [claim.number for claim in find_claims([5, 2])] == [2, 5]
    with pytest.raises(RequestError, match="there is no sentence 12"):
        find_claims([12])


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ((CONFIRMED, CONFIRMED), CONFIRMED),
        ((CONFIRMED, LIMITED), LIMITED),
        ((CONFIRMED, UNDECIDED), LIMITED),
        ((UNDECIDED, UNDECIDED), UNDECIDED),
        ((CONFIRMED, CONTRADICTED, LIMITED), CONTRADICTED),
        ((UNDECIDED, CONTRADICTED), CONTRADICTED),
    ],
)
def test_the_whole_is_no_better_than_its_parts(verdicts, whole):
    assert overall(verdicts) == whole


positive = st.floats(0.01, 1e6)


@given(st.lists(positive, min_size=3, max_size=3), st.lists(positive, min_size=3, max_size=3))
def test_a_ratio_lies_within_its_interval_and_turns_over(above, below):
    one, two = (Figure("x", value, low, high) for low, value, high in (sorted(above), sorted(below)))
    told, turned = ratio("r", one, two), ratio("r", two, one)
    assert told.low <= told.value <= told.high
    assert turned.value == pytest.approx(1 / told.value)
    assert (turned.low, turned.high) == (pytest.approx(1 / told.high), pytest.approx(1 / told.low))


@given(st.floats(-1e8, 1e8).filter(lambda value: value == 0 or abs(value) > 1e-6))
def test_a_number_is_written_with_three_digits_that_count(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (40_023, "40,023"),
        (2.0478, "2.05"),
        (16.4, "16.4"),
        (-0.00487, "-0.00487"),
        (1234.5, "1,234"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_page_is_drawn_from_the_figures_alone():
    assert render_page(RUN) == (GOLDEN / "ledger.expected").read_text(encoding="utf-8")


def test_the_page_in_docs_is_that_of_the_figures_beside_it():
    ledger = Ledger.read(ROOT / "docs/claims.jsonl")
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert page == render_page(ledger)
    assert not ledger.failures
    assert ledger.plan.claims == tuple(range(1, 12))
    for told in (ledger.plan.measured_on, ledger.plan.kube_proxy, ledger.rows[0].guest.release):
        assert told in page


def test_the_figures_are_read_back_and_fit_the_published_schema(tmp_path):
    path = tmp_path / "claims.jsonl"
    RUN.write(path)
    assert Ledger.read(path) == RUN
    schema = json.loads(Path(claims.__file__).with_name("claims.schema.json").read_text(encoding="utf-8"))
    assert schema == Ledger.schema()
    for line in path.read_text(encoding="utf-8").splitlines():
        Draft202012Validator(schema).validate(json.loads(line))


def changed(changes):
    rows = tuple(
        replace(row, figures=tuple(changes.get(one.name, one) for one in row.figures)) for row in RUN.rows
    )
    return replace(RUN, rows=rows)


def test_two_runs_agree_or_it_is_said_where_they_do_not():
    assert find_changes(RUN, RUN) == ()
    noisy = changed(times(1.2, *LEGACY_LAST, *IPVS_LAST))
    assert find_changes(RUN, noisy) == ()
    other = changed(said(0, f"IPVS rr: {DEAD}"))
    assert find_changes(RUN, other) == (
        "sentence 11, connection retries: contradicted before, confirmed now",
    )
    fewer = replace(RUN, plan=replace(RUN.plan, claims=(7,)))
    assert find_changes(RUN, fewer) == ()
    assert "sentence 1, forwards: not judged before, holds within limits now" in find_changes(fewer, RUN)


def test_a_terminal_shows_each_sentence_part_and_figure():
    lines = list(render_lines(RUN.judgements))
    assert sum(line.startswith(f"{number:>2}  ") for number in range(1, 12) for line in lines) == 11
    assert "        sockets on the node for port 53: 0" in lines


def test_what_failed_stands_on_the_page():
    assert "Not measured: hooks: it died\n" in render_page(replace(RUN, failures=("hooks: it died",)))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim.number))
def test_lesson_11_has_a_cell_for_each_sentence(claim):
    lesson = (ROOT / "notebooks/source/11-what-to-run-today.py").read_text(encoding="utf-8")
    _, _, after = lesson.partition(f"# **{claim.number}. ")
    assert "\n# %%" in after.partition(f"# **{claim.number + 1}. ")[0]
