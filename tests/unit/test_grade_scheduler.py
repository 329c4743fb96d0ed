"""12-scheduler: every student's draw tells wrong answers from right ones."""

import pytest
from course.attempt import read_attempts
from scheduler_draws import choose_by_twin, draws_of_student

from labkit.grade.exercises.e12_scheduler import HINTS, NAME

ATTEMPTS = [attempt for attempt in read_attempts() if attempt.exercise == NAME]


@pytest.fixture(scope="module")
def cases():
    """Draws with the right choices, by student."""
    return [
        [(given, {name: choose_by_twin(name, given) for name in HINTS}) for given in draws_of_student(number)]
        for number in range(40)
    ]


def test_connections_end_only_after_they_were_opened():
    for number in range(40):
        for given in draws_of_student(number):
            opened = [one for what, one in given["events"] if what == "open"]
            assert opened == list(range(len(opened)))
            events = [tuple(event) for event in given["events"]]
            closed = [one for what, one in events if what == "close"]
            assert len(set(closed)) == len(closed) > 0
            assert all(events.index(("open", one)) < events.index(("close", one)) for one in closed)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_an_attempt_loses_the_same_with_every_draw(attempt, cases):
    names = {}
    exec(attempt.source, names)
    for draws in cases:
        answers = [names["choose_servers"](given["servers"], given["events"]) or {} for given, _ in draws]
        lost = [
            tuple(name for name in HINTS if answer.get(name) != right[name])
            for answer, (_, right) in zip(answers, draws, strict=True)
        ]
        assert max(lost, key=len) == attempt.lost
