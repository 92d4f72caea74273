"""Owns the tables of values that differ between the two wires."""

from typing import Final

from messages_api.schemas import Effort
from messages_api.services.translation.events import StopReason

STOP_REASON: Final[dict[str, StopReason]] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}

#: OpenRouter's scale is Anthropic's with `minimal` and `none` below it (wire.md 2.1).
EFFORTS: Final[tuple[Effort, ...]] = ("low", "medium", "high", "xhigh", "max")
EFFORT_LADDER: Final[tuple[str, ...]] = ("none", "minimal", *EFFORTS)

#: Families whose models take instructions in the middle of a conversation as a system message.
SYSTEM_ANYWHERE: Final = frozenset({"openai", "anthropic"})

#: Families that understand `cache_control` on parts of a message (wire.md 2.1, 3.2).
CACHE_CONTROL: Final = frozenset({"anthropic", "google", "qwen", "deepseek", "minimax", "z-ai"})

TOOL_NAME_LENGTH: Final = 64
STOP_SEQUENCES: Final = 4
USER_LENGTH: Final = 64
OPENAI_LEAST_OUTPUT: Final = 16
