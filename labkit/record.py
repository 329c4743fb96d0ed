"""Immutable values for what the guest's first process imports.

`dataclasses` and `typing.NamedTuple` do the same, but bring `inspect` and `typing` along: in a guest, where
each page and each system call is two changes of processes on the host, they take a tenth of a second.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:

    class _RecordType(type):
        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = namespace["__annotations__"]
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            values = namedtuple(name, fields, defaults=defaults)  # noqa: PYI024 - typing is what is avoided
            return type(name, (values,), {"__slots__": (), **namespace})

    class Record(metaclass=_RecordType):
        """A tuple whose fields have the names and defaults of the class body's annotations."""


__all__ = ["Record"]
