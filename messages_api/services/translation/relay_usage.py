"""Owns what a relayed answer tells of its tokens and its cost (wire.md 1.6; the cost is OpenRouter's, 2.6).

It is read into the same form as a chat completion's, so that both are counted and charged by one rule.
"""

from decimal import Decimal

import msgspec
from msgspec import Raw, Struct

from messages_api.services.translation.chat import (
    ChatUsage,
    CompletionDetails,
    CostDetails,
    PromptDetails,
    ServerToolDetails,
)
from messages_api.services.translation.raw_json import encoded

NULL = b"null"


class CacheCreation(Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(Struct, gc=False):
    thinking_tokens: int | None = None


class MessagesUsage(Struct, gc=False):
    input_tokens: float | None = None
    output_tokens: float | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerToolDetails | None = None
    cost: Decimal | None = None
    is_byok: bool | None = None
    cost_details: CostDetails | None = None


_decode = msgspec.json.Decoder(MessagesUsage).decode


def added(told: dict[str, Raw], more: dict[str, Raw]) -> dict[str, Raw]:
    """`told` and what was told later: counts add up on the way, so the last one that is not null is right."""
    return told | {name: value for name, value in more.items() if bytes(value) != NULL}


def chat_usage(told: dict[str, Raw]) -> ChatUsage:
    """The usage in a chat completion's form, whose prompt includes the cache. Raises msgspec.DecodeError."""
    usage = _decode(encoded(told))
    read, written = usage.cache_read_input_tokens or 0, _written(usage)
    details = usage.output_tokens_details or OutputDetails()
    return ChatUsage(
        prompt_tokens=max(0, usage.input_tokens or 0) + max(0, read) + max(0, written),
        completion_tokens=usage.output_tokens,
        cost=usage.cost,
        is_byok=usage.is_byok,
        cost_details=usage.cost_details,
        prompt_tokens_details=PromptDetails(cached_tokens=read, cache_write_tokens=written),
        completion_tokens_details=CompletionDetails(reasoning_tokens=details.thinking_tokens),
        server_tool_use_details=usage.server_tool_use,
    )


def _written(usage: MessagesUsage) -> int:
    """What was written to the cache; some tell only how much of it for how long."""
    if usage.cache_creation_input_tokens is not None:
        return usage.cache_creation_input_tokens
    by_ttl = usage.cache_creation or CacheCreation()
    return (by_ttl.ephemeral_5m_input_tokens or 0) + (by_ttl.ephemeral_1h_input_tokens or 0)
