"""The Anthropic-shaped wire of /messages: its stream events, and the message folded from the same events."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import orjson

from testing.openrouter_simulator.chat import DONE, GENERATION_HEADER, ChatVoice
from testing.openrouter_simulator.exact_json import Json, encode
from testing.openrouter_simulator.issued import Given, add_detail
from testing.openrouter_simulator.metering import Bill, Usage, messages_usage
from testing.openrouter_simulator.models import Model, ReasoningShape
from testing.openrouter_simulator.performance import (
    CallPiece,
    CallSigned,
    CallStart,
    Citations,
    Event,
    Finish,
    Redacted,
    Refused,
    Text,
    Thought,
    ThoughtEnd,
)
from testing.openrouter_simulator.refusals import (
    REQUEST_HEADER,
    Refusal,
    anthropic_body,
    canned,
    new_request_id,
    plain_anthropic_body,
)
from testing.openrouter_simulator.signatures import page_content, page_index

FOREIGN_REASONING_PREFIX = "openrouter.reasoning:"
STOP_REASON = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
#: What has no word of its own among OpenRouter's finish reasons.
NATIVE_REASONS = frozenset({"stop_sequence", "pause_turn", "model_context_window_exceeded"})
REFUSAL_DETAILS: Json = {"type": "refusal", "category": None, "explanation": None}


def foreign_reasoning(detail: Json) -> Json:
    """wire.md 2.3: how OpenRouter carries reasoning through Anthropic clients, a block for each detail.

    Seen in recorded answers (neuraxes/neurouter, its mock of streamed thinking), of Claude too, see `copies`.
    """
    data = FOREIGN_REASONING_PREFIX + base64.b64encode(encode(detail)).decode()
    return {"type": "redacted_thinking", "data": data}


# A plain provider tells no cost, has no [DONE], and knows none of OpenRouter's tokens.
Dialect = Literal["openrouter", "plain"]


@dataclass
class MessagesVoice:
    """Events as Anthropic's stream events; one block is open at a time, indexes count from 0."""

    model: Model
    generation_id: str
    dialect: Dialect
    index: int = -1
    open_kind: str | None = None
    cited: list[Json] = field(default_factory=list)
    chat: ChatVoice = field(init=False)
    held: list[Json] = field(default_factory=list)
    copies: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chat = ChatVoice(self.model, self.generation_id)

    def events(self, event: Event) -> Iterator[Json]:
        deltas = list(self.chat.deltas(event))
        details = [detail for delta in deltas for detail in delta.get("reasoning_details") or []]
        match event:
            case Text(text) | Refused(text):
                yield from self.ensure("text", {"type": "text", "text": "", "citations": None})
                yield from self.cite()
                yield self.delta({"type": "text_delta", "text": text})
            case Thought(text, shape):
                yield from self.thought(text, shape, details)
            case ThoughtEnd(whole, shape):
                yield from self.thought_end(whole, shape, details)
            case Redacted(shape):
                yield from self.redacted(shape, details)
            case CallStart():
                yield from self.call_start(event, details)
            case CallPiece(_, text):
                yield self.delta({"type": "input_json_delta", "partial_json": text})
            case CallSigned():
                yield from self.carried(details)
            case Citations(annotations, searches):
                yield from self.search_result(annotations, searches)

    def thought(self, text: str, shape: ReasoningShape, details: list[Json]) -> Iterator[Json]:
        yield from self.ensure("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        yield self.delta({"type": "thinking_delta", "thinking": text})
        for detail in details if shape != "anthropic" else ():
            add_detail(self.held, detail)

    def thought_end(self, whole: str, shape: ReasoningShape, details: list[Json]) -> Iterator[Json]:
        """Claude's thinking is signed; the others' goes once more, whole, into tokens."""
        if shape == "anthropic":
            yield self.delta({"type": "signature_delta", "signature": details[0]["signature"]})
            self.copies.append({"signature": details[0]["signature"], "text": whole, "type": "reasoning.text"})
        yield from self.close()
        if shape != "anthropic":
            yield from self.carried([*self.held, *details])
        self.held = []

    def redacted(self, shape: ReasoningShape, details: list[Json]) -> Iterator[Json]:
        if shape == "anthropic" or self.dialect == "plain":
            yield from self.block({"type": "redacted_thinking", "data": details[0]["data"]})
        else:
            yield from self.carried(details)

    def carried(self, details: list[Json]) -> Iterator[Json]:
        for detail in details if self.dialect == "openrouter" else ():
            yield from self.block(foreign_reasoning(detail))

    def end(self) -> Iterator[Json]:
        """OpenRouter tells Claude's signed thoughts once more, as the last blocks of the answer."""
        yield from self.close()
        yield from self.carried(self.copies)

    def call_start(self, call: CallStart, signed: list[Json]) -> Iterator[Json]:
        yield from self.carried(signed)
        yield from self.close()
        yield from self.open("tool_use", {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        if call.arguments:
            yield self.delta({"type": "input_json_delta", "partial_json": call.arguments})

    def search_result(self, annotations: list[Json], searches: int) -> Iterator[Json]:
        """Anthropic's server tool: for each search the use, whose query is streamed, and its result in one piece."""
        pages = [annotation["url_citation"] for annotation in annotations]
        is_claude = self.model.family == "anthropic"
        self.cited = pages[:1] if is_claude else []
        for place in range(searches):
            use_id = f"srvtoolu_{self.generation_id[-20:]}{place:02d}"
            yield from self.close()
            use = {"type": "server_tool_use", "id": use_id, "name": "web_search", "input": {}}
            yield from self.open("server_tool_use", use)
            yield self.delta({"type": "input_json_delta", "partial_json": '{"query":"simulated query"}'})
            results = [found_page(page, is_claude=is_claude) for page in pages]
            yield from self.block({"type": "web_search_tool_result", "tool_use_id": use_id, "content": results})

    def cite(self) -> Iterator[Json]:
        """The text after a search cites the page that it is from."""
        for page in self.cited:
            yield self.delta({"type": "citations_delta", "citation": page_citation(page)})
        self.cited = []

    def block(self, content: Json) -> Iterator[Json]:
        yield from self.close()
        yield from self.open(content["type"], content)
        yield from self.close()

    def ensure(self, kind: str, empty: Json) -> Iterator[Json]:
        if self.open_kind != kind:
            yield from self.close()
            yield from self.open(kind, empty)

    def open(self, kind: str, content: Json) -> Iterator[Json]:
        self.index += 1
        self.open_kind = kind
        yield {"type": "content_block_start", "index": self.index, "content_block": content}

    def close(self) -> Iterator[Json]:
        if self.open_kind is not None:
            self.open_kind = None
            yield {"type": "content_block_stop", "index": self.index}

    def delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self.index, "delta": delta}


def found_page(page: Json, *, is_claude: bool) -> Json:
    plain = base64.b64encode(page["content"].encode()).decode()
    return {
        "type": "web_search_result",
        "url": page["url"],
        "title": page["title"],
        "encrypted_content": page_content(page["url"]) if is_claude else plain,
        "page_age": None,
    }


def page_citation(page: Json) -> Json:
    return {
        "type": "web_search_result_location",
        "cited_text": page["content"],
        "url": page["url"],
        "title": page["title"],
        "encrypted_index": page_index(page["url"]),
    }


@dataclass
class WholeMessage:
    """Stream events folded into the content of a message that is not streamed."""

    content: list[Json] = field(default_factory=list)
    arguments: dict[int, str] = field(default_factory=dict)

    def take(self, event: Json) -> None:
        if event["type"] == "content_block_start":
            self.content.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            self.take_delta(event["index"], event["delta"])

    def take_delta(self, index: int, delta: Json) -> None:
        if delta["type"] == "input_json_delta":
            self.arguments[index] = self.arguments.get(index, "") + delta["partial_json"]
            return
        if delta["type"] == "citations_delta":
            self.content[index]["citations"] = [*(self.content[index]["citations"] or []), delta["citation"]]
            return
        key = delta["type"].removesuffix("_delta")
        self.content[index][key] = (self.content[index].get(key) or "") + delta[key]

    def blocks(self) -> list[Json]:
        for index, text in self.arguments.items():
            self.content[index]["input"] = complete_input(text)
        return self.content


def complete_input(text: str) -> object:
    """Anthropic never shows half an input: what a model left unfinished arrives empty."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


@dataclass(frozen=True)
class MessagesEnvelope:
    generation_id: str
    model: Model
    name: str
    dialect: Dialect

    def message(self, content: list[Json], ending: Json, usage: Json) -> Json:
        provider = {"provider": self.model.provider} if self.dialect == "openrouter" else {}
        return {
            "id": self.generation_id,
            "type": "message",
            "role": "assistant",
            "model": self.name,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            **ending,
            "usage": usage,
            **provider,
        }

    def start(self, usage: Json) -> Json:
        return {"type": "message_start", "message": self.message([], {}, usage)}

    def ending(self, finish: Finish) -> Json:
        stop_reason = finish.native if finish.native in NATIVE_REASONS else STOP_REASON[finish.reason]
        ending: Json = {"stop_reason": stop_reason, "stop_sequence": finish.sequence}
        return ending | ({"stop_details": REFUSAL_DETAILS} if stop_reason == "refusal" else {})


def event_lines(event: Json) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + encode(event) + b"\n\n"


@dataclass
class MessagesWire:
    """Renders one answer, streamed or whole, under the name by which its model was asked for."""

    generation_id: str
    model: Model
    name: str
    dialect: Dialect = "openrouter"
    message: WholeMessage = field(default_factory=WholeMessage)
    voice: MessagesVoice = field(init=False)
    envelope: MessagesEnvelope = field(init=False)

    def __post_init__(self) -> None:
        self.voice = MessagesVoice(self.model, self.generation_id, self.dialect)
        self.envelope = MessagesEnvelope(self.generation_id, self.model, self.name, self.dialect)

    @property
    def headers(self) -> dict[str, str]:
        if self.dialect == "plain":
            return {REQUEST_HEADER: new_request_id()}
        return {GENERATION_HEADER: self.generation_id}

    def given(self) -> Given:
        return self.voice.chat.giving.given()

    def usage(self, usage: Usage, owed: Bill) -> Json:
        return messages_usage(usage, owed if self.dialect == "openrouter" else None)

    def opening(self, prompt: Usage, /) -> bytes:
        started = event_lines(self.envelope.start(messages_usage(prompt, None)))
        return started + event_lines({"type": "ping"})

    def render(self, event: Event) -> bytes:
        return b"".join(event_lines(each) for each in self.voice.events(event))

    def verbatim(self, chunk: Json) -> bytes:
        """The chunk as it is; nothing of one that is a chat completion's, which has no type and no place here."""
        return event_lines(chunk) if "type" in chunk else b""

    def failing(self, error: Json) -> bytes:
        code = error.get("code")
        return event_lines(self.refused(canned(code if isinstance(code, int) else 500, message=error.get("message"))))

    def closing(self, finish: Finish, usage: Usage, owed: Bill) -> bytes:
        if finish.reason == "error":
            return self.failing({"code": 502, "message": finish.native})
        closed = b"".join(event_lines(event) for event in self.voice.end())
        ending = {"type": "message_delta", "delta": self.envelope.ending(finish)}
        done = DONE if self.dialect == "openrouter" else b""
        return closed + event_lines(ending | {"usage": self.usage(usage, owed)}) + STOPPED + done

    def fold(self, event: Event) -> None:
        for each in self.voice.events(event):
            self.message.take(each)

    def document(self, finish: Finish, usage: Usage, owed: Bill) -> Json:
        if finish.reason == "error":
            raise canned(502, message=finish.native)
        for each in self.voice.end():
            self.message.take(each)
        return self.envelope.message(self.message.blocks(), self.envelope.ending(finish), self.usage(usage, owed))

    def failed_document(self, error: Json, _usage: Usage, _owed: Bill, /) -> Json:
        code = error.get("code")
        raise canned(code if isinstance(code, int) else 502, message=error.get("message"))

    def refused(self, refusal: Refusal) -> Json:
        return anthropic_body(refusal) if self.dialect == "openrouter" else plain_anthropic_body(refusal)


STOPPED = event_lines({"type": "message_stop"})
