"""A script's emissions, played out as events that both wires can render."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Literal

from testing.openrouter_simulator.conversation import Conversation
from testing.openrouter_simulator.exact_json import Json, JsonValue, encode
from testing.openrouter_simulator.models import Model, ReasoningShape
from testing.openrouter_simulator.signatures import new_call_id
from testing.openrouter_simulator.web_search import Search, citation

MILLISECONDS = 1000
OPENING_COMMENT = "OPENROUTER PROCESSING"
CutKind = Literal["close", "reset", "clean"]
# Where the usage of a chat stream stands, seen from the chunk that finishes it.
UsagePlace = Literal["after", "before", "with", "none"]

NATIVE_FINISH: dict[str, dict[str, str]] = {
    "anthropic": {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"},
    "openai": {"stop": "completed", "tool_calls": "completed", "length": "max_output_tokens"},
    "google": {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"},
}


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Thought:
    text: str
    shape: ReasoningShape


@dataclass(frozen=True)
class ThoughtEnd:
    """All of the reasoning that ends here: it is what a signature covers."""

    whole: str
    shape: ReasoningShape


@dataclass(frozen=True)
class Redacted:
    shape: ReasoningShape


@dataclass(frozen=True)
class CallStart:
    """`arguments` is empty unless the script has them arrive whole."""

    position: int
    id: str
    name: str
    arguments: str = ""
    is_signed: bool = True


@dataclass(frozen=True)
class CallPiece:
    """`id` is set where a script has a provider repeat it in every fragment."""

    position: int
    text: str
    id: str | None = None


@dataclass(frozen=True)
class Citations:
    """`searches` is how often was searched for them: it is charged."""

    annotations: list[Json]
    searches: int = 1


@dataclass(frozen=True)
class Refused:
    """What the model says where it refuses, in a field of its own."""

    text: str


@dataclass(frozen=True)
class CallSigned:
    """Gemini's signature, where it comes in a chunk of its own after the call."""

    position: int
    id: str


@dataclass(frozen=True)
class Comment:
    text: str


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Verbatim:
    """A chunk (JSON) or bytes sent as they are."""

    chunk: Json | None
    data: bytes


@dataclass(frozen=True)
class Failure:
    error: Json


@dataclass(frozen=True)
class Cut:
    kind: CutKind


@dataclass(frozen=True)
class Finish:
    """`sequence` is the stop sequence that was hit, which only the Messages wire tells."""

    reason: str
    native: str
    sequence: str | None = None
    usage: UsagePlace = "after"


Event = (
    Text
    | Thought
    | ThoughtEnd
    | Redacted
    | CallStart
    | CallPiece
    | Citations
    | Refused
    | CallSigned
    | Comment
    | Pause
    | Verbatim
    | Failure
    | Cut
    | Finish
)


def pieces_of(text: str, count: int) -> list[str]:
    """The text in at most `count` pieces of nearly equal length."""
    size = max(1, -(-len(text) // max(1, count)))
    return [text[start : start + size] for start in range(0, len(text), size)]


@dataclass
class Performance:
    """Plays one attempt. Positions and ids of tool calls go on counting over the emissions of the answer."""

    model: Model
    conversation: Conversation
    interleaving: bool
    calls: int = 0
    reasoned: bool = False
    ended: bool = False
    stopped: str | None = None
    acts: dict[str, Callable[[Json], Iterator[Event]]] = field(init=False)

    def __post_init__(self) -> None:
        self.acts = {
            "text": self.text,
            "text_pieces": self.text_pieces,
            "reasoning": self.reasoning,
            "redacted": self.redacted,
            "tool_call": self.tool_call,
            "tool_calls": self.tool_calls,
            "annotations": lambda emission: iter([Citations(emission["annotations"])]),
            "search": self.search,
            "refusal": lambda emission: iter([Refused(emission["refusal"])]),
            "comment": lambda emission: iter([Comment(emission["comment"])]),
            "sleep_ms": lambda emission: iter([Pause(milliseconds(emission["sleep_ms"]))]),
            "silence_ms": self.silence,
            "chunk": lambda emission: iter([Verbatim(emission["chunk"], b"")]),
            "bytes": lambda emission: iter([Verbatim(None, emission["bytes"].encode())]),
            "base64": lambda emission: iter([Verbatim(None, base64.b64decode(emission["base64"]))]),
            "error": self.failure,
            "cut": self.cut,
            "finish": self.finish,
        }

    def play(self, emissions: list[Json]) -> Iterator[Event]:
        yield Comment(OPENING_COMMENT)
        for emission in emissions:
            act = next((self.acts[name] for name in emission if name in self.acts), None)
            if act is None:
                raise ValueError(f"no emission is named as in {sorted(emission)}")
            yield from act(emission)
            if self.stopped is not None:
                break
        if self.stopped is not None:
            yield self.stop_hit(self.stopped)
        elif not self.ended:
            yield from self.finish({"finish": "tool_calls" if self.calls else "stop"})

    def text(self, emission: Json) -> Iterator[Event]:
        pieces = pieces_of(self.until_stop(emission["text"]), int(emission.get("pieces", 1)))
        return paced([Text(piece) for piece in pieces], emission)

    def text_pieces(self, emission: Json) -> Iterator[Event]:
        count, piece = int(emission["text_pieces"]), emission.get("piece", "token ")
        if self.conversation.stops:
            return self.text({**emission, "text": piece * count, "pieces": count})
        return paced([Text(piece)] * count, emission)

    def until_stop(self, text: str) -> str:
        """wire.md 2.1, stop: the text ends where the first stop sequence would begin."""
        hits = [(text.index(stop), stop) for stop in self.conversation.stops if stop and stop in text]
        if not hits:
            return text
        place, self.stopped = min(hits)
        return text[:place]

    def stop_hit(self, sequence: str) -> Finish:
        """Claude alone says that it was a stop sequence."""
        is_claude = self.model.family == "anthropic"
        native = "stop_sequence" if is_claude else NATIVE_FINISH.get(self.model.family, {}).get("stop", "stop")
        return Finish("stop", native, sequence if is_claude else None)

    def search(self, emission: Json) -> Iterator[Event]:
        """As often as the script wants and the request allows, with the pages that the request allows."""
        allowed, family = self.conversation.search or Search(), self.model.family
        times = allowed.times(int(emission["search"]), family)
        if times:
            yield Citations([citation(page) for page in allowed.results(family)], times)

    def reasoning(self, emission: Json) -> Iterator[Event]:
        self.reasoned = True
        whole: str = emission["reasoning"]
        shape: ReasoningShape = emission.get("shape") or self.model.reasoning_shape
        pieces = pieces_of(whole, int(emission.get("pieces", 1)))
        yield from paced([Thought(piece, shape) for piece in pieces], emission)
        yield ThoughtEnd(whole, shape)

    def redacted(self, emission: Json) -> Iterator[Event]:
        self.reasoned = True
        yield Redacted(emission.get("shape") or self.model.reasoning_shape)

    def tool_call(self, emission: Json) -> Iterator[Event]:
        return self.tool_calls({**emission, "tool_calls": [emission["tool_call"]]})

    def tool_calls(self, emission: Json) -> Iterator[Event]:
        voices = [self.one_call(call) for call in emission["tool_calls"]]
        if not (emission.get("interleaved") and self.interleaving):
            return paced(list(chain.from_iterable(voices)), emission)
        rounds = zip_longest(*voices)
        return paced([event for events in rounds for event in events if event is not None], emission)

    def one_call(self, call: Json) -> list[Event]:
        position = self.calls
        self.calls += 1
        arguments = call["arguments"]
        text = arguments if isinstance(arguments, str) else encode(arguments).decode()
        call_id = call.get("id") or self.new_id(call["name"], position)
        signed_after = call.get("signature") == "after"
        ending = [CallSigned(position, call_id)] if signed_after else []
        if call.get("whole"):
            return [CallStart(position, call_id, call["name"], text, not signed_after), *ending]
        repeated = call_id if call.get("repeat_id") else None
        pieces = [CallPiece(position, piece, repeated) for piece in pieces_of(text, int(call.get("fragments", 1)))]
        return [CallStart(position, call_id, call["name"], "", not signed_after), *pieces, *ending]

    def new_id(self, name: str, position: int) -> str:
        """Gemini signs every call; the others only bind calls to reasoning that went before."""
        family = self.model.family
        signed = family == "google" or self.reasoned
        return new_call_id(family, name, self.conversation.calls + position, signed)

    def silence(self, emission: Json) -> Iterator[Event]:
        total, step = milliseconds(emission["silence_ms"]), milliseconds(emission.get("every_ms", MILLISECONDS))
        for _ in range(max(1, round(total / step))):
            yield Comment(OPENING_COMMENT)
            yield Pause(step)

    def failure(self, emission: Json) -> Iterator[Event]:
        self.ended = True
        yield Failure(emission["error"])

    def cut(self, emission: Json) -> Iterator[Event]:
        self.ended = True
        kind = emission["cut"]
        yield Cut("close" if kind is True else kind)

    def finish(self, emission: Json) -> Iterator[Event]:
        self.ended = True
        reason: str = emission["finish"]
        natives = NATIVE_FINISH.get(self.model.family, {})
        native = emission.get("native") or natives.get(reason, reason)
        yield Finish(reason, native, usage=emission.get("usage", "after"))


def milliseconds(value: JsonValue) -> float:
    return float(value) / MILLISECONDS


def paced(events: list[Event], emission: Json) -> Iterator[Event]:
    delay = milliseconds(emission.get("delay_ms", 0))
    for place, event in enumerate(events):
        if place and delay:
            yield Pause(delay)
        yield event
