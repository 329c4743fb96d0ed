"""The flow table (`flows/table.py`), put to the real kernel in every mode: what Services do to whom."""

from __future__ import annotations

import pytest
from flows.live import Scene
from flows.round import Patience
from flows.table import ROWS

from labkit.guest.probe import takes_nftables
from labkit.proxy.plans import MODES

PATIENCE = Patience(silence_s=0.5)
OCCASIONS = tuple(dict.fromkeys((row.setup, row.weather) for row in ROWS))


@pytest.fixture(scope="module", params=MODES)
def scene(request):
    if request.param == "nftables" and not takes_nftables():
        pytest.skip("nftables rows: this Linux has no nf_tables for IPv4")
    with Scene(request.param, PATIENCE) as made:
        yield made


@pytest.mark.parametrize(
    ("setup", "weather"), OCCASIONS, ids=[" ".join(one).strip() or "usual" for one in OCCASIONS]
)
def test_services_do_to_everyone_what_the_table_says(scene, setup, weather):
    scene.program(setup)
    rows = [row for row in ROWS if (row.mode, row.setup, row.weather) == (scene.mode, setup, weather)]
    with scene.weather(weather):
        wrong = scene.contradictions(rows)
    assert rows
    assert not wrong, "\n".join(
        f"{row}, but: {' '.join(sorted(words)) or 'nothing'}" for row, words in wrong.items()
    )
