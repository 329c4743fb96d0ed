"""A small class, graded from end to end: walled sessions, marks from other guests, nbgrader's gradebook."""

import contextlib
import copy
import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import pytest
from course.classes import SOURCES, attempted, blank, make_root, solved, submit

from labkit.course.cells import grade_id
from labkit.course.classroom import find_submissions, grade_class
from labkit.course.report import write_report

LESSON = "02-by-hand"
BIN = Path(sys.executable).parent


def damaged():
    """A right submission without an answer's metadata, a test, a cell's type; another test is there twice."""
    notebook = copy.deepcopy(solved(LESSON))
    by_name = {grade_id(cell): cell for cell in notebook.cells}
    notebook.cells.insert(0, copy.deepcopy(by_name["check-00-find-pod"]))
    by_name["00-find-pod"].metadata.clear()
    notebook.cells.remove(by_name["check-02-by-hand"])
    by_name["02-by-hand"].cell_type = "raw"
    return notebook


@pytest.fixture(scope="module")
def kernels(jupyter_data):
    """Jupyter finds the lab's kernels, in this process and in those that it starts."""
    patch = pytest.MonkeyPatch()
    patch.setenv("JUPYTER_PATH", str(jupyter_data))
    patch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def root(kernels, tmp_path_factory):
    """A course root with a class of five."""
    made = make_root(tmp_path_factory.mktemp("class") / "course")
    submit(made, "ada", LESSON, solved(LESSON))
    submit(
        made, "bob", LESSON, attempted(LESSON, "00-find-pod/wrong-node", "02-by-hand/no-hairpin-masquerade")
    )
    submit(made, "cyd", LESSON, blank(LESSON))
    submit(made, "dan", LESSON, damaged())
    submit(made, "eve", LESSON, '{"cells": [')
    return made


@pytest.fixture(scope="module")
def graded(root):
    return {one.student: one for one in grade_class(find_submissions(root, LESSON), jobs=2)}


def test_everybody_gets_what_they_earned(graded):
    points = {student: (one.points, one.most) for student, one in graded.items()}
    assert points == {"ada": (8, 8), "bob": (6, 8), "cyd": (0, 8), "dan": (8, 8), "eve": (0, 0)}
    assert {student for student, one in graded.items() if one.trouble} == {"eve"}
    assert "no notebook" in graded["eve"].trouble


def test_what_was_executed_is_not_executed_again(root, graded):
    before = {path: path.stat().st_mtime_ns for path in root.glob("executed/*/*.ipynb")}
    assert len(before) == 4
    again = {one.student: one for one in grade_class(find_submissions(root, LESSON), jobs=1)}
    assert again == graded
    assert {path: path.stat().st_mtime_ns for path in root.glob("executed/*/*.ipynb")} == before


def test_the_report_says_why(root, graded, tmp_path):
    table, page = write_report(root, tmp_path)
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lost = {(row["student"], row["exercise"], row["part"]) for row in rows if float(row["lost"])}
    assert ("bob", "00-find-pod", "node") in lost
    assert ("bob", "02-by-hand", "a pod reaches itself") in lost
    assert not any(student in {"ada", "dan"} for student, _, _ in lost)
    assert sum(row["part"] == "mended" for row in rows if row["student"] == "dan") >= 4
    assert [row["part"] for row in rows if row["student"] == "eve"] == ["not graded"]
    assert [row["part"] for row in rows if row["student"] == "ada"] == ["nothing lost"]
    assert "a pod reaches itself" in page.read_text(encoding="utf-8")


def test_the_submissions_are_as_they_were_and_nothing_else_is_left(root, graded):
    assert (root / "submitted/ada" / LESSON / f"{LESSON}.ipynb").read_text() == json.dumps(solved(LESSON))
    assert not list((root / "running").glob("*/*"))
    assert (root / "secret").stat().st_mode & 0o777 == 0o600


def test_the_student_version_is_nbgrader_s_own(root, graded):
    theirs = nbformat.read(root / "release" / LESSON / f"{LESSON}.ipynb", as_version=4)
    assert [(cell.id, cell.source, cell.metadata) for cell in theirs.cells] == [
        (cell.id, cell.source, cell.metadata) for cell in blank(LESSON).cells
    ]


def nbgrader(root, *words):
    done = subprocess.run(
        [BIN / "nbgrader", *words], cwd=root, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_plain_nbgrader_gives_the_same_marks_and_feedback(root, graded, tmp_path):
    plain = tmp_path / "plain"
    make_root(plain)
    (plain / "secret").write_text((root / "secret").read_text())
    archive = plain / "downloaded" / LESSON / "archive"
    archive.mkdir(parents=True)
    for student in ("bob", "dan"):
        with zipfile.ZipFile(archive / f"{LESSON}_{student}.zip", "w") as packed:
            packed.write(
                root / "submitted" / student / LESSON / f"{LESSON}.ipynb", f"{LESSON}/{LESSON}.ipynb"
            )
    nbgrader(plain, "generate_assignment", LESSON)
    nbgrader(plain, "zip_collect", LESSON)
    nbgrader(plain, "autograde", LESSON)
    nbgrader(plain, "generate_feedback", LESSON)
    nbgrader(plain, "export")
    with (plain / "grades.csv").open(encoding="utf-8") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {student: graded[student].points for student in ("bob", "dan")}
    feedback = (plain / "feedback/bob" / LESSON / f"{LESSON}.html").read_text(encoding="utf-8")
    assert "a pod takes no packet that comes from its own address" in feedback


def processes_in(folder):
    """The processes whose working directory lies in `folder`."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if folder in (place.readlink(), *place.readlink().parents):
                found.append(place.parent.name)
    return found


def wait_for(happened, patience_s=120):
    """Wait until `happened()`, looked at again and again."""
    deadline_s = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["the terminal", "one process"])
def test_an_interrupted_grading_leaves_nothing_running_and_goes_on_later(kernels, tmp_path, who):
    root = make_root(tmp_path / "course")
    for student in ("ada", "bob", "cyd"):
        submit(root, student, "04-weights", solved("04-weights"))
    command = [BIN / "labkit", "course", "grade", "04-weights", "--jobs", "2"]
    grading = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: len(list(root.glob("running/*/*/*.ipynb"))) == 2)
    (os.killpg if who == "the terminal" else os.kill)(grading.pid, signal.SIGINT)
    _, said = grading.communicate(timeout=60)
    assert grading.returncode not in {0, 1}
    assert "Traceback" not in said
    wait_for(lambda: not processes_in(root))
    graded = grade_class(find_submissions(root, "04-weights"), jobs=2)
    assert [(one.points, one.trouble) for one in graded] == [(5.0, "")] * 3


def run_labkit(*words, cwd):
    return subprocess.run(
        [BIN / "labkit", "course", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_repair_mends_a_file_and_says_what_it_did(root, tmp_path):
    mended = tmp_path / f"{LESSON}.ipynb"
    file = root / "submitted/dan" / LESSON / f"{LESSON}.ipynb"
    done = run_labkit("repair", file, "--output", mended, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "check-02-by-hand: was missing: it is there again" in done.stdout
    again = run_labkit("repair", mended, "--course", root, cwd=tmp_path)
    assert again.stdout == "nothing to mend\n"
    broken = run_labkit("repair", root / "submitted/eve" / LESSON / f"{LESSON}.ipynb", cwd=tmp_path)
    assert broken.returncode == 2
    assert "this is no notebook" in broken.stderr
    assert "Traceback" not in broken.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("grade", "99-none", "--course", "{root}"), "this course has no lesson '99-none'"),
        (("grade", "04-weights", "--course", "{root}"), "nobody has submitted 04-weights"),
        (("grade", LESSON, "--course", "{here}"), "this is no course root"),
        (("report", "--course", "{here}"), "this is no course root"),
        (
            ("build", "--output", "{repository}/out/x", "--source", "{sources}"),
            "must not lie in a repository",
        ),
        (("check", "--no-run", "--source", "{here}"), "there are no lessons here"),
    ],
)
def test_what_cannot_be_is_refused_in_one_block(root, tmp_path, words, said):
    places = {"root": root, "here": tmp_path, "repository": SOURCES.parents[2], "sources": SOURCES}
    done = run_labkit(*(word.format(**places) for word in words), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
