"""The load balancer outside of the cluster: its addresses, its ports, its place in the network."""

import json
from dataclasses import replace

import pytest

from labkit.errors import RequestError
from labkit.spec.addressing import plan_addresses
from labkit.spec.balancer import plan_balancer
from labkit.spec.cluster import read_cluster
from labkit.spec.manifest import shipped_lab
from labkit.spec.model import LoadBalancerIngress
from labkit.spec.text import Text
from labkit.traffic.ingressroutes import choose_route

TRAP = read_cluster([shipped_lab("ingress-trap")])


def with_ingress(spec, *, addresses=("203.0.113.10",), **metadata):
    status = {"loadBalancer": {"ingress": [{"ip": one} for one in addresses]}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "more", **metadata},
        "spec": spec,
        "status": status,
    }
    return read_cluster([shipped_lab("ingress-trap"), Text("more", json.dumps(ingress))])


def backend(name="shop", port=80):
    return {"service": {"name": name, "port": {"number": port}}}


def test_one_address_may_serve_a_service_and_an_ingress():
    plan = plan_balancer(TRAP)
    assert plan.addresses == ("203.0.113.10",)
    assert [(one.port, one.service, one.node_port) for one in plan.services] == [
        (8080, "default/api:8080", 30090)
    ]
    assert [(one.address, one.ingresses) for one in plan.ingresses] == [("203.0.113.10", ("default/shop",))]


def test_without_an_address_there_is_no_balancer():
    assert plan_balancer(read_cluster([shipped_lab("web")])) is None


def test_a_node_s_own_address_belongs_to_the_node():
    shop, api = TRAP.services
    on_node = replace(api, load_balancer=(LoadBalancerIngress(TRAP.nodes[0].address),))
    assert plan_balancer(replace(TRAP, services=(shop, on_node), ingresses=())) is None


def test_two_who_want_one_port_of_one_address_are_refused():
    shop, api = TRAP.services
    http = replace(api, ports=(replace(api.ports[0], port=80),))
    with pytest.raises(RequestError, match=r"both want port 80/TCP of 203\.0\.113\.10") as refused:
        plan_balancer(replace(TRAP, services=(shop, http)))
    assert "Ingress default/shop" in str(refused.value)


def test_nodes_and_clients_outside_have_a_way_to_the_balancer_and_pods_through_their_node():
    plan = plan_addresses(TRAP, balancer=plan_balancer(TRAP))
    own, *others = plan.balancer.addresses
    assert [one.address for one in others] == ["203.0.113.10"]
    for name in ("node-1", "node-2", "outside"):
        (route,) = [one for one in plan.namespace(name).routes if one.destination == "203.0.113.10/32"]
        assert (route.via, route.interface.name) == (own.address, "eth0")


def test_a_pod_with_the_balancer_s_address_is_refused():
    taken = replace(TRAP, pods=(replace(TRAP.pods[0], address="203.0.113.10"), *TRAP.pods[1:]))
    with pytest.raises(RequestError, match=r"the load balancer .*203\.0\.113\.10"):
        plan_addresses(taken, balancer=plan_balancer(taken))


@pytest.mark.parametrize(
    ("host", "path", "port"),
    [
        ("shop.test", "/", 1),
        ("shop.test:8080", "/cart", 2),
        ("shop.test", "/cart/7?x=1", 2),
        ("shop.test", "/cartoon", 1),
        ("shop.test", "/cart/all", 3),
        ("SHOP.test", "/cart/all/", 2),
        ("a.shop.test", "/", 4),
        ("a.b.shop.test", "/", 5),
        ("", "/", 5),
    ],
)
def test_host_and_path_choose_the_service_as_an_ingress_says(host, path, port):
    rules = [
        {"host": "*.shop.test", "http": {"paths": [{"pathType": "Prefix", "backend": backend(port=4)}]}},
        {
            "host": "shop.test",
            "http": {
                "paths": [
                    {"path": "/", "pathType": "Prefix", "backend": backend(port=1)},
                    {"path": "/cart", "pathType": "Prefix", "backend": backend(port=2)},
                    {"path": "/cart/all", "pathType": "Exact", "backend": backend(port=3)},
                ]
            },
        },
    ]
    many = [{"name": f"p{n}", "port": n, "nodePort": 30000 + n} for n in range(1, 6)]
    services = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "many"},
        "spec": {"type": "NodePort", "ports": many},
    }
    spec = json.loads(
        json.dumps({"rules": rules, "defaultBackend": backend(port=5)}).replace(
            'shop", "port', 'many", "port'
        )
    )
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "all"},
        "spec": spec,
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}},
    }
    cluster = read_cluster(
        [Text("all", json.dumps({"apiVersion": "v1", "kind": "List", "items": [services, ingress]}))]
    )
    (site,) = plan_balancer(cluster).ingresses
    routes = [
        {"host": one.host, "path": one.path, "is_exact": one.is_exact, "node_port": one.node_port}
        for one in site.routes
    ]
    chosen = choose_route(routes, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert chosen["node_port"] == 30000 + port


def test_what_an_ingress_wants_and_the_lab_does_not_serve_is_said_by_name():
    cluster = with_ingress(
        {"tls": [{"hosts": ["a.test"]}], "defaultBackend": backend("api", 8080)}, addresses=()
    )
    assert any("Ingress more is not served" in warning for warning in cluster.warnings)
    cluster = with_ingress({"tls": [{"hosts": ["a.test"]}], "defaultBackend": backend("api", 8080)})
    assert any("Ingress more: tls is not served" in warning for warning in cluster.warnings)


def test_a_service_without_a_node_port_is_out_of_reach_and_that_is_said():
    inner = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "inner"},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]},
    }
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "more"},
        "spec": {"defaultBackend": backend("inner")},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}},
    }
    cluster = read_cluster(
        [Text("inner", json.dumps({"apiVersion": "v1", "kind": "List", "items": [inner, ingress]}))]
    )
    assert any("cannot reach Service inner: it has no node port" in warning for warning in cluster.warnings)
