"""Draws: a student's own, and again the same; what a guest is told gives the secret not away."""

import json

import pytest

from labkit.errors import RequestError
from labkit.grade.desk import SECRET_FILE, find_tested, plan_marking, read_answer, read_sitting
from labkit.grade.draws import KEY_VARIABLE, draw_seed, key_here, learner_name, student_key
from labkit.grade.exercise import find_exercise
from labkit.grade.guidance import Draw

EXERCISES = ("00-find-pod", "02-by-hand", "04-weights")
SECRET = bytes(32)


def test_a_student_gets_the_same_draw_again_and_another_student_another():
    ada, again, bob = (student_key(SECRET, name) for name in ("ada", "ada", "bob"))
    assert ada == again != bob
    assert student_key(b"another secret", "ada") != ada
    assert len({draw_seed(key, exercise) for key in (ada, bob) for exercise in EXERCISES}) == 6


@pytest.mark.parametrize("name", EXERCISES)
def test_draws_are_json_differ_and_are_repeated(name):
    exercise = find_exercise(name)
    seeds = [draw_seed(student_key(SECRET, f"student-{number}"), name) for number in range(20)]
    texts = [json.dumps(exercise.draws(seed)) for seed in seeds]
    assert texts == [json.dumps(exercise.draws(seed)) for seed in seeds]
    assert len(set(texts)) > 10


def test_who_learns_here():
    assert learner_name({"JUPYTERHUB_USER": "ada"}) == "ada"
    assert learner_name({"LABKIT_STUDENT": "bob", "JUPYTERHUB_USER": "ada"}) == "bob"
    assert key_here({"JUPYTERHUB_USER": "ada"}) == key_here({"LABKIT_STUDENT": "ada"})
    assert key_here({}) != key_here({"JUPYTERHUB_USER": "ada"})
    assert key_here({KEY_VARIABLE: "00ff", "JUPYTERHUB_USER": "ada"}) == "00ff"


def test_a_learner_sees_all_but_what_is_the_judge_s():
    shown = Draw("x", {"address": "10.0.0.1", "_fault": "web-1", "ports": [1, 2]})
    assert shown.address == "10.0.0.1"
    assert "_fault" not in repr(shown) + str(dir(shown))
    with pytest.raises(AttributeError, match="it has: address, ports"):
        shown.other  # noqa: B018


def test_what_is_given_goes_into_the_environment_of_shell_cells(monkeypatch):
    for name in ("CLUSTER_IP", "PORT", "ENDPOINTS"):
        monkeypatch.setenv(name, "")
    Draw("x", {"cluster_ip": "10.96.0.1", "port": 80, "endpoints": ["a:1", "b:2"]}).export()
    import os

    assert [os.environ[name] for name in ("CLUSTER_IP", "PORT", "ENDPOINTS")] == [
        "10.96.0.1",
        "80",
        "a:1 b:2",
    ]


def test_the_sitting_is_read_from_where_the_submission_lies(tmp_path):
    folder = tmp_path / "autograded" / "ada" / "02-by-hand"
    folder.mkdir(parents=True)
    with pytest.raises(RequestError, match="no course's secret"):
        read_sitting(folder)
    (tmp_path / SECRET_FILE).write_text(SECRET.hex())
    sitting = read_sitting(folder)
    assert (sitting.student, sitting.key) == ("ada", student_key(SECRET, "ada"))


@pytest.mark.parametrize(
    ("source", "exercise"),
    [
        ('check("02-by-hand")', "02-by-hand"),
        (' check("02-by-hand")\n', "02-by-hand"),
        ('check("02-by-hand"); 1.0', None),
        ('x = check("02-by-hand")', None),
        ("check('02-by-hand')", None),
        ('check("by hand")', None),
    ],
)
def test_only_a_test_cell_is_one(source, exercise):
    assert find_tested(source) == exercise


@pytest.mark.parametrize(
    "reply", [{}, {"user_expressions": {"answer": {"status": "error"}}}, {"user_expressions": []}]
)
def test_a_reply_without_an_answer_has_none(reply):
    assert read_answer(reply) is None


def test_an_answer_that_is_too_long_is_none():
    def reply(text):
        return {"user_expressions": {"answer": {"data": {"application/vnd.labkit.answer+json": text}}}}

    assert read_answer(reply("{}")) == "{}"
    assert read_answer(reply("x" * 300_000)) is None
    assert read_answer(reply(5)) is None


def test_an_unknown_exercise_is_refused():
    for name in ("99-nothing", "../../x", "02-by-hand.py"):
        with pytest.raises(RequestError, match="there is no exercise"):
            plan_marking(name, "00", None)
