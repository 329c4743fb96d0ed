"""Records are tuples with names and defaults: as `typing.NamedTuple` makes them, at less cost."""

import pickle
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.record import Record


class Point(Record):
    """A record."""

    x: int
    y: int = 2
    name: str = "here"

    def double(self) -> "Point":
        """Return another."""
        return self._replace(x=2 * self.x)


class Known(NamedTuple):
    """The same by the standard library."""

    x: int
    y: int = 2
    name: str = "here"


CALLS = st.tuples(
    st.lists(st.integers(0, 9), max_size=4),
    st.dictionaries(st.sampled_from(["x", "y", "name", "z"]), st.integers(0, 9), max_size=4),
)


@given(CALLS)
def test_a_record_takes_what_a_named_tuple_takes(call):
    values, named = call
    try:
        known = Known(*values, **named)
    except TypeError:
        with pytest.raises(TypeError, match=r"Point (has the fields|lacks)"):
            Point(*values, **named)
    else:
        made = Point(*values, **named)
        assert tuple(made) == tuple(known)
        assert made._asdict() == known._asdict()
        assert repr(made) == repr(known).replace("Known", "Point")
        assert pickle.loads(pickle.dumps(made)) == made


def test_a_record_has_methods_names_and_patterns():
    assert Point(3).double() == (6, 2, "here")
    match Point(1, name="there"):
        case Point(x, y, name):
            assert (x, y, name) == (1, 2, "there")


def test_a_record_cannot_be_changed():
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2
    with pytest.raises(AttributeError):
        point.other = 2
    with pytest.raises(TypeError, match="has the fields"):
        point._replace(other=2)
