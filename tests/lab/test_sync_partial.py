"""A Proxier's syncs in real namespaces: partial ones end where full ones do, and write only what changed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cluster_strategies import clusters, configs
from hypothesis import HealthCheck, Phase, given, settings
from node_state import node_state
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.errors import RequestError
from labkit.fabric.namespace import Namespace
from labkit.proxy.extension import Extension
from labkit.proxy.ipvs_netlink import IpvsSocket
from labkit.proxy.plans import plan_node
from labkit.proxy.program import available_modes
from labkit.proxy.program_device import has_device, read_node_addresses
from labkit.proxy.sync import Proxier
from labkit.proxy.tracking import ClusterChanges
from labkit.spec.model import ServicePort
from labkit.spec.proxyconfig import ProxyConfig

pytestmark = pytest.mark.usefixtures("nothing_left")
CONFIG = ProxyConfig(cluster_cidr="10.244.0.0/16")
WEB, WEB_SLICE = load_balancer(external_ips=("192.0.2.1",)), slice_of(here(2), here(3), elsewhere(2))
DNS = service("dns", ServicePort("dns", "UDP", 53, 8080), cluster_ip="10.96.0.53")
DNS_SLICE = slice_of(here(5), elsewhere(5), name="dns", port="dns", protocol="UDP")
EMPTY = service("empty", cluster_ip="10.96.0.11")
BEFORE = cluster(WEB, DNS, EMPTY, WEB_SLICE, DNS_SLICE)
every_mode = pytest.mark.parametrize("mode", available_modes())
slow_but_few = settings(
    max_examples=int(os.environ.get("SYNC_EXAMPLES", "5")),  # `make sync-tests` takes more
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # each step of a shrinking would take a second
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def node():
    with Namespace.create("node-1") as namespace:
        yield namespace


def from_nothing(mode, config, spec, extension=Extension()):  # noqa: B008
    """Return the state of a new namespace after one full sync."""
    with Namespace.create("fresh") as fresh:
        proxier = Proxier(fresh, NODE.name, mode, config)
        assert proxier.sync(spec, extension).scope == "full"
        return node_state(fresh, proxier.backend)


@every_mode
@slow_but_few
@given(clusters(), clusters(), configs)
def test_a_partial_sync_ends_where_a_full_one_does(mode, first, second, config):
    with Namespace.create("node-1") as node:
        proxier = Proxier(node, NODE.name, mode, config)
        proxier.sync(first)
        proxier.sync(second)
        assert node_state(node, proxier.backend) == from_nothing(mode, config, second)
        again = proxier.sync(second)
        assert (again.scope, again.changes) == ("partial", 0)


@every_mode
@slow_but_few
@given(clusters(), configs)
def test_cleanup_returns_the_node_to_what_it_was(mode, spec, config):
    with Namespace.create("node-1") as node:
        proxier = Proxier(node, NODE.name, mode, config)
        save = [proxier.backend.save]
        append = f"iptables-{proxier.backend.name} -A FORWARD -s 192.0.2.9 -j DROP"
        assert node.command(append.split()).status == 0
        before = node_state(node, proxier.backend)
        proxier.sync(spec)
        assert node_state(node, proxier.backend) != before
        proxier.cleanup()
        assert node_state(node, proxier.backend) == before
        assert "KUBE" not in node.command(save).stdout  # chains without rules, which no state names
        assert not has_device(node)


@every_mode
def test_a_second_sync_writes_nothing_and_starts_no_process(node, mode, monkeypatch):
    proxier = Proxier(node, NODE.name, mode, CONFIG)
    proxier.sync(BEFORE)
    commands, sent = [], []
    monkeypatch.setattr(Namespace, "command", lambda *given, **_: commands.append(given))
    monkeypatch.setattr(IpvsSocket, "change", lambda _, changes: sent.append(changes))
    relabelled = replace(BEFORE, services=(replace(WEB, labels={"a": "b"}), DNS, EMPTY))
    for spec in (BEFORE, replace(BEFORE), relabelled):
        report = proxier.sync(spec)
        assert (report.scope, report.writes, report.services) == ("partial", {}, ())
    assert (commands, sent) == ([], [])


@every_mode
def test_one_endpoint_more_is_a_few_writes_however_it_is_told(node, mode):
    proxier = Proxier(node, NODE.name, mode, CONFIG)
    proxier.sync(BEFORE)
    more = slice_of(*WEB_SLICE.endpoints, elsewhere(9))
    after = replace(BEFORE, slices=(more, DNS_SLICE))
    report = proxier.update(ClusterChanges(slices={"default/web": (more,)}))
    assert (report.scope, report.services) == ("partial", ("default/web",))
    assert (
        report.writes
        == {
            # KUBE-SVC- with its chances, and the new KUBE-SEP-
            "iptables": {"chains": 2, "rules": 7},
            # one behind each of cluster IP, external IP, load balancer's address, node port
            "ipvs": {"real servers": 4},
            # the endpoint's chain and its two rules; the choice emptied, the marking and the choice anew
            "nftables": {"statements": 6},
        }[mode]
    )
    assert node_state(node, proxier.backend) == from_nothing(mode, CONFIG, after)
    assert proxier.sync(after).changes == 0
    assert proxier.plan == plan_node(mode, after, NODE, CONFIG, addresses=read_node_addresses(node))


@every_mode
def test_services_that_come_and_go_by_updates(node, mode):
    proxier = Proxier(node, NODE.name, mode, CONFIG)
    proxier.sync(cluster(WEB, WEB_SLICE))
    for changes, after in (
        ({"default/dns": DNS}, cluster(WEB, DNS, WEB_SLICE)),
        ({"default/web": None, "default/empty": EMPTY}, cluster(DNS, EMPTY)),
        ({"default/dns": None, "default/empty": None}, cluster()),
    ):
        proxier.update(ClusterChanges(changes, {} if "default/dns" in changes else {"default/web": ()}))
        assert node_state(node, proxier.backend) == from_nothing(mode, CONFIG, after)


def test_other_weights_and_schedulers_take_a_full_sync(node):
    proxier = Proxier(node, NODE.name, "ipvs", CONFIG)
    proxier.sync(BEFORE)
    heavy = Extension(weights={"10.244.1.2": 7}, schedulers={"default/web": "wrr"})
    assert proxier.sync(BEFORE, heavy).why == "other schedulers or weights"
    assert node_state(node, proxier.backend) == from_nothing("ipvs", CONFIG, BEFORE, heavy)
    fewer = replace(BEFORE, slices=(slice_of(here(2), here(9)), DNS_SLICE))
    assert proxier.sync(fewer, heavy).scope == "partial"
    assert node_state(node, proxier.backend) == from_nothing("ipvs", CONFIG, fewer, heavy)


def test_a_large_clusters_rules_lose_their_comments_and_get_them_back(node):
    proxier = Proxier(node, NODE.name, "iptables", CONFIG)
    crowd = slice_of(*(elsewhere(number) for number in range(1, 250)))
    slices = tuple(
        replace(
            crowd,
            name=f"web-{n}",
            endpoints=tuple(
                replace(one, address=f"10.244.{n + 3}.{i}") for i, one in enumerate(crowd.endpoints)
            ),
        )
        for n in range(4)
    )
    proxier.sync(cluster(WEB, EMPTY, *slices))
    grown = cluster(
        WEB,
        EMPTY,
        *slices,
        replace(DNS_SLICE, service="empty", ports=slices[0].ports, endpoints=crowd.endpoints[:5]),
    )
    report = proxier.sync(grown)
    assert (report.scope, "large" in report.why) == ("full", True)
    assert node_state(node, proxier.backend) == from_nothing("iptables", CONFIG, grown)
    assert proxier.sync(cluster(WEB, EMPTY, *slices)).scope == "full"


def test_before_the_first_sync_nothing_can_be_updated(node):
    proxier = Proxier(node, NODE.name, "iptables", CONFIG)
    for call in (lambda: proxier.update(ClusterChanges()), proxier.resync, lambda: proxier.plan):
        with pytest.raises(RequestError, match="not programmed"):
            call()
