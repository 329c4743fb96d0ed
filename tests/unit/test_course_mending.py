"""Damaged notebooks are mended: every kind of damage by itself, and any of them together."""

import copy
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.course.cells import grade_id
from labkit.course.lesson import notebook_text, plan_student_notebook
from labkit.course.mending import mend_notebook

SOURCE = Path(__file__).parents[1] / "course/source/02-by-hand.py"
REFERENCE = plan_student_notebook(SOURCE)
NAMES = [grade_id(cell) for cell in REFERENCE.cells if grade_id(cell)]
ANSWERS = {"00-find-pod": "found = ['web-1', 'node-1']", "02-by-hand": "%%bash\necho by hand"}


def submission():
    notebook = copy.deepcopy(REFERENCE)
    for cell in notebook.cells:
        cell.source = ANSWERS.get(grade_id(cell), cell.source)
    return notebook


def find(notebook, name):
    (cell,) = (cell for cell in notebook.cells if grade_id(cell) == name)
    return cell


def copied(notebook, name, place=0):
    notebook.cells.insert(place, copy.deepcopy(find(notebook, name)))


def deleted(notebook, name):
    notebook.cells.remove(find(notebook, name))


def retyped(notebook, name):
    cell = find(notebook, name)
    cell.cell_type = "markdown"
    for key in ("outputs", "execution_count"):
        cell.pop(key, None)


def without_metadata(notebook, name):
    find(notebook, name).metadata.clear()


def without_any_sign(notebook, name):
    cell = find(notebook, name)
    cell.metadata.clear()
    cell.id = "0123abcd"


def with_other_points(notebook, name):
    nbgrader = find(notebook, name).metadata.nbgrader
    nbgrader.update(points=100, locked=not nbgrader.locked)


DAMAGES = (copied, deleted, retyped, without_metadata, without_any_sign, with_other_points)


def assert_whole(notebook):
    """All that nbgrader looks for is there, once, in order, of its type, and as the lesson has it."""
    from nbgrader.preprocessors import CheckCellMetadata

    assert [grade_id(cell) for cell in notebook.cells if grade_id(cell)] == NAMES
    for name in NAMES:
        ours, theirs = find(REFERENCE, name), find(notebook, name)
        assert theirs.cell_type == ours.cell_type
        assert theirs.metadata.nbgrader == ours.metadata.nbgrader
        if name.startswith("check-"):
            assert theirs.source == ours.source
    nbformat.validate(notebook)
    CheckCellMetadata().preprocess(copy.deepcopy(notebook), {})


def test_a_whole_notebook_stays_as_it_is():
    whole = submission()
    mended, repairs = mend_notebook(whole, REFERENCE)
    assert repairs == ()
    assert notebook_text(mended) == notebook_text(whole)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_each_damage_is_mended_and_named(damage, name):
    notebook = submission()
    damage(notebook, name)
    mended, repairs = mend_notebook(notebook, REFERENCE)
    assert_whole(mended)
    assert repairs
    if damage is not deleted:
        assert {cell.source for cell in mended.cells} >= set(ANSWERS.values())
        assert [find(mended, answer).source for answer in ANSWERS] == list(ANSWERS.values())


def test_of_copies_the_last_with_an_answer_counts():
    notebook = submission()
    empty = copy.deepcopy(find(REFERENCE, "00-find-pod"))
    notebook.cells.append(empty)
    mended, (repair,) = mend_notebook(notebook, REFERENCE)
    assert find(mended, "00-find-pod").source == ANSWERS["00-find-pod"]
    assert "several times" in repair.done
    assert not repair.todo


def test_copies_that_differ_are_shown_to_a_person():
    notebook = submission()
    copied(notebook, "00-find-pod")
    notebook.cells[0].source = "found = ['web-2', 'node-2']"
    mended, repairs = mend_notebook(notebook, REFERENCE)
    assert any("differ" in repair.todo for repair in repairs)
    assert find(mended, "00-find-pod").source == ANSWERS["00-find-pod"]
    assert_whole(mended)


def test_a_copy_behind_the_test_does_not_count():
    notebook = submission()
    copied(notebook, "00-find-pod", place=len(notebook.cells))
    notebook.cells[-1].source = "found = ['web-2', 'node-2']"
    mended, _ = mend_notebook(notebook, REFERENCE)
    assert find(mended, "00-find-pod").source == ANSWERS["00-find-pod"]
    assert_whole(mended)


def test_a_test_before_its_answer_goes_behind_it():
    notebook = submission()
    test = find(notebook, "check-02-by-hand")
    notebook.cells.remove(test)
    notebook.cells.insert(0, test)
    mended, repairs = mend_notebook(notebook, REFERENCE)
    assert_whole(mended)
    assert any("before its answer" in repair.done for repair in repairs)


def test_a_changed_check_is_the_lesson_s_again():
    notebook = submission()
    find(notebook, "check-02-by-hand").source = "6.0"
    mended, (repair,) = mend_notebook(notebook, REFERENCE)
    assert find(mended, "check-02-by-hand").source == 'check("02-by-hand")'
    assert "check was changed" in repair.done


def test_cells_of_another_lesson_are_ordinary_cells():
    notebook = submission()
    stranger = copy.deepcopy(find(notebook, "check-02-by-hand"))
    stranger.metadata.nbgrader.grade_id = stranger.id = "check-99-other"
    notebook.cells.append(stranger)
    mended, (repair,) = mend_notebook(notebook, REFERENCE)
    assert_whole(mended)
    assert repair.cell == "check-99-other"


@pytest.mark.parametrize("metadata", [{}, [], "x", {"grade_id": 5}, {"grade": True}])
def test_broken_metadata_are_replaced(metadata):
    notebook = submission()
    find(notebook, "00-find-pod").metadata["nbgrader"] = metadata
    mended, _ = mend_notebook(notebook, REFERENCE)
    assert_whole(mended)


STEP = st.tuples(st.sampled_from(DAMAGES), st.sampled_from(NAMES))


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=5), st.randoms(use_true_random=False))
def test_whatever_happened_it_is_whole_afterwards_and_no_answer_is_lost(steps, random):
    notebook = submission()
    for damage, name in steps:
        if sum(grade_id(cell) == name for cell in notebook.cells) == 1:
            damage(notebook, name)
    if random.random() < 0.3:
        random.shuffle(notebook.cells)
    sources = {cell.source for cell in notebook.cells if not grade_id(cell).startswith("check-")}
    mended, _ = mend_notebook(notebook, REFERENCE)
    assert sources <= {cell.source for cell in mended.cells}
    assert {grade_id(cell) for cell in mended.cells} >= set(NAMES)
    nbformat.validate(mended)
    again, repairs = mend_notebook(mended, REFERENCE)
    assert repairs == ()
    assert again == mended
