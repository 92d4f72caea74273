"""Types of JSON values, and the refusal that names the field whose type is wrong."""

from collections.abc import Callable, Collection

from testing.openrouter_simulator.exact_json import JsonValue
from testing.openrouter_simulator.refusals import bad_request

KINDS: dict[str, Callable[[JsonValue], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def kind_of(value: JsonValue) -> str:
    return next(kind for kind, holds in KINDS.items() if holds(value))


def expect(value: JsonValue, kinds: str, path: str) -> None:
    """`kinds` names the allowed types, as in "string|array"."""
    if not any(KINDS[kind](value) for kind in kinds.split("|")):
        raise bad_request(f"{path}: Invalid input: expected {kinds}, received {kind_of(value)}")


def expect_one_of(value: JsonValue, allowed: Collection[str], path: str) -> None:
    if not isinstance(value, str) or value not in allowed:
        options = "|".join(f'"{option}"' for option in sorted(allowed))
        raise bad_request(f"{path}: Invalid option: expected one of {options}")


def expect_length(value: str, longest: int, path: str) -> None:
    if len(value) > longest:
        raise bad_request(f"{path}: Too big: expected string to have <={longest} characters", "string_too_long")


def expect_field(holder: JsonValue, name: str, kinds: str, path: str) -> JsonValue:
    """A field that must be there, with its type."""
    if name not in holder:
        raise bad_request(f"{path}.{name}: Invalid input: expected {kinds}, received undefined")
    expect(holder[name], kinds, f"{path}.{name}")
    return holder[name]
