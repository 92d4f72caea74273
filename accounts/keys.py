"""Owns the shape of a personal key: `sk-brg-<prefix>-<secret><checksum>`. Pure.

The prefix finds the row and may be shown; the secret holds 43 base62 characters (256 bits); the checksum lets a
mistyped key be refused without asking the database. Only a SHA-256 of the whole is stored: with 256 bits of entropy
a slow hash would protect nothing more.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
PREFIX_LENGTH = 8
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
_SHAPE = re.compile(
    rf"sk-brg-([0-9A-Za-z]{{{PREFIX_LENGTH}}})-([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


class NewKey(NamedTuple):
    """A key at the only moment its text exists."""

    text: str
    prefix: str
    digest: str


def new_key() -> NewKey:
    prefix, secret = _random(PREFIX_LENGTH), _random(SECRET_LENGTH)
    body = f"sk-brg-{prefix}-{secret}"
    text = body + _checksum(body)
    return NewKey(text, prefix, digest(text))


def digest(text: str) -> str:
    """What is stored and compared: SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def prefix_of(text: str) -> str | None:
    """The prefix of a well-formed key; None when its shape or checksum is wrong."""
    match = _SHAPE.fullmatch(text)
    if match is None or match[3] != _checksum(text[:-CHECKSUM_LENGTH]):
        return None
    return match[1]


def same_digest(left: str, right: str) -> bool:
    return hmac.compare_digest(left, right)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    letters = ""
    for _ in range(CHECKSUM_LENGTH):
        number, letter = divmod(number, len(ALPHABET))
        letters = ALPHABET[letter] + letters
    return letters
