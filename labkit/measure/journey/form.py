"""A journey as JSON. Its JSON Schema is published beside this module: journey.schema.json."""

from __future__ import annotations

import json
from typing import Any

from labkit.errors import RequestError
from labkit.measure.journey.journey import Journey
from labkit.measure.results import DIALECT
from labkit.measure.schema import decode, encode, json_schema

FORMAT = 1
_TITLE = "journey.json"


def to_json(journey: Journey) -> str:
    """Return the journey as JSON text; `from_json` makes the same journey of it."""
    return json.dumps({"schema": FORMAT, **encode(journey)}, allow_nan=False, separators=(",", ":")) + "\n"


def from_json(text: str) -> Journey:
    """Return the journey that `to_json` wrote. RequestError where the text has not its format."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RequestError(f"{_TITLE} is not JSON: {error}", todo="record the journey again") from error
    if not isinstance(document, dict) or document.pop("schema", None) != FORMAT:
        raise RequestError(
            f"{_TITLE} has not the format {FORMAT}",
            todo="it was written by another version of labkit: record the journey again",
        )
    journey: Journey = decode(Journey, document, _TITLE)
    return journey


def journey_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `to_json` writes."""
    body = json_schema(Journey)
    return {
        "$schema": DIALECT,
        "title": _TITLE,
        **body,
        "properties": {"schema": {"const": FORMAT}, **body["properties"]},
        "required": ["schema", *body["required"]],
    }
