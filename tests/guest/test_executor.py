"""The executor of this machine: concurrent.futures' own, whose functions run guests that end with it."""

import os
from concurrent.futures import Executor

import pytest
from guest.launches import poll
from processes import descendants, wait_for_end

from labkit.guest.executor import JobExecutor, run_job
from labkit.guest.jobs import Job


def twice(job):
    return run_job(job) * 2


def job(script, request=b""):
    return Job(script, ("sh", "-c", script), request, guest="uml")


def test_a_function_runs_guests_wherever_it_is_called():
    with JobExecutor(2) as executor:
        assert isinstance(executor, Executor)
        assert list(executor.map(twice, [job("cat", b"a"), job("cat", b"b")])) == [b"aa", b"bb"]
    assert twice(job("cat", b"c")) == b"cc"


class StoppedError(Exception):
    pass


def leave_by_an_error(futures, before):
    with JobExecutor(1) as executor:
        futures += [executor.submit(run_job, job("sleep 1000")) for _ in range(3)]
        poll(lambda: set(descendants(os.getpid())) - before, "a guest")
        raise StoppedError


def test_leaving_it_by_an_error_ends_its_guests_and_begins_no_other():
    before, futures = set(descendants(os.getpid())), []
    with pytest.raises(StoppedError):
        leave_by_an_error(futures, before)
    wait_for_end(set(descendants(os.getpid())) - before)
    assert all(future.cancelled() or future.exception() for future in futures)
