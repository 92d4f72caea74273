"""Owns what a chunk says, piece by piece, in the order in which a model says it (wire.md 2.3, 2.4).

A piece belongs to one block of the answer; its key says which. Here it is decided which tool call a fragment belongs
to, and where in one delta, or in a whole message, a signature belongs among the calls.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from messages_api.services.translation.chat import (
    AnswerError,
    Choice,
    Delta,
    FunctionPiece,
    ReasoningDetail,
    ToolCallPiece,
    UrlCitation,
    text_of_content,
)
from messages_api.services.translation.cut_characters import decodable
from messages_api.services.translation.names import legal_id
from messages_api.services.translation.reasoning import has_text, reasoning_of, text_of
from messages_api.services.translation.tools import Tools

Key = tuple[str, Any]
TEXT: Key = ("text", None)
#: More calls than any model makes at once; each of them is looked at for every fragment.
MOST_CALLS = 1000


@dataclass(slots=True)
class ToolCall:
    """A tool call while its fragments arrive."""

    key: Key
    id: str
    upstream_id: str
    index: int | None
    name: str = ""
    is_placed: bool = False
    is_named_again: bool = False  # since its arguments were whole, and without an id: another call may follow
    _fragments: list[str] = field(default_factory=list)
    _is_whole: bool | None = None

    @property
    def arguments(self) -> str:
        return "".join(self._fragments)

    def add(self, fragment: str) -> None:
        if fragment:
            self._fragments.append(fragment)
            self._is_whole = None

    def is_whole(self) -> bool:
        """Whether the arguments are a complete JSON object. Most fragments fail at the first look."""
        if self._is_whole is None:
            last = next((text for text in map(str.rstrip, reversed(self._fragments)) if text), "")
            self._is_whole = last.endswith("}") and is_object(self.arguments)
        return self._is_whole


@dataclass(slots=True)
class Piece:
    """A piece of one block: its key says which, its text continues it."""

    key: Key
    text: str = ""
    call: ToolCall | None = None
    detail: ReasoningDetail | None = None
    citation: UrlCitation | None = None


class PieceReader:
    """Reads the choices of one answer, one after the other."""

    def __init__(self, message_id: str, tools: Tools) -> None:
        self.calls: list[ToolCall] = []
        self._message_id = message_id
        self._tools = tools
        self._sealed = count()

    def read(self, choice: Choice) -> Iterator[Piece]:
        """The pieces of a streamed delta, or of a whole message, whose calls need no index."""
        if choice.delta is not None:
            yield from self._said(choice.delta, [call.index for call in choice.delta.tool_calls or ()])
        if choice.message is not None:
            yield from self._said(choice.message, list(range(len(choice.message.tool_calls or ()))))
        yield from _cited(choice)

    def _said(self, said: Delta, indexes: list[int | None]) -> Iterator[Piece]:
        """Reasoning, text, calls; but a signature that belongs to a call comes right before it, as in a stream."""
        fragments = said.tool_calls or []
        places = {fragment.id: place for place, fragment in enumerate(fragments) if fragment.id}
        calls = map(self._tool_piece, fragments, indexes)
        spoken = _spoken(said)
        called = 0
        for detail in reasoning_of(said):
            place = places.get(detail.get("id") or "", -1)
            if place < called:
                yield self._reasoning_piece(detail)
                continue
            yield from spoken
            for _ in range(place - called):
                yield next(calls)
            yield self._reasoning_piece(detail)
            yield next(calls)
            called = place + 1
        yield from spoken
        yield from calls

    def _reasoning_piece(self, detail: ReasoningDetail) -> Piece:
        if not has_text(detail):
            return Piece(("redacted", next(self._sealed)), detail=detail)
        return Piece(("thinking", (detail["type"], detail.get("index"))), text_of(detail), detail=detail)

    def _tool_piece(self, fragment: ToolCallPiece, index: int | None) -> Piece:
        function = fragment.function or FunctionPiece()
        name, text = self._tools.original(function.name or ""), function.arguments or ""
        call = self._call_of(fragment.id or "", index, name)
        call.name = call.name or name
        if not fragment.id and _begins_another(call, name, text):
            call = self._new_call("", index, call.name)
        return Piece(call.key, text, call=call)

    def _call_of(self, upstream_id: str, index: int | None, name: str) -> ToolCall:
        """The call a fragment belongs to. Some upstreams repeat the id, leave out the index, or give all index 0."""
        for call in reversed(self.calls):
            if _is_same_call(call, upstream_id, index) and name in {"", call.name or name}:
                call.index = index if call.index is None else call.index
                call.upstream_id = call.upstream_id or upstream_id
                return call
        return self._new_call(upstream_id, index, name)

    def _new_call(self, upstream_id: str, index: int | None, name: str) -> ToolCall:
        number = len(self.calls)
        if number == MOST_CALLS:
            raise AnswerError(f"The model called more than {MOST_CALLS} tools at once.")
        call = ToolCall(("tool", number), self._client_id(upstream_id, number), upstream_id, index, name)
        self.calls.append(call)
        return call

    def _client_id(self, upstream_id: str, number: int) -> str:
        """The upstream's id where the client takes it and no other call has it."""
        call_id = legal_id(upstream_id) if upstream_id else f"toolu_{self._message_id}_{number}"
        return f"{call_id}_{number}" if any(call.id == call_id for call in self.calls) else call_id


def _spoken(said: Delta) -> Iterator[Piece]:
    """What is said aloud, then what it cites."""
    for text in (text_of_content(said.content), said.refusal):
        if text:
            yield Piece(TEXT, text)
    yield from _cited(said)


def _cited(said: Delta | Choice) -> Iterator[Piece]:
    """OpenRouter's providers put annotations into the delta or beside it."""
    for annotation in said.annotations or ():
        if annotation.url_citation is not None:
            yield Piece(TEXT, citation=annotation.url_citation)


def _is_same_call(call: ToolCall, upstream_id: str, index: int | None) -> bool:
    """Different ids are different calls, whatever their index; without two ids to compare, the index decides."""
    if upstream_id and call.upstream_id and upstream_id != call.upstream_id:
        return False
    return index is None or call.index is None or index == call.index


def _begins_another(call: ToolCall, name: str, text: str) -> bool:
    """Whether a fragment without an id begins another call of the same tool, at the same index.

    That is certain where the tool is named once more behind whole arguments and others begin: no name, and `{` might
    as well be a call that was written wrongly, and a name alone is repeated by some upstreams with every fragment.
    """
    if name and call.is_whole():
        call.is_named_again = True
    return call.is_named_again and text.lstrip().startswith("{")


def is_object(text: str) -> bool:
    """Whether `text` is a JSON object. It may hold half a character, escaped, which the decoder refuses to read."""
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError as error:
        if "surrogate" not in str(error):
            return False
    mended = decodable(text.encode())
    return mended != text.encode() and is_object(mended.decode())
