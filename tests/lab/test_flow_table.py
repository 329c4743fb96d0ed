"""The flow table (`flows/table.py`), put to the real kernel in every mode: what Services do to whom."""

from __future__ import annotations

import pytest
from flows.live import Scene
from flows.round import Patience
from flows.table import ROWS
from flows.weathers import NOTHING_MARKED_LEAVES

from labkit.guest.probe import takes_nftables
from labkit.proxy.plans import MODES

PATIENCE = Patience(silence_s=0.5)
# In the order of the modes: a scene is made once for each.
OCCASIONS = tuple(
    dict.fromkeys((row.mode, row.setup, row.weather) for mode in MODES for row in ROWS if row.mode == mode)
)


@pytest.fixture(scope="module")
def scene(request):
    if request.param == "nftables" and not takes_nftables():
        pytest.skip("nftables rows: this Linux has no nf_tables for IPv4")
    with Scene(request.param, PATIENCE) as made:
        yield made


@pytest.mark.parametrize(
    ("scene", "setup", "weather"),
    OCCASIONS,
    ids=[" ".join(filter(None, one)) for one in OCCASIONS],
    indirect=["scene"],
    scope="module",
)
def test_services_do_to_everyone_what_the_table_says(scene, setup, weather):
    if weather == NOTHING_MARKED_LEAVES and not takes_nftables():
        pytest.skip("this Linux has no nf_tables to look at packets behind kube-proxy")
    rows = [row for row in ROWS if (row.mode, row.setup, row.weather) == (scene.mode, setup, weather)]
    scene.program(setup)
    with scene.weather(weather):
        wrong = scene.contradictions(rows)
    assert not wrong, "\n".join(
        f"{row}, but: {' '.join(sorted(words)) or 'nothing'}" for row, words in wrong.items()
    )
