"""The chat completions wire: deltas, chunks, and the whole completion folded from the same deltas."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from testing.openrouter_simulator.exact_json import Json, encode
from testing.openrouter_simulator.issued import Given, Giving, add_detail
from testing.openrouter_simulator.metering import Bill, Usage, chat_usage
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
from testing.openrouter_simulator.refusals import Refusal, openrouter_body
from testing.openrouter_simulator.signatures import (
    GEMINI_HEAD,
    OPENAI_HEAD,
    claude_redaction,
    claude_signature,
    encrypted,
    gemini_redaction,
    unknown_redaction,
)

DONE = b"data: [DONE]\n\n"
GENERATION_HEADER = "X-Generation-Id"

FORMAT: dict[ReasoningShape, str] = {
    "anthropic": "anthropic-claude-v1",
    "openai": "openai-responses-v1",
    "gemini": "google-gemini-v1",
    "xai": "xai-responses-v1",
    "meta": "meta-responses-v1",
    "unknown": "unknown",
}
USAGE_WITHOUT_CHOICES = frozenset({"openai", "moonshotai"})
SUMMARIES = frozenset({"openai", "xai", "meta"})


@dataclass
class ChatVoice:
    """Events as deltas, with reasoning in the provider's own shape, wire.md 2.3."""

    model: Model
    generation_id: str
    thoughts: int = 0
    giving: Giving = field(default_factory=Giving)

    def deltas(self, event: Event) -> Iterator[Json]:
        for delta in self.voiced(event):
            self.giving.take(delta)
            yield delta

    def voiced(self, event: Event) -> Iterator[Json]:
        match event:
            case Text(text):
                yield {"role": "assistant", "content": text}
            case Thought(text, shape):
                yield self.thought(text, shape)
            case ThoughtEnd(whole, shape):
                yield from self.thought_end(whole, shape)
            case Redacted(shape):
                yield self.redacted(shape)
            case CallStart():
                yield self.call_start(event)
            case CallPiece(position, text, call_id):
                repeated = {} if call_id is None else {"id": call_id, "type": "function"}
                yield {"tool_calls": [{"index": position, **repeated, "function": {"arguments": text}}]}
            case CallSigned(position, call_id) if self.model.family == "google":
                yield {"role": "assistant", "content": "", "reasoning_details": [call_signature(position, call_id)]}
            case Citations(annotations) if annotations:
                yield {"role": "assistant", "content": "", "annotations": annotations}
            case Refused(text):
                yield {"role": "assistant", "content": "", "refusal": text}

    def thought(self, text: str, shape: ReasoningShape) -> Json:
        delta: Json = {"role": "assistant", "content": "", "reasoning": text}
        if shape == "plain":
            return delta
        kind, key = ("summary", "summary") if shape in SUMMARIES else ("text", "text")
        return delta | {"reasoning_details": [self.detail(f"reasoning.{kind}", shape, **{key: text})]}

    def thought_end(self, whole: str, shape: ReasoningShape) -> Iterator[Json]:
        """What seals the reasoning: Claude's has no `reasoning` key, OpenAI's has it null."""
        self.giving.texts.append(whole)
        if shape == "anthropic":
            sealed = self.detail("reasoning.text", shape, signature=claude_signature(whole))
            yield {"role": "assistant", "content": "", "reasoning_details": [sealed]}
        elif shape in SUMMARIES:
            yield self.encrypted_delta(shape)
        self.thoughts += 1

    def encrypted_delta(self, shape: ReasoningShape) -> Json:
        item_id = f"rs_{self.generation_id[-20:]}{self.thoughts:02d}"
        data = encrypted(OPENAI_HEAD, shape, item_id)
        detail = self.detail("reasoning.encrypted", shape, data=data, id=item_id)
        return {"role": "assistant", "content": "", "reasoning": None, "reasoning_details": [detail]}

    def redacted(self, shape: ReasoningShape) -> Json:
        """Encrypted alone. Gemini's stands for no call, and has no id; the formats without seals are opaque."""
        if shape in SUMMARIES:
            delta = self.encrypted_delta(shape)
        else:
            sealed = {"anthropic": claude_redaction, "gemini": gemini_redaction}.get(shape, unknown_redaction)
            detail = self.detail("reasoning.encrypted", "unknown" if shape == "plain" else shape, data=sealed())
            delta = {"role": "assistant", "content": "", "reasoning_details": [detail]}
        self.thoughts += 1
        return delta

    def detail(self, kind: str, shape: ReasoningShape, **content: str) -> Json:
        return {"type": kind, **content, "format": FORMAT[shape], "index": self.thoughts}

    def call_start(self, call: CallStart) -> Json:
        function = {"name": call.name, "arguments": call.arguments}
        entry = {"index": call.position, "id": call.id, "type": "function", "function": function}
        delta: Json = {"role": "assistant", "content": None, "tool_calls": [entry]}
        if self.model.family == "google" and call.is_signed:
            delta["reasoning_details"] = [call_signature(call.position, call.id)]
        return delta


def call_signature(position: int, call_id: str) -> Json:
    data = encrypted(GEMINI_HEAD, "gemini", call_id)
    detail = {"type": "reasoning.encrypted", "data": data, "format": FORMAT["gemini"], "id": call_id}
    return {**detail, "index": position}


@dataclass
class ChatMessage:
    """Deltas folded into the message of a completion that is not streamed."""

    content: str = ""
    refusal: str | None = None
    reasoning: str | None = None
    details: list[Json] = field(default_factory=list)
    calls: dict[int, Json] = field(default_factory=dict)
    annotations: list[Json] = field(default_factory=list)

    def take(self, delta: Json) -> None:
        self.content += delta.get("content") or ""
        if delta.get("refusal"):
            self.refusal = (self.refusal or "") + delta["refusal"]
        if delta.get("reasoning"):
            self.reasoning = (self.reasoning or "") + delta["reasoning"]
        for detail in delta.get("reasoning_details") or []:
            add_detail(self.details, detail)
        for piece in delta.get("tool_calls") or []:
            self.take_call(piece)
        self.annotations += delta.get("annotations") or []

    def take_call(self, piece: Json) -> None:
        if piece["index"] not in self.calls:
            self.calls[piece["index"]] = {**piece, "function": dict(piece["function"])}
            return
        self.calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]

    def document(self) -> Json:
        message: Json = {"role": "assistant", "content": self.content or (None if self.calls else "")}
        message |= {"refusal": self.refusal, "reasoning": self.reasoning}
        if self.details:
            message["reasoning_details"] = self.details
        if self.calls:
            message["tool_calls"] = [self.calls[position] for position in sorted(self.calls)]
        if self.annotations:
            message["annotations"] = self.annotations
        return message


@dataclass(frozen=True)
class ChatEnvelope:
    """What every chunk and the whole completion carry around their choices."""

    generation_id: str
    model: Model
    created: int
    service_tier: str | None

    def head(self, kind: str) -> Json:
        return {
            "id": self.generation_id,
            "provider": self.model.provider,
            "model": self.model.id,
            "object": kind,
            "created": self.created,
            "service_tier": self.service_tier,
        }

    def chunk(self, delta: Json, finish: str | None = None, native: str | None = None) -> Json:
        choice = {
            "index": 0,
            "delta": delta,
            "finish_reason": finish,
            "native_finish_reason": native,
            "logprobs": None,
        }
        return self.head("chat.completion.chunk") | {"choices": [choice]}

    def finish_chunk(self, finish: Finish) -> Json:
        return self.chunk({"role": "assistant", "content": ""}, finish.reason, finish.native)

    def usage_chunk(self, usage: Json) -> Json:
        """wire.md 2.4: no choices per the documentation, an empty delta in captures; both occur here."""
        empty = self.chunk({"role": "assistant", "content": ""})
        bare: Json = {"choices": []} if self.model.family in USAGE_WITHOUT_CHOICES else {}
        return empty | bare | {"usage": usage}

    def error_chunk(self, error: Json) -> Json:
        """wire.md 2.5: a top-level error beside finish_reason error."""
        return self.chunk({"role": "assistant", "content": ""}, "error", None) | {"error": error}

    def completion(self, message: Json, finish: Json, usage: Json) -> Json:
        choice = {"index": 0, "logprobs": None, **finish, "message": message}
        return self.head("chat.completion") | {"system_fingerprint": None, "choices": [choice], "usage": usage}


def data_line(document: object) -> bytes:
    return b"data: " + encode(document) + b"\n\n"


@dataclass
class ChatWire:
    """Renders one answer, streamed or whole."""

    generation_id: str
    model: Model
    created: int
    service_tier: str | None = None
    message: ChatMessage = field(default_factory=ChatMessage)
    voice: ChatVoice = field(init=False)
    envelope: ChatEnvelope = field(init=False)

    def __post_init__(self) -> None:
        self.voice = ChatVoice(self.model, self.generation_id)
        self.envelope = ChatEnvelope(self.generation_id, self.model, self.created, self.service_tier)

    @property
    def headers(self) -> dict[str, str]:
        return {GENERATION_HEADER: self.generation_id}

    def given(self) -> Given:
        return self.voice.giving.given()

    def opening(self, _prompt: Usage, /) -> bytes:
        return b""

    def render(self, event: Event) -> bytes:
        return b"".join(data_line(self.envelope.chunk(delta)) for delta in self.voice.deltas(event))

    def verbatim(self, chunk: Json) -> bytes:
        return data_line(chunk)

    def failing(self, error: Json) -> bytes:
        return data_line(self.envelope.error_chunk(error))

    def closing(self, finish: Finish, usage: Usage, owed: Bill) -> bytes:
        report = chat_usage(usage, owed)
        finished, told = self.envelope.finish_chunk(finish), self.envelope.usage_chunk(report)
        chunks = {
            "after": [finished, told],
            "before": [told, finished],
            "with": [finished | {"usage": report}],
            "none": [finished],
        }
        return b"".join(data_line(chunk) for chunk in chunks[finish.usage]) + DONE

    def fold(self, event: Event) -> None:
        for delta in self.voice.deltas(event):
            self.message.take(delta)

    def document(self, finish: Finish, usage: Usage, owed: Bill) -> Json:
        ending: Json = {"finish_reason": finish.reason, "native_finish_reason": finish.native}
        return self.envelope.completion(self.message.document(), ending, chat_usage(usage, owed))

    def failed_document(self, error: Json, usage: Usage, owed: Bill, /) -> Json:
        """wire.md 2.4: a completion may carry its error in choices[0]."""
        ending: Json = {"finish_reason": "error", "native_finish_reason": None, "error": error}
        return self.envelope.completion(self.message.document(), ending, chat_usage(usage, owed))

    def refused(self, refusal: Refusal) -> Json:
        return openrouter_body(refusal)
