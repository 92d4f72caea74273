"""A schema is asked for strictly where every provider takes it so, and loosely where one would refuse it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages_api.services.translation.strict_schema import passes_strict
from testing.openrouter_simulator.models import MODELS
from testing.openrouter_simulator.refusals import Refusal
from testing.openrouter_simulator.rules_schema import check_strict_schema

Json = dict[str, Any]
TEXT = {"type": "string"}


def closed(**properties: Any) -> Json:
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@pytest.mark.parametrize(
    "schema",
    [
        closed(),
        closed(title={**TEXT, "description": "A title.", "pattern": "^a", "format": "date"}),
        closed(tags={"type": "array", "items": TEXT, "minItems": 1}, inner=closed(kind={"enum": ["a", "b"]})),
        closed(either={"anyOf": [TEXT, {"type": "null"}]}),
        {**closed(node={"$ref": "#/$defs/Node"}), "$defs": {"Node": closed(children=TEXT)}},
    ],
)
def test_a_closed_schema_is_strict(schema: Json) -> None:
    assert passes_strict(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        TEXT,
        {"type": "object"},
        {"type": "object", "properties": {"a": TEXT}, "required": [], "additionalProperties": False},
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
        {**closed(), "anyOf": [closed()]},
        closed(a={"type": "object", "properties": {}}),
        closed(a={"type": ["object", "null"]}),
        closed(a={"type": "array", "items": {"type": "object"}}),
        closed(a={**TEXT, "default": ""}),
        closed(a={**TEXT, "minLength": 1}),
        closed(a={**TEXT, "format": "uri"}),
        closed(a={"oneOf": [TEXT]}),
        closed(a={"allOf": [TEXT]}),
        closed(a={"not": TEXT}),
        closed(a={"anyOf": [{"type": "object"}]}),
        closed(a={"$ref": "#/$defs/A", "description": "An a."}),
        {**closed(a={"$ref": "#/$defs/A"}), "$defs": {"A": {"type": "object"}}},
        closed(a=True),
        {**closed(), "properties": None},
        {**closed(a=TEXT), "required": "a"},
    ],
)
def test_a_schema_that_some_provider_refuses_is_not(schema: Json) -> None:
    assert not passes_strict(schema)


def test_a_schema_that_is_too_deep_is_not() -> None:
    schema = closed()
    for _ in range(5):
        schema = closed(inner=schema)
    assert passes_strict(schema)
    for _ in range(10):
        schema = closed(inner=schema)
    assert not passes_strict(schema)


SCHEMAS = st.recursive(
    st.sampled_from([TEXT, closed(), {"type": "object"}, {"enum": ["a"]}, {**TEXT, "default": "a"}]),
    lambda inner: (
        st.builds(lambda a, b: closed(a=a, b=b), inner, inner)
        | st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner)
        | st.builds(lambda a: {"oneOf": [a]}, inner)
        | st.builds(lambda a: {"type": "object", "properties": {"a": a}}, inner)
    ),
    max_leaves=8,
)


@given(schema=st.builds(lambda a: closed(a=a), SCHEMAS))
def test_what_is_strict_here_is_strict_to_openai(schema: Json) -> None:
    model = next(model for model in MODELS if model.family == "openai")
    if passes_strict(schema):
        try:
            check_strict_schema(model, "schema", schema)
        except Refusal as refusal:
            pytest.fail(str(refusal))
