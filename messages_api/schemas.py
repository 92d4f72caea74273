"""Owns the shape of a Messages request, and the one step from bytes to typed values, at the edge.

The top level is decoded as raw values, so that every key is known by name: forwarded, dropped or refused, and no key
is lost silently. Large opaque parts stay bytes (`Raw`): `tools`, which are the same on every turn, and tool inputs,
which go through unread. Sources: the anthropic SDK's `MessageCreateParams` and its beta twin (wire.md 1.2 to 1.5).
"""

import logging
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from messages_api.errors import InvalidRequest, NotFound

logger = logging.getLogger("bridge.request")


class Tagged(Struct, tag_field="type", omit_defaults=True):
    """A wire object that says what it is by its `type`."""


class CacheControl(Tagged, tag="ephemeral"):
    ttl: Literal["5m", "1h"] | None = None


# --- sources of images and documents ---------------------------------------------------------------------------------


class Base64Source(Tagged, tag="base64"):
    media_type: str
    data: str


class UrlSource(Tagged, tag="url"):
    url: str


class PlainTextSource(Tagged, tag="text"):
    data: str
    media_type: str = "text/plain"


class ContentSource(Tagged, tag="content"):
    content: "str | list[TextBlock | ImageBlock]"


# --- content blocks --------------------------------------------------------------------------------------------------


class TextBlock(Tagged, tag="text"):
    text: str
    cache_control: CacheControl | None = None


class ImageBlock(Tagged, tag="image"):
    source: Base64Source | UrlSource
    cache_control: CacheControl | None = None


class DocumentBlock(Tagged, tag="document"):
    source: Base64Source | UrlSource | PlainTextSource | ContentSource
    title: str | None = None
    context: str | None = None
    cache_control: CacheControl | None = None


class SearchResultBlock(Tagged, tag="search_result"):
    source: str
    title: str
    content: list[TextBlock]
    cache_control: CacheControl | None = None


class ThinkingBlock(Tagged, tag="thinking"):
    thinking: str
    signature: str


class RedactedThinkingBlock(Tagged, tag="redacted_thinking"):
    data: str


class ToolUseBlock(Tagged, tag="tool_use"):
    id: str
    name: str
    input: Raw
    cache_control: CacheControl | None = None


class ToolReferenceBlock(Tagged, tag="tool_reference"):
    tool_name: str


class ToolResultBlock(Tagged, tag="tool_result"):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class ServerToolUseBlock(Tagged, tag="server_tool_use"):
    id: str
    name: str
    input: Raw


class WebSearchToolResultBlock(Tagged, tag="web_search_tool_result"):
    tool_use_id: str
    content: Raw


UserBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolResultBlock
AssistantBlock = (
    TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ServerToolUseBlock | WebSearchToolResultBlock
)


class UserMessage(Struct, tag_field="role", tag="user"):
    content: str | list[UserBlock]


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    content: str | list[AssistantBlock]


class SystemMessage(Struct, tag_field="role", tag="system"):
    """Instructions in the middle of a conversation, as Claude Code sends them."""

    content: str | list[TextBlock]


Message = UserMessage | AssistantMessage | SystemMessage

# --- what steers the answer ------------------------------------------------------------------------------------------


class ToolChoiceAuto(Tagged, tag="auto"):
    disable_parallel_tool_use: bool = False


class ToolChoiceAny(Tagged, tag="any"):
    disable_parallel_tool_use: bool = False


class ToolChoiceTool(Tagged, tag="tool"):
    name: str
    disable_parallel_tool_use: bool = False


class ToolChoiceNone(Tagged, tag="none"):
    pass


ToolChoice = ToolChoiceAuto | ToolChoiceAny | ToolChoiceTool | ToolChoiceNone


class ThinkingEnabled(Tagged, tag="enabled"):
    budget_tokens: int


class ThinkingAdaptive(Tagged, tag="adaptive"):
    pass


class ThinkingBetweenTools(Tagged, tag="between_tools"):
    pass


class ThinkingDisabled(Tagged, tag="disabled"):
    pass


Thinking = ThinkingEnabled | ThinkingAdaptive | ThinkingBetweenTools | ThinkingDisabled
Effort = Literal["low", "medium", "high", "xhigh", "max"]


class JsonSchemaFormat(Tagged, tag="json_schema"):
    schema: Raw


class OutputConfig(Struct):
    effort: Effort | None = None
    format: JsonSchemaFormat | None = None


class Metadata(Struct):
    user_id: str | None = None


class ThreadCreate(Tagged, tag="create"):
    """The conversation is whole; the client offers to send only its end next time."""


class ThreadContinue(Tagged, tag="continue"):
    """Only the end of a conversation, whose beginning the client believes to be here."""

    previous_message_id: str


#: `Raw | None` is not a type that msgspec knows; a key that is missing has this value.
ABSENT = Raw()


class MessagesRequest(Struct, kw_only=True):
    """A request for an answer, or (without `max_tokens`) for a count of its tokens."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    system: str | list[TextBlock] | None = None
    tools: Raw = ABSENT
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool = False
    metadata: Metadata | None = None
    thread: ThreadCreate | ThreadContinue | None = None


FORWARDED = frozenset(MessagesRequest.__struct_fields__)

#: Understood, and without an equivalent on a chat completion: the answer is the same without them.
DROPPED = frozenset(
    {
        "betas",
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "fallback_credit_token",
        "inference_geo",
        "service_tier",
        "speed",
    }
)

#: Would change what is asked, who answers or who pays, and cannot be honoured here.
REFUSED = {
    "billing_policy": "billing is decided by the server's administrators",
    "compaction": "compaction by the server is not supported",
    "fallbacks": "fallback models are decided by the server's administrators",
    "mcp_servers": "MCP servers are not reached from here; connect them to the client",
    "models": "the route is decided by the server's administrators",
    "plugins": "plugins are decided by the server's administrators",
    "provider": "the route is decided by the server's administrators",
    "route": "the route is decided by the server's administrators",
}

MOST_OTHER_FIELDS = 64
LONGEST_MODEL_NAME = 200
_TYPES = msgspec.structs.fields(MessagesRequest)
_DECODERS = {field.name: msgspec.json.Decoder(field.type) for field in _TYPES}
_TOP_LEVEL = msgspec.json.Decoder(dict[str, Raw])


class Envelope(Struct, frozen=True):
    """A request with its top level opened: what routing needs, and every field that is known here, undecoded.

    Relaying it needs no more than this; `request_of` decodes the rest for a translation.
    """

    model: str
    stream: bool
    fields: dict[str, Raw]


def parse_envelope(body: bytes) -> Envelope:
    """Judge every top-level key. Raises InvalidRequest, which names the field; NotFound for the end of a thread."""
    raw: dict[str, Raw] = _decode("", _TOP_LEVEL.decode, body)
    unknown = raw.keys() - FORWARDED - DROPPED
    if len(unknown) > MOST_OTHER_FIELDS:
        raise InvalidRequest(f"body: has {len(unknown)} fields that are not known here")
    for name in unknown:
        _judge_unknown(name)
        del raw[name]
    for name in ("model", "messages"):
        if name not in raw:
            raise InvalidRequest(f"{name}: Field required")
    model = _field("model", raw)
    if len(model) > LONGEST_MODEL_NAME:
        raise InvalidRequest(f"model: longer than {LONGEST_MODEL_NAME} characters")
    if "thread" in raw and isinstance(_field("thread", raw), ThreadContinue):
        # No conversation is kept here; at this code the client sends the whole of it (wire.md 1.3).
        raise NotFound("thread: not kept by this server", details={"error_code": "thread_not_found"})
    return Envelope(model, "stream" in raw and _field("stream", raw), raw)


def parse_request(body: bytes) -> MessagesRequest:
    """A request for an answer. Raises InvalidRequest, which names the field."""
    return request_of(parse_envelope(body))


def parse_count_request(body: bytes) -> MessagesRequest:
    """A request for a count of tokens. Raises InvalidRequest, which names the field."""
    return _opened(parse_envelope(body))


def request_of(envelope: Envelope) -> MessagesRequest:
    """The whole request, decoded. Raises InvalidRequest, which names the field."""
    request = _opened(envelope)
    if request.max_tokens is None:
        raise InvalidRequest("max_tokens: Field required")
    if request.max_tokens < 1:
        raise InvalidRequest("max_tokens: must be greater than or equal to 1")
    return request


def _opened(envelope: Envelope) -> MessagesRequest:
    for name in envelope.fields.keys() & DROPPED:
        _log_dropped(name)
    request = MessagesRequest(**{name: _field(name, envelope.fields) for name in FORWARDED & envelope.fields.keys()})
    if not request.messages:
        raise InvalidRequest("messages: at least one message is required")
    return request


def _field(name: str, fields: dict[str, Raw]) -> Any:
    return _decode(name, _DECODERS[name].decode, fields[name])


def _judge_unknown(name: str) -> None:
    if name in REFUSED:
        raise InvalidRequest(f"{name}: {REFUSED[name]}")
    _log_dropped(name[:100])


_said: set[str] = set()
MOST_SAID = 256


def _log_dropped(name: str) -> None:
    """Said once per process: a client sends the same fields with every request. Nobody can fill the log with names."""
    if name in _said or len(_said) >= MOST_SAID:
        return
    _said.add(name)
    level, why = (
        (logging.INFO, "has no equivalent upstream") if name in DROPPED else (logging.WARNING, "is not known here")
    )
    logger.log(level, "The request field %r %s and is left out (said once)", name, why)


def _decode(field: str, decode: Callable[[Any], Any], data: bytes | Raw) -> Any:
    """Decode one field; msgspec's `$.a[0]` becomes a path that starts with the field's name."""
    try:
        return decode(data)
    except RecursionError:
        raise InvalidRequest(f"{field or 'body'}: nested too deeply") from None
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        raise InvalidRequest(f"{field or 'body'}{path.rstrip('`')}: {reason}") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{field or 'body'}: not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{field or 'body'}: not valid UTF-8") from None
