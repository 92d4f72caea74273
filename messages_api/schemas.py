"""Owns the shape of a Messages request, and the one step from bytes to typed values, at the edge.

The top level is decoded as raw values, so that every key is known by name: forwarded, dropped or refused, and no key
is lost silently. Large opaque parts stay bytes (`Raw`): `tools`, which are the same on every turn, and tool inputs,
which go through unread. Sources: the anthropic SDK's `MessageCreateParams` and its beta twin (wire.md 1.2 to 1.5).
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from messages_api.errors import InvalidRequest, NotFound
from messages_api.fields import (
    DROPPED,
    LONGEST_NAME,
    REFUSED,
    REFUSED_IN_TRANSLATION,
    log_dropped,
    log_unknown,
    refusal_of_type,
)

#: `Raw | None` is not a type that msgspec knows; a key that is missing has this value.
ABSENT = Raw()


class Tagged(Struct, tag_field="type", omit_defaults=True):
    """A wire object that says what it is by its `type`."""


class Lossy(Tagged):
    """A wire object with fields that have no equivalent: they are named, so that it is said that they are dropped."""

    dropped: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in self.dropped:
            if getattr(self, name) is not ABSENT:
                log_dropped(f"{type(self).__struct_config__.tag}.{name}")


class Dropped(Tagged):
    """A wire object that says nothing to a model."""

    def __post_init__(self) -> None:
        log_dropped(f"{type(self).__struct_config__.tag}")


class CacheControl(Tagged, tag="ephemeral"):
    ttl: Literal["5m", "1h"] | None = None


# --- sources of images and documents ---------------------------------------------------------------------------------


class Base64Source(Tagged, tag="base64"):
    media_type: str
    data: str


class ImageData(Base64Source, tag="base64"):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class PdfData(Base64Source, tag="base64"):
    media_type: Literal["application/pdf"]


class UrlSource(Tagged, tag="url"):
    url: str


class PlainTextSource(Tagged, tag="text"):
    data: str
    media_type: Literal["text/plain"] = "text/plain"


class ContentSource(Tagged, tag="content"):
    content: "str | list[TextBlock | ImageBlock]"


# --- content blocks --------------------------------------------------------------------------------------------------


class TextBlock(Tagged, tag="text"):
    text: str
    cache_control: CacheControl | None = None
    citations: Raw = ABSENT  # of an earlier answer; dropped where the text is sent: there are too many to look twice


class ImageBlock(Lossy, tag="image"):
    source: ImageData | UrlSource
    cache_control: CacheControl | None = None
    transformations: Raw = ABSENT
    dropped = ("transformations",)


class DocumentBlock(Lossy, tag="document"):
    source: PdfData | UrlSource | PlainTextSource | ContentSource
    title: str | None = None
    context: str | None = None
    cache_control: CacheControl | None = None
    citations: Raw = ABSENT  # whether to cite it: no chat completion does
    dropped = ("citations",)


class SearchResultBlock(Lossy, tag="search_result"):
    source: str
    title: str
    content: list[TextBlock]
    cache_control: CacheControl | None = None
    citations: Raw = ABSENT
    dropped = ("citations",)


class ThinkingBlock(Tagged, tag="thinking"):
    thinking: str
    signature: str | None = None  # models that sign nothing leave it out, Kimi for one


class RedactedThinkingBlock(Tagged, tag="redacted_thinking"):
    data: str


class ToolUseBlock(Lossy, tag="tool_use"):
    id: str
    name: str
    input: Raw
    cache_control: CacheControl | None = None
    caller: Raw = ABSENT
    toolset_name: Raw = ABSENT
    dropped = ("caller", "toolset_name")


class ToolReferenceBlock(Tagged, tag="tool_reference"):
    tool_name: str
    cache_control: CacheControl | None = None


class ToolResultBlock(Lossy, tag="tool_result"):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    toolset_name: Raw = ABSENT
    dropped = ("toolset_name",)


class ServerToolUseBlock(Lossy, tag="server_tool_use"):
    """A call that the server ran itself; what the model needs of it is in its result."""

    id: str
    name: str
    input: Raw
    cache_control: Raw = ABSENT
    caller: Raw = ABSENT
    dropped = ("cache_control", "caller")


class WebSearchToolResultBlock(Lossy, tag="web_search_tool_result"):
    tool_use_id: str
    content: Raw
    cache_control: CacheControl | None = None
    caller: Raw = ABSENT
    dropped = ("caller",)


class ToolSearchToolResultBlock(Dropped, tag="tool_search_tool_result"):
    """Which deferred tools were found: all of them are always sent."""


class FallbackBlock(Dropped, tag="fallback"):
    """Where another model went on with the answer; Anthropic's server does not show it to the model either."""


UserBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolResultBlock
AssistantBlock = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | WebSearchToolResultBlock
    | ToolSearchToolResultBlock
    | FallbackBlock
)

# --- changes of the tools in the middle of a conversation ------------------------------------------------------------


class NamedTool(Tagged, tag="tool_reference"):
    name: str


class DefinedTool(Tagged, tag="tool_definition"):
    definition: Raw


class ToolAdditionBlock(Lossy, tag="tool_addition"):
    tool: NamedTool | DefinedTool
    cache_control: Raw = ABSENT
    dropped = ("cache_control",)


class ToolRemovalBlock(Lossy, tag="tool_removal"):
    tool: NamedTool
    cache_control: Raw = ABSENT
    dropped = ("cache_control",)


SystemBlock = TextBlock | ToolAdditionBlock | ToolRemovalBlock

# --- messages --------------------------------------------------------------------------------------------------------

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class TurnConfig(Struct):
    """What a system message changes for the turn it stands in."""

    effort: Effort | None = None


class UserMessage(Struct, tag_field="role", tag="user"):
    content: str | list[UserBlock]


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    content: str | list[AssistantBlock]


class SystemMessage(Struct, tag_field="role", tag="system"):
    """Instructions in the middle of a conversation, as Claude Code sends them."""

    content: str | list[SystemBlock] = ""
    clear_at: Literal["next_user_message", "never"] | None = None
    output_config: TurnConfig | None = None


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


class ThinkingEnabled(Lossy, tag="enabled"):
    budget_tokens: int
    display: Raw = ABSENT
    block_binding: Raw = ABSENT
    dropped = ("display", "block_binding")


class ThinkingAdaptive(Lossy, tag="adaptive"):
    display: Raw = ABSENT
    block_binding: Raw = ABSENT
    dropped = ("display", "block_binding")


class ThinkingBetweenTools(Tagged, tag="between_tools"):
    pass


class ThinkingDisabled(Tagged, tag="disabled"):
    pass


Thinking = ThinkingEnabled | ThinkingAdaptive | ThinkingBetweenTools | ThinkingDisabled


class JsonSchemaFormat(Tagged, tag="json_schema"):
    schema: Raw


class OutputConfig(Struct):
    effort: Effort | None = None
    format: JsonSchemaFormat | None = None
    task_budget: Raw = ABSENT

    def __post_init__(self) -> None:
        if self.task_budget is not ABSENT:
            log_dropped("output_config.task_budget")


class Metadata(Struct):
    user_id: str | None = None


class ThreadCreate(Tagged, tag="create"):
    """The conversation is whole; the client offers to send only its end next time."""


class ThreadContinue(Tagged, tag="continue"):
    """Only the end of a conversation, whose beginning the client believes to be here."""

    previous_message_id: str


#: What is watched for in an answer's text costs something with every piece of it.
StopSequences = Annotated[list[Annotated[str, Meta(min_length=1, max_length=500)]], Meta(max_length=100)]


class MessagesRequest(Struct, kw_only=True):
    """A request for an answer."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    system: str | list[TextBlock] | None = None
    tools: Raw = ABSENT
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    stop_sequences: StopSequences | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool = False
    metadata: Metadata | None = None
    cache_control: CacheControl | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    speed: Literal["standard", "fast"] | None = None


FORWARDED = frozenset(MessagesRequest.__struct_fields__)

MOST_OTHER_FIELDS = 64
LONGEST_MODEL_NAME = 200
_TYPES = msgspec.structs.fields(MessagesRequest)
_DECODERS = {field.name: msgspec.json.Decoder(field.type) for field in _TYPES}
_THREAD = msgspec.json.Decoder(ThreadCreate | ThreadContinue | None)
_UNEXPECTED = re.compile(r"Invalid (?:enum )?value '(?P<value>.*)'", re.DOTALL)
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
    unknown = raw.keys() - FORWARDED - DROPPED - REFUSED_IN_TRANSLATION.keys()
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
    if "thread" in raw and isinstance(_decode("thread", _THREAD.decode, raw["thread"]), ThreadContinue):
        # No conversation is kept here; at this code the client sends the whole of it (wire.md 1.3).
        raise NotFound("thread: not kept by this server", details={"error_code": "thread_not_found"})
    return Envelope(model, "stream" in raw and _field("stream", raw), raw)


def parse_request(body: bytes) -> MessagesRequest:
    """A request for an answer. Raises InvalidRequest, which names the field."""
    return request_of(parse_envelope(body))


def request_of(envelope: Envelope) -> MessagesRequest:
    """The whole request, decoded. Raises InvalidRequest, which names the field."""
    request = _opened(envelope)
    if request.max_tokens is None:
        raise InvalidRequest("max_tokens: Field required")
    if request.max_tokens == 0:
        raise InvalidRequest("max_tokens: 0, to warm the cache only, cannot be served; it must be at least 1")
    if request.max_tokens < 1:
        raise InvalidRequest("max_tokens: must be greater than or equal to 1")
    return request


def _opened(envelope: Envelope) -> MessagesRequest:
    for name in envelope.fields.keys() & REFUSED_IN_TRANSLATION.keys():
        if bytes(envelope.fields[name]) != b"null":
            raise InvalidRequest(f"{name}: {REFUSED_IN_TRANSLATION[name]}")
    for name in envelope.fields.keys() & DROPPED:
        log_dropped(name)
    request = MessagesRequest(**{name: _field(name, envelope.fields) for name in FORWARDED & envelope.fields.keys()})
    if not request.messages:
        raise InvalidRequest("messages: at least one message is required")
    return request


def _field(name: str, fields: dict[str, Raw]) -> Any:
    return _decode(name, _DECODERS[name].decode, fields[name])


def _judge_unknown(name: str) -> None:
    if name in REFUSED:
        raise InvalidRequest(f"{name}: {REFUSED[name]}")
    log_unknown(name)


def _decode(field: str, decode: Callable[[Any], Any], data: bytes | Raw) -> Any:
    """Decode one field; msgspec's `$.a[0]` becomes a path that starts with the field's name."""
    try:
        return decode(data)
    except RecursionError:
        raise InvalidRequest(f"{field or 'body'}: nested too deeply") from None
    except msgspec.ValidationError as error:
        raise InvalidRequest(worded(field or "body", error)) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{field or 'body'}: not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{field or 'body'}: not valid UTF-8") from None


def worded(field: str, error: msgspec.ValidationError) -> str:
    """What is wrong and where, in words of our own where msgspec knows no more than that a value is none it expects."""
    reason, _, rest = str(error).partition(" - at `$")
    path = field + rest.rstrip("`")
    if found := _UNEXPECTED.fullmatch(reason):
        name = found["value"]
        is_type = path.endswith((".type", ".role"))
        reason = refusal_of_type(name) if is_type else f"{name[:LONGEST_NAME]!r} is not one of the values allowed here"
    return f"{path}: {reason}"
