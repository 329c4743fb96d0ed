"""The worksheet of lesson 11: what it takes for figures, what follows from them, and what its draws are."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.grade.exercises import e11_decide as worksheet
from labkit.proxy.plans import MODES
from labkit.spec.cluster import read_manifests
from labkit.spec.text import Text

FIGURES = {"iptables": [2.0, 6.0], "nftables": [2.8, 2.8], "ipvs": [3.1, 3.3]}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MODES, "x"]), inner),
)


def test_a_straight_line_goes_through_both_figures():
    assert worksheet._delays(FIGURES, [1, 1001], 1) == {"iptables": 2.0, "nftables": 2.8, "ipvs": 3.1}
    delays = worksheet._delays(FIGURES, [1, 1001], 10_001)
    assert delays == pytest.approx({"iptables": 42.0, "nftables": 2.8, "ipvs": 5.1})


@given(anything, anything)
def test_whatever_is_no_figures_is_none(figures, sizes):
    delays = worksheet._delays(figures, sizes, 5000)
    assert delays == {} or set(delays) == set(MODES)


@pytest.mark.parametrize(
    ("figures", "sizes"),
    [
        (FIGURES, [1001, 1]),
        (FIGURES, [1, 1]),
        (FIGURES, [1]),
        (FIGURES, None),
        (FIGURES | {"ipvs": [3.1]}, [1, 1001]),
        (FIGURES | {"ipvs": [0, 3.1]}, [1, 1001]),
        (FIGURES | {"ipvs": ["3.1", 3.3]}, [1, 1001]),
        (FIGURES | {"ipvs": [3.1, float("inf")]}, [1, 1001]),
        (FIGURES | {"ebpf": [1, 1]}, [1, 1001]),
        ({"iptables": [2.0, 6.0]}, [1, 1001]),
    ],
)
def test_figures_that_cannot_be(figures, sizes):
    assert worksheet._delays(figures, sizes, 5000) == {}


@pytest.mark.parametrize(
    ("said", "left", "has_figures", "points"),
    [
        ("nftables", ["iptables", "nftables"], True, 1),
        ("iptables", ["iptables", "ipvs"], True, 1),
        ("ipvs", ["iptables", "ipvs"], True, 0),
        ("ipvs", ["ipvs"], True, 1),
        ("none", [], True, 1),
        ("none", ["ipvs"], True, 0),
        ("nftables", ["nftables"], False, 0),
        ([], ["nftables"], True, 0),
    ],
)
def test_what_is_left_is_the_answer_the_deprecated_mode_last(said, left, has_figures, points):
    assert worksheet._compare_mode(said, left, has_figures=has_figures).points == points


@given(st.integers())
def test_every_draw_is_a_cluster_whose_needs_name_its_own_addresses(seed):
    given = worksheet.plan_draw(Random(seed))
    cluster = read_manifests([Text("drawn", given["manifest"])])
    assert {service.cluster_ip for service in cluster.services} >= {given["_cluster_ip"]}
    assert "kernel" in given["needs"]
    named = {"localhost": "_node_port", "bridge": "_node_port", "shared": "_address", "unused": "_cluster_ip"}
    for need, part in named.items():
        assert need not in given["needs"] or str(given[part]) in given["needs"][need]
    assert worksheet._by_documents(given, "nftables", "kernel") == (given["_kernel"] in {"5.4", "5.10"})
