"""Which lab `labkit attach` joins."""

from __future__ import annotations

import pytest

from labkit.cli.attach import split_words
from labkit.errors import RequestError
from labkit.guest.attach import choose_lab


def test_the_only_running_lab_needs_no_name():
    assert choose_lab(None, ["a1"]) == "a1"
    assert choose_lab("b2", ["a1", "b2"]) == "b2"


@pytest.mark.parametrize(
    ("name", "running", "says"),
    [
        (None, [], "no lab is running"),
        (None, ["a1", "b2"], "2 labs are running: a1, b2"),
        ("c3", ["a1"], "no lab called c3 is running"),
    ],
)
def test_a_lab_that_cannot_be_chosen_is_an_error_that_says_what_to_do(name, running, says):
    with pytest.raises(RequestError, match=says) as error:
        choose_lab(name, running)
    assert error.value.todo


@pytest.mark.parametrize(
    ("words", "typed", "expected"),
    [
        ([], ["labkit", "attach"], (None, ())),
        (["a1"], ["labkit", "attach", "a1"], ("a1", ())),
        (["ls", "-l"], ["labkit", "attach", "--", "ls", "-l"], (None, ("ls", "-l"))),
        (["a1", "--", "ls"], ["labkit", "attach", "a1", "--", "ls"], ("a1", ("ls",))),
        (["a1", "ls", "--", "x"], ["labkit", "attach", "a1", "ls", "--", "x"], ("a1", ("ls", "--", "x"))),
    ],
)
def test_the_words_are_a_lab_and_a_command(words, typed, expected):
    assert split_words(words, typed) == expected
