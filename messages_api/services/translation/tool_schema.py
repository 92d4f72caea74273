"""Owns what each family of models accepts as the JSON schema of a tool's arguments (wire.md 4).

Claude Code sends the schemas its MCP servers wrote; one that a provider refuses costs the whole turn. What a family
does not know is taken out, and said in the description where a model can still act on it. Nothing is taken out of a
place that is not a schema: a property may be called `default` or `$ref`.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote

Schema = dict[str, Any]

MOST_LEVELS: Final = 64
MOST_NODES: Final = 20_000
#: How many references may stand one inside the other: definitions that refer to each other multiply without end.
FOLLOWED: Final = (MOST_LEVELS, 3, 1, 0)
NODE_TEXT: Final = 1_000  # characters; longer text weighs more, or references to it could multiply it for nothing
NAMED: Final = 8  # how many properties or values a hint names

# --- where schemas are inside a schema -------------------------------------------------------------------------------

COMBINATORS: Final = ("allOf", "anyOf", "oneOf")
SCHEMA_MAPS: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
SCHEMA_LISTS: Final = frozenset({*COMBINATORS, "prefixItems", "items"})
SCHEMA_SINGLES: Final = frozenset(
    {"items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "unevaluatedProperties"}
    | {"propertyNames", "not", "if", "then", "else", "contentSchema"}
)
SCHEMA_WORDS: Final = SCHEMA_MAPS | SCHEMA_LISTS | SCHEMA_SINGLES

# --- what families refuse --------------------------------------------------------------------------------------------

ROOT_REFUSED: Final[dict[str, frozenset[str]]] = {
    "anthropic": frozenset(COMBINATORS),
    "google": frozenset({*COMBINATORS, "$ref", "enum", "const", "not", "nullable"}),
    "moonshotai": frozenset({"anyOf"}),
    "openai": frozenset({*COMBINATORS, "$ref", "enum", "not"}),
}
ROOT_NEEDS_PROPERTIES: Final = frozenset({"google", "openai"})

#: Google keeps what `_google` writes; these are the only places from which it takes schemas.
GOOGLE_SCHEMA_WORDS: Final = frozenset({*COMBINATORS, "properties", "items", "prefixItems"})
GOOGLE_KINDS: Final = ("string", "number", "integer", "boolean", "array", "object")
NUMBER_KINDS: Final[dict[type, str]] = {bool: "boolean", int: "integer", float: "number"}
GOOGLE_FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "string": ("enum", "date-time"),
    "integer": ("int32", "int64"),
    "number": ("float", "double"),
}

#: How a description says a constraint that the schema cannot.
WORDS: Final[dict[str, str]] = {
    "format": "format: {}",
    "pattern": "matches {}",
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} properties",
    "maxProperties": "at most {} properties",
    "contentEncoding": "encoded as {}",
    "contentMediaType": "content of type {}",
    "default": "default: {}",
    "example": "for example: {}",
    "examples": "for example: {}",
}
#: The same for those that are on or off. Draft 4 had the two exclusive ones so.
FLAGS: Final[dict[str, str]] = {
    "uniqueItems": "no item twice",
    "exclusiveMinimum": "the minimum itself excluded",
    "exclusiveMaximum": "the maximum itself excluded",
    "deprecated": "deprecated",
}


class SchemaTooLarge(ValueError):
    """Deeper or larger than any tool needs; references count as often as they are used where they are inlined."""


def acceptable_schema(schema: Schema, family: str) -> Schema:
    """`schema` as the models of `family` accept it; itself where nothing has to change. Raises SchemaTooLarge."""
    _check_size(schema)
    root = _object_root(_without_references(schema) if family == "google" else schema, family)
    throughout = _THROUGHOUT.get(family)
    accepted = throughout(root) if throughout else root
    return schema if accepted == schema else accepted


def required_arguments(schema: Schema) -> bool:
    """Whether a call without any argument breaks `schema`."""
    return bool(_required(schema))


# --- size ------------------------------------------------------------------------------------------------------------


def _check_size(schema: Schema) -> None:
    """Raises SchemaTooLarge. By level and not recursive: what is too deep must not exhaust the stack here."""
    containers: list[Any] = [schema]
    nodes, level = 1, 0
    while containers:
        level += 1
        inside = [pair for container in containers for pair in _inside(container)]
        nodes += sum(1 + len(name) // NODE_TEXT + _length(value) // NODE_TEXT for name, value in inside)
        _refuse_beyond(level, nodes)
        containers = [value for _, value in inside if isinstance(value, dict | list)]


def _inside(container: Any) -> Iterator[tuple[str, Any]]:
    """The values in a container by name. A map of schemas is no level of its own."""
    if isinstance(container, list):
        yield from (("", value) for value in container)
        return
    for name, value in container.items():
        yield from value.items() if name in SCHEMA_MAPS and isinstance(value, dict) else [(name, value)]


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


def _refuse_beyond(level: int, nodes: int) -> None:
    if level > MOST_LEVELS:
        raise SchemaTooLarge(f"must not be deeper than {MOST_LEVELS} levels")
    if nodes > MOST_NODES:
        raise SchemaTooLarge(f"must not have more than {MOST_NODES} values, with what its references stand for")


# --- reading a schema that may be malformed --------------------------------------------------------------------------


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type")
    return [name.lower() for name in (kind if isinstance(kind, list) else [kind]) if isinstance(name, str)]


def _kind(schema: Schema) -> str:
    """The one type that stands for the schema: its first, else the one its keywords imply."""
    for name in _types(schema):
        if name in GOOGLE_KINDS:
            return name
    if not {"properties", "patternProperties", "additionalProperties", "required"}.isdisjoint(schema):
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _values(schema: Schema) -> list[Any]:
    """The only values that the schema allows; empty where it does not list them."""
    if "const" in schema:
        return [schema["const"]]
    return _list(schema.get("enum"))


def _properties(schema: Schema) -> dict[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _required(schema: Schema) -> list[str]:
    return [name for name in _list(schema.get("required")) if isinstance(name, str)]


def _schemas(value: Any) -> list[Schema]:
    return [schema for schema in _list(value) if isinstance(schema, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_null(schema: Schema) -> bool:
    return _types(schema) == ["null"] or _values(schema) == [None]


def _without(schema: Schema, *words: str) -> Schema:
    return {word: value for word, value in schema.items() if word not in words}


def _with_inner(schema: Schema, words: Iterable[str], change: Callable[[Schema], Schema]) -> Schema:
    """A copy in which `change` was applied to the schemas directly under `words`."""

    def changed(word: str, value: Any) -> Any:
        if isinstance(value, dict) and word in SCHEMA_MAPS:
            return {name: change(inner) if isinstance(inner, dict) else inner for name, inner in value.items()}
        if isinstance(value, dict) and word in SCHEMA_SINGLES:
            return change(value)
        if isinstance(value, list) and word in SCHEMA_LISTS:
            return [change(inner) if isinstance(inner, dict) else inner for inner in value]
        return value

    return {word: changed(word, value) if word in words else value for word, value in schema.items()}


# --- saying it in words ----------------------------------------------------------------------------------------------


def _described(description: Any, hints: Iterable[str]) -> str:
    text = description if isinstance(description, str) else ""
    notes = "; ".join(hint for hint in hints if hint)
    return f"{text} ({notes})" if text and notes else text or notes


def _accepts(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return f"Accepts: {' | '.join(distinct)}" if len(distinct) > 1 else ""


def _named(schema: Schema) -> str:
    """A schema in a few words, for a hint."""
    if isinstance(schema.get("$ref"), str):
        return _last_part(schema["$ref"])
    if values := _values(schema):
        return ", ".join(_text(value) for value in values[:NAMED])
    kind, names = _kind(schema), _required(schema) or list(_properties(schema))
    return f"object with {', '.join(names[:NAMED])}" if kind == "object" and names else kind


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _hints(dropped: Schema) -> list[str]:
    """What the keywords that a schema lost have to say."""
    constraints = {word: value for word in WORDS if (value := dropped.get(word)) is not None}
    hints = [
        WORDS[word].format(_text(value))
        for word, value in constraints.items()
        if not (word in FLAGS and isinstance(value, bool))
    ]
    hints += [flag for word, flag in FLAGS.items() if dropped.get(word) is True]
    if isinstance(others := dropped.get("additionalProperties"), dict):
        hints.append(f"other properties: {_named(others) if others else 'any'}")
    return hints


# --- references ------------------------------------------------------------------------------------------------------


class _Inliner:
    """Puts in the place of local references what they point to, under `words` only, and counts what it makes."""

    def __init__(
        self, root: Schema, words: Iterable[str], follows: Callable[[str], bool], most_followed: int = MOST_LEVELS
    ) -> None:
        """`most_followed` is how many references are followed one inside the other."""
        self._root = root
        self._most_followed = most_followed
        self._words = frozenset(words)
        self._follows = follows
        self._made = 0

    def inlined(self, schema: Schema, level: int = 1, following: frozenset[str] = frozenset("#")) -> Schema:
        """`following` are the references on the way here: one of them again would never end."""
        self._made += 1
        _refuse_beyond(level, self._made)
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not self._follows(ref):
            return _with_inner(schema, self._words, lambda inner: self.inlined(inner, level + 1, following))
        is_last = ref in following or len(following) > self._most_followed
        target = None if is_last else _target(self._root, ref)
        if target is None:
            found: Schema = {"type": "object", "description": f"Has the form of {_last_part(ref)}."}
        else:
            self._made += self._unvisited(target)
            found = self.inlined(target, level + 1, following | {ref})
        return _merged([self.inlined(_without(schema, "$ref"), level + 1, following), found])

    def _unvisited(self, target: Schema) -> int:
        """How much of a target is merged without being visited, so not counted: it comes with each reference to it."""
        skipped = (value for word, value in target.items() if word not in self._words)
        return sum(len(value) for value in skipped if isinstance(value, dict | list))


def _without_references(schema: Schema) -> Schema:
    """Each reference replaced by what it means, as far as that stays within the limits; the rest is described."""
    for most_followed in FOLLOWED:
        try:
            inlined = _Inliner(schema, GOOGLE_SCHEMA_WORDS, lambda _: True, most_followed).inlined(schema)
            _check_size(inlined)
        except SchemaTooLarge:
            continue
        return inlined
    raise SchemaTooLarge(f"must not be deeper than {MOST_LEVELS} levels")


def _target(root: Schema, ref: str) -> Schema | None:
    """What a JSON pointer in the same document points to; None for what is elsewhere, missing or no schema."""
    if not ref.startswith("#/"):
        return root if ref == "#" else None
    value: Any = root
    for part in ref.removeprefix("#/").split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)] if _is_place(name) and int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def _is_place(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= len(str(MOST_NODES))


def _last_part(ref: str) -> str:
    return unquote(ref.rstrip("/").rpartition("/")[2]).removeprefix("#") or "the whole"


# --- merging ---------------------------------------------------------------------------------------------------------


def _merged(schemas: list[Schema]) -> Schema:
    """One schema for several that all hold; where only one can be said, it is what the first says."""
    merged: Schema = {word: value for schema in reversed(schemas) for word, value in schema.items()}
    if len(given := [schema for schema in schemas if "properties" in schema]) > 1:
        merged["properties"] = _merged_properties(given)
    if "items" in merged:
        merged["items"] = _first_or_merged([schema["items"] for schema in schemas if "items" in schema])
    if required := list(dict.fromkeys(name for schema in schemas for name in _required(schema))):
        merged["required"] = required
    words = [text for schema in schemas if (text := schema.get("description")) and isinstance(text, str)]
    if words:
        merged["description"] = " ".join(dict.fromkeys(words))
    return merged


def _merged_properties(schemas: list[Schema]) -> dict[str, Any]:
    shapes: dict[str, list[Any]] = {}
    for schema in schemas:
        for name, shape in _properties(schema).items():
            shapes.setdefault(name, []).append(shape)
    return {name: _first_or_merged(found) for name, found in shapes.items()}


def _first_or_merged(found: list[Any]) -> Any:
    if len(found) == 1 or not isinstance(found[0], dict):
        return found[0]
    return _merged(_schemas(found))


def _flat(schema: Schema, choose: Callable[[list[Schema]], Schema]) -> Schema:
    """The schema without combinators of its own; `choose` makes one of the branches of an anyOf or oneOf."""
    parts = [_flat(part, choose) for part in _schemas(schema.get("allOf"))]
    for word in ("anyOf", "oneOf"):
        if branches := [_flat(branch, choose) for branch in _schemas(schema.get(word))]:
            parts.append(choose(branches))
    own = _without(schema, *COMBINATORS)
    return _merged([own, *parts]) if parts else own


def _united(branches: list[Schema]) -> Schema:
    """All that any branch takes, requiring what every branch requires: arguments of each of them fit."""
    objects = [branch for branch in branches if "type" not in branch or "object" in _types(branch)]
    if len(objects) <= 1:
        return objects[0] if objects else {}
    shapes: dict[str, list[Any]] = {}
    for branch in objects:
        for name, shape in _properties(branch).items():
            shapes.setdefault(name, []).append(shape)
    everywhere = set.intersection(*(set(_required(branch)) for branch in objects))
    united = {
        "properties": {name: _either(found) for name, found in shapes.items()},
        "required": [name for name in _required(objects[0]) if name in everywhere],
        "description": _accepts(map(_named, objects)),
    }
    return {word: value for word, value in united.items() if value}


def _either(shapes: list[Any]) -> Any:
    if len(shapes) > 1:  # else there is nothing to compare: writing a shape out takes longer than all the rest
        shapes = list({json.dumps(shape, sort_keys=True): shape for shape in shapes}.values())
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _best(branches: list[Schema]) -> Schema:
    """The branch that says most, with a hint of the others. Lists of values become one list, without loss."""
    real = [branch for branch in branches if not _is_null(branch)]
    chosen = max(real, key=_rank, default={})
    if real and all(map(_values, real)):
        chosen = {"enum": [value for branch in real for value in _values(branch)]}
    elif hint := _accepts(map(_named, real)):
        chosen = {**chosen, "description": _described(chosen.get("description"), [hint])}
    return chosen if len(real) == len(branches) else {**chosen, "nullable": True}


def _rank(branch: Schema) -> int:
    if _values(branch):
        return 0
    if _properties(branch):
        return 3
    return 2 if _kind(branch) == "array" else 1


# --- the root: arguments are an object everywhere --------------------------------------------------------------------


def _object_root(schema: Schema, family: str) -> Schema:
    """The schema with a root that the family takes."""
    refused = ROOT_REFUSED.get(family, frozenset())
    if schema.get("type") == "object" and refused.isdisjoint(schema) and _has_properties(schema, family):
        return schema
    opened = _Inliner(schema, COMBINATORS, lambda _: True).inlined(schema)
    flat = _without(_flat(opened, _united), *refused)
    whole = _Inliner(schema, SCHEMA_WORDS, _into_combinators).inlined(flat)
    return {**whole, "type": "object", "properties": _properties(whole)}


def _has_properties(schema: Schema, family: str) -> bool:
    return family not in ROOT_NEEDS_PROPERTIES or isinstance(schema.get("properties"), dict)


def _into_combinators(ref: str) -> bool:
    """Whether merging the root's combinators left this reference without a target."""
    return ref.startswith(tuple(f"#/{word}/" for word in COMBINATORS))


# --- throughout: what holds at every depth ---------------------------------------------------------------------------


def _google(schema: Schema) -> Schema:
    """The schema in the few words that Gemini's schema type has, and the rest in its description."""
    flat = _flat(schema, _best)
    values = _values(flat)
    numbers = _numbers(values)
    texts = (
        [] if numbers else list(dict.fromkeys(_text(value) for value in values if value is not None and value != ""))
    )
    kind = "string" if texts else _kind({"type": NUMBER_KINDS[type(numbers[0])], **flat} if numbers else flat)
    cleaned: Schema = {"type": kind, **_google_shape(flat, kind)}
    if texts:
        cleaned["enum"] = texts
    if flat.get("format") in GOOGLE_FORMATS.get(kind, ()):
        cleaned["format"] = flat["format"]
    if flat.get("nullable") is True or "null" in _types(flat) or None in values:
        cleaned["nullable"] = True
    hints = [*_google_hints(flat, values), *_hints(_without(flat, *cleaned))]
    if description := _described(flat.get("description"), hints):
        cleaned["description"] = description
    return cleaned


def _numbers(values: list[Any]) -> list[int | float]:
    """The values where all of them are numbers or truth values of one type: Gemini knows an enum of strings only, and
    an answer of "1" for 1 would be refused by the tool."""
    given = [value for value in values if value is not None]
    return given if len({type(value) for value in given}) == 1 and type(given[0]) in NUMBER_KINDS else []


def _google_shape(schema: Schema, kind: str) -> Schema:
    """What an object or an array is made of; Gemini refuses these words beside any other type."""
    if kind == "array":
        return {"items": _google_items(schema)}
    if kind != "object" or "properties" not in schema:
        return {}
    properties = _properties(schema)
    shape: Schema = {
        "properties": {name: _google(inner if isinstance(inner, dict) else {}) for name, inner in properties.items()}
    }
    if required := [name for name in dict.fromkeys(_required(schema)) if name in properties]:
        shape["required"] = required
    return shape


def _google_items(schema: Schema) -> Schema:
    items = schema.get("items") or schema.get("prefixItems")
    if isinstance(items, list):
        return _google({"anyOf": items})
    return _google(items) if isinstance(items, dict) else {"type": "string"}


def _google_hints(schema: Schema, values: list[Any]) -> list[str]:
    """What Gemini's types cannot say: several types, and the empty string among values."""
    if numbers := _numbers(values):
        return [f"one of: {', '.join(map(_text, numbers))}"]
    if values:
        return ["may be empty"] if "" in values else []
    return [_accepts(name for name in _types(schema) if name != "null")]


def _with_items(schema: Schema) -> Schema:
    """OpenAI refuses an array that does not say of what, and a list of schemas by place."""
    schema = _with_inner(schema, SCHEMA_WORDS, _with_items)
    items = schema.get("items")
    if isinstance(items, list):
        return {**schema, "items": {"anyOf": items} if items else {}}
    return {**schema, "items": {}} if "array" in _types(schema) and not isinstance(items, dict | bool) else schema


def _types_in_branches(schema: Schema) -> Schema:
    """Moonshot wants the type in the branches of an anyOf and not beside it."""
    if "anyOf" in schema and "type" in schema:
        branches = [_typed(branch, schema["type"]) for branch in _schemas(schema["anyOf"])]
        schema = {**_without(schema, "type"), "anyOf": branches} if branches else _without(schema, "anyOf")
    return _with_inner(schema, SCHEMA_WORDS, _types_in_branches)


def _typed(branch: Schema, kind: Any) -> Schema:
    return branch if "$ref" in branch else {"type": kind, **branch}


_THROUGHOUT: Final[dict[str, Callable[[Schema], Schema]]] = {
    "google": _google,
    "moonshotai": _types_in_branches,
    "openai": _with_items,
}
