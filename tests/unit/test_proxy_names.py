"""Names of chains: values that kube-proxy v1.30.3 gives."""

from __future__ import annotations

import pytest

from labkit.proxy.names import endpoint_chain, service_hash, service_port_name


@pytest.mark.parametrize(
    ("port_name", "protocol", "expected"),
    [
        ("ns1/svc1:p80", "TCP", "XPGD46QRK7WJZT7O"),
        ("ns2/svc2:p80", "TCP", "GNZBNJ2PO5MGZ6GT"),
        ("ns4/svc4:p80", "TCP", "4SW47YFZTEDKD3PK"),
        ("kube-system/kube-dns:dns", "UDP", "TCOU7JCQXEZGVUNU"),
        ("default/kubernetes:https", "TCP", "NPX46M4PTMTKRN6Y"),
    ],
)
def test_a_service_ports_hash_is_kube_proxys(port_name, protocol, expected):
    assert service_hash(port_name, protocol) == expected


def test_an_endpoints_chain_is_kube_proxys():
    assert endpoint_chain("ns1/svc1:p80", "TCP", "10.180.0.1:80") == "KUBE-SEP-SXIVWICOYRO3J4NJ"
    assert endpoint_chain("ns5/svc5:p80", "TCP", "10.180.0.3:80") == "KUBE-SEP-I77PXRDZVX7PMWMN"


def test_a_port_without_a_name_adds_nothing_to_its_services_name():
    assert service_port_name("default", "web", "http") == "default/web:http"
    assert service_port_name("default", "web", "") == "default/web"
