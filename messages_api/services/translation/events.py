"""Owns the shape of what a Messages client receives: events, content blocks and usage (wire.md 1.6, 1.7)."""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

StopReason = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
]
ServiceTier = Literal["standard", "priority", "batch"]


class Tagged(Struct, tag_field="type", gc=False):
    """A wire object that says what it is by its `type`."""


# --- usage -----------------------------------------------------------------------------------------------------------


class ServerToolUsage(Struct, gc=False):
    web_search_requests: int = 0
    web_fetch_requests: int = 0


class OutputTokensDetails(Struct, gc=False):
    """`thinking_tokens` are part of `output_tokens`."""

    thinking_tokens: int


class Usage(Struct, omit_defaults=True, gc=False):
    """`input_tokens` excludes the cache; the sum of the three is the prompt. What is not known is left out."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputTokensDetails | None = None
    server_tool_use: ServerToolUsage | None = None
    service_tier: ServiceTier | None = None


# --- content blocks, as they start and as they are when folded -------------------------------------------------------


class WebSearchCitation(Tagged, tag="web_search_result_location"):
    cited_text: str
    url: str
    title: str | None = None
    encrypted_index: str = ""  # Anthropic's own way to find the place again


class Text(Tagged, tag="text"):
    text: str = ""
    citations: list[WebSearchCitation] | UnsetType = UNSET


class Thinking(Tagged, tag="thinking"):
    thinking: str = ""
    signature: str = ""


class RedactedThinking(Tagged, tag="redacted_thinking"):
    data: str


class ToolUse(Tagged, tag="tool_use"):
    id: str
    name: str
    input: Raw = Raw(b"{}")


class ServerToolUse(Tagged, tag="server_tool_use"):
    id: str
    name: str
    input: Raw = Raw(b"{}")


class WebSearchResult(Tagged, tag="web_search_result"):
    url: str
    title: str
    encrypted_content: str = ""
    page_age: str | None = None


class WebSearchToolResult(Tagged, tag="web_search_tool_result"):
    tool_use_id: str
    content: list[WebSearchResult]


Block = Text | Thinking | RedactedThinking | ToolUse | ServerToolUse | WebSearchToolResult

# --- deltas ----------------------------------------------------------------------------------------------------------


class TextDelta(Tagged, tag="text_delta"):
    text: str


class ThinkingDelta(Tagged, tag="thinking_delta"):
    thinking: str


class SignatureDelta(Tagged, tag="signature_delta"):
    signature: str


class InputJsonDelta(Tagged, tag="input_json_delta"):
    partial_json: str


class CitationsDelta(Tagged, tag="citations_delta"):
    citation: WebSearchCitation


BlockDelta = TextDelta | CitationsDelta | ThinkingDelta | SignatureDelta | InputJsonDelta

# --- the end ---------------------------------------------------------------------------------------------------------


class RefusalDetails(Tagged, tag="refusal"):
    """Why an answer was refused; Anthropic's categories are known to nobody else."""

    explanation: str | None = None
    category: None = None


class Stop(Struct, gc=False):
    stop_reason: StopReason
    stop_sequence: str | None = None
    stop_details: RefusalDetails | None = None


# --- events ----------------------------------------------------------------------------------------------------------


class Message(Struct, tag_field="type", tag="message", gc=False):
    """An answer. At `message_start` it is empty and its usage an estimate."""

    id: str
    model: str
    usage: Usage
    content: list[Block]
    role: Literal["assistant"] = "assistant"
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    stop_details: RefusalDetails | None = None


class MessageStart(Tagged, tag="message_start"):
    message: Message


class ContentBlockStart(Tagged, tag="content_block_start"):
    index: int
    content_block: Block


class ContentBlockDelta(Tagged, tag="content_block_delta"):
    index: int
    delta: BlockDelta


class ContentBlockStop(Tagged, tag="content_block_stop"):
    index: int


class MessageDelta(Tagged, tag="message_delta"):
    delta: Stop
    usage: Usage


class MessageStop(Tagged, tag="message_stop"):
    pass


Event = MessageStart | ContentBlockStart | ContentBlockDelta | ContentBlockStop | MessageDelta | MessageStop
