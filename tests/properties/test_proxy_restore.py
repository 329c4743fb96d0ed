"""iptables' text: what is printed is read back as it was."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.proxy.restore import parse_save, render_restore, render_rule, render_saved, split_rule
from labkit.proxy.rules import CountedChain, CountedRule, CountedTable, Table

quick = settings(max_examples=100, deadline=None)
words = st.text(st.characters(exclude_characters="\0\n\r", exclude_categories=("Cs",)), max_size=12)
rules = st.lists(words, min_size=1, max_size=6).map(tuple)
names = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="-_"), min_size=1)
counts = st.integers(0, 2**64 - 1)
counted_chains = st.builds(
    CountedChain,
    policy=st.sampled_from(["-", "ACCEPT", "DROP"]),
    packets=counts,
    bytes=counts,
    rules=st.lists(st.builds(CountedRule, rules, counts, counts), max_size=4).map(tuple),
)
tables = st.builds(
    CountedTable, st.sampled_from(["nat", "filter"]), st.dictionaries(names, counted_chains, max_size=4)
)


@quick
@given(rules)
def test_a_rule_is_read_as_it_was_printed(rule):
    assert split_rule(render_rule(rule)) == rule


@quick
@given(tables)
def test_a_table_is_read_as_it_was_saved(table):
    assert parse_save(render_saved(table)) == {table.name: table}


@quick
@given(st.dictionaries(names, st.lists(rules, max_size=4).map(tuple), max_size=4))
def test_restore_input_reads_as_a_table_without_counters(chains):
    (read,) = parse_save(render_restore([Table("nat", chains)])).values()
    assert {name: tuple(one.rule for one in chain.rules) for name, chain in read.chains.items()} == chains
