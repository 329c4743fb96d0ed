"""A job that never ends in virtual time is ended, by its guest's clock or by the wall's; the others go on."""

import pytest

from labkit.errors import GuestError
from labkit.guest.clock import Timing
from labkit.guest.jobs import Job, JobPool

HOUR_S = 3600


def test_what_never_ends_is_ended_and_the_others_go_on():
    bounds = Timing("virtual", guest_limit_s=100 * HOUR_S, wall_limit_s=100.0)
    waiting = Job("waiting", ("sh", "-c", f"while :; do sleep {HOUR_S}; done"), timing=bounds)
    computing = Job("computing", ("sh", "-c", "while :; do :; done"), timing=Timing("virtual", 1e6, 1.0))
    whole = Job("whole", ("sh", "-c", f"sleep {HOUR_S}; echo fine"), timing=bounds)
    with JobPool() as pool:
        futures = [pool.submit(job) for job in (waiting, computing, whole)]
    with pytest.raises(GuestError, match=r"^waiting: .* within 360,000 seconds of its own time"):
        futures[0].result()
    with pytest.raises(GuestError, match=r"^computing: .* within 1 seconds of wall time"):
        futures[1].result()
    assert futures[2].result() == b"fine\n"
