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
    # Not OpenAI's, but those of providers that otherwise speak as it does: Together, xAI, Mistral, Z.AI.
    "eos": "end_turn",
    "eos_token": "end_turn",
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "model_length": "model_context_window_exceeded",
    "model_context_window_exceeded": "model_context_window_exceeded",
    "sensitive": "refusal",
}

#: OpenRouter's scale is Anthropic's with `minimal` and `none` below it (wire.md 2.1).
EFFORTS: Final[tuple[Effort, ...]] = ("low", "medium", "high", "xhigh", "max")
EFFORT_LADDER: Final[tuple[str, ...]] = ("none", "minimal", *EFFORTS)

#: Families whose models take instructions in the middle of a conversation as a system message.
SYSTEM_ANYWHERE: Final = frozenset({"openai", "anthropic"})

#: Families that understand `cache_control` on parts of a message (wire.md 2.1, 3.2).
CACHE_CONTROL: Final = frozenset({"anthropic", "google", "qwen", "deepseek", "minimax", "z-ai"})

#: Families that tell five minutes from an hour; the others keep what they cache for a time of their own.
CACHE_TTL: Final = frozenset({"anthropic"})

#: The limits on a search that a family's own search honours (OpenRouter's "Web Search" guide, "Domain Filtering"); a
#: family that is not here has none, and OpenRouter's engine honours all.
NATIVE_SEARCH_LIMITS: Final[dict[str, frozenset[str]]] = {
    "anthropic": frozenset({"max_uses", "allowed_domains", "excluded_domains"}),
    "google": frozenset(),
    "openai": frozenset({"allowed_domains"}),
    "perplexity": frozenset(),
    "x-ai": frozenset({"allowed_domains", "excluded_domains"}),
}

#: Anthropic's tiers and OpenRouter's (its "Service Tiers" guide, "Fast mode", for `speed`).
SERVICE_TIERS: Final = {"auto": "auto", "standard_only": "default"}
FAST_TIER: Final = "priority"

TOOL_NAME_LENGTH: Final = 64
TOOL_ID_LENGTH: Final[dict[str, int]] = {"openai": 40}
STOP_SEQUENCES: Final = 4
USER_LENGTH: Final = 64
OPENAI_LEAST_OUTPUT: Final = 16
