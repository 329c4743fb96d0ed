"""IPVS mode in a real namespace: virtual servers, sets, the device, and what switching modes leaves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.errors import ProgramError, RequestError
from labkit.fabric.namespace import Namespace
from labkit.guest.probe import takes_nftables
from labkit.proxy.extension import lab_extension
from labkit.proxy.iptables import plan_iptables
from labkit.proxy.ipvs import plan_ipvs
from labkit.proxy.ipvs_changes import plan_changes
from labkit.proxy.ipvs_netlink import IpvsSocket
from labkit.proxy.nftables import plan_nftables
from labkit.proxy.printing import plan_script
from labkit.proxy.program import apply_plan, available_schedulers, clear, read_virtual_servers
from labkit.proxy.program_device import read_bound_addresses
from labkit.proxy.program_nft import read_table
from labkit.proxy.program_sets import read_sets
from labkit.proxy.program_tables import find_backend, read_tables
from labkit.proxy.rules import Table
from labkit.spec.model import Pod, ServicePort
from labkit.spec.proxyconfig import IpvsConfig, ProxyConfig

pytestmark = pytest.mark.usefixtures("nothing_left")
CONFIG = ProxyConfig(cluster_cidr="10.244.0.0/16")
RICH = cluster(
    load_balancer(
        source_ranges=("198.51.100.0/24", "192.0.2.8/32", "172.16.0.0/12"),
        affinity_timeout_s=60,
        external_ips=("192.0.2.1",),
    ),
    slice_of(here(2), here(3), elsewhere(2)),
    service(
        "dns",
        ServicePort("dns", "UDP", 53, 8080),
        ServicePort("sctp", "SCTP", 99, 8080),
        cluster_ip="10.96.0.53",
    ),
    slice_of(here(5), name="dns", port="dns", protocol="UDP"),
    service("empty", cluster_ip="10.96.0.11"),
)
POOR = cluster(service(), slice_of(elsewhere(2), elsewhere(7)))


@pytest.fixture
def node():
    with Namespace.create("node-1") as namespace:
        yield namespace


@pytest.fixture
def backend(node):
    return find_backend(node)


def differences(plan, node):
    held = [one.server for one in read_virtual_servers(node)]
    return plan_changes(plan.virtual_servers, held)


def everything(node, backend):
    """Return all that a mode can leave behind; a jump may stand anywhere in its built-in chain."""
    return {
        "rules": {
            (table, name): rules if name.startswith("KUBE-") else sorted(rules)
            for table, held in read_tables(node, backend).items()
            for name, chain in held.chains.items()
            if (rules := [one.rule for one in chain.rules]) or name.startswith("KUBE-")
        },
        "sets": read_sets(node),
        "nftables": read_table(node),
        "addresses": set(read_bound_addresses(node)),
        "servers": {
            one.server.key: (one.server.scheduler, one.server.flags, frozenset(one.server.real_servers))
            for one in read_virtual_servers(node)
        },
    }


def test_every_scheduler_of_the_guest_is_programmed_and_read_back(node, backend):
    schedulers = available_schedulers(node)
    assert len(schedulers) >= 13
    apply_plan(plan_ipvs(RICH, NODE, CONFIG), node, backend)
    for scheduler in schedulers:
        plan = plan_ipvs(RICH, NODE, replace(CONFIG, ipvs=IpvsConfig(scheduler=scheduler)))
        with node.run(IpvsSocket) as ipvs:
            assert ipvs.change(differences(plan, node)) == []
        assert differences(plan, node) == ()


def test_weights_and_a_services_own_scheduler_are_programmed(node, backend):
    weighted = replace(POOR, pods=(Pod("default", "heavy", "node-2", "10.244.2.2", weight=9),))
    for schedulers, weights in (({"default/web": "wrr"}, {}), ({}, {"default/heavy": 0})):
        extension = lab_extension(weighted, schedulers, weights)
        plan = plan_ipvs(weighted, NODE, CONFIG, extension=extension)
        apply_plan(plan, node, backend)
        assert differences(plan, node) == ()
    (held,) = read_virtual_servers(node)
    assert {one.real.address: one.real.weight for one in held.reals} == {"10.244.2.2": 0, "10.244.2.7": 1}


def test_the_device_has_the_addresses_and_stays_down(node, backend):
    plan = plan_ipvs(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    (link,) = json.loads(node.command(["ip", "-j", "-d", "link", "show", "kube-ipvs0"]).stdout)
    assert (link["linkinfo"]["info_kind"], "UP" in link["flags"]) == ("dummy", False)
    assert set(read_bound_addresses(node)) == set(plan.addresses)
    apply_plan(plan_ipvs(POOR, NODE, CONFIG), node, backend)
    assert read_bound_addresses(node) == ("10.96.0.10",)


def test_sets_have_the_members_of_the_plan(node, backend):
    plan = plan_ipvs(RICH, NODE, CONFIG)
    apply_plan(plan, node, backend)
    held = read_sets(node)
    assert held.pop("KUBE-LOAD-BALANCER-SOURCE-CIDR") == {
        "203.0.113.7,tcp:80,198.51.100.0/24",
        "203.0.113.7,tcp:80,192.0.2.8",
        "203.0.113.7,tcp:80,172.16.0.0/12",
    }
    assert held == {
        one.name: frozenset(one.members)
        for one in plan.ipsets
        if one.name != "KUBE-LOAD-BALANCER-SOURCE-CIDR"
    }
    assert len(held) == 16


def test_a_source_range_of_everything_fits_no_set_and_is_left_out_as_kube_proxy_does(node, backend):
    wide = cluster(load_balancer(source_ranges=("0.0.0.0/0", "198.51.100.0/24")), slice_of(here(2)))
    apply_plan(plan_ipvs(wide, NODE, CONFIG), node, backend)
    assert read_sets(node)["KUBE-LOAD-BALANCER-SOURCE-CIDR"] == {"203.0.113.7,tcp:80,198.51.100.0/24"}
    refused = node.command(["ipset", "add", "KUBE-LOAD-BALANCER-SOURCE-CIDR", "203.0.113.7,tcp:80,0.0.0.0/0"])
    assert refused.status != 0


def test_any_order_of_plans_ends_in_the_last_one(node, backend):
    plans = (
        plan_ipvs(RICH, NODE, CONFIG),
        plan_ipvs(POOR, NODE, replace(CONFIG, ipvs=IpvsConfig(scheduler="lc"))),
        plan_iptables(RICH, NODE, CONFIG),
        *([plan_nftables(RICH, NODE, CONFIG)] if takes_nftables() else []),
    )
    from_nothing = []
    for plan in plans:
        clear(node, backend)
        apply_plan(plan, node, backend)
        from_nothing.append(everything(node, backend))
    for number in (0, 0, 1, 0, 2, 0, 3, 1, 1, 2, 1, 3, 2, 2, 3, 3, 0):  # every step from one to another
        if number >= len(plans):
            continue
        apply_plan(plans[number], node, backend)
        assert everything(node, backend) == from_nothing[number]


def test_the_printed_script_programs_what_applying_does(node, backend):
    plan = plan_ipvs(RICH, NODE, replace(CONFIG, ipvs=IpvsConfig(tcp_timeout_s=901.0)))
    apply_plan(plan, node, backend)
    applied = everything(node, backend)
    clear(node, backend)
    commands = {"iptables": f"iptables-{backend.name}", "iptables-restore": backend.restore}
    chosen = "".join(f'function {name} {{ {command} "$@"; }}\n' for name, command in commands.items())
    done = node.command(["bash", "-e"], stdin=chosen + plan_script(plan))
    assert (done.status, done.stderr) == (0, "")
    assert everything(node, backend) == applied
    assert "901" in node.command(["ipvsadm", "-l", "--timeout"]).stdout


def test_an_unknown_scheduler_is_refused_before_anything_is_written(node, backend):
    apply_plan(plan_ipvs(POOR, NODE, CONFIG), node, backend)
    before = everything(node, backend)
    unknown = plan_ipvs(RICH, NODE, replace(CONFIG, ipvs=IpvsConfig(scheduler="fastest")))
    with pytest.raises(RequestError, match="no IPVS scheduler 'fastest'") as refusal:
        apply_plan(unknown, node, backend)
    assert refusal.value.todo == "use one of: " + ", ".join(available_schedulers(node))
    assert "rr, wrr, lc, wlc" in refusal.value.todo
    assert everything(node, backend) == before


def test_a_refused_rule_leaves_rules_sets_and_servers_from_before(node, backend):
    apply_plan(plan_ipvs(POOR, NODE, CONFIG), node, backend)
    before = everything(node, backend)
    plan = plan_ipvs(RICH, NODE, CONFIG)
    nat, filter_ = plan.tables
    broken = Table(
        "filter", {**filter_.chains, "KUBE-FORWARD": (("-j", "DNAT", "--to-destination", "1.2.3.4"),)}
    )
    with pytest.raises(ProgramError, match="DNAT"):
        apply_plan(replace(plan, tables=(nat, broken)), node, backend)
    after = everything(node, backend)
    assert {**after, "addresses": before["addresses"]} == before


def test_clearing_leaves_nothing_but_what_is_excluded(node, backend):
    apply_plan(plan_ipvs(RICH, NODE, CONFIG), node, backend)
    assert node.command(["ipvsadm", "-A", "-t", "198.18.0.1:80"]).status == 0
    clear(node, backend, ("198.18.0.0/15",))
    left = everything(node, backend)
    assert {name for _, name in left["rules"] if name.startswith("KUBE-")} == set()
    assert (left["sets"], left["addresses"], set(left["servers"])) == ({}, set(), {"198.18.0.1:80/TCP"})
    assert node.command(["ip", "link", "show", "kube-ipvs0"]).status != 0


def test_clearing_an_untouched_namespace_does_nothing(node, backend):
    clear(node, backend)
    assert node.command(["ip", "-br", "link"]).stdout.split()[0] == "lo"
