"""The flow table's text is read as it stands."""

from flows.rows import Row, read_list, read_matrix
from flows.table import ROWS

MATRIX = """
from | cluster IP | node port    | why
pod  | here=      | here= there=! | a reason
ipvs | .          | drop         | another
"""
LIST = """
service | from    | to        | protocol | iptables | nftables | ipvs   | why
a b     | pod     | node port | TCP      | drop     | .        | reject |
c       | pod     | node port | TCP      | -        | .        | drop   |
"""


def words(rows):
    return {(row.mode, row.destination, row.protocol): (set(row.expected), row.why) for row in rows}


def test_a_matrix_has_a_line_for_each_source_and_what_differs_in_a_mode_below():
    read = words(read_matrix("web", ("TCP", "UDP"), MATRIX))
    assert len(read) == 12
    assert read["iptables", "cluster IP", "TCP"] == ({"here="}, "a reason")
    assert read["ipvs", "cluster IP", "TCP"] == ({"here="}, "another")
    assert read["nftables", "node port", "UDP"] == ({"here=", "there=!"}, "a reason")
    assert read["nftables", "node port", "TCP"] == ({"here=", "drop"}, "a reason")  # no handshake, no answer
    assert read["ipvs", "node port", "TCP"] == ({"drop"}, "another")


def test_a_list_has_a_column_for_each_mode():
    rows = list(read_list(LIST, weather="FORWARD drops"))
    assert [(row.service, row.mode, set(row.expected)) for row in rows] == [
        *(
            (name, mode, expected)
            for mode, expected in (("iptables", {"drop"}), ("nftables", {"drop"}), ("ipvs", {"reject"}))
            for name in ("a", "b")
        ),
        ("c", "ipvs", {"drop"}),
    ]
    assert {row.weather for row in rows} == {"FORWARD drops"}


def test_the_table_asks_nothing_twice():
    asked = [(r.mode, r.service, r.source, r.destination, r.protocol, r.weather, r.setup) for r in ROWS]
    assert len(asked) == len(set(asked))
    assert isinstance(ROWS[0], Row)
