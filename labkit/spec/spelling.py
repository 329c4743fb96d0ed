"""Keys that are nearly a field's name: the lab lets unknown fields through, but not misspelt ones.

A real object has a hundred fields that mean nothing to the lab; `targetport:` or `selctor:` silently ignored
would cost its writer an evening.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from labkit.spec.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]

_REAL_NEIGHBOURS = frozenset(
    [
        "appProtocol",
        "creationTimestamp",
        "ephemeralContainers",
        "forNodes",
        "generateName",
        "initContainers",
        "ipFamilyPolicy",
        "podIPs",
    ]
)


def misspelt_fields(model: type[BaseModel], value: Any, path: Path = ()) -> list[tuple[Path, str]]:
    """Return (path of the key, the field that was meant) of every misspelt field at and below `value`."""
    if isinstance(value, list):
        return [
            found
            for index, item in enumerate(value)
            for found in misspelt_fields(model, item, (*path, index))
        ]
    if not isinstance(value, dict):
        return []
    fields = _fields(model)
    found: list[tuple[Path, str]] = []
    for key, item in value.items():
        if key in fields:
            below = fields[key]
            if below is not None and item is not None:
                found += misspelt_fields(below, item, (*path, key))
        elif (meant := _meant(model, key)) and meant not in value:
            found.append(((*path, key), meant))
    return found


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, type[BaseModel] | None]:
    """Return the fields of a model by their names in manifests, each with the model of what is below."""
    return {field.alias or name: _model_in(field.annotation) for name, field in model.model_fields.items()}


@cache
def _meant(model: type[BaseModel], key: str) -> str:
    if key in _REAL_NEIGHBOURS:
        return ""
    return nearest(key, _fields(model), cutoff=0.8)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)
