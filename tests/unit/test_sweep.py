"""A sweep's rows as a table: the published schema, Parquet, and what is said without pyarrow or Dask."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator
from sweeps import Instant, cells

from labkit import sweeping
from labkit.chart.sweep import sweep_table
from labkit.errors import CapabilityError, RequestError
from labkit.experiment import ANY_GUEST
from labkit.sweeping.journal import ROWS, Journal
from labkit.sweeping.remote import open_dask_executor
from labkit.sweeping.rows import row_schema
from labkit.sweeping.running import run_sweep
from labkit.sweeping.table import flatten, write_parquet


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as journal:
        run_sweep(cells(), journal, Instant(), ANY_GUEST, lambda *_: None)
        yield journal


def test_each_line_fits_the_published_schema(journal):
    published = Path(sweeping.__file__).with_name("sweep.schema.json")
    assert json.loads(published.read_text()) == row_schema()
    validator = Draft202012Validator(row_schema())
    lines = (journal.path.parent / ROWS).read_text().splitlines()
    assert len(lines) == 9
    for line in lines:
        validator.validate(json.loads(line))


def test_parquet_has_the_rows_flat_and_provenance_with_each(journal):
    path = write_parquet(journal.rows, journal.path.parent)
    table = pq.read_table(path)
    assert table.num_rows == 9
    row = table.to_pylist()[0]
    assert row["cell"] == journal.rows[0].cell
    assert dict(row["answers"]) == dict(journal.rows[0].run.answers)
    assert row["response_p50_us"] == journal.rows[0].run.latency_us["response"]["p50"].value
    assert {"guest_release", "labkit", "kube_proxy", "load_1m", "begun", "seed"} <= set(row)
    assert set(row) == set(flatten(journal.rows[0]))


def test_what_was_not_measured_is_null(journal):
    silent = replace(journal.rows[0], run=replace(journal.rows[0].run, latency_us={}, expected_share=None))
    row = pq.read_table(write_parquet([silent], journal.path.parent)).to_pylist()[0]
    assert row["response_p50_us"] is None
    assert row["expected_share"] is None


def test_the_table_has_a_line_a_combination_in_the_grid_s_order(journal):
    table = sweep_table(journal.in_order(cells()))
    assert [row[0] for row in table.rows] == ["iptables random", "ipvs rr", "ipvs lc"]
    assert [column.title for column in table.columns][:2] == ["algorithm", "seeds"]
    assert {row[1] for row in table.rows} == {"3"}


@pytest.mark.parametrize(
    ("module", "do", "todo"),
    [
        ("pyarrow", lambda journal: write_parquet(journal.rows, journal.path.parent), "labkit[sweep]"),
        ("distributed", lambda _: open_dask_executor("tcp://127.0.0.1:1").__enter__(), "labkit[dask]"),
    ],
)
def test_without_its_extra_the_error_says_what_to_install(journal, monkeypatch, module, do, todo):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CapabilityError) as caught:
        do(journal)
    assert todo in caught.value.todo


def test_an_address_that_is_none_is_refused():
    with pytest.raises(RequestError, match="no Dask scheduler answers"):
        open_dask_executor("nonsense").__enter__()
