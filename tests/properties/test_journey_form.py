"""A journey's JSON: it comes back as it was, and the published schema describes it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit.measure.journey
from labkit.errors import RequestError
from labkit.measure.journey.form import from_json, journey_schema, to_json
from labkit.measure.journey.journey import Journey

PACKAGE = Path(labkit.measure.journey.__file__).parent
SAMPLES = sorted((Path(__file__).parents[1] / "samples" / "journey").glob("*.json"))
JOURNEYS = st.from_type(Journey)


@settings(max_examples=25, deadline=None)
@given(JOURNEYS)
def test_a_journey_comes_back_from_its_json(journey):
    assert from_json(to_json(journey)) == journey


@settings(max_examples=25, deadline=None)
@given(JOURNEYS)
def test_the_schema_describes_what_is_written(journey):
    jsonschema.validate(json.loads(to_json(journey)), journey_schema())


def test_the_published_schema_is_that_of_the_values():
    assert json.loads((PACKAGE / "journey.schema.json").read_text()) == journey_schema()


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_the_samples_are_journeys(path):
    assert to_json(from_json(path.read_text())) == path.read_text()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "events": 3}'])
def test_what_is_no_journey_is_refused(text):
    with pytest.raises(RequestError):
        from_json(text)


def test_every_field_of_a_journey_is_written():
    assert set(json.loads(SAMPLES[0].read_text())) == {"schema", *(one.name for one in fields(Journey))}
    assert get_type_hints(Journey)
