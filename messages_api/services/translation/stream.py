"""Owns the way back: chunks of a chat completion in, events of a Messages stream out.

One block is open at a time and indexes are contiguous from 0, as the client's SDK demands. A chat completion may
interleave: then a tool call's block stays open until its arguments are a whole JSON object, and what arrives
meanwhile for other blocks waits, in order. What is not a whole answer is an error, never an invented end.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from messages_api.services.translation import events as out
from messages_api.services.translation import reasoning
from messages_api.services.translation.chat import (
    AnswerError,
    ChatChunk,
    ChatUsage,
    ReasoningDetail,
    text_alone,
)
from messages_api.services.translation.citations import Citations
from messages_api.services.translation.pieces import TEXT, Key, Piece, PieceReader, ToolCall
from messages_api.services.translation.stop_reason import Ending
from messages_api.services.translation.stop_sequences import StopWatch
from messages_api.services.translation.tools import NO_TOOLS, Tools
from messages_api.services.translation.usage import anthropic_usage, estimated_usage

Events = list[out.Event]
#: What a request may hold that sends the answer back; an upstream that goes on for ever must not fill the memory.
MOST_CHARACTERS = 32 * 1024 * 1024
MOST_BLOCKS = 10_000


@dataclass(slots=True)
class OpenBlock:
    """The block that deltas go to."""

    key: Key
    call: ToolCall | None = None
    detail: ReasoningDetail = field(default_factory=dict)


class StreamTranslator:
    """`feed` each chunk, then `finish`. Both return events; both raise AnswerError.

    `stop_sequences` are those that the upstream was asked to stop at; `watched` are looked for here. Once one is found
    `is_stopped` says so: nothing more is told of the answer, so its upstream can be closed and `finish` called.
    """

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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.usage: ChatUsage | None = None
        self.provider = ""
        self.stop_reason: out.StopReason | None = None
        self.characters = 0  # of text, reasoning and arguments: what is left to estimate a broken answer by
        self.held_seconds = 0.0  # in which content waited for a tool call to be complete
        self._message_id = message_id
        self._model = model
        self._family = family
        self._tools = tools
        self._input_tokens = input_tokens
        self._search_query = search_query
        self._service_tier = ""
        self._is_started = False
        self._next_index = 0
        self._open: OpenBlock | None = None
        self._held: list[Piece] = []
        self._held_since = 0.0
        self._clock = clock
        self._reader = PieceReader(message_id, tools)
        self._watch = StopWatch(watched) if watched else None
        self._citations = Citations()
        self._ending = Ending(stop_sequences)
        self._is_cut = False

    @property
    def is_stopped(self) -> bool:
        """Whether a watched stop sequence has ended the answer."""
        return self._watch is not None and self._watch.found is not None

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
        self._service_tier = chunk.service_tier or self._service_tier
        events: Events = []
        for choice in chunk.choices or ():
            if self._is_text_open() and (text := text_alone(choice)) is not None:
                self._more_text(text, events)
                continue
            self._ending.note(choice)
            for piece in self._reader.read(choice):
                self._grow(reasoning.size_of(piece.detail) if piece.detail else len(piece.text))
                self._place(piece, events)
        return self.start() + events if events else events

    def finish(self) -> Events:
        """The end of an answer that is whole. Raises AnswerError for one that is not."""
        if not self.is_stopped:
            self._ending.check()
        events = self.start()
        self._close_all(events)
        stop = self._stop()
        if self._next_index == 0:  # an answer that ended before its first word has a block all the same
            events += [out.ContentBlockStart(0, out.Text()), out.ContentBlockStop(0)]
            self._next_index = 1
        found = self._search_results()
        self.stop_reason = stop.stop_reason
        return [*events, *found, out.MessageDelta(stop, self._usage(has_searched=bool(found))), out.MessageStop()]

    # --- where a piece goes ------------------------------------------------------------------------------------------

    def _place(self, piece: Piece, events: Events) -> None:
        opened = self._open
        if self.is_stopped:
            return
        if opened is not None and opened.key == piece.key and _goes_on(opened, piece):
            self._continue(opened, piece, events)
            if self._held and opened.call is not None and opened.call.is_whole():
                self._release(events)
        elif opened is not None and opened.call is not None and not opened.call.is_whole():
            self._hold(piece)
        elif piece.citation is not None:
            self._citations.note(piece.citation)  # told with the next text
        elif piece.call is not None and not piece.call.name:
            piece.call.add(piece.text)  # its name is still to come, and a block needs one to start
        elif piece.call is not None and piece.call.is_placed and not piece.text.strip():
            pass  # nothing more of a call that is whole: what is open goes on
        else:
            self._close(events)
            self._start_block(piece, events)

    def _hold(self, piece: Piece) -> None:
        if not self._held:
            self._held_since = self._clock()
        self._held.append(piece)

    def _release(self, events: Events) -> None:
        held, self._held = self._held, []
        self.held_seconds += self._clock() - self._held_since
        for piece in held:
            self._place(piece, events)

    def _start_block(self, piece: Piece, events: Events) -> None:
        call = piece.call
        if call is not None and call.is_placed:
            raise AnswerError(f"The model's arguments for the tool {call.name} went on after their end.")
        if self._next_index == MOST_BLOCKS:
            raise AnswerError(f"The answer has more than {MOST_BLOCKS} parts.")
        self._open = OpenBlock(piece.key, call, {**(piece.detail or {})})
        events.append(out.ContentBlockStart(self._next_index, self._first(piece)))
        self._next_index += 1
        if call is not None:
            call.is_placed = True
            self._delta(call.arguments, events)
        elif piece.key is TEXT:
            self._cite(events)
        self._continue(self._open, piece, events)

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

    def _continue(self, block: OpenBlock, piece: Piece, events: Events) -> None:
        if block.call is not None:
            block.call.add(piece.text)
        elif piece.detail is not None:
            block.detail |= {name: value for name, value in piece.detail.items() if value is not None}
        elif piece.citation is not None:
            self._citations.note(piece.citation)
            self._cite(events)
        elif self._watch is not None:
            self._delta(self._watch.let_pass(piece.text), events)
            if self._watch.found is not None:
                self._close(events)
            return
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

    def _cite(self, events: Events) -> None:
        for citation in self._citations.take():
            events.append(out.ContentBlockDelta(self._next_index - 1, out.CitationsDelta(citation)))

    # --- the open text, which most chunks continue -------------------------------------------------------------------

    def _is_text_open(self) -> bool:
        return self._open is not None and self._open.key is TEXT and self._watch is None

    def _more_text(self, text: str, events: Events) -> None:
        if text:
            self._grow(len(text))
            events.append(out.ContentBlockDelta(self._next_index - 1, out.TextDelta(text)))

    def _grow(self, characters: int) -> None:
        self.characters += characters
        if self.characters > MOST_CHARACTERS:
            raise AnswerError(f"The answer has more than {MOST_CHARACTERS} characters.")

    # --- how a block and an answer end -------------------------------------------------------------------------------

    def _close(self, events: Events) -> None:
        opened, index = self._open, self._next_index - 1
        if opened is None:
            return
        if opened.key[0] == "thinking":
            seal = reasoning.signature(opened.detail, self._family)
            events.append(out.ContentBlockDelta(index, out.SignatureDelta(seal)))
        elif opened.call is not None:
            self._complete_arguments(opened.call, events)
        elif opened.key is TEXT and self._watch is not None:
            self._delta(self._watch.rest(), events)
        events.append(out.ContentBlockStop(index))
        self._open = None

    def _complete_arguments(self, call: ToolCall, events: Events) -> None:
        """No arguments at all mean `{}` for a tool that requires none; arguments cut by a limit stay as they are."""
        if call.is_whole():
            return
        is_blank = not call.arguments.strip()
        if is_blank and call.name not in self._tools.needing_arguments:
            call.add("{}")
            self._delta("{}", events)
        elif self._ending.cuts:
            self._is_cut = True
        elif is_blank:
            raise AnswerError(f"The model called the tool {call.name} without the arguments it requires.")
        else:
            raise AnswerError(f"The model's arguments for the tool {call.name} are not a JSON object.")

    def _close_all(self, events: Events) -> None:
        self._close(events)
        while self._held:
            self._release(events)
            self._close(events)
        if not self.is_stopped and any(not call.is_placed for call in self._reader.calls):
            raise AnswerError("The model called a tool without naming it.")

    def _stop(self) -> out.Stop:
        has_calls = any(call.is_placed for call in self._reader.calls)
        if self._watch is not None and self._watch.found is not None and not self._is_cut:
            return out.Stop("tool_use") if has_calls else out.Stop("stop_sequence", self._watch.found)
        return self._ending.stop(has_calls=has_calls, is_empty=self.characters == 0 and not has_calls)

    def _search_results(self) -> Events:
        was_asked = self._tools.web_search is not None
        return self._citations.found(self._message_id, self._search_query, self._next_index, was_asked=was_asked)

    def _usage(self, *, has_searched: bool) -> out.Usage:
        if self.usage is None:
            return estimated_usage(self._input_tokens, self.characters)
        return anthropic_usage(self.usage, service_tier=self._service_tier, searches=int(has_searched))


def _goes_on(opened: OpenBlock, piece: Piece) -> bool:
    return piece.detail is None or reasoning.continues(piece.detail, opened.detail)
