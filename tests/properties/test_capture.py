"""Dumps of random tables: what is kube-proxy's is kept as it is, all else is counted, nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labkit.capture.dump import read_dump
from labkit.capture.ownership import own_tables, target_of
from labkit.proxy.merge import is_own_chain
from labkit.proxy.restore import render_saved
from labkit.proxy.rules import CountedChain, CountedRule, CountedTable
from labkit.spec.text import Text

OWN = ("KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-SVC-A", "KUBE-SEP-B")
OTHERS = ("cali-FORWARD", "DOCKER", "FLANNEL-FWD", "KUBE-KUBELET-CANARY", "mine")
BUILT_IN = ("INPUT", "FORWARD", "OUTPUT")
matches = st.lists(
    st.sampled_from(
        [("-s", "10.0.0.1/32"), ("!", "-d", "10.0.0.0/8"), ("-m", "comment", "--comment", "a b")]
    ),
    max_size=2,
)
rules = st.builds(
    lambda parts, target, numbers: CountedRule(
        (*(word for part in parts for word in part), "-j", target), *numbers
    ),
    matches,
    st.sampled_from([*OWN, *OTHERS, "ACCEPT", "DROP"]),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, CountedTable]:
    made = {}
    for name in draw(st.lists(st.sampled_from(["nat", "filter", "mangle"]), min_size=1, unique=True)):
        chains = {}
        for chain in (*BUILT_IN, *OWN, *OTHERS):
            policy = draw(st.sampled_from(["ACCEPT", "DROP"])) if chain in BUILT_IN else "-"
            chains[chain] = CountedChain(policy, 0, 0, tuple(draw(st.lists(rules, max_size=3))))
        made[name] = CountedTable(name, chains)
    return made


@given(tables())
def test_of_own_chains_nothing_is_lost_and_of_others_nothing_kept(held):
    dump = read_dump([Text("x", "".join(render_saved(table) for table in held.values()))])
    for name, table in held.items():
        kept = dump.tables[name].chains
        assert {chain: kept[chain].rules for chain in OWN} == {
            chain: table.chains[chain].rules for chain in OWN
        }
        for chain in OTHERS:
            assert chain not in kept or kept[chain].rules == ()
        for chain in BUILT_IN:
            wanted = [one for one in table.chains[chain].rules if is_own_chain(target_of(one.rule))]
            assert list(kept[chain].rules if chain in kept else ()) == wanted
            assert chain not in kept or kept[chain].policy == "ACCEPT"
    counted = [words.split()[0] for words in dump.left_out if ", such as " in words]
    assert sum(map(int, counted)) == len(OTHERS) * len(held)


@given(tables())
def test_what_is_own_is_so_when_it_is_read_again(held):
    own = own_tables(held)
    again = read_dump([Text("x", "".join(render_saved(table) for table in own.values()))])
    assert {name: set(table.chains) - set(OTHERS) for name, table in again.tables.items()} == {
        name: set(table.chains) - set(OTHERS) for name, table in own.items()
    }
