"""Owns the names and ids of tools: what an upstream refuses is renamed, the same way every time, and named back.

Names may have 64 characters of `[a-zA-Z0-9_-]` and begin with no digit or dash, which Gemini refuses; ids have the same
characters, at most forty for OpenAI and exactly nine letters or digits for Mistral (wire.md 4). Both are pure
functions of the original, so a conversation needs no memory.
"""

import hashlib
import re

from messages_api.services.translation.tables import TOOL_ID_LENGTH, TOOL_NAME_LENGTH

_LEGAL = re.compile(r"[a-zA-Z0-9_-]+")
_LEGAL_NAME = re.compile(rf"[a-zA-Z_][a-zA-Z0-9_-]{{0,{TOOL_NAME_LENGTH - 1}}}")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_HASH_LENGTH = 9


def acceptable_name(name: str) -> str:
    """`name` where every provider takes it; else its beginning and a hash of the whole."""
    if _LEGAL_NAME.fullmatch(name):
        return name
    beginning = name if name[:1].isalpha() else f"_{name}"
    return f"{_ILLEGAL.sub('_', beginning)[: TOOL_NAME_LENGTH - _HASH_LENGTH - 1]}_{_hash(name)}"


def legal_id(tool_id: str) -> str:
    """`tool_id` where the Messages API takes it, at any length; else a hash that stands for it."""
    return tool_id if _LEGAL.fullmatch(tool_id) else f"call_{_hash(tool_id)}"


def acceptable_id(tool_id: str, family: str) -> str:
    """`tool_id` where the family takes it, else a hash. Gemini's reasoning refers to its long ids: they stay."""
    if family == "mistralai":
        return tool_id if _MISTRAL_ID.fullmatch(tool_id) else _hash(tool_id)
    if len(tool_id) <= TOOL_ID_LENGTH.get(family, TOOL_NAME_LENGTH) or family == "google":
        return legal_id(tool_id)
    return f"call_{_hash(tool_id)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
