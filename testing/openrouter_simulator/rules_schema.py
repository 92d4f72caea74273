"""What each family refuses in the JSON schema of a tool: wire.md 4."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NoReturn

from testing.openrouter_simulator.exact_json import Json, JsonValue
from testing.openrouter_simulator.models import Model
from testing.openrouter_simulator.refusals import provider_refusal
from testing.openrouter_simulator.shapes import expect

COMBINATORS = ("oneOf", "allOf", "anyOf")
OPENAI_ROOT_REFUSED = (*COMBINATORS, "enum", "not")

# wire.md 4, OpenAI strict; the words are known provider behaviour
STRICT_WORDS = frozenset(
    {
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "definitions",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    }
)
STRICT_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})

# wire.md 4, Gemini: its schema type has these fields and no others (v1beta Schema)
GEMINI_WORDS = frozenset(
    {
        "anyOf",
        "default",
        "description",
        "enum",
        "example",
        "format",
        "items",
        "maximum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minimum",
        "minItems",
        "minLength",
        "minProperties",
        "nullable",
        "pattern",
        "properties",
        "propertyOrdering",
        "required",
        "title",
        "type",
    }
)
GEMINI_OLDER_WORDS = GEMINI_WORDS - {"default"}
GEMINI_OLDER = "google/gemini-2"
GEMINI_FORMATS: dict[str, frozenset[str]] = {
    "string": frozenset({"enum", "date-time"}),
    "integer": frozenset({"int32", "int64"}),
    "number": frozenset({"float", "double"}),
}

ANTHROPIC_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")

SCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SCHEMA_SINGLES = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


def schemas_in(schema: JsonValue, path: str) -> Iterator[tuple[str, Json]]:
    """Every schema inside a schema with its path; names of properties are never taken for keywords."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for name in SCHEMA_MAPS:
        inner = schema.get(name)
        for key, value in inner.items() if isinstance(inner, dict) else ():
            yield from schemas_in(value, f"{path}.{name}[{key}]")
    for name in SCHEMA_LISTS:
        inner = schema.get(name)
        for place, value in enumerate(inner if isinstance(inner, list) else ()):
            yield from schemas_in(value, f"{path}.{name}[{place}]")
    for name in SCHEMA_SINGLES:
        yield from schemas_in(schema.get(name), f"{path}.{name}")


# wire.md 4: OpenRouter's own check, JSON Schema draft 7
KEYWORD_KINDS: dict[str, str] = {
    **dict.fromkeys(SCHEMA_MAPS, "object"),
    **dict.fromkeys(SCHEMA_LISTS, "array"),
    "items": "object|array|boolean",
    "required": "array",
    "enum": "array",
    "type": "string|array",
    "minItems": "integer",
}


def check_schema_form(schema: JsonValue, path: str) -> None:
    """wire.md 4: a schema must be one, before any family's own rules."""
    expect(schema, "object|boolean", path)
    for here, inner in schemas_in(schema, path):
        for word, kinds in KEYWORD_KINDS.items():
            if word in inner:
                expect(inner[word], kinds, f"{here}.{word}")
        for word in SCHEMA_MAPS:
            for name, value in inner.get(word, {}).items():
                expect(value, "object|boolean", f"{here}.{word}.{name}")
        for word in (*SCHEMA_LISTS, "required"):
            for place, value in enumerate(inner.get(word, [])):
                expect(value, "string" if word == "required" else "object|boolean", f"{here}.{word}.{place}")


def check_tool_schema(model: Model, name: str, schema: Json, place: int, strict: bool) -> None:
    """wire.md 4."""
    match model.family:
        case "anthropic":
            check_anthropic_schema(model, schema, place)
        case "openai":
            check_openai_schema(model, name, schema, strict)
        case "google":
            check_gemini_schema(model, schema, place)
        case "moonshotai":
            check_moonshot_schema(model, name, schema)
        case _:
            check_root_object(model, name, schema)


def check_anthropic_schema(model: Model, schema: Json, place: int) -> None:
    """wire.md 4, Anthropic; the pattern of keys is known provider behaviour."""
    path = f"tools.{place}.custom.input_schema"
    if any(word in schema for word in COMBINATORS):
        sentence = f"{path}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        raise provider_refusal(model, sentence)
    if "type" not in schema:
        raise provider_refusal(model, f"{path}.type: Field required")
    if schema["type"] != "object":
        raise provider_refusal(model, f"{path}.type: Input should be 'object'")
    for name in schema.get("properties") or {}:
        if not ANTHROPIC_KEY.fullmatch(name):
            sentence = f"{path}.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"
            raise provider_refusal(model, sentence)


def check_openai_schema(model: Model, name: str, schema: Json, strict: bool) -> None:
    """wire.md 4, OpenAI."""
    start = f"Invalid schema for function '{name}'"
    if schema.get("type") != "object" or any(word in schema for word in OPENAI_ROOT_REFUSED):
        raise provider_refusal(
            model,
            f"{start}: schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top "
            "level.",
        )
    if "properties" not in schema:
        raise provider_refusal(model, f"{start}: In context=(), object schema missing properties.")
    for path, inner in schemas_in(schema, "parameters"):
        if "array" in types_of(inner) and "items" not in inner:
            raise provider_refusal(model, f"{start}: In context=('{path}',), array schema missing items.")
    if strict:
        check_strict_schema(model, start, schema)


def check_strict_schema(model: Model, start: str, schema: Json) -> None:
    """wire.md 4, OpenAI strict: every property required, nothing additional, and only the words that it permits."""
    for path, inner in schemas_in(schema, "root"):
        refuse = partial(refuse_strict, model, f"{start}: In context=('{path}',)")
        for word in inner:
            if word not in STRICT_WORDS:
                refuse(f"'{word}' is not permitted.")
        if "$ref" in inner and len(inner) > 1:
            refuse(f"$ref cannot have keywords {sorted(set(inner) - {'$ref'})}.")
        if inner.get("format") is not None and inner["format"] not in STRICT_FORMATS:
            refuse(f"'{inner['format']}' is not a valid format.")
        if "object" in types_of(inner):
            check_strict_object(refuse, inner)


def refuse_strict(model: Model, start: str, words: str) -> NoReturn:
    raise provider_refusal(model, f"{start}, {words}")


def check_strict_object(refuse: Callable[[str], NoReturn], schema: Json) -> None:
    """wire.md 4, OpenAI strict."""
    if schema.get("additionalProperties") is not False:
        refuse("'additionalProperties' is required to be supplied and to be false.")
    missing = set(schema.get("properties") or {}) - set(schema.get("required") or [])
    if missing:
        refuse(
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{min(missing)}'."
        )


def check_gemini_schema(model: Model, schema: Json, place: int) -> None:
    """wire.md 4, Gemini."""
    known = GEMINI_OLDER_WORDS if model.id.startswith(GEMINI_OLDER) else GEMINI_WORDS
    for path, inner in schemas_in(schema, f"tools[0].function_declarations[{place}].parameters"):
        for word in inner:
            if word not in known:
                sentence = f"Invalid JSON payload received. Unknown name \"{word}\" at '{path}': Cannot find field."
                raise provider_refusal(model, sentence)
        check_gemini_types(model, inner, path)
        check_gemini_values(model, inner, path)
    if schema.get("type") not in ("object", "OBJECT"):
        raise provider_refusal(
            model,
            f"Unable to submit request: function_declarations[{place}].parameters schema should be of type OBJECT.",
        )


def check_gemini_types(model: Model, schema: Json, path: str) -> None:
    """wire.md 4, Gemini: one type, arrays with items."""
    if isinstance(schema.get("type"), list):
        sentence = not_repeating("type", path)
        raise provider_refusal(model, sentence)
    if schema.get("type") == "array" and "items" not in schema:
        raise provider_refusal(model, f"* GenerateContentRequest.{path}.items: missing field.")
    if isinstance(schema.get("items"), list):
        sentence = not_repeating("items", path)
        raise provider_refusal(model, sentence)


def not_repeating(word: str, path: str) -> str:
    return (
        f"Invalid JSON payload received. Unknown name \"{word}\" at '{path}': "
        "Proto field is not repeating, cannot start list."
    )


def check_gemini_values(model: Model, schema: Json, path: str) -> None:
    """wire.md 4, Gemini: string enums, two formats, required among the properties."""
    for place, value in enumerate(schema.get("enum") or []):
        if not isinstance(value, str):
            raise provider_refusal(model, f"Invalid value at '{path}.enum[{place}]' (TYPE_STRING), {value}")
    if "enum" in schema and schema.get("type") != "string":
        raise provider_refusal(model, f"* GenerateContentRequest.{path}.enum: only allowed for STRING type")
    formats = GEMINI_FORMATS.get(str(schema.get("type")), frozenset())
    if schema.get("format") is not None and schema["format"] not in formats:
        options = " and ".join(f"'{each}'" for each in sorted(formats, reverse=True)) or "none"
        kind = str(schema.get("type")).upper()
        sentence = f"* GenerateContentRequest.{path}.format: only {options} are supported for {kind} type"
        raise provider_refusal(model, sentence)
    for place, name in enumerate(schema.get("required") or []):
        if name not in (schema.get("properties") or {}):
            raise provider_refusal(model, f"* GenerateContentRequest.{path}.required[{place}]: property is not defined")


def check_moonshot_schema(model: Model, name: str, schema: Json) -> None:
    """wire.md 4, Moonshot."""
    check_root_object(model, name, schema)
    for path, inner in schemas_in(schema, "root"):
        if "anyOf" in inner and "type" in inner:
            sentence = (
                f"tools.function.parameters is not a valid moonshot flavored json schema, details: <At path '{path}': "
                "when using anyOf, type should be defined in anyOf items instead of the parent schema>"
            )
            raise provider_refusal(model, sentence)


def check_root_object(model: Model, name: str, schema: Json) -> None:
    """wire.md 4: Known provider behaviour: arguments are an object everywhere."""
    if schema.get("type") != "object":
        raise provider_refusal(model, f"Invalid schema for function '{name}': root type must be object")


def types_of(schema: Json) -> list[str]:
    kinds = schema.get("type")
    return kinds if isinstance(kinds, list) else [str(kinds)]
