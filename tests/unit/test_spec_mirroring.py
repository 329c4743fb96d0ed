"""Endpoints of Services without a selector become EndpointSlices; what other controllers own does not."""

import pytest

from labkit.errors import SpecError
from labkit.spec.cluster import read_cluster
from labkit.spec.text import Text

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: pg}
spec: {ports: [{name: pg, port: 5432}], selector: %s}
---
"""
ENDPOINTS = """
apiVersion: v1
kind: Endpoints
metadata: {name: pg, labels: %s}
subsets:
  - addresses: [{ip: 192.168.50.10}, {ip: 10.244.1.9, nodeName: node-1, targetRef: {kind: Pod, name: p}}]
    notReadyAddresses: [{ip: 192.168.50.12}, {ip: "fd00::7"}]
    ports: [{name: pg, port: 5432}]
  - addresses: [{ip: 192.168.50.20}]
    ports: [{name: %s, port: 6432}]
---
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pg-abc, labels: {kubernetes.io/service-name: pg}}
addressType: IPv4
endpoints: [{addresses: [192.168.50.10]}]
ports: [{name: pg, port: 5432}]
"""


def read(*texts):
    return read_cluster([Text("m", "".join(texts))])


def test_each_subset_is_a_slice():
    spec = read(SERVICE % "{}", ENDPOINTS % ("{}", "pg"))
    assert [
        (
            one.name,
            one.service,
            [(p.name, p.port) for p in one.ports],
            [(e.address, e.ready, e.node, e.pod) for e in one.endpoints],
        )
        for one in spec.slices
    ] == [
        (
            "pg-1",
            "pg",
            [("pg", 5432)],
            [
                ("192.168.50.10", True, "", ""),
                ("10.244.1.9", True, "node-1", "default/p"),
                ("192.168.50.12", False, "", ""),
            ],
        ),
        ("pg-2", "pg", [("pg", 6432)], [("192.168.50.20", True, "", "")]),
    ]
    assert spec.warnings == ()


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ((SERVICE % "{}", ENDPOINTS % ("{}", "pg"), SLICE), ["pg-abc"]),
        ((SERVICE % "{}", ENDPOINTS % ("{endpointslice.kubernetes.io/skip-mirror: 'true'}", "pg")), []),
        ((SERVICE % "{app: x}", ENDPOINTS % ("{}", "pg")), []),
    ],
    ids=["there is a slice", "skip-mirror", "the Service selects"],
)
def test_what_other_controllers_own_is_left_to_them(texts, names):
    assert [one.name for one in read(*texts).slices if one.endpoints] == names


def test_endpoints_of_no_service_are_told_of():
    (warning,) = read(ENDPOINTS % ("{}", "pg")).warnings
    assert str(warning) == "m:4:18: Endpoints pg serve no Service: there is no default/pg"


def test_a_port_that_the_service_does_not_have_is_refused():
    with pytest.raises(SpecError) as raised:
        read(SERVICE % "{}", ENDPOINTS % ("{}", "other"))
    assert "Service default/pg has no TCP port named other" in str(raised.value.mistakes[0])
