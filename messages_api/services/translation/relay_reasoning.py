"""Owns which reasoning a relayed target takes, in which form, and the seal under which it leaves.

A target refuses reasoning that it did not give. Whose it is shows in how its signature or its data begins: Claude's
own have no word in front (wire.md 2.3).
"""

import base64
import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
from msgspec import Raw

from messages_api.schemas import RedactedThinkingBlock, ThinkingBlock
from messages_api.services.translation.raw_json import changed, read
from messages_api.services.translation.reasoning import (
    CLAUDE_FAMILY,
    OPENROUTER_SEAL,
    PLAIN,
    RELAYED_REDACTED,
    RELAYED_THOUGHT,
    SEAL,
    carried_by,
    sealed,
    text_of,
)


def _json(pattern: str) -> re.Pattern[bytes]:
    seals = {"OURS": re.escape(SEAL), "OPENROUTERS": re.escape(OPENROUTER_SEAL)}
    return re.compile(pattern.format(**seals).encode())


#: Patterns of the JSON of a signature or of data, as it begins. Absent, it is empty.
CLAUDES: Final = _json('"(?!"|{OURS}|{OPENROUTERS})')
#: OpenRouter gives Claude's signed thoughts twice, the second time under its own seal, and takes both back.
CLAUDES_OR_OPENROUTERS: Final = _json('"(?!{OURS})')
OPENROUTERS: Final = _json('"{OPENROUTERS}')
UNSIGNED: Final = _json('$|null|""')
UNSEALED: Final = _json('(?!"({OURS}|{OPENROUTERS}))')

_THOUGHT = msgspec.json.Decoder(ThinkingBlock | RedactedThinkingBlock)


@dataclass(frozen=True, slots=True)
class Reader:
    """A target as a reader of reasoning: whose it is, and which signatures and data it takes."""

    family: str
    signature: re.Pattern[bytes]
    data: re.Pattern[bytes]

    def resealed(self, block: Raw) -> list[dict[str, Any]]:
        """A block that is not taken, as one that is: reasoning of this family under our seal."""
        thought: ThinkingBlock | RedactedThinkingBlock = read("messages", block, _THOUGHT)
        family, detail = carried_by(thought)
        if family != self.family or family == CLAUDE_FAMILY:
            return []
        text, is_openrouter = text_of(detail), self.data is OPENROUTERS
        match detail["type"]:
            case "thinking" if not is_openrouter and isinstance(thought, ThinkingBlock):
                return [changed("messages", block, signature=detail.get("signature") or "")]
            case "redacted_thinking":
                data = detail.get("data")
                return [changed("messages", block, data=data)] if data and not is_openrouter else []
            case kind if kind not in {PLAIN, RELAYED_THOUGHT} and is_openrouter:
                return [{"type": "redacted_thinking", "data": OPENROUTER_SEAL + _encoded(detail)}]
            case _:
                return [{"type": "thinking", "thinking": text, "signature": ""}] if text else []


def at_openrouter(family: str) -> Reader:
    """Models other than Claude sign nothing there; what they must have back is under OpenRouter's seal."""
    if family == CLAUDE_FAMILY:
        return Reader(family, CLAUDES, CLAUDES_OR_OPENROUTERS)
    return Reader(family, UNSIGNED, OPENROUTERS)


def at_provider(family: str) -> Reader:
    """Of models other than Claude nothing is known there, but that they open none of the seals."""
    return Reader(family, CLAUDES, CLAUDES) if family == CLAUDE_FAMILY else Reader(family, UNSEALED, UNSEALED)


# --- from the target to the client -----------------------------------------------------------------------------------


def sealed_signature(signature: str, family: str) -> str:
    """What a thought of a model other than Claude is signed with on its way out: only so is it known whose it is."""
    return sealed({"type": RELAYED_THOUGHT, "signature": signature}, family)


def sealed_data(data: str, family: str) -> str:
    """The same for what has no text. Of what OpenRouter sealed, most tells by its format whose it is."""
    if not data.startswith(OPENROUTER_SEAL):
        return sealed({"type": RELAYED_REDACTED, "data": data}, family)
    owner, detail = carried_by(RedactedThinkingBlock(data))
    return data if owner or detail["type"] == PLAIN else sealed(detail, family)


def _encoded(detail: dict[str, Any]) -> str:
    return base64.b64encode(orjson.dumps(detail)).decode()
