"""Submissions as they come: what is refused before anything runs; what is safe to show to an instructor."""

import pytest

from labkit.course.executing import Submission, sanitise
from labkit.course.report import Reason, _safe_row
from labkit.errors import RequestError


@pytest.fixture
def submission(tmp_path):
    made = Submission(tmp_path, "02-x", "ada")
    made.notebook.parent.mkdir(parents=True)
    return made


def test_a_link_out_of_the_submission_is_refused(submission):
    submission.notebook.write_text("{}")
    folder = submission.notebook.parent / "data"
    folder.mkdir()
    (folder / "notes.txt").symlink_to(submission.root / "secret")
    with pytest.raises(RequestError, match=r"a link in the submission: notes\.txt"):
        sanitise(submission, None)


@pytest.mark.parametrize("content", [b"", b"[]", b"hello", b"\xff\xfe", b'{"nbformat": 4, "cells": 5}', b"5"])
def test_what_is_no_notebook_is_named(submission, content):
    submission.notebook.write_bytes(content)
    with pytest.raises(RequestError, match="this is no notebook") as refused:
        sanitise(submission, None)
    assert refused.value.where == str(submission.notebook)
    assert refused.value.todo


def test_a_submission_without_its_notebook_is_named(submission):
    with pytest.raises(RequestError, match="No such file"):
        sanitise(submission, None)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_spreadsheet_runs_nothing_of_a_student_s(text):
    reason = Reason(text, "02-x", 1.0, 2.0, "", "part", -1.0, text, text, "")
    row = _safe_row(reason)
    assert row[0] == row[7] == row[8] == f"'{text}"
    assert row[2:4] == [1.0, 2.0]
