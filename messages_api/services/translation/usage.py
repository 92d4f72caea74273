"""Owns token accounting between the wires: a chat's `prompt_tokens` includes the cache, `input_tokens` excludes it."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from messages_api.services.translation.chat import ChatUsage, CompletionDetails, PromptDetails, ServerToolDetails
from messages_api.services.translation.events import OutputTokensDetails, ServerToolUsage, ServiceTier, Usage
from usage.pricing import Tokens, picodollars

#: Far beyond any request, and well within the columns of the database.
DEAREST = Decimal(100_000)
MOST_TOKENS = 10**12
CHARACTERS_PER_TOKEN = 4

#: OpenRouter's tiers that Anthropic has, too (wire.md 1.6, 2.1).
SERVICE_TIER: Final[dict[str, ServiceTier]] = {"default": "standard", "priority": "priority"}


def tokens_of(usage: ChatUsage) -> Tokens:
    """The tokens of a chat completion; the prompt is split so that its three parts add up to it again."""
    prompt = usage.prompt_tokens_details or PromptDetails()
    completion = usage.completion_tokens_details or CompletionDetails()
    server = usage.server_tool_use_details or ServerToolDetails()
    read = _count(prompt.cached_tokens)
    write = _count(prompt.cache_write_tokens)
    return Tokens(
        input=max(0, _count(usage.prompt_tokens) - read - write),
        output=_count(usage.completion_tokens),
        cache_read=read,
        cache_write=write,
        reasoning=_count(completion.reasoning_tokens),
        web_searches=_count(server.web_search_requests),
    )


def charged(usage: ChatUsage) -> int | None:
    """Picodollars that OpenRouter says it cost; with a key of one's own at the provider, the provider's share too."""
    if usage.cost is None:
        return None
    byok = usage.cost_details.upstream_inference_cost if usage.is_byok and usage.cost_details else None
    parts = (usage.cost, byok or Decimal(0))
    if not all(part.is_finite() and 0 <= part <= DEAREST for part in parts):
        return None  # no charge that anybody would pay: the catalogue's price is the better guess
    return picodollars(parts[0] + parts[1])


def anthropic_usage(usage: ChatUsage, *, service_tier: str = "", searches: int = 0) -> Usage:
    """The true numbers, as the client is told them; at least as many searches as it is shown.

    Chat completions do not tell for how long a cache was written, so `cache_creation` stays unknown.
    """
    tokens = tokens_of(usage)
    details = usage.completion_tokens_details
    has_thoughts = details is not None and details.reasoning_tokens is not None
    searched = max(tokens.web_searches, searches)
    return Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_creation_input_tokens=tokens.cache_write,
        cache_read_input_tokens=tokens.cache_read,
        output_tokens_details=OutputTokensDetails(min(tokens.reasoning, tokens.output)) if has_thoughts else None,
        server_tool_use=ServerToolUsage(searched) if searched else None,
        service_tier=SERVICE_TIER.get(service_tier),
    )


def estimated_tokens(input_tokens: int, characters: int) -> Tokens:
    """Where the upstream tells nothing: the estimate of the input, and the answer at four characters a token."""
    return Tokens(input=input_tokens, output=-(-characters // CHARACTERS_PER_TOKEN))


def tokens_so_far(usage: ChatUsage, input_tokens: int, characters: int) -> Tokens:
    """Where the upstream has not told yet how much it said, and perhaps not even how much it read."""
    told, estimated = tokens_of(usage), estimated_tokens(input_tokens, characters)
    return replace(
        told, input=told.input if told.prompt else estimated.input, output=max(told.output, estimated.output)
    )


def estimated_usage(input_tokens: int, characters: int) -> Usage:
    """The same, as the client is told it."""
    tokens = estimated_tokens(input_tokens, characters)
    return Usage(tokens.input, tokens.output)


def _count(value: float | None) -> int:
    """What an upstream does not say is none; a negative or absurd count is a provider's error."""
    return int(min(max(0, value or 0), MOST_TOKENS))
