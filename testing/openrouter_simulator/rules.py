"""The order in which a request is judged, for both endpoints."""

from collections.abc import Callable, Mapping

from testing.openrouter_simulator import (
    rules_anthropic,
    rules_chat,
    rules_messages,
    rules_provider,
    rules_reasoning,
    rules_search,
)
from testing.openrouter_simulator.conversation import Conversation
from testing.openrouter_simulator.exact_json import Json
from testing.openrouter_simulator.issued import Issued
from testing.openrouter_simulator.models import Model

OpenRouterRule = Callable[[Json], None]
ProviderRule = Callable[[Json, Model], None]

CHAT_SHAPES: tuple[OpenRouterRule, ...] = (
    rules_chat.check_messages_present,
    rules_chat.check_message_shapes,
    rules_chat.check_tools,
    rules_chat.check_tool_choice,
    rules_chat.check_reasoning,
    rules_chat.check_stop,
    rules_chat.check_numbers,
    rules_chat.check_plugins,
    rules_search.check_search_settings,
    rules_chat.check_service_tier,
    rules_chat.check_response_format,
    rules_chat.check_cache_controls,
    rules_chat.check_debug,
)
MESSAGES_SHAPES: tuple[OpenRouterRule, ...] = (
    rules_messages.check_fallbacks,
    rules_chat.check_plugins,
    rules_search.check_search_settings,
)
CHAT_PROVIDERS: tuple[ProviderRule, ...] = (
    rules_chat.check_provider,
    rules_search.check_search_domains,
    rules_provider.check_abilities,
    rules_provider.check_reasoning_setting,
    rules_provider.check_max_tokens,
    rules_provider.check_tool_list,
    rules_provider.check_schemas,
    rules_provider.check_tool_order,
    rules_provider.check_call_ids,
    rules_provider.check_call_arguments,
    rules_provider.check_tool_images,
    rules_provider.check_anthropic_content,
    rules_provider.check_openai_content,
)
PLAIN_PROVIDERS: tuple[ProviderRule, ...] = (
    rules_messages.check_limits,
    rules_messages.check_thinking,
    rules_messages.check_clearing,
    rules_messages.check_output_config,
    rules_messages.check_tools,
    rules_messages.check_adjacency,
    rules_messages.check_searches,
    rules_messages.check_texts,
)
MESSAGES_PROVIDERS: tuple[ProviderRule, ...] = (
    rules_chat.check_provider,
    rules_messages.check_openrouter_thinking,
    *PLAIN_PROVIDERS,
    rules_search.check_search_domains,
)


def check_chat(body: Json, header_session: str | None) -> Model:
    """wire.md 2.1."""
    rules_chat.check_fields(body)
    for shape in CHAT_SHAPES:
        shape(body)
    rules_chat.check_identity(body, header_session)
    model = rules_chat.check_model(body)
    for rule in CHAT_PROVIDERS:
        rule(body, model)
    return model


def check_messages(body: Json, header_session: str | None) -> Model:
    """wire.md 2.6."""
    rules_messages.check_fields(body)
    for shape in MESSAGES_SHAPES:
        shape(body)
    rules_messages.check_identity(body, header_session)
    rules_messages.check_message_shapes(body)
    model = rules_chat.check_model(body)
    for rule in MESSAGES_PROVIDERS:
        rule(body, model)
    return model


def check_plain_messages(body: Json, headers: Mapping[str, str]) -> Model:
    """wire.md 1.2: a provider that speaks Messages itself, without OpenRouter."""
    rules_anthropic.check_fields(body, headers)
    rules_messages.check_fields(body)
    rules_messages.check_identity(body, None)
    rules_messages.check_message_shapes(body)
    rules_anthropic.check_blocks(body)
    model = rules_anthropic.check_model(body)
    for rule in PLAIN_PROVIDERS:
        rule(body, model)
    return model


def check_chat_reasoning(body: Json, model: Model, issued: Issued, prefixes: list[str]) -> Json:
    """wire.md 2.3. Returns what came back, for the control plane."""
    said = list(rules_reasoning.chat_said(body))
    reasoning = body.get("reasoning") or {}
    effort = reasoning.get("effort") or body.get("reasoning_effort")
    is_thinking = rules_provider.thinks(reasoning, effort) and reasoning.get("enabled") is not False
    rules_reasoning.check_reasoning(said, model, issued, is_thinking, reasoning.get("enabled") is False)
    return rules_reasoning.summary_of(said, model, issued, prefixes)


def check_messages_reasoning(body: Json, model: Model, issued: Issued, prefixes: list[str]) -> Json:
    """wire.md 2.3. Returns what came back, for the control plane."""
    said = list(rules_reasoning.messages_said(body, model))
    kind = (body.get("thinking") or {}).get("type")
    is_thinking = kind in ("enabled", "adaptive")
    rules_reasoning.check_reasoning(said, model, issued, is_thinking, kind == "disabled")
    return rules_reasoning.summary_of(said, model, issued, prefixes)


def check_chat_size(body: Json, model: Model, conversation: Conversation) -> None:
    """wire.md 2.5, context_length_exceeded."""
    rules_provider.check_breakpoints(conversation, model)
    rules_provider.check_lifetimes(conversation, model)
    rules_provider.check_room(model, conversation, body.get("max_completion_tokens") or body.get("max_tokens"))


def check_messages_size(model: Model, conversation: Conversation) -> None:
    """wire.md 2.5, context_length_exceeded."""
    rules_provider.check_breakpoints(conversation, model)
    rules_provider.check_lifetimes(conversation, model)
    rules_provider.check_prompt_length(model, conversation)


def unsupported_keys(body: Json, model: Model) -> list[str]:
    """wire.md 2.1, require_parameters: what the model cannot do is left out without a word."""
    asked = {name for name in body if name in rules_chat.KNOWN_PARAMETERS and body[name] is not None}
    return sorted(asked - set(model.parameters))


def ignored_keys(body: Json, known: dict[str, str]) -> list[str]:
    """wire.md 2: unknown top-level keys are ignored, so nobody notices them but the control plane."""
    return sorted(set(body) - set(known))


CHAT_FIELDS = rules_chat.FIELD_KINDS
# Of Anthropic's fields, OpenRouter's schema has no more than these (OpenRouterTeam/typescript-sdk, messagesrequest.ts).
UNKNOWN_TO_OPENROUTER = frozenset({"container", "diagnostics", "inference_geo", "mcp_servers"})
MESSAGES_FIELDS = {
    name: kinds for name, kinds in rules_messages.FIELD_KINDS.items() if name not in UNKNOWN_TO_OPENROUTER
}
