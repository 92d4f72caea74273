"""Owns what is changed in the blocks of a relayed answer: whose thoughts they are is told, Claude's are told once, and
ids of calls are such that every model can go on with them.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from messages_api.schemas import ABSENT
from messages_api.services.translation.chat import AnswerError
from messages_api.services.translation.names import legal_id
from messages_api.services.translation.reasoning import CLAUDE_FAMILY, OPENROUTER_SEAL
from messages_api.services.translation.relay_reasoning import sealed_data, sealed_signature

T = TypeVar("T")
Fields = dict[str, Raw]

#: The JSON of an id of a call that Claude takes.
LEGAL_ID = re.compile(rb'"[a-zA-Z0-9_-]+"')
#: How the JSON of what OpenRouter sealed begins.
SEALED = f'"{OPENROUTER_SEAL}'.encode()


class Block(Struct, gc=False):
    """Raw, since a block of a type that is not known here may have anything under a name."""

    type: str = ""
    data: Raw = ABSENT
    id: Raw = ABSENT
    signature: Raw = ABSENT


class Delta(Struct, gc=False):
    type: str = ""
    stop_reason: str | None = None
    signature: Raw = ABSENT


class _Place(Struct, gc=False):
    index: int


_BLOCK = msgspec.json.Decoder(Block | None)
_DELTA = msgspec.json.Decoder(Delta | None)
_PLACE = msgspec.json.Decoder(_Place)
_TEXT = msgspec.json.Decoder(str | None)
_FIELDS = msgspec.json.Decoder(Fields)


def checked(decode: Callable[[Any], T], data: Any) -> T:
    """What `decode` makes of the upstream's `data`. Raises AnswerError."""
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"The upstream sent something that is not an answer of the Messages API: {error}") from None


def block_in(raw: Raw) -> Block:
    return (None if raw is ABSENT else checked(_BLOCK.decode, raw)) or Block()


def delta_in(raw: Raw) -> Delta:
    return (None if raw is ABSENT else checked(_DELTA.decode, raw)) or Delta()


def index_in(payload: bytes) -> int:
    return checked(_PLACE.decode, payload).index


def put(raw: Raw, changes: dict[str, str]) -> Raw | dict[str, Any]:
    """A block with other values under some of its names."""
    return {**_FIELDS.decode(raw), **changes} if changes else raw


class Blocks:
    """What is to be done with the blocks of an answer of `family`, of which nothing is known where it is empty."""

    def __init__(self, family: str) -> None:
        self._family = family
        #: Thoughts leave under a seal of ours, but for Claude's: its own signatures say whose they are.
        self._is_sealing = family not in {"", CLAUDE_FAMILY}
        self._signature: str | None = None  # of the open thought, if it is to be sealed

    @property
    def is_sealing(self) -> bool:
        """Whether the open block is a thought to be sealed."""
        return self._signature is not None

    def is_copy(self, block: Block) -> bool:
        """OpenRouter tells a thought of Claude's once more, sealed, behind the answer: Claude Code would take it for
        the end of the answer, where the text should be."""
        is_sealed = block.type == "redacted_thinking" and bytes(block.data).startswith(SEALED)
        return is_sealed and self._family == CLAUDE_FAMILY

    def open(self, block: Block) -> dict[str, str]:
        """What is changed where a block begins in a stream. A thought to be sealed is signed at its end."""
        is_sealed = block.type == "thinking" and self._is_sealing
        self._signature = _text(block.signature) if is_sealed else None
        return {"signature": ""} if is_sealed else self._changes(block)

    def takes(self, raw: Raw) -> bool:
        """Whether a delta signs the open thought: what it is signed with goes into our seal."""
        delta = delta_in(raw)
        if self._signature is None or delta.type != "signature_delta":
            return False
        self._signature += _text(delta.signature)
        return True

    def close(self) -> dict[str, str]:
        """The delta that signs the open thought."""
        seal, self._signature = sealed_signature(self._signature or "", self._family), None
        return {"type": "signature_delta", "signature": seal}

    def whole(self, block: Block) -> dict[str, str]:
        """What is changed in a block of an answer that is not streamed."""
        if block.type == "thinking" and self._is_sealing:
            return {"signature": sealed_signature(_text(block.signature), self._family)}
        return self._changes(block)

    def _changes(self, block: Block) -> dict[str, str]:
        """Kimi's ids of calls are such that Claude, if it goes on with the conversation, would refuse them."""
        if block.type == "tool_use" and LEGAL_ID.fullmatch(bytes(block.id)) is None:
            return {"id": legal_id(_text(block.id))}
        if block.type == "redacted_thinking" and self._is_sealing:
            return {"data": sealed_data(_text(block.data), self._family)}
        return {}


def _text(raw: Raw) -> str:
    """A text of the upstream's, that may be null or missing."""
    return (None if raw is ABSENT else checked(_TEXT.decode, raw)) or ""
