"""The bench: turns, medians, ratios, targets; the format that is published. No clock runs here."""

import io
import json
from contextlib import nullcontext
from pathlib import Path

import bench_sample
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import labkit.bench
from labkit.bench.benchmark import Benchmark, Contenders, Target
from labkit.bench.groups import GROUPS, choose, load_groups
from labkit.bench.inside import guest_command, read_steps
from labkit.bench.rounds import Samples, interval_of_ratio, measure_rounds, order_of_round, summarise
from labkit.bench.row import bench_schema, rows_to_json
from labkit.bench.run import run_benchmarks
from labkit.bench.show import number, show_rows
from labkit.cli.bench import INTERRUPTED
from labkit.cli.command_line import command_line
from labkit.cli.main import VERBS
from labkit.errors import CapabilityError, GuestError, LabError, RequestError

HERE = Path(labkit.bench.__file__).parent
GOLDEN = Path(__file__).parents[1] / "golden/bench"
NOBODY = Contenders(lambda: 1.0)


def benchmark(contenders=NOBODY, **changes):
    values = {"name": "topology", "work": "20 pods", "unit": "ms", "better": "lower", **changes}
    return Benchmark(contenders=lambda: nullcontext(contenders), **values)


def figures(*values):
    left = list(values)
    return lambda: left.pop(0)


def test_everybody_takes_a_turn_in_every_round_and_the_first_one_changes():
    assert [order_of_round("abc", number) for number in range(4)] == [
        ("a", "b", "c"),
        ("b", "c", "a"),
        ("c", "a", "b"),
        ("a", "b", "c"),
    ]


def test_warm_ups_are_worked_but_not_counted():
    seen = []
    contenders = Contenders(figures(90, 1, 2), figures(80, 3, 4), {"ip": figures(70, 5, 6)})
    samples = measure_rounds(
        benchmark(rounds=2, warm_ups=1), contenders, lambda number, who: seen.append((number, who))
    )
    assert samples == Samples((1, 2), (3, 4), {"ip": (5, 6)}, {})
    assert seen == [
        *((0, "ours"), (0, "limit"), (0, "ip")),
        *((1, "limit"), (1, "ip"), (1, "ours")),
        *((2, "ip"), (2, "ours"), (2, "limit")),
    ]


def test_a_slow_peer_stops_early():
    contenders = Contenders(figures(1, 2, 3), figures(1, 2, 3), {"mininet": figures(9, 8)})
    samples = measure_rounds(benchmark(rounds=3, warm_ups=0, peer_rounds=2), contenders, lambda *_: None)
    assert samples == Samples((1, 2, 3), (1, 2, 3), {"mininet": (9, 8)}, {})


def absent():
    raise CapabilityError("it is not installed", todo="apt-get install it")


def test_who_is_not_there_is_named_and_asked_once():
    seen = []
    contenders = Contenders(lambda: 1.0, absent, {"mininet": absent, "ip": lambda: 4.0})
    samples = measure_rounds(benchmark(rounds=2), contenders, lambda _, who: seen.append(who))
    assert samples.missing == dict.fromkeys(("limit", "mininet"), "it is not installed")
    assert (samples.limit, samples.peers) == ((), {"ip": (4.0, 4.0)})
    assert (seen.count("mininet"), seen.count("limit"), seen.count("ip")) == (1, 1, 3)
    row = summarise(benchmark(), samples)
    assert (row.limit, row.of_limit, row.ahead_of) == (None, None, {"ip": 4.0})


@pytest.mark.parametrize("figure", [0.0, -1.0, float("nan"), float("inf")])
def test_a_figure_that_nothing_can_be_compared_with_is_an_error(figure):
    with pytest.raises(GuestError, match="ip measured"):
        measure_rounds(benchmark(), Contenders(lambda: 1.0, None, {"ip": lambda: figure}), lambda *_: None)


def test_ours_may_not_be_missing():
    with pytest.raises(CapabilityError):
        measure_rounds(benchmark(), Contenders(absent), lambda *_: None)


@pytest.mark.parametrize(
    ("better", "of_limit", "ahead", "spread"), [("lower", 2, 5, (1, 4)), ("higher", 0.5, 0.2, (0.25, 1))]
)
def test_ratios_are_between_medians_and_above_one_is_good_for_ours(better, of_limit, ahead, spread):
    samples = Samples((6, 4, 2), (4, 1, 2), {"ip": (30, 10, 20)}, {})
    row = summarise(benchmark(better=better), samples)
    assert (row.ours, row.limit, row.peers) == (4, 2, {"ip": 20})
    assert (row.of_limit, row.ahead_of) == (of_limit, {"ip": ahead})
    assert (row.rounds, row.spread, row.of_limit_spread) == (3, (2, 6), spread)


def test_targets_are_judged_by_what_was_measured():
    targets = (
        Target("ours", "<=", 4),
        Target("of_limit", "<=", 1.5),
        Target("ahead_of", ">=", 5, "ip"),
        Target("ahead_of", ">=", 80, "mininet"),
    )
    row = summarise(benchmark(targets=targets), Samples((4,), (2,), {"ip": (20,)}, {}))
    assert [(one.target, one.measured, one.holds) for one in row.targets] == [
        ("ours <= 4", 4, True),
        ("of_limit <= 1.5", 2, False),
        ("ahead_of ip >= 5", 5, True),
        ("ahead_of mininet >= 80", None, None),
    ]


def rows():
    targets = (Target("of_limit", "<=", 2), Target("ahead_of", ">=", 80, "mininet"))
    samples = Samples(
        (66.25, 71, 60), (34, 40, 31), {"ip -batch": (1234.5, 1300, 1100)}, {"mininet": "no mn here"}
    )
    fast = Samples((753_608, 700_000), (), {"sendp": (1_452,)}, {})
    return (
        summarise(benchmark(limit_is="raw netlink", targets=targets), samples),
        summarise(benchmark(name="blast", work="frames", unit="1/s", better="higher"), fast),
        summarise(benchmark(name="alone", work="nothing"), Samples((0.01234,), (), {}, {})),
    )


def test_the_table_in_a_terminal():
    assert show_rows(rows()) + "\n" == (GOLDEN / "rows.expected").read_text()


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (1.5, "1.5"), (99.96, "100"), (753608.4, "753,608"), (0, "0")]
)
def test_figures_have_three_digits_that_count(value, text):
    assert number(value) == text


def test_the_published_schema_is_that_of_the_definition():
    Draft202012Validator.check_schema(bench_schema())
    assert json.loads((HERE / "bench.schema.json").read_text()) == bench_schema()


def test_what_is_written_fits_the_schema_and_has_the_keys_of_the_contract():
    written = json.loads(json.dumps(rows_to_json(rows()), allow_nan=False))
    Draft202012Validator(bench_schema()).validate(written)
    contract = "name work unit better ours limit peers of_limit ahead_of rounds spread"
    for row in written:
        assert set(contract.split()) <= set(row)


def test_every_group_is_a_file_and_every_name_is_there_once():
    groups = load_groups()
    files = {
        f"labkit.bench.{path.stem}" for path in HERE.glob("*.py") if "BENCHMARKS = (" in path.read_text()
    }
    assert files == set(GROUPS.values())
    names = [*groups, *(one.name for every in groups.values() for one in every)]
    assert len(names) == len(set(names))


def test_names_choose_benchmarks_and_groups_and_some_run_only_when_named():
    one, two, three = (benchmark(name=name, on_request=name == "long") for name in ("one", "two", "long"))
    groups = {"first": (one, two), "second": (three,)}
    assert choose([], groups) == (one, two)
    assert choose(["long", "first", "one"], groups) == (three, one, two)
    with pytest.raises(RequestError, match="'thre'") as caught:
        choose(["thre"], groups)
    assert "first (one, two); second (long)" in caught.value.todo


def test_one_that_fails_does_not_hold_up_the_others_and_progress_goes_on():
    def refuse():
        raise GuestError("the kernel refused it")

    progress = []
    every = [benchmark(Contenders(refuse), name="bad", rounds=2), benchmark(name="good", rounds=1)]
    failed, row = run_benchmarks(every, None, lambda *step: progress.append(step))
    assert isinstance(failed, LabError)
    assert failed.message == "bad: the kernel refused it"
    assert (row.name, row.rounds) == ("good", 1)
    assert progress == [
        *((0, 5, "bad: ours"), (3, 5, "good: ours"), (4, 5, "good: ours"), (5, 5, "done")),
    ]


def test_fewer_rounds_can_be_asked_for():
    (row,) = run_benchmarks([benchmark(rounds=9)], 2, lambda *_: None)
    assert row.rounds == 2


def test_a_guests_steps_are_passed_on_and_its_error_is_raised():
    seen = []
    step = b'{"round": 0, "who": "ours"}\n'
    end = b'{"samples": {"ours": [1.5], "limit": [], "peers": {}, "missing": {}}}\n'
    samples = read_steps(io.BytesIO(step + end), lambda *step: seen.append(step))
    assert (samples, seen) == (Samples((1.5,), (), {}, {}), [(0, "ours")])
    assert read_steps(io.BytesIO(step), lambda *_: None) is None
    with pytest.raises(GuestError, match="refused"):
        read_steps(
            io.BytesIO(b'{"error": "GuestError", "message": "refused", "where": "", "todo": ""}\n'),
            lambda *_: None,
        )


def test_the_guest_finds_a_benchmark_in_its_groups_file():
    command = guest_command(bench_sample.BENCHMARKS[0])
    assert command[-4:] == ("labkit.bench.inside", "bench_sample", "inside", "3")


def bench(monkeypatch, groups, *arguments):
    monkeypatch.setattr("labkit.bench.groups.load_groups", lambda: groups)
    return CliRunner().invoke(command_line(["bench"], VERBS), ["bench", *arguments])


def test_the_command_prints_rows_and_ends_as_the_first_failure_does(monkeypatch):
    groups = {"all": (benchmark(name="good"), benchmark(Contenders(absent), name="bad"))}
    done = bench(monkeypatch, groups, "--json", "--rounds", "1")
    assert done.exit_code == CapabilityError.exit_status
    assert [row["name"] for row in json.loads(done.stdout)] == ["good"]
    assert "bad: it is not installed" in done.stderr


def test_an_interrupt_keeps_what_was_measured(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    groups = {"all": (benchmark(name="good"), benchmark(Contenders(interrupt), name="endless"))}
    done = bench(monkeypatch, groups, "--json")
    assert done.exit_code == INTERRUPTED
    assert [row["name"] for row in json.loads(done.stdout)] == ["good"]
    assert "1 of 2" in done.stderr


def test_the_interval_of_a_ratio_holds_it_and_is_narrow_where_rounds_agree():
    limit = [10.0, 30.0, 20.0, 50.0, 40.0, 60.0]
    low, high = interval_of_ratio([2 * one for one in limit], limit, "lower")
    assert low <= 2 <= high
    assert interval_of_ratio([4.0] * 6, [2.0] * 6, "lower") == (2, 2)
    assert interval_of_ratio([4.0] * 6, [2.0] * 6, "higher") == (0.5, 0.5)
    assert interval_of_ratio([4.0] * 4, [2.0] * 4, "lower") == ()
