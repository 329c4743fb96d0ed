"""A mark as JSON, text and table; answers of any kind are judged as data."""

import json

import pytest

from labkit.errors import GuestError, RequestError, encode_error
from labkit.grade import exercise as exercises
from labkit.grade.answering import collect_answer
from labkit.grade.exercise import Exercise, Function, Variable
from labkit.grade.mark import MARK_MIME, Finding, Mark, read_mark
from labkit.grade.marking import mark_answer

MARK = Mark(
    "02-x",
    "ab",
    (
        Finding("one", 1.0, 1.0, "this", "this"),
        Finding("two", 0.5, 2.0, "<b>that</b>", "nothing", "try again"),
    ),
)


def judge(given, answer):
    if answer == "refuse":
        raise RequestError("that cannot be", todo="write another")
    yield Finding("value", float(answer == given["number"]), 1.0, str(given["number"]), repr(answer), "count")


@pytest.fixture
def exercise(monkeypatch):
    def use(form):
        known = Exercise("99-number", 1.0, lambda random: {"number": random.randrange(9)}, form, judge)
        for module in ("exercise", "answering", "marking"):
            monkeypatch.setattr(f"labkit.grade.{module}.find_exercise", lambda _: known)
        return known

    return use


def test_a_mark_comes_back_from_its_json():
    assert read_mark(MARK.to_json()) == MARK
    assert (MARK.points, MARK.most) == (1.5, 3.0)


def test_nbgrader_reads_the_number_and_people_the_table():
    bundle = MARK.to_bundle()
    assert float(bundle["text/plain"]) == 1.5
    assert "&lt;b&gt;that&lt;/b&gt;" in bundle["text/html"]
    assert "try again" in bundle["text/html"]
    assert bundle[MARK_MIME]["findings"][1]["todo"] == "try again"
    assert "two: 0.5 of 2" in MARK.to_text()


@pytest.mark.parametrize("reply", [b"", b"{}", b"[1]", b'{"exercise": 1}', b"\xff", b"nan"])
def test_what_is_no_mark_is_an_error(reply):
    with pytest.raises((GuestError, RequestError)):
        read_mark(reply)


def test_an_error_of_the_marking_is_raised():
    with pytest.raises(GuestError, match="broken"):
        read_mark(encode_error(GuestError("broken")))


def test_points_are_never_below_zero():
    assert Mark("x", "", (Finding("a", -3.0, 1.0, "", ""),)).points == 0.0


def test_a_variable_is_judged_and_a_missing_one_named(exercise):
    seed = "00"
    number = exercise(Variable("n")).draws(seed)[0]["number"]
    right = collect_answer("99-number", seed, {"n": number})
    assert mark_answer("99-number", seed, json.dumps(right)).points == 1.0
    missing = mark_answer("99-number", seed, json.dumps(collect_answer("99-number", seed, {})))
    assert (missing.points, missing.findings[0].seen) == (0.0, "there is no 'n' in this notebook")


def test_a_function_is_tried_on_every_case_and_the_worst_counts(exercise):
    known = exercise(Function("double", ("number",), cases=4))
    numbers = [given["number"] for given in known.draws("00")]
    assert len(set(numbers)) > 1
    right = collect_answer("99-number", "00", {"double": lambda number: number})
    fixed = collect_answer("99-number", "00", {"double": lambda number: numbers[0]})
    assert mark_answer("99-number", "00", json.dumps(right)).points == 1.0
    assert mark_answer("99-number", "00", json.dumps(fixed)).points == 0.0


def test_a_function_that_raises_or_returns_what_json_cannot_say(exercise):
    exercise(Function("f", ("number",)))

    def raises(number):
        raise KeyError(number)

    for function, seen in ((raises, "KeyError"), (lambda number: {1, 2}, "it is a set")):
        answer = collect_answer("99-number", "00", {"f": function})
        mark = mark_answer("99-number", "00", json.dumps(answer))
        assert mark.points == 0.0
        assert seen in mark.findings[0].seen


@pytest.mark.parametrize(
    "answer",
    [None, "", "no json", "null", "[]", "5", "{}", '{"value": {}}', '{"missing": 5}', "[" * 100_000, "NaN"],
)
@pytest.mark.parametrize("form", [Variable("n"), Function("f", ("number",), cases=2)])
def test_whatever_a_notebook_answers_is_no_mark(exercise, form, answer):
    exercise(form)
    mark = mark_answer("99-number", "00", answer)
    assert mark.points == 0.0
    assert mark.findings[0].most == 1.0


def test_an_answer_that_cannot_be_tried_is_zero_with_its_reason(exercise):
    exercise(Variable("n"))
    mark = mark_answer("99-number", "00", json.dumps({"value": "refuse"}))
    assert (mark.points, mark.findings[0].seen, mark.findings[0].todo) == (
        0.0,
        "that cannot be",
        "write another",
    )


def test_every_shipped_exercise_is_found_by_its_name():
    from importlib import resources

    for module in resources.files("labkit.grade.exercises").iterdir():
        if module.name.startswith("e") and module.name.endswith(".py"):
            name = module.name[1:-3].replace("_", "-")
            assert exercises.find_exercise(name).name == name
