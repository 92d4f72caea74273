"""Owns the shape of what a chat completion upstream answers, streamed or whole (wire.md 2.3, 2.4).

Only what is read is named; unknown fields are passed over, as OpenRouter's documentation asks of its clients. Details
of reasoning stay plain dictionaries: they must go back exactly as they came.
"""

from decimal import Decimal
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder

ReasoningDetail = dict[str, Any]
NO_ERROR = Raw()


class AnswerError(Exception):
    """What the model answered cannot be told as a Messages answer. The message is for the client."""


class ContentPart(Struct, gc=False):
    """A part of a message whose content is a list; Mistral's models send their thoughts in one of their own."""

    text: str | None = None
    thinking: "str | list[ContentPart] | None" = None


class FunctionPiece(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(Struct, gc=False):
    """A fragment of a tool call; the first one of a call has its id and name."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None


class UrlCitation(Struct, frozen=True, gc=False):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    start_index: float | None = None
    end_index: float | None = None


class Annotation(Struct, gc=False):
    url_citation: UrlCitation | None = None


class Delta(Struct, gc=False):
    """A piece of the assistant's message; in an answer that is not streamed, all of it."""

    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[ToolCallPiece] | None = None
    annotations: list[Annotation] | None = None


class Choice(Struct, gc=False):
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    annotations: list[Annotation] | None = None
    error: Raw = NO_ERROR


class PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class CostDetails(Struct, gc=False):
    upstream_inference_cost: Decimal | None = None


class ServerToolDetails(Struct, gc=False):
    web_search_requests: int | None = None


class ChatUsage(Struct, gc=False):
    """`prompt_tokens` includes what was read from or written to a cache; `cost` is in USD, exact as sent."""

    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    cost: Decimal | None = None
    is_byok: bool | None = None
    cost_details: CostDetails | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    server_tool_use_details: ServerToolDetails | None = None

    def __bool__(self) -> bool:
        """Whether it says anything: some servers send an empty one behind the true one."""
        return self != NO_USAGE


NO_USAGE = ChatUsage()


class ChatChunk(Struct, gc=False):
    """One event of a stream, or a whole answer."""

    provider: str | None = None
    service_tier: str | None = None
    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    error: Raw = NO_ERROR
    message: Raw = NO_ERROR  # of an error that is the whole of a chunk: no answer has one here


def tells_error(part: Choice | ChatChunk) -> bool:
    """Whether an error is told in place of, or in the middle of, an answer. Some providers write `error: null`."""
    return part.error is not NO_ERROR and bytes(part.error) != b"null"


def is_error(chunk: ChatChunk) -> bool:
    """Whether a chunk without choices is itself the error, as vLLM's are in the middle of a stream."""
    return bytes(chunk.message).startswith(b'"')


def text_of_content(content: str | list[ContentPart] | None) -> str:
    """What a message says, whether its content is a text or a list of parts."""
    if isinstance(content, list):
        return "".join(part.text or "" for part in content)
    return content or ""


def thoughts_of_content(content: str | list[ContentPart] | None) -> str:
    """What a message whose content is a list of parts has thought in them."""
    if isinstance(content, list):
        return "".join(text_of_content(part.thinking) for part in content)
    return ""


def text_alone(choice: Choice) -> str | None:
    """The text of a choice that says a piece of text and nothing else, as most of a stream does."""
    said = choice.delta
    if said is None or choice.finish_reason or choice.annotations or choice.message is not None:
        return None
    is_more = said.reasoning or said.reasoning_content or said.reasoning_details or said.tool_calls
    return said.content if isinstance(said.content, str) and not (is_more or said.refusal or said.annotations) else None


decode_chunk = Decoder(ChatChunk).decode
