"""What is said to nftables in netlink, and what is left to nft."""

import pytest
from proxy_clusters import NODE, cluster, elsewhere, here, load_balancer, service, slice_of

from labkit.proxy.nftables_changes import plan_statements, service_share
from labkit.proxy.nftables_expressions import UnspokenError, compile_rule
from labkit.proxy.nftables_messages import MOST_CHOICES, encode_statements
from labkit.proxy.nftables_statements import Statement, add, rule
from labkit.proxy.plans import mode_settings
from labkit.proxy.services import forwarded_ports
from labkit.spec.proxyconfig import ProxyConfig

SETTINGS = mode_settings("nftables", NODE, ProxyConfig(cluster_cidr="10.244.0.0/16"), ())


def changes(before, after):
    """Return what a sync says when one cluster becomes another."""
    shares = [service_share([forwarded_ports(one, SETTINGS)], SETTINGS) for one in (before, after)]
    return plan_statements(*shares)


@pytest.mark.parametrize(
    "after",
    [
        cluster(service(), slice_of(here(2), elsewhere(2))),
        cluster(service(affinity_timeout_s=60), slice_of(here(2), elsewhere(2))),
        cluster(load_balancer(external_ips=("192.0.2.1",)), slice_of(here(2))),
        cluster(load_balancer(external_policy="Local"), slice_of(elsewhere(2))),
        cluster(load_balancer()),
        cluster(),
    ],
)
def test_whatever_becomes_of_a_service_is_said_in_netlink(after):
    before = cluster(load_balancer(affinity_timeout_s=90), slice_of(here(2), here(3)))
    statements = changes(before, after)
    told = [statement for _, statement in encode_statements(statements)]
    assert list(dict.fromkeys(told)) == list(dict.fromkeys(statements))


@pytest.mark.parametrize(
    "statement",
    [
        rule("firewall-a", "ip saddr != { 10.0.0.0/8 , 192.0.2.1 } drop"),
        rule("external-a", "iif cni0 goto service-a"),
        rule("service-a", "ip saddr 0.0.0.0/0 drop"),
        rule("service-a", "numgen random mod 2 vmap { 0 : goto a , 2 : goto b }"),
        rule("service-a", "jump"),
        add("set", "other", "{ type inet_service ; }"),
        add("element", "affinity-a", "{ 10.244.1.2 expires 7s }"),
        add("chain", "nat-output", "{ type nat hook output priority -100 ; }"),
        Statement("delete", "table", ""),
        rule(
            "service-a",
            f"numgen random mod {MOST_CHOICES + 1} vmap "
            f"{{ {' , '.join(f'{n} : goto e{n}' for n in range(MOST_CHOICES + 1))} }}",
        ),
    ],
    ids=lambda statement: statement.line[:60],
)
def test_what_is_rare_is_left_to_nft(statement):
    with pytest.raises(UnspokenError):
        encode_statements([statement])


def test_a_map_of_choices_keeps_their_order():
    choices = compile_rule("numgen random mod 2 vmap { 0 : goto endpoint-b , 1 : goto endpoint-a }").choices
    assert choices == ("endpoint-b", "endpoint-a")
