"""Values to JSON, JSON to values, and the JSON Schema between them: all from the annotations of a dataclass.

So every format has one definition. Known are dataclasses, str, int, float, bool, None in unions, Literal,
tuples of one kind and mappings from str (from certain strings where the key is Annotated with them). Fields
whose metadata say `written: False` are not part of the format.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from labkit.errors import RequestError

JSON_NAMES: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}


def encode(value: Any) -> Any:
    """Return a value of a known kind as dicts, lists, strings and numbers, ready for `json.dumps`."""
    if dataclasses.is_dataclass(value):
        return {name: encode(getattr(value, name)) for name in written_fields(value.__class__)}
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return value


def decode(kind: Any, data: Any, place: str) -> Any:
    """Return `data`, as `json.loads` gives it, as a value of `kind`; unwritten fields are empty tuples.

    Raises RequestError where the data do not fit: which one (`place` is the whole), and what stands there.
    """
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, place)
    if origin is Literal:
        return data if data in get_args(kind) else _refuse(data, place, _names(get_args(kind)))
    if origin in {Union, UnionType}:
        return _decode_union(get_args(kind), data, place)
    if origin is tuple:
        items = data if isinstance(data, list) else _refuse(data, place, "a list")
        return tuple(decode(get_args(kind)[0], item, f"{place}[{at}]") for at, item in enumerate(items))
    if origin is Mapping:
        key, value = get_args(kind)
        return _decode_mapping(key, value, data, place)
    return data if _is_plain(kind, data) else _refuse(data, place, f"a {JSON_NAMES[kind]}")


def json_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what `encode` makes of a value of `kind`."""
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_schema(kind)
    if origin is Literal:
        return {"enum": list(get_args(kind))}
    if origin in {Union, UnionType}:
        return {"anyOf": [json_schema(one) for one in get_args(kind)]}
    if origin is tuple:
        return {"type": "array", "items": json_schema(get_args(kind)[0])}
    if origin is Mapping:
        key, value = get_args(kind)
        return _mapping_schema(key, value)
    return {"type": JSON_NAMES[kind]}


@lru_cache
def written_fields(kind: Any) -> Mapping[str, Any]:
    """Return the fields of a dataclass that its format has, with their annotations."""
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind) if field.metadata.get("written", True)]
    return {name: hints[name] for name in names}


def _dataclass_schema(kind: Any) -> dict[str, Any]:
    fields = written_fields(kind)
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "properties": {name: json_schema(annotation) for name, annotation in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }


def _mapping_schema(key: Any, value: Any) -> dict[str, Any]:
    allowed = _allowed_keys(key)
    if allowed is None:
        return {"type": "object", "additionalProperties": json_schema(value)}
    properties = {name: json_schema(value) for name in allowed}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _allowed_keys(key: Any) -> tuple[str, ...] | None:
    if get_origin(key) is Literal:
        return get_args(key)
    if get_origin(key) is Annotated:
        names: tuple[str, ...] = get_args(key)[1]
        return names
    return None


def _decode_dataclass(kind: Any, data: Any, place: str) -> Any:
    fields = written_fields(kind)
    items = data if isinstance(data, dict) else _refuse(data, place, "an object")
    for name in [*fields, *items]:
        if (name in fields) != (name in items):
            raise RequestError(
                f"{place} {'has no' if name in fields else 'has an unknown'} {name!r}",
                todo="it was written by another version of labkit, or changed: write it again",
            )
    values = {name: decode(annotation, items[name], f"{place}.{name}") for name, annotation in fields.items()}
    unwritten = {field.name: () for field in dataclasses.fields(kind) if field.name not in fields}
    return kind(**values, **unwritten)


def _decode_union(kinds: tuple[Any, ...], data: Any, place: str) -> Any:
    if data is None and NoneType in kinds:
        return None
    (kind,) = (one for one in kinds if one is not NoneType)
    return decode(kind, data, place)


def _decode_mapping(key: Any, value: Any, data: Any, place: str) -> dict[str, Any]:
    allowed = _allowed_keys(key)
    items = data if isinstance(data, dict) else _refuse(data, place, "an object")
    for name in items:
        if allowed is not None and name not in allowed:
            _refuse(name, place, _names(allowed))
    return {name: decode(value, item, f"{place}.{name}") for name, item in items.items()}


def _is_plain(kind: Any, data: Any) -> bool:
    if kind is float:
        return isinstance(data, int | float) and not isinstance(data, bool) and math.isfinite(data)
    return type(data) is kind


def _names(values: tuple[Any, ...]) -> str:
    return "one of " + ", ".join(map(str, values))


def _refuse(data: Any, place: str, wanted: str) -> Any:
    raise RequestError(f"{place} is {data!r}, not {wanted}", todo="write the file again, or correct it")
