"""A sweep is resumed wherever it was cut off: nothing is lost, nothing runs twice."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import Instant, cells

from labkit.errors import RequestError
from labkit.experiment import ANY_GUEST
from labkit.sweeping.cells import identify
from labkit.sweeping.journal import ROWS, Journal, read_rows
from labkit.sweeping.running import run_sweep

EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True, database=None)
SWEEP = cells()


def say_nothing(done, total, what):
    pass


def sweep(directory, planned=SWEEP, executor=None, on_progress=say_nothing):
    executor = executor or Instant()
    with Journal(directory) as journal:
        failures = run_sweep(planned, journal, executor, ANY_GUEST, on_progress)
    return executor.asked, failures


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sweep")
    sweep(directory)
    return (directory / ROWS).read_bytes()


@EXAMPLES
@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_cut_anywhere_any_number_of_times_each_cell_has_one_row_and_none_runs_twice(whole, cuts):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for cut in cuts:  # the writer is killed: the file ends anywhere
            path = directory / ROWS
            sweep(directory)
            data = path.read_bytes()
            path.write_bytes(data[: int(cut * len(data))])
            kept = data[: int(cut * len(data))].count(b"\n")
            done = {row.cell for row in read_rows(directory)}
            asked, failures = sweep(directory)
            assert not failures
            assert len(asked) == len(SWEEP) - kept
            assert not done & {identify(experiment) for experiment in asked}
        assert sorted(row.cell for row in read_rows(directory)) == sorted(cell.identity for cell in SWEEP)


@EXAMPLES
@given(lost=st.sets(st.integers(0, len(SWEEP) - 1)))
def test_what_a_lost_worker_had_is_said_and_done_the_next_time(lost):
    with tempfile.TemporaryDirectory() as name:
        _, failures = sweep(Path(name), executor=Instant(lost))
        assert len(failures) == len(lost)
        assert all("the worker is gone" in failure.error.message for failure in failures)
        asked, failures = sweep(Path(name))
        assert (len(asked), failures) == (len(lost), ())


class StoppedError(Exception):
    pass


@EXAMPLES
@given(at=st.integers(1, len(SWEEP)))
def test_an_interrupt_keeps_every_row_that_was_told(at):
    def interrupt(done, total, what):
        if done == at:
            raise StoppedError

    with tempfile.TemporaryDirectory() as name:
        with pytest.raises(StoppedError):
            sweep(Path(name), on_progress=interrupt)
        assert len(read_rows(Path(name))) == at
        asked, _ = sweep(Path(name))
        assert len(asked) == len(SWEEP) - at


def test_a_grid_may_grow_and_may_not_shrink(tmp_path):
    sweep(tmp_path, cells(seeds=1))
    asked, _ = sweep(tmp_path, cells(seeds=2))
    assert len(asked) == 3
    with pytest.raises(RequestError, match="3 of its 6 rows are of experiments that are not in this grid"):
        sweep(tmp_path, cells(seeds=1))


def test_two_sweeps_do_not_write_in_one_place(tmp_path):
    with Journal(tmp_path), pytest.raises(RequestError, match="another sweep"):
        Journal(tmp_path)


def test_a_row_is_never_added_twice(tmp_path):
    sweep(tmp_path)
    with Journal(tmp_path) as journal, pytest.raises(ValueError, match="has a row already"):
        journal.add(journal.rows[0])


@pytest.mark.parametrize("text", ["no JSON\n", "{}\n", "[1]\n"])
def test_another_file_is_refused_and_left_alone(tmp_path, text):
    (tmp_path / ROWS).write_text(text)
    with pytest.raises(RequestError, match=r"rows\.jsonl:1"):
        Journal(tmp_path)
    assert (tmp_path / ROWS).read_text() == text
