"""Owns whether a JSON schema may be asked for strictly: providers then hold the answer to it, if they can.

The rules are OpenAI's, the narrowest (wire.md 4): an object at the root, every property required, nothing beside them,
and no word that is not on the list. A schema that does not pass is asked for all the same, not strictly.
"""

from typing import Any, Final

Schema = dict[str, Any]

WORDS: Final = frozenset(
    {
        "$defs",
        "$ref",
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
FORMATS: Final = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})
DEEPEST: Final = 10


def passes_strict(schema: Schema) -> bool:
    """Whether `schema` is within what strict means to every provider."""
    return schema.get("type") == "object" and "anyOf" not in schema and _passes(schema, 1)


def _passes(schema: Any, level: int) -> bool:
    if not isinstance(schema, dict) or level > DEEPEST or not WORDS.issuperset(schema):
        return False
    if "$ref" in schema:
        return len(schema) == 1  # nothing may stand beside a reference
    if schema.get("format", "date") not in FORMATS or not _is_closed(schema):
        return False
    return all(_passes(inner, level + 1) for inner in _inner(schema))


def _is_closed(schema: Schema) -> bool:
    """Whether an object says all that it may hold, and all of it is required; anything else is."""
    kinds = schema.get("type")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]) and "properties" not in schema:
        return True
    properties, required = schema.get("properties"), schema.get("required")
    if schema.get("additionalProperties") is not False or not isinstance(properties, dict):
        return False
    return isinstance(required, list) and properties.keys() == set(map(str, required))


def _inner(schema: Schema) -> list[Any]:
    """The schemas directly inside; what is no schema where one should be is among them, and does not pass."""
    inner = [schema["items"]] if "items" in schema else []
    for word in ("properties", "$defs", "definitions"):
        found = schema.get(word, {})
        inner += found.values() if isinstance(found, dict) else [found]
    branches = schema.get("anyOf", [])
    return inner + (branches if isinstance(branches, list) else [branches])
