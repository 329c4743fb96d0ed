"""Right answers earn everything, wrong ones lose exactly what they should: many attempts in one guest.

It runs in the guest, in virtual time: `make attempts`.
"""

import pytest
from course.attempt import mark_attempt, read_attempts

from labkit.guest.info import current

pytestmark = pytest.mark.skipif(
    current() is None or current().clock != "virtual", reason="in a guest in virtual time: make attempts"
)


@pytest.mark.parametrize("attempt", read_attempts(), ids=str)
def test_an_attempt_earns_what_its_file_says(attempt):
    mark = mark_attempt(attempt, student="ada")
    lost = tuple(finding.part for finding in mark.findings if finding.points < finding.most)
    assert (mark.points, lost) == (attempt.points, attempt.lost), mark.to_text()
    assert all(finding.todo for finding in mark.findings if finding.points < finding.most)
