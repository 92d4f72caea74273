"""JSON text: amounts with every digit, bytes ready for the wire."""

from decimal import Decimal
from typing import Any

import orjson

Json = dict[str, Any]
# A recursive type would turn every reading of a request into a cast.
JsonValue = Any

SMALLEST_PLAIN_AMOUNT = Decimal("0.0001")


def amount_text(amount: Decimal) -> str:
    """The digits OpenRouter would print: plain, or with an exponent below 0.0001."""
    if amount == 0:
        return "0"
    if abs(amount) >= SMALLEST_PLAIN_AMOUNT:
        plain = format(amount, "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return exponent_text(amount)


def exponent_text(amount: Decimal) -> str:
    sign, digits, _ = amount.normalize().as_tuple()
    head, tail = str(digits[0]), "".join(str(digit) for digit in digits[1:])
    mantissa = f"{head}.{tail}" if tail else head
    return f"{'-' if sign else ''}{mantissa}e-{-amount.adjusted():02d}"


def amount(value: Decimal) -> orjson.Fragment:
    """A JSON number whose text is exact: a float would round it."""
    return orjson.Fragment(amount_text(value))


def encode(document: object) -> bytes:
    return orjson.dumps(document)
