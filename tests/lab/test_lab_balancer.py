"""The load balancer trap and the ways out of it, in the guest. Who intercepts: `test_lab_alone.py`."""

import pytest

from labkit import Lab

INGRESS_OF = {
    "ingress-trap": "203.0.113.10",
    "ingress-two-addresses": "203.0.113.20",
    "ingress-ipmode-proxy": "203.0.113.10",
}
SERVICE = "203.0.113.10"
INSIDE = ("shop-1", "node-1")


@pytest.fixture(scope="module", params=INGRESS_OF)
def lab(request):
    with Lab.open(request.param) as opened:
        yield opened


def ask(lab, place, address, port):
    return lab.namespace(place).command(["curl", "-s", "-m", "3", f"http://{address}:{port}"])


def accepted(lab, address, port):
    return lab.balancer.counts()[f"{address}:{port}/TCP"].accepted


def modes_of(lab):
    for mode in lab.modes:
        lab.switch(mode)
        yield mode


def test_who_reaches_what_through_whom(lab):
    (name,) = lab.manifests
    address = INGRESS_OF[name]
    for mode in modes_of(lab):
        trapped = (name, mode) == ("ingress-trap", "ipvs")
        before = accepted(lab, address, 80), accepted(lab, SERVICE, 8080)
        for place in INSIDE:
            asked = ask(lab, place, address, 80)
            assert (asked.status == 7) == trapped, (mode, place, asked)  # 7: refused, at once
            assert asked.stdout.startswith("pod=default/shop-") != trapped
            assert ask(lab, place, SERVICE, 8080).stdout.startswith("pod=default/api-")
        assert accepted(lab, address, 80) - before[0] == (0 if trapped else len(INSIDE))
        # kube-proxy takes the Service's own port past the balancer, but for ipMode: Proxy.
        past = 0 if name == "ingress-ipmode-proxy" else len(INSIDE)
        assert accepted(lab, SERVICE, 8080) - before[1] == len(INSIDE) - past
        way = lab.route("node-1", address)
        assert (way.startswith("local "), " via " in way) == (trapped, not trapped)
        # Whoever is outside goes through the balancer, in every mode.
        before = accepted(lab, address, 80), accepted(lab, SERVICE, 8080)
        assert ask(lab, "outside", address, 80).stdout.startswith("pod=default/shop-")
        assert ask(lab, "outside", SERVICE, 8080).stdout.startswith("pod=default/api-")
        assert (accepted(lab, address, 80), accepted(lab, SERVICE, 8080)) == (before[0] + 1, before[1] + 1)
