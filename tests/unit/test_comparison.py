"""Which algorithms are compared: those asked for by name, or all that a guest has."""

from __future__ import annotations

import pytest

from labkit.comparison import Algorithm, every_algorithm, every_mode, parse_algorithms
from labkit.errors import RequestError

SCHEDULERS = ("rr", "lc")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("iptables", ["iptables"]),
        ("nftables,random", ["nftables", "iptables"]),
        ("ipvs, lc ,rr", ["ipvs rr", "ipvs lc"]),
    ],
)
def test_algorithms_go_by_the_names_of_modes_and_schedulers(text, names):
    assert [str(one) for one in parse_algorithms(text, SCHEDULERS)] == names


@pytest.mark.parametrize("text", ["", " , ", "iptables,fastest", "wrr"])
def test_a_name_that_the_guest_does_not_have_is_refused_with_those_it_has(text):
    with pytest.raises(RequestError) as refused:
        parse_algorithms(text, SCHEDULERS)
    assert "iptables, nftables, ipvs, rr, lc" in refused.value.todo


def test_every_algorithm_is_each_mode_and_ipvs_with_each_scheduler():
    assert every_algorithm(("iptables", "ipvs"), SCHEDULERS) == (
        Algorithm("iptables"),
        Algorithm("ipvs", "rr"),
        Algorithm("ipvs", "lc"),
    )
    assert Algorithm("nftables") in every_algorithm(("iptables", "nftables", "ipvs"), SCHEDULERS)


def test_every_mode_has_kube_proxys_default():
    assert [str(one) for one in every_mode(("iptables", "nftables", "ipvs"))] == [
        "iptables",
        "nftables",
        "ipvs rr",
    ]
