"""A model's refusal -> the sentence that a user reads: what is wrong, and what to write instead."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

_NEEDED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def worded(error: ErrorDetails) -> tuple[str, str]:
    """Return (what is wrong, what to do) for one of pydantic's error details."""
    name, kind, given = dotted(error["loc"]), error["type"], error["input"]
    context = error.get("ctx", {})
    match kind:
        case "labkit":
            wording = f"{name}: {context['message']}", str(context["todo"])
        case "missing":
            wording = f"{name} is missing", "every object of this kind needs it"
        case "literal_error":
            wording = _not_allowed(name, given, re.findall(r"'([^']*)'", str(context["expected"])))
        case "greater_than_equal":
            wording = f"{name} is {given}", f"it cannot be less than {context['ge']}"
        case "less_than_equal":
            wording = f"{name} is {given}", f"it cannot be more than {context['le']}"
        case "too_short":
            wording = f"{name} is empty", "it needs at least one entry"
        case _ if kind in _NEEDED:
            wording = f"{name} must be {_NEEDED[kind]}, not {shown(given)}", _retyped(kind, given)
        case _:
            wording = f"{name}: {error['msg'].lower()}", ""
    return wording


def dotted(path: Iterable[str | int]) -> str:
    """Return a path the way kubectl writes it: `spec.ports[0].port`."""
    text = ""
    for step in path:
        if step == "[key]":
            continue
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def shown(value: Any) -> str:
    """Return a short picture of a wrong value and of what it is."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def nearest(word: str, known: Iterable[str], cutoff: float = 0.75) -> str:
    """Return the known word that `word` was probably meant to be, or ""."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else ""


def _not_allowed(name: str, given: Any, allowed: list[str]) -> tuple[str, str]:
    meant = nearest(given, allowed, 0.6) if isinstance(given, str) else ""
    allowed = [word for word in allowed if word]
    listed = f"{', '.join(allowed[:-1])} or {allowed[-1]}" if len(allowed) > 1 else allowed[0]
    todo = f"did you mean {meant}? allowed: {listed}" if meant else f"allowed: {listed}"
    return f"{name} cannot be {shown(given)}", todo


def _retyped(kind: str, given: Any) -> str:
    if kind == "string_type" and isinstance(given, bool):
        return "put it in quotes: on, off, yes, no, true and false without them are no text"
    if kind == "string_type" and isinstance(given, int | float):
        return f'put it in quotes: "{given}"'
    if kind.startswith("int") and isinstance(given, str) and given.isdecimal():
        return f"write {given} without quotes"
    if kind == "bool_type" and isinstance(given, str) and given.lower() in ("true", "false"):
        return f"write {given.lower()} without quotes"
    if kind in ("tuple_type", "list_type"):
        return (
            "start each entry with a hyphen"
            if isinstance(given, dict)
            else "write entries that start with a hyphen"
        )
    return ""
