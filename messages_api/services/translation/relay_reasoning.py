"""Owns which reasoning a relayed target takes, and ours in the form in which OpenRouter's Messages endpoint takes it.

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
from messages_api.services.translation.raw_json import read
from messages_api.services.translation.reasoning import CLAUDE_FAMILY, OPENROUTER_SEAL, SEAL, reasoning_back


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
        """A block that is not taken, as one that is: reasoning of this family under our seal, where it goes on."""
        if self.data is not OPENROUTERS:
            return []
        thought: ThinkingBlock | RedactedThinkingBlock = read("messages", block, _THOUGHT)
        details = reasoning_back([thought], self.family).get("reasoning_details", [])
        return [{"type": "redacted_thinking", "data": OPENROUTER_SEAL + _encoded(detail)} for detail in details]


def at_openrouter(family: str) -> Reader:
    """Models other than Claude sign nothing there; what they must have back is under OpenRouter's seal."""
    if family == CLAUDE_FAMILY:
        return Reader(family, CLAUDES, CLAUDES_OR_OPENROUTERS)
    return Reader(family, UNSIGNED, OPENROUTERS)


def at_provider(family: str) -> Reader:
    """Of models other than Claude nothing is known there, but that they open none of the seals."""
    return Reader(family, CLAUDES, CLAUDES) if family == CLAUDE_FAMILY else Reader(family, UNSEALED, UNSEALED)


def _encoded(detail: dict[str, Any]) -> str:
    return base64.b64encode(orjson.dumps(detail)).decode()
