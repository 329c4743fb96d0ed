"""Immutable values for what the guest's first process imports.

`dataclasses`, `typing.NamedTuple` and `collections.namedtuple` do the same, but bring `inspect`, `typing` or
`collections` along: in a guest, where each page and each system call is two changes of processes on the
host, the first two take a tenth of a second.
"""

from __future__ import annotations

from _operator import itemgetter  # the part of `operator` that is there without reading a file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:

    class _Values(tuple):
        __slots__ = ()
        _fields: tuple[str, ...] = ()
        _defaults: dict[str, object] = {}  # noqa: RUF012 - never changed

        def __new__(cls, *values: object, **named: object) -> _Values:  # noqa: PYI034 - no typing here
            if named or len(values) != len(cls._fields):
                values = cls._fill(values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _fill(cls, values: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
            given = dict(zip(cls._fields, values, strict=False))
            twice_or_unknown = [name for name in named if name in given or name not in cls._fields]
            if len(values) > len(cls._fields) or twice_or_unknown:
                raise TypeError(f"{cls.__name__} has the fields {cls._fields}, each once: {values}, {named}")
            whole = {**cls._defaults, **given, **named}
            missing = [name for name in cls._fields if name not in whole]
            if missing:
                raise TypeError(f"{cls.__name__} lacks {', '.join(missing)}")
            return tuple(whole[name] for name in cls._fields)

        def __getnewargs__(self) -> tuple[object, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            pairs = (f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({', '.join(pairs)})"

        def _asdict(self) -> dict[str, object]:
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changed: object) -> _Values:
            return type(self)(**{**self._asdict(), **changed})

    class _RecordType(type):
        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace["__annotations__"])
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            getters = {field: property(itemgetter(number)) for number, field in enumerate(fields)}
            known = {"__slots__": (), "__match_args__": fields, "_fields": fields, "_defaults": defaults}
            return type(name, (_Values,), {**namespace, **getters, **known})

    class Record(metaclass=_RecordType):
        """A tuple whose fields have the names and defaults of the class body's annotations."""


__all__ = ["Record"]
