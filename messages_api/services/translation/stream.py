"""Owns the way back: chunks of a chat completion in, events of a Messages stream out.

One block is open at a time and indexes are contiguous from 0, as the client's SDK demands. A chat completion may
interleave: then a tool call's block stays open until its arguments are a whole JSON object, and what arrives
meanwhile for other blocks waits, in order. What is not a whole answer is an error, never an invented end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from messages_api.services.translation import events as out
from messages_api.services.translation import reasoning
from messages_api.services.translation.chat import (
    Annotation,
    AnswerError,
    ChatChunk,
    ChatUsage,
    Choice,
    Delta,
    FunctionPiece,
    ReasoningDetail,
    ToolCallPiece,
    text_of_content,
)
from messages_api.services.translation.names import legal_id
from messages_api.services.translation.tables import STOP_REASON
from messages_api.services.translation.tools import NO_TOOLS, WEB_SEARCH, Tools
from messages_api.services.translation.usage import anthropic_usage, tokens_of

Key = tuple[str, Any]
Events = list[out.Event]


@dataclass(slots=True)
class ToolCall:
    """A tool call while its fragments arrive."""

    key: Key
    id: str
    upstream_id: str
    index: int | None
    name: str = ""
    arguments: str = ""
    is_placed: bool = False


@dataclass(slots=True)
class Piece:
    """A piece of one block: its key says which, its text continues it."""

    key: Key
    text: str = ""
    call: ToolCall | None = None
    detail: ReasoningDetail | None = None


@dataclass(slots=True)
class OpenBlock:
    """The block that deltas go to."""

    key: Key
    call: ToolCall | None = None
    detail: ReasoningDetail = field(default_factory=dict)


class StreamTranslator:
    """`feed` each chunk, then `finish`. Both return events; both raise AnswerError."""

    def __init__(
        self,
        *,
        message_id: str,
        model: str,
        family: str,
        tools: Tools = NO_TOOLS,
        input_tokens: int = 0,
        search_query: str = "",
        stop_sequences: Sequence[str] = (),
        watched: Sequence[str] = (),
    ) -> None:
        self.is_stopped = False
        self.usage: ChatUsage | None = None
        self.provider = ""
        self.stop_reason: out.StopReason | None = None
        self._message_id = message_id
        self._model = model
        self._family = family
        self._tools = tools
        self._input_tokens = input_tokens
        self._search_query = search_query
        self._is_started = False
        self._next_index = 0
        self._open: OpenBlock | None = None
        self._held: list[Piece] = []
        self._calls: list[ToolCall] = []
        self._redacted = count()
        self._citations: dict[str, out.WebSearchResult] = {}
        self._finish_reason: str | None = None
        self._native_finish_reason: str | None = None

    def start(self) -> Events:
        """message_start, once; with an estimate of the input, which message_delta corrects."""
        if self._is_started:
            return []
        self._is_started = True
        usage = out.Usage(input_tokens=self._input_tokens, output_tokens=0)
        return [out.MessageStart(out.Message(self._message_id, self._model, usage, []))]

    def feed(self, chunk: ChatChunk) -> Events:
        self.usage = chunk.usage or self.usage
        self.provider = chunk.provider or self.provider
        events: Events = []
        for choice in chunk.choices or ():
            self._note_finish(choice)
            for piece in self._pieces(choice.delta or Delta(), choice.message or Delta()):
                self._place(piece, events)
        return self.start() + events if events else events

    def finish(self) -> Events:
        """The end of an answer that is whole. Raises AnswerError for one that is not."""
        if self._finish_reason is None:
            raise AnswerError("The upstream ended its answer before it was complete.")
        if self._finish_reason not in STOP_REASON:
            reason = self._native_finish_reason or self._finish_reason
            raise AnswerError(f"The model stopped with an error: {reason}.")
        events = self.start()
        self._close_all(events)
        self._place_search_results(events)
        self.stop_reason = self._judge_stop(events)
        usage = anthropic_usage(tokens_of(self.usage)) if self.usage else out.Usage(self._input_tokens, 0)
        return [*events, out.MessageDelta(out.Stop(self.stop_reason), usage), out.MessageStop()]

    # --- what a chunk says ---

    def _note_finish(self, choice: Choice) -> None:
        if choice.finish_reason:  # some upstreams send an empty one with every chunk
            self._finish_reason = choice.finish_reason
            self._native_finish_reason = choice.native_finish_reason

    def _pieces(self, delta: Delta, whole: Delta) -> Iterable[Piece]:
        """The pieces of a choice, a streamed delta or a whole message, in the order in which a model says them."""
        for said in (delta, whole):
            calls = said.tool_calls or []
            ids = {call.id for call in calls if call.id}
            content = text_of_content(said.content)
            details = reasoning.reasoning_of(said)
            yield from (self._reasoning_piece(detail) for detail in details if detail.get("id") not in ids)
            yield from (Piece(("text", None), text) for text in (content, said.refusal) if text)
            for position, call in enumerate(calls):
                # A signature that belongs to a call comes right before it, as it does in a stream.
                yield from (
                    self._reasoning_piece(detail) for detail in details if call.id and detail.get("id") == call.id
                )
                yield self._tool_piece(call, position if said is whole else call.index)
            self._note_citations(said.annotations or ())

    def _reasoning_piece(self, detail: ReasoningDetail) -> Piece:
        if not reasoning.has_text(detail):
            return Piece(("redacted", next(self._redacted)), detail=detail)
        return Piece(("thinking", (detail["type"], detail.get("index"))), reasoning.text_of(detail), detail=detail)

    def _tool_piece(self, fragment: ToolCallPiece, index: int | None) -> Piece:
        function = fragment.function or FunctionPiece()
        name = self._tools.original(function.name or "")
        call = self._call_of(fragment.id or "", index, name)
        call.name = call.name or name
        return Piece(call.key, function.arguments or "", call=call)

    def _call_of(self, upstream_id: str, index: int | None, name: str) -> ToolCall:
        """The call a fragment belongs to. Some upstreams repeat the id, leave out the index, or give all index 0."""
        for call in reversed(self._calls):
            if _is_same_call(call, upstream_id, index) and name in {"", call.name or name}:
                call.index = index if call.index is None else call.index
                call.upstream_id = call.upstream_id or upstream_id
                return call
        number = len(self._calls)
        call = ToolCall(("tool", number), self._client_id(upstream_id, number), upstream_id, index)
        self._calls.append(call)
        return call

    def _client_id(self, upstream_id: str, number: int) -> str:
        """The upstream's id where the client takes it and no other call has it."""
        call_id = legal_id(upstream_id) if upstream_id else f"toolu_{self._message_id}_{number}"
        return f"{call_id}_{number}" if any(call.id == call_id for call in self._calls) else call_id

    def _note_citations(self, annotations: Iterable[Annotation]) -> None:
        for annotation in annotations:
            if annotation.url_citation is not None:
                citation = annotation.url_citation
                self._citations[citation.url] = out.WebSearchResult(citation.url, citation.title or citation.url)

    # --- where a piece goes ---

    def _place(self, piece: Piece, events: Events) -> None:
        opened = self._open
        if opened is not None and opened.key == piece.key:
            self._continue(opened, piece, events)
            if self._held and _is_whole(opened.call):
                self._release(events)
        elif opened is not None and opened.call is not None and not _is_whole(opened.call):
            self._held.append(piece)
        elif piece.call is not None and not piece.call.name:
            piece.call.arguments += piece.text  # its name is still to come, and a block needs one to start
        else:
            self._close(events)
            self._start_block(piece, events)

    def _release(self, events: Events) -> None:
        held, self._held = self._held, []
        for piece in held:
            self._place(piece, events)

    def _start_block(self, piece: Piece, events: Events) -> None:
        call, detail = piece.call, piece.detail or {}
        if call is not None and call.is_placed:
            if piece.text.strip():
                raise AnswerError(f"The model's arguments for the tool {call.name} went on after their end.")
            return
        self._open = OpenBlock(piece.key, call, {**detail})
        events.append(out.ContentBlockStart(self._next_index, self._first(piece)))
        self._next_index += 1
        if call is not None:
            call.is_placed = True
            self._delta(call.arguments, events)
        self._continue(self._open, piece, events, is_first=True)

    def _first(self, piece: Piece) -> out.Block:
        """The block as it stands at content_block_start."""
        if piece.call is not None:
            return out.ToolUse(piece.call.id, piece.call.name)
        match piece.key[0]:
            case "text":
                return out.Text()
            case "thinking":
                return out.Thinking()
            case _:
                return out.RedactedThinking(reasoning.redacted_data(piece.detail or {}, self._family))

    def _continue(self, block: OpenBlock, piece: Piece, events: Events, *, is_first: bool = False) -> None:
        if block.call is not None:
            block.call.arguments += piece.text
        elif piece.detail is not None and not is_first:
            block.detail |= {name: value for name, value in piece.detail.items() if value is not None}
        self._delta(piece.text, events)

    def _delta(self, text: str, events: Events) -> None:
        if not text or self._open is None:
            return
        delta: out.BlockDelta
        match self._open.key[0]:
            case "tool":
                delta = out.InputJsonDelta(text)
            case "thinking":
                delta = out.ThinkingDelta(text)
            case _:
                delta = out.TextDelta(text)
        events.append(out.ContentBlockDelta(self._next_index - 1, delta))

    # --- how a block and an answer end ---

    def _close(self, events: Events) -> None:
        opened, self._open = self._open, None
        if opened is None:
            return
        index = self._next_index - 1
        if opened.key[0] == "thinking":
            seal = reasoning.signature(opened.detail, self._family)
            events.append(out.ContentBlockDelta(index, out.SignatureDelta(seal)))
        elif opened.call is not None:
            self._complete_arguments(opened.call, index, events)
        events.append(out.ContentBlockStop(index))

    def _complete_arguments(self, call: ToolCall, index: int, events: Events) -> None:
        """No arguments at all mean `{}` for a tool that requires none; arguments cut by the limit stay as they are."""
        if call.arguments.strip():
            if not _is_whole(call) and self._finish_reason != "length":
                raise AnswerError(f"The model's arguments for the tool {call.name} are not a JSON object.")
            return
        if call.name in self._tools.needing_arguments and self._finish_reason != "length":
            raise AnswerError(f"The model called the tool {call.name} without the arguments it requires.")
        call.arguments = "{}"
        events.append(out.ContentBlockDelta(index, out.InputJsonDelta("{}")))

    def _close_all(self, events: Events) -> None:
        self._close(events)
        while self._held:
            self._release(events)
            self._close(events)
        if any(not call.is_placed for call in self._calls):
            raise AnswerError("The model called a tool without naming it.")

    def _place_search_results(self, events: Events) -> None:
        """The sources of OpenRouter's own search, as Anthropic's server tool would have told them."""
        if self._tools.web_search is None or not self._citations:
            return
        tool_id, index = f"srvtoolu_{self._message_id}", self._next_index
        query = orjson.dumps({"query": self._search_query}).decode()
        found = out.WebSearchToolResult(tool_id, list(self._citations.values()))
        self._next_index += 2
        events += [
            out.ContentBlockStart(index, out.ServerToolUse(tool_id, WEB_SEARCH)),
            out.ContentBlockDelta(index, out.InputJsonDelta(query)),
            out.ContentBlockStop(index),
            out.ContentBlockStart(index + 1, found),
            out.ContentBlockStop(index + 1),
        ]

    def _judge_stop(self, events: Events) -> out.StopReason:
        """What was said decides first: a tool call is `tool_use` whatever the upstream calls its end."""
        reason = STOP_REASON[self._finish_reason or ""]
        if self._next_index == 0:
            if reason in {"end_turn", "tool_use"}:
                raise AnswerError("The model gave an empty answer.")
            events += [out.ContentBlockStart(0, out.Text()), out.ContentBlockStop(0)]
        if reason in {"end_turn", "tool_use"}:
            return "tool_use" if self._calls else "end_turn"
        return reason


def _is_same_call(call: ToolCall, upstream_id: str, index: int | None) -> bool:
    """Different ids are different calls, whatever their index; without two ids to compare, the index decides."""
    if upstream_id and call.upstream_id and upstream_id != call.upstream_id:
        return False
    return index is None or call.index is None or index == call.index


def _is_whole(call: ToolCall | None) -> bool:
    """Whether a call's arguments are a complete JSON object. Most fragments fail at the first look."""
    if call is None or not call.arguments.rstrip().endswith("}"):
        return False
    try:
        return isinstance(orjson.loads(call.arguments), dict)
    except orjson.JSONDecodeError:
        return False
