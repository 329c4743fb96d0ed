"""Bringing rules into tables that others use as well."""

from __future__ import annotations

from proxy_clusters import NODE, cluster, here, service, slice_of

from labkit.proxy.iptables import plan_iptables
from labkit.proxy.merge import merge_text
from labkit.proxy.restore import parse_save, render_restore
from labkit.spec.proxyconfig import ProxyConfig

CHAIN = "KUBE-SVC-OLDOLDOLDOLDOLDO"
OTHERS = f"""*nat
:OUTPUT ACCEPT [0:0]
:{CHAIN} - [0:0]
:KUBE-SERVICES - [0:0]
-A OUTPUT -d 192.0.2.1 -j {CHAIN}
-A OUTPUT -d 192.0.2.2 -g {CHAIN}
-A OUTPUT -d 192.0.2.3 -j KUBE-SERVICES
-A {CHAIN} -j ACCEPT
COMMIT
"""


def merged(*parts):
    plan = plan_iptables(cluster(*parts), NODE, ProxyConfig())
    return merge_text(plan.tables, plan.jumps, parse_save(OTHERS)).splitlines()


def test_a_rule_into_a_chain_that_goes_is_removed_and_one_into_a_chain_that_stays_is_not():
    lines = merged()
    removed = [line for line in lines if line.startswith("-D")]
    assert removed == [f"-D OUTPUT -d 192.0.2.1 -j {CHAIN}", f"-D OUTPUT -d 192.0.2.2 -g {CHAIN}"]
    assert lines.index(removed[0]) < lines.index(f"-X {CHAIN}")


def test_every_chain_of_the_plan_is_emptied_and_written_again():
    plan = plan_iptables(cluster(service(), slice_of(here(2))), NODE, ProxyConfig())
    lines = merged(service(), slice_of(here(2)))
    assert set(render_restore(plan.tables).splitlines()) <= set(lines)
    assert f":{CHAIN} - [0:0]" in lines


def test_the_canary_is_made_once():
    made = merge_text((), (), {}, ("mangle",))
    assert made == "*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n"
    assert merge_text((), (), parse_save(made), ("mangle",)) == ""
