"""A lesson's form: what a good one has, and that each thing that it lacks is named with its cell."""

from pathlib import Path

import pytest

from labkit.course.form import check_form

SOURCES = Path(__file__).parents[1] / "course/source"
GOOD = (SOURCES / "02-by-hand.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("lesson", sorted(SOURCES.glob("*.py")), ids=lambda path: path.stem)
def test_a_lesson_as_it_should_be(lesson):
    assert check_form(lesson) == ()


@pytest.mark.parametrize(
    ("before", "after", "cell", "what"),
    [
        ("Can you make a Service by hand?", "A Service by hand", 1, "a question as its title"),
        ("**Time:** 10 minutes.", "", 1, "there is no **Time:**"),
        (
            "# 2. forward connections to pods with iptables,\n# 3. say",
            "# 2. say",
            1,
            "there are 2 objectives",
        ),
        ("# ## By hand", "# # By hand", 7, "there is a second title"),
        ("found = [pod.name, pod.node]", "found = [\n" + "pod.name,\n" * 12 + "]", 5, "the cell has"),
        ("lab.close()\n", "lab\n", 11, "its end leaves the lab as it is"),
        ("# ## By hand", "# ## By hand ![](x.svg)", 7, "a picture has no alternative text"),
        ("# ## By hand", "# ## By hand <img src='https://x'>", 7, "a picture has no alternative text"),
        ("# ## By hand", "# ## [By hand](nowhere.md)", 7, "the link nowhere.md leads nowhere"),
        ("# ## By hand", "# ## [By hand](http://kubernetes.io)", 7, "leads nowhere"),
        ('"points": 6', '"points": 7', 10, "it gives 7 points, 02-by-hand has 6"),
        ('"check-02-by-hand", "points": 6', '"check-02-by-hand"', 10, "its metadata are wrong"),
        ('"grade_id": "check-02-by-hand"', '"grade_id": "02-by-hand"', 10, "02-by-hand comes twice"),
        ('"grade_id": "check-02-by-hand"', '"grade_id": "check 02"', 10, "does not match"),
        ('check("02-by-hand")', 'check("02-by-hand"), 6.0', 10, "a test cell is not one check"),
        ('check("02-by-hand")', 'check("02-by-foot")', 10, "there is no exercise '02-by-foot'"),
        ("### BEGIN SOLUTION\npod", "pod", 5, "there is no solution to take out"),
    ],
)
def test_what_is_wrong_is_named_with_its_cell(tmp_path, before, after, cell, what):
    assert before in GOOD
    source = tmp_path / "source" / "02-by-hand.py"
    source.parent.mkdir()
    source.write_text(GOOD.replace(before, after), encoding="utf-8")
    complaints = check_form(source)
    found = [one for one in complaints if one.cell == cell and what in one.what]
    assert found, complaints
    assert found[0].todo


def test_a_function_without_docstring_is_no_python_without_its_solution(tmp_path):
    text = (SOURCES / "04-weights.py").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith('    """')]
    source = tmp_path / "04-weights.py"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (complaint,) = check_form(source)
    assert "without its solution it is no Python" in complaint.what
