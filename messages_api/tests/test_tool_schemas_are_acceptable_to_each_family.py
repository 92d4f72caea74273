"""What leaves for a family of models is a schema that the family takes, and says as much of the original as it can."""

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messages_api.services.translation.tool_schema import SchemaTooLarge, acceptable_schema, required_arguments

FAMILIES = ("google", "openai", "moonshotai", "mistralai", "anthropic", "x-ai")
COMBINATORS = {"anyOf", "oneOf", "allOf"}
LIKE_KEYWORDS = ("default", "$ref", "format", "oneOf", "properties", "items", "type", "enum", "required", "const")

# What Gemini's schema type has, spelled out here once more so that a change of the code cannot change the test.
GEMINI_WORDS = {"type", "description", "enum", "format", "nullable", "properties", "required", "items"}
GEMINI_TYPES = {"string", "number", "integer", "boolean", "array", "object"}


def arguments(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def google(schema: Any) -> dict[str, Any]:
    """What a property with this schema becomes for Gemini."""
    property_: dict[str, Any] = acceptable_schema(arguments(it=schema), "google")["properties"]["it"]
    return property_


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels - 1):
        schema = arguments(inner=schema)
    return schema


# --- every family ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["openai", "moonshotai", "mistralai", "anthropic", "x-ai"])
def test_a_schema_that_passes_is_returned_as_it_is(family: str) -> None:
    schema = {
        **arguments(path={"type": "string", "format": "uri", "default": "/"}, to={"$ref": "#/$defs/To"}),
        "$defs": {"To": {"type": "array", "items": {"oneOf": [{"const": 1}, {"type": "null"}]}}},
        "$schema": "http://json-schema.org/draft-07/schema#",
        "additionalProperties": False,
        "required": ["path"],
    }
    assert acceptable_schema(schema, family) is schema


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("root", [{}, {"type": ["object", "null"]}, {"type": "string"}, {"properties": None}])
def test_the_root_becomes_an_object(family: str, root: dict[str, Any]) -> None:
    assert acceptable_schema(root, family) == {"type": "object", "properties": {}}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_root_that_is_a_reference_is_opened(family: str) -> None:
    schema = {"$ref": "#/definitions/Args", "definitions": {"Args": {**arguments(a={}), "required": ["a"]}}}
    accepted = acceptable_schema(schema, family)
    assert (accepted["type"], list(accepted["properties"]), accepted["required"]) == ("object", ["a"], ["a"])
    assert "$ref" not in accepted


@pytest.mark.parametrize("family", FAMILIES)
def test_a_root_reference_to_itself_ends(family: str) -> None:
    accepted = acceptable_schema({"$ref": "#"}, family)
    assert accepted == {"type": "object", "properties": {}, "description": "Has the form of the whole."}


@pytest.mark.parametrize("family", ["google", "openai", "anthropic", "moonshotai"])
def test_a_choice_at_the_root_becomes_all_that_any_of_its_branches_takes(family: str) -> None:
    schema = {
        **arguments(force={"type": "boolean"}),
        "required": ["force"],
        "anyOf": [
            {**arguments(op={"const": "add"}, value={"type": "string"}), "required": ["op", "value"]},
            {**arguments(op={"const": "remove"}, at={"type": "integer"}), "required": ["at", "op"]},
            {"type": "null"},
        ],
    }
    accepted = acceptable_schema(schema, family)
    assert COMBINATORS.isdisjoint(accepted)
    assert set(accepted["properties"]) == {"force", "op", "value", "at"}
    assert sorted(accepted["required"]) == ["force", "op"]
    assert accepted["description"] == "Accepts: object with op, value | object with at, op"
    add_or_remove = accepted["properties"]["op"]
    values = add_or_remove.get("enum") or [branch["const"] for branch in add_or_remove["anyOf"]]
    assert values == ["add", "remove"]


@pytest.mark.parametrize("family", ["google", "openai", "anthropic"])
def test_an_all_of_at_the_root_is_merged(family: str) -> None:
    schema = {
        "type": "object",
        "allOf": [
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"$ref": "#/$defs/B"},
        ],
        "$defs": {"B": {"properties": {"b": {"type": "integer"}}, "required": ["b"]}},
    }
    accepted = acceptable_schema(schema, family)
    assert accepted["properties"] == {"a": {"type": "string"}, "b": {"type": "integer"}}
    assert sorted(accepted["required"]) == ["a", "b"]
    assert "allOf" not in accepted


@pytest.mark.parametrize("family", ["google", "openai", "anthropic", "moonshotai"])
def test_no_reference_points_to_what_merging_took_away(family: str) -> None:
    first = arguments(a={"type": "string", "minLength": 1}, b={"$ref": "#/anyOf/0/properties/a"})
    accepted = acceptable_schema({"anyOf": [first, arguments(c={})]}, family)
    assert accepted["properties"]["b"] == accepted["properties"]["a"]


@pytest.mark.parametrize("family", FAMILIES)
def test_properties_named_like_keywords_survive(family: str) -> None:
    schema = {**arguments(**{name: {"type": "string"} for name in LIKE_KEYWORDS}), "required": list(LIKE_KEYWORDS)}
    inner = copy.deepcopy(schema)
    schema["properties"]["inner"] = inner
    accepted = acceptable_schema(schema, family)
    assert accepted == schema
    assert accepted["properties"]["inner"] == inner


@pytest.mark.parametrize("family", FAMILIES)
def test_sixty_four_levels_are_taken_and_one_more_is_refused(family: str) -> None:
    assert acceptable_schema(nested(64), family) == nested(64)
    with pytest.raises(SchemaTooLarge, match="64 levels"):
        acceptable_schema(nested(65), family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("word", ["properties", "items", "anyOf", "default", "x-own"])
def test_a_bottomless_schema_is_refused_and_not_a_crash(family: str, word: str) -> None:
    schema: Any = {}
    for _ in range(50_000):
        schema = {word: [schema]} if word == "anyOf" else {word: schema}
    with pytest.raises(SchemaTooLarge):
        acceptable_schema(schema, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_more_than_twenty_thousand_values_are_refused(family: str) -> None:
    acceptable_schema(arguments(it={"enum": [str(value) for value in range(19_000)]}), family)
    with pytest.raises(SchemaTooLarge, match="20000 values"):
        acceptable_schema(arguments(it={"enum": [str(value) for value in range(20_001)]}), family)


def test_whether_a_call_needs_arguments_is_what_the_root_requires() -> None:
    assert required_arguments({**arguments(a={}), "required": ["a"]})
    assert not required_arguments({**arguments(a={**arguments(b={}), "required": ["b"]}), "required": []})
    assert not required_arguments(arguments(a={}))
    assert not required_arguments({"required": None})


# --- Google ----------------------------------------------------------------------------------------------------------


def test_google_gets_references_inlined_with_what_stands_beside_them() -> None:
    schema = {
        **arguments(at={"$ref": "#/$defs/a~1b%20c", "description": "Where."}, by={"$ref": "#/properties/list/items/0"}),
        "$defs": {"a/b c": {"type": "string", "description": "A place."}},
    }
    schema["properties"]["list"] = {"type": "array", "items": [{"type": "integer"}]}
    accepted = acceptable_schema(schema, "google")["properties"]
    assert accepted["at"] == {"type": "string", "description": "Where. A place."}
    assert accepted["by"] == {"type": "integer"}


def test_google_gets_a_described_object_where_a_reference_comes_round_again() -> None:
    node = arguments(children={"type": "array", "items": {"$ref": "#/$defs/Node"}})
    accepted = acceptable_schema({**arguments(tree={"$ref": "#/$defs/Node"}), "$defs": {"Node": node}}, "google")
    again = {"type": "object", "description": "Has the form of Node."}
    assert accepted["properties"]["tree"] == arguments(children={"type": "array", "items": again})


@pytest.mark.parametrize("ref", ["https://example.com/schema.json#/Foo", "#/$defs/Foo", "#Foo", "#/required/0/Foo"])
def test_google_gets_a_described_object_for_a_reference_that_leads_nowhere(ref: str) -> None:
    assert google({"$ref": ref}) == {"type": "object", "description": "Has the form of Foo."}


def defined(properties: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return {**arguments(**properties), "$defs": definitions}


def refers_to(place: int) -> dict[str, Any]:
    return {"$ref": f"#/$defs/D{place}"}


def test_references_that_multiply_are_followed_no_further_than_the_limits() -> None:
    definitions = {f"D{place}": arguments(a=refers_to(place + 1), b=refers_to(place + 1)) for place in range(30)}
    schema = defined({"it": refers_to(0)}, {**definitions, "D30": {"type": "string"}})
    followed = acceptable_schema(schema, "google")["properties"]["it"]["properties"]["a"]["properties"]["b"]
    assert followed["properties"]["a"] == {"type": "object", "description": "Has the form of D3."}
    assert acceptable_schema(schema, "openai") is schema


def test_definitions_that_all_refer_to_each_other_are_no_reason_to_refuse_a_tool() -> None:
    everything = {f"to_{place}": refers_to(place) for place in range(24)}
    schema = defined(everything, {f"D{place}": arguments(**everything) for place in range(24)})
    accepted = acceptable_schema(schema, "google")["properties"]
    assert list(accepted) == list(everything)
    assert list(accepted["to_3"]["properties"]) == list(everything)


def test_references_that_multiply_a_long_text_are_described() -> None:
    many = {f"p{place}": {"$ref": "#/$defs/Long"} for place in range(3_000)}
    accepted = acceptable_schema(defined(many, {"Long": {"description": "x" * 100_000}}), "google")["properties"]
    assert accepted["p2999"] == {"type": "object", "description": "Has the form of Long."}


def test_a_long_chain_of_references_ends_in_words_and_not_in_a_crash() -> None:
    chain = {f"D{place}": refers_to(place + 1) for place in range(5_000)}
    accepted = acceptable_schema(defined({"it": refers_to(0)}, chain), "google")["properties"]
    assert accepted["it"] == {"type": "object", "description": "Has the form of D3."}


def test_merging_many_parts_takes_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        parts = [arguments(**{f"a{place}": {"type": "string"}}) for place in range(count)]
        started = time.process_time()
        accepted = acceptable_schema({"type": "object", "allOf": parts}, "google")
        assert len(accepted["properties"]) == count
        return time.process_time() - started

    assert min(seconds(4_000) for _ in range(3)) < 8 * min(seconds(1_000) for _ in range(3))


@pytest.mark.parametrize("family", ["openai", "anthropic"])
def test_parts_that_all_refer_to_one_large_definition_count_as_often_as_they_do(family: str) -> None:
    """The root's combinators are merged with what they refer to: 3000 times 600 properties took seconds."""
    large = {"properties": {f"p{place}": {"type": "string"} for place in range(600)}}
    schema = {"type": "object", "allOf": [{"$ref": "#/$defs/Large"}] * 3_000, "$defs": {"Large": large}}
    with pytest.raises(SchemaTooLarge, match="what its references stand for"):
        acceptable_schema(schema, family)
    assert acceptable_schema(schema, "google")["properties"] == {}  # where what is too much is described


def test_properties_that_nothing_else_has_are_not_compared_at_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(*_: Any, **__: Any) -> str:
        raise AssertionError

    monkeypatch.setattr(json, "dumps", compared)
    schema: dict[str, Any] = arguments(**{f"p{place}": {"type": "string"} for place in range(100)})
    for level in range(20):
        schema = {"anyOf": [schema, arguments(**{f"q{level}": {"type": "string"}})]}
    accepted = acceptable_schema({"type": "object", **schema}, "openai")
    assert len(accepted["properties"]) == 120


@pytest.mark.parametrize(
    ("values", "accepted"),
    [
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"const": None}, {"type": "string", "nullable": True}),
        ({"type": "integer", "enum": [1, 2, 1, "1"]}, {"type": "string", "enum": ["1", "2"]}),
        ({"enum": [True, 0.5, None]}, {"type": "string", "enum": ["true", "0.5"], "nullable": True}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "description": "one of: 1, 2"}),
        (
            {"type": ["number", "null"], "enum": [1, 2]},
            {"type": "number", "nullable": True, "description": "one of: 1, 2"},
        ),
        ({"const": True}, {"type": "boolean", "description": "one of: true"}),
        ({"enum": ["", "a"]}, {"type": "string", "enum": ["a"], "description": "may be empty"}),
        ({"enum": []}, {"type": "string"}),
    ],
)
def test_google_gets_values_as_strings(values: dict[str, Any], accepted: dict[str, Any]) -> None:
    assert google(values) == accepted


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "at least 1; at most 9"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.1},
         "more than 0; less than 1; a multiple of 0.1"),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, "at least 0; the minimum itself excluded"),
        ({"type": "string", "pattern": "^{0}$", "minLength": 2, "maxLength": 3},
         "matches ^{0}$; at least 2 characters; at most 3 characters"),
        ({"type": "string", "format": "uri"}, "format: uri"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
         "at least 1 items; no item twice"),
        ({"type": "boolean", "default": False}, "default: false"),
        ({"type": "string", "default": None, "uniqueItems": False}, None),
        ({"type": "string", "examples": ["a", "b"]}, 'for example: ["a", "b"]'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "other properties: integer"),
        ({"type": "object", "additionalProperties": False}, None),
    ],
)  # fmt: skip
def test_google_gets_in_words_what_its_schema_cannot_say(constraint: dict[str, Any], words: str | None) -> None:
    assert google(constraint).get("description") == words
    beside = google({**constraint, "description": "What it is."})["description"]
    assert beside == (f"What it is. ({words})" if words else "What it is.")


@pytest.mark.parametrize(
    "kept",
    [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "enum", "enum": ["a"]},
        {"type": "integer", "format": "int64"},
        {"type": "number", "format": "double", "nullable": True},
        {"type": "array", "items": {"type": "boolean"}},
    ],
)
def test_google_keeps_what_it_knows(kept: dict[str, Any]) -> None:
    schema = arguments(it=kept)
    assert acceptable_schema(schema, "google") is schema


@pytest.mark.parametrize(
    ("choice", "accepted"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]},
         {"type": "string", "description": "Accepts: string | integer"}),
        ({"description": "Who.", "oneOf": [{"type": "string"}, arguments(id={"type": "string"})]},
         {**arguments(id={"type": "string"}), "description": "Who. Accepts: string | object with id"}),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
         {"type": "array", "items": {"type": "string"}, "description": "Accepts: string | array"}),
        ({"anyOf": [{"const": "a"}, {"enum": ["b", "c"]}, {"const": None}]},
         {"type": "string", "enum": ["a", "b", "c"], "nullable": True}),
        ({"anyOf": [{"enum": ["a"]}, {"type": "string"}]}, {"type": "string", "description": "Accepts: a | string"}),
        ({"anyOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}]}, {"type": "integer", "nullable": True}),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, {"type": "string", "description": "at least 1 characters"}),
        ({"type": ["null", "integer", "string"]},
         {"type": "integer", "nullable": True, "description": "Accepts: integer | string"}),
        ({"anyOf": []}, {"type": "string"}),
    ],
)  # fmt: skip
def test_google_gets_one_shape_and_a_hint_of_the_others(choice: dict[str, Any], accepted: dict[str, Any]) -> None:
    assert google(choice) == accepted


def test_google_gets_properties_that_two_parts_describe_with_all_they_say() -> None:
    parts = [arguments(a={"type": "string"}), {**arguments(a={"description": "An a."}), "required": ["a"]}]
    assert google({"allOf": parts}) == {
        **arguments(a={"type": "string", "description": "An a."}),
        "required": ["a"],
    }


@pytest.mark.parametrize(
    ("array", "items"),
    [
        ({"type": "array"}, {"type": "string"}),
        ({"type": "array", "items": True}, {"type": "string"}),
        ({"items": {"type": "array"}}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "array", "items": [{"type": "number"}, {"type": "number"}]}, {"type": "number"}),
        ({"type": "array", "prefixItems": [{"type": "number"}], "items": False}, {"type": "number"}),
    ],
)
def test_google_is_told_what_an_array_is_of(array: dict[str, Any], items: dict[str, Any]) -> None:
    assert google(array) == {"type": "array", "items": items}


def test_google_is_asked_only_for_properties_that_exist() -> None:
    schema = {**arguments(a={"type": "string"}), "required": ["a", "b", "a", 1]}
    assert acceptable_schema(schema, "google")["required"] == ["a"]
    assert "required" not in acceptable_schema({**arguments(), "required": ["b"]}, "google")


def test_google_is_spared_unknown_keywords() -> None:
    unknown = {"$schema": "s", "$id": "i", "$comment": "c", "x-own": 1, "if": {}, "then": {}, "not": {}, "title": "T"}
    unknown |= {"propertyNames": {"pattern": "a"}, "patternProperties": {"^x": {}}, "unevaluatedProperties": False}
    assert acceptable_schema({**arguments(it={"type": "string", **unknown}), **unknown}, "google") == arguments(
        it={"type": "string"}
    )


# --- OpenAI, Moonshot, Anthropic -------------------------------------------------------------------------------------


def test_openai_gets_a_root_with_properties_and_without_enum_or_not() -> None:
    schema = {"type": "object", "enum": [{}], "not": {"required": ["a"]}, "description": "None."}
    assert acceptable_schema(schema, "openai") == {"type": "object", "properties": {}, "description": "None."}


def test_openai_gets_items_for_arrays_at_any_depth() -> None:
    array = {"type": "array"}
    schema = {
        **arguments(a=array, b={"anyOf": [{"type": ["array", "null"]}, {"items": array}]}, c={"$ref": "#/$defs/C"}),
        "$defs": {"C": {"additionalProperties": array}},
    }
    accepted = acceptable_schema(schema, "openai")
    full = {"type": "array", "items": {}}
    assert accepted["properties"]["a"] == full
    assert accepted["properties"]["b"] == {"anyOf": [{"type": ["array", "null"], "items": {}}, {"items": full}]}
    assert accepted["$defs"]["C"]["additionalProperties"] == full


def test_openai_gets_items_by_place_as_a_choice() -> None:
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "array"}]}
    accepted = acceptable_schema(arguments(it=pair), "openai")["properties"]["it"]
    assert accepted == {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]}}


def test_openai_keeps_an_array_that_is_only_a_default() -> None:
    schema = arguments(it={"type": "object", "default": {"type": "array"}, "enum": [{"type": "array"}]})
    assert acceptable_schema(schema, "openai") is schema


def test_moonshot_gets_the_type_in_the_branches() -> None:
    inner = {"type": "string", "anyOf": [{"minLength": 1}, {"type": "null"}, {"$ref": "#/$defs/A"}]}
    accepted = acceptable_schema(arguments(it={"type": "array", "items": inner}), "moonshotai")
    assert accepted["properties"]["it"]["items"] == {
        "anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}, {"$ref": "#/$defs/A"}]
    }


def test_moonshot_gets_the_type_in_branches_of_branches() -> None:
    inner = {"type": "string", "anyOf": [{"anyOf": [{"minLength": 1}]}]}
    accepted = acceptable_schema(arguments(it=inner, other={"type": "string", "anyOf": []}), "moonshotai")
    assert accepted["properties"]["it"] == {"anyOf": [{"anyOf": [{"type": "string", "minLength": 1}]}]}
    assert accepted["properties"]["other"] == {"type": "string"}


def test_anthropic_keeps_combinators_below_the_root() -> None:
    inner = {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/A"}]}
    schema = {"allOf": [arguments(it=inner)], "$defs": {"A": {"type": "integer"}}}
    assert acceptable_schema(schema, "anthropic") == {**arguments(it=inner), "$defs": {"A": {"type": "integer"}}}


# --- any schema at all -----------------------------------------------------------------------------------------------

NAMES = st.sampled_from([*LIKE_KEYWORDS, "a", "b"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "object", "null", "date-time"])
TYPE_NAMES = st.sampled_from([*sorted(GEMINI_TYPES), "null", "OBJECT", "any"])
REFS = st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/properties/a", "#/anyOf/0", "#/items/0", "#a", "elsewhere"])


def extend(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A schema of a few keywords around schemas, with malformed values here and there."""
    maps = st.dictionaries(NAMES, schemas, max_size=2)
    lists = st.lists(schemas, max_size=3)
    values: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPE_NAMES | st.lists(TYPE_NAMES, max_size=3) | SCALARS,
        "required": st.lists(NAMES | SCALARS, max_size=3) | SCALARS,
        "enum": st.lists(SCALARS, max_size=3) | SCALARS,
        "$ref": REFS | SCALARS,
        "properties": maps | SCALARS,
        "items": schemas | lists,
        "anyOf": lists | SCALARS,
        **dict.fromkeys(("$defs", "patternProperties"), maps),
        **dict.fromkeys(("oneOf", "allOf", "prefixItems", "examples"), lists),
        **dict.fromkeys(("additionalProperties", "not", "if", "default", "x-own"), schemas),
        **dict.fromkeys(("const", "format", "nullable", "description", "minimum", "exclusiveMaximum"), SCALARS),
    }
    keywords = st.one_of([st.tuples(st.just(word), value) for word, value in values.items()])
    return st.lists(keywords, max_size=5).map(dict)


LEAVES = st.sampled_from([True, False, {}]) | TYPE_NAMES.map(lambda name: {"type": name})
SCHEMAS = extend(st.recursive(LEAVES, extend, max_leaves=12))
ANY_SCHEMA = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def gemini_positions(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema in one for Gemini; there is no other place where one could be."""
    assert isinstance(schema, dict)
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from gemini_positions(inner)
    if "items" in schema:
        yield from gemini_positions(schema["items"])


def openai_positions(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema reached by the commonest ways into one."""
    if not isinstance(schema, dict):
        return
    yield schema
    for word in ("properties", "$defs", "patternProperties"):
        inner = schema.get(word)
        for value in inner.values() if isinstance(inner, dict) else ():
            yield from openai_positions(value)
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        inner = schema.get(word)
        for value in inner if isinstance(inner, list) else ():
            yield from openai_positions(value)
    for word in ("items", "additionalProperties", "not", "if"):
        yield from openai_positions(schema.get(word))


@ANY_SCHEMA
@given(schema=SCHEMAS)
def test_google_gets_only_what_its_schema_type_has(schema: dict[str, Any]) -> None:
    accepted = acceptable_schema(schema, "google")
    assert accepted["type"] == "object"
    assert "properties" in accepted
    for inner in gemini_positions(accepted):
        assert set(inner) <= GEMINI_WORDS
        assert inner["type"] in GEMINI_TYPES
        assert "enum" not in inner or inner["type"] == "string"
        assert all(isinstance(value, str) and value for value in inner.get("enum", []))
        assert inner["type"] != "string" or inner.get("format") in {None, "enum", "date-time"}
        assert ("items" in inner) == (inner["type"] == "array")
        assert "properties" not in inner or inner["type"] == "object"
        assert set(inner.get("required", [])) <= set(inner.get("properties", {}))
        assert isinstance(inner.get("description", ""), str)


@ANY_SCHEMA
@given(schema=SCHEMAS, family=st.sampled_from(FAMILIES))
def test_what_the_client_sent_is_never_changed(schema: dict[str, Any], family: str) -> None:
    before = json.dumps(schema)
    acceptable_schema(schema, family)
    assert json.dumps(schema) == before


@ANY_SCHEMA
@given(schema=SCHEMAS, family=st.sampled_from(FAMILIES))
def test_what_is_acceptable_stays_as_it_is(schema: dict[str, Any], family: str) -> None:
    accepted = acceptable_schema(schema, family)
    assert acceptable_schema(accepted, family) is accepted


@ANY_SCHEMA
@given(schema=SCHEMAS, family=st.sampled_from(FAMILIES))
def test_the_root_is_always_an_object_without_what_the_family_refuses(schema: dict[str, Any], family: str) -> None:
    refused = {
        "openai": COMBINATORS | {"enum", "not"},
        "anthropic": COMBINATORS,
        "moonshotai": {"anyOf"},
        "google": COMBINATORS | {"$ref"},
    }
    accepted = acceptable_schema(schema, family)
    assert accepted["type"] == "object"
    assert refused.get(family, set()).isdisjoint(accepted)
    assert "properties" in accepted or family not in {"openai", "google"}


@ANY_SCHEMA
@given(schema=SCHEMAS)
def test_openai_never_gets_an_array_of_nothing_said(schema: dict[str, Any]) -> None:
    for inner in openai_positions(acceptable_schema(schema, "openai")):
        kinds = inner.get("type")
        if "array" in (kinds if isinstance(kinds, list) else [kinds]):
            assert isinstance(inner["items"], dict | bool)


@ANY_SCHEMA
@given(schema=SCHEMAS)
def test_moonshot_never_gets_a_type_beside_a_choice(schema: dict[str, Any]) -> None:
    for inner in openai_positions(acceptable_schema(schema, "moonshotai")):
        assert not {"type", "anyOf"} <= set(inner)


@ANY_SCHEMA
@given(properties=st.dictionaries(NAMES | st.text(max_size=5), SCHEMAS, max_size=4), family=st.sampled_from(FAMILIES))
def test_no_property_is_lost_whatever_its_name(properties: dict[str, Any], family: str) -> None:
    accepted = acceptable_schema({"type": "object", "properties": properties, "required": list(properties)}, family)
    assert list(accepted["properties"]) == list(properties)
    assert accepted.get("required", []) == list(properties)
