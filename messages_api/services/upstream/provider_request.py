"""Owns what a provider beside OpenRouter is asked: OpenRouter's words become those that LiteLLM has. Pure.

What only OpenRouter can do, and what a provider's format has no place for, is refused by name: left out, the client
would take the answer for one to what it asked. docs/litellm.md lists what is left out because it is harmless.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from messages_api.errors import InvalidRequest
from messages_api.services.failures import Speaker
from messages_api.services.terms import refuse_data_policy
from messages_api.services.translation.chat import ReasoningDetail
from messages_api.services.translation.reasoning import CLAUDE_FAMILY
from messages_api.services.translation.tools import WEB_SEARCH, Tools

Chat = dict[str, Any]

#: What both sides call the same. OpenRouter's own keys (plugins, session_id, ...) are not here, so they stay behind.
SHARED_PARAMETERS = (
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "user",
    "stream",
)
SHARED_MESSAGE_KEYS = ("role", "content", "tool_calls", "tool_call_id")
#: Parameters that change what an answer is, and what the client calls them. The others only shade it.
DECISIVE = {
    "tools": "tools",
    "tool_choice": "tool_choice",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
}

#: Want the reasoning of earlier turns back, as `reasoning_content`; others refuse the field.
TAKE_REASONING_BACK = frozenset(
    {"dashscope", "deepseek", "hosted_vllm", "minimax", "moonshot", "qwencloud", "together_ai", "zai"}
)
TAKE_TOP_K = frozenset(
    {"anthropic", "bedrock", "deepinfra", "fireworks_ai", "gemini", "hosted_vllm", "llamafile", "lm_studio"}
    | {"ollama_chat", "together_ai", "vertex_ai"}
)
#: What a provider calls the tiers that OpenRouter has.
TIERS = {
    "anthropic": {"auto": "auto", "default": "standard_only"},
    "azure": {"auto": "auto", "default": "default", "priority": "priority"},
    "openai": {"auto": "auto", "default": "default", "priority": "priority"},
}
#: Efforts that LiteLLM passes on, or refuses, for providers that have nothing above `high`.
ABOVE_HIGH = frozenset({"xhigh", "max"})
#: With marks LiteLLM makes a cache at Google's that is paid by the hour, a new one each turn; without, Google caches
#: by itself.
CACHE_UNASKED = frozenset({"gemini", "vertex_ai", "vertex_ai_beta"})
#: For others with a format of their own LiteLLM, or the server itself, would fetch what stands at an address.
PASS_ADDRESSES_ON = frozenset({"anthropic", "azure", "azure_ai"})
#: Providers in whose requests LiteLLM leaves files out.
LOSE_FILES = frozenset({"ollama", "ollama_chat"})
#: What LiteLLM believes, or says, that it passes on, and does not.
LOST_PARAMETERS = {"ollama_chat": frozenset({"tool_choice"})}
#: LiteLLM's reader of Cohere's stream finds neither its calls nor its end (tool-call-start, message-end).
MISREAD = frozenset({"cohere", "cohere_chat"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call goes, in LiteLLM's terms; `name` is what an administrator calls it."""

    provider: str
    model: str
    name: str
    base_url: str
    api_key: str = field(repr=False)
    family: str = ""
    is_own: bool = False  # OpenRouter, where the settings say it is

    @property
    def speaker(self) -> Speaker:
        return Speaker(self.name, self.api_key)

    @property
    def full_model(self) -> str:
        """Always with the provider before it: `openai/gpt-oss` of a provider `openai` must keep its own prefix."""
        return f"{self.provider}/{self.model}"

    @property
    def is_claude(self) -> bool:
        return self.family == CLAUDE_FAMILY


# --- what is refused -------------------------------------------------------------------------------------------------


def refuse_what_openrouter_alone_does(body: Chat, tools: Tools, place: Place) -> None:
    """Raises for what no other provider is asked in these words, and for a provider that cannot be asked in any."""
    if place.provider in MISREAD:
        raise InvalidRequest(
            f"model: {place.name} cannot be read in Cohere's own format. An administrator can make its provider "
            "openai, with the base URL https://api.cohere.ai/compatibility/v1."
        )
    if tools.web_search is not None:
        raise InvalidRequest(f"tools: {WEB_SEARCH} is run by OpenRouter, and this model is served by {place.name}")
    refuse_data_policy(body.get("provider") or {}, place.name)


def refuse_attachments_that_would_be_lost(body: Chat, place: Place) -> None:
    """For providers with a format of their own: an address would be fetched from here, or a file left out."""
    for part in _parts(body["messages"]):
        if part["type"] == "file" and place.provider in LOSE_FILES:
            raise InvalidRequest(f"document: {place.name} takes no files; their text can be sent as text")
        address = _address(part)
        if address.startswith("data:") or (place.provider in PASS_ADDRESSES_ON and address.startswith("https:")):
            continue
        raise InvalidRequest(f"source.url: {place.name} takes no addresses; the data can be sent as base64")


def refuse_parameters(names: Iterable[str], place: Place) -> None:
    """Raises for the first of the decisive parameters that would be dropped."""
    for name in names:
        raise InvalidRequest(f"{DECISIVE[name]}: {place.name} cannot be asked for that with {place.model}")


def decisive(parameters: Chat, taken: Iterable[str], place: Place) -> list[str]:
    """The decisive parameters that LiteLLM would drop. A free choice of tools is what all begin with."""
    kept = frozenset(taken) - LOST_PARAMETERS.get(place.provider, frozenset())
    asked = (name for name in DECISIVE if name in parameters and name not in kept)
    return [name for name in asked if (name, parameters[name]) != ("tool_choice", "auto")]


def _parts(messages: list[Chat]) -> Iterator[Chat]:
    """The attachments in `messages`."""
    for message in messages:
        if isinstance(message["content"], list):
            yield from (part for part in message["content"] if part["type"] in {"image_url", "file"})


def _address(part: Chat) -> str:
    return str(part["image_url"]["url"] if part["type"] == "image_url" else part["file"]["file_data"])


# --- what is asked ---------------------------------------------------------------------------------------------------


def parameters(body: Chat, place: Place) -> Chat:
    asked = {name: body[name] for name in SHARED_PARAMETERS if name in body}
    if "top_k" in body and place.provider in TAKE_TOP_K:
        asked["top_k"] = body["top_k"]
    tier = TIERS.get(place.provider, {}).get(body.get("service_tier", ""))
    if tier is not None:
        asked["service_tier"] = tier
    if "cache_control" in body and place.provider == "anthropic":
        asked["cache_control"] = body["cache_control"]
    return {**asked, **_thinking(body.get("reasoning") or {}, place)}


def _thinking(reasoning: Chat, place: Place) -> Chat:
    """Claude does not think unless asked, so `enabled` is asked for as what its own API takes for granted."""
    if reasoning.get("enabled") is False and place.provider == "anthropic":
        return {"thinking": {"type": "disabled"}}
    effort = reasoning.get("effort") or ("high" if place.is_claude and reasoning.get("enabled") else None)
    if effort is None:
        return {}
    return {"reasoning_effort": "high" if effort in ABOVE_HIGH and not place.is_claude else effort}


def messages(body: Chat, place: Place, *, with_seals: bool = False) -> list[Chat]:
    asked = [_message(message, place, with_seals=with_seals) for message in body["messages"]]
    if place.provider == "mistral" and asked[-1]["role"] == "assistant":
        asked[-1]["prefix"] = True  # it refuses an answer that is begun, unless it is told so
    return asked


def _message(message: Chat, place: Place, *, with_seals: bool) -> Chat:
    """Without OpenRouter's keys; earlier reasoning goes back in the form that LiteLLM has for it."""
    kept = {name: message[name] for name in SHARED_MESSAGE_KEYS if name in message}
    if isinstance(kept["content"], list):
        kept["content"] = [_part(part, place) for part in kept["content"]]
    if "reasoning" in message and place.provider in TAKE_REASONING_BACK:
        kept["reasoning_content"] = message["reasoning"]
    details = message.get("reasoning_details")
    if details and with_seals:
        blocks = [_thinking_block(detail) for detail in details if "id" not in detail]
        kept |= {"thinking_blocks": blocks} if blocks else {}
        seals = {detail["id"]: detail["data"] for detail in details if "id" in detail}
        for call in kept.get("tool_calls", ()):
            if call["id"] in seals:
                call["provider_specific_fields"] = {"thought_signature": seals[call["id"]]}
    return kept


def _part(part: Chat, place: Place) -> Chat:
    if place.provider in CACHE_UNASKED and not place.is_claude:
        part = {name: value for name, value in part.items() if name != "cache_control"}
    if part["type"] == "file" and place.provider == "anthropic" and _address(part).startswith("https:"):
        return {**part, "file": {"file_id": _address(part)}}  # so LiteLLM passes the address on
    return part


def _thinking_block(detail: ReasoningDetail) -> Chat:
    if "data" in detail:
        return {"type": "redacted_thinking", "data": detail["data"]}
    return {"type": "thinking", "thinking": detail.get("text") or "", "signature": detail.get("signature") or ""}
