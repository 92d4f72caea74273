"""Owns the way back from a target that speaks Messages: its bytes as they come, but for the model's name and our ids.

Most of a stream is events of which nothing is read: they pass in one slice, however many came together. message_start,
message_delta and errors are opened, and usage is noted in passing (wire.md 1.6, 1.7). What is not a whole answer is an
error, never an invented end.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from messages_api.errors import ApiError
from messages_api.schemas import ABSENT
from messages_api.services.failures import Speaker, failure_in_answer
from messages_api.services.sse import encode
from messages_api.services.sse_reader import LONGEST_EVENT
from messages_api.services.translation import events as out
from messages_api.services.translation.chat import AnswerError, ChatUsage
from messages_api.services.translation.raw_json import encoded, items
from messages_api.services.translation.relay_blocks import (
    Block,
    Blocks,
    Fields,
    block_in,
    checked,
    delta_in,
    index_in,
    put,
)
from messages_api.services.translation.relay_usage import NULL, added, chat_usage
from messages_api.services.translation.usage import estimated_tokens
from usage.pricing import Tokens

END = b"\n\n"
#: Events that pass unread. JSON holds no newline of its own, so nothing inside it can look like the end of an event.
UNREAD = re.compile(rb"(?:event: ?content_block_(?:delta|stop)\ndata: ?[^\n]++\n\n)++")
#: What an event of content has beside its content: a text_delta's, and what others have more, by their block.
FRAME_SIZE = 115
MORE_FRAME = {"thinking": 8, "tool_use": 14, "server_tool_use": 14}
LINES = 3  # of an event
LEAST_OF_TWO = 2 * FRAME_SIZE  # what is shorter is one event
#: Told in message_start; where the client had to be given one before that, in message_delta.
TOLD_AT_START = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
#: Overrules what an earlier attempt told of its cache, where this upstream has none.
NO_CACHE = dict.fromkeys(TOLD_AT_START[1:], 0)
#: What a model that has said nothing cannot have ended with.
NEEDS_CONTENT = frozenset({"", "end_turn", "tool_use"})
#: The reason in place of one that contradicts whether a tool was called. Claude's never does, a local server's may.
TRUE_REASON = {("end_turn", True): "tool_use", ("tool_use", False): "end_turn"}

BLOCK_EVENTS = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})


class _Event(Struct):
    """Raw, since an event of a type that is not known here may have anything under a name."""

    type: str = ""
    message: Raw = ABSENT
    content_block: Raw = ABSENT
    delta: Raw = ABSENT
    usage: Raw = ABSENT
    error: Raw = ABSENT


class _Message(Struct):
    type: str = ""
    id: str = ""
    provider: str | None = None
    stop_reason: str | None = None
    content: list[Block] | None = None
    usage: Fields | None = None
    error: Raw = ABSENT


_EVENT = msgspec.json.Decoder(_Event)
_MESSAGE = msgspec.json.Decoder(_Message)
_FIELDS = msgspec.json.Decoder(Fields)
_USAGE = msgspec.json.Decoder(Fields | None)


class AnswerRelay:
    """`feed` each piece as it is received, then `finish`; or `whole` for an answer that is not streamed.

    All raise AnswerError for what is not a whole answer, and ApiError for an error that the upstream tells.
    """

    def __init__(
        self, *, message_id: str, model: str, family: str = "", input_tokens: int = 0, secret: str = ""
    ) -> None:
        self.upstream_id = ""
        self.provider = ""
        self.stop_reason = ""
        self.usage = ChatUsage()
        self.is_ended = False
        self.is_counted = False  # whether the upstream has told how long the answer was
        self._message_id, self._model = message_id, model
        self._blocks = Blocks(family)
        self._input_tokens = input_tokens
        self._speaker = Speaker("The upstream", secret)
        self._told: Fields = {}  # the usage of message_start and message_delta
        self._begun: list[bytes] = []  # the parts of an event whose end is still to come
        self._size = 0  # of them
        self._said = 0  # characters of content in the blocks before the open one
        self._passed = self._lines = 0  # bytes and lines of the open one
        self._frame_size = FRAME_SIZE
        self._waiting = b""  # message_start, until there is content to go with it
        self._is_given = False  # whether the client has its message_start
        self._is_estimated = False  # and whether that one was a guess of ours
        self._has_begun = self._has_content = self._has_call = self._is_judged = False
        self._is_quiet = False  # whether there is content, and more may come
        self._copies = 0  # blocks that were left out
        self._is_in_copy = False

    def start(self) -> bytes:
        """message_start, once: the upstream's if it has come, else one with an estimate of the input."""
        if self._is_given:
            return b""
        if self._waiting:
            return self._released()
        self._is_given = self._is_estimated = True
        usage = out.Usage(input_tokens=self._input_tokens, output_tokens=0)
        return encode([out.MessageStart(out.Message(self._message_id, self._model, usage, []))])

    def feed(self, received: bytes) -> Iterator[bytes]:
        """What of `received` is for the client, in one piece; what came before an error comes before its exception."""
        if self._is_quiet and not self._begun and UNREAD.fullmatch(received):
            size = len(received)
            self._passed += size
            self._lines += LINES if size < LEAST_OF_TWO else received.count(b"\n")
            yield received  # as nearly every piece of a stream
            return
        self._begun.append(received)
        self._size += len(received)
        if b"\n" not in received:  # looked through only once it may hold an event: a long one comes in many pieces
            self._check_size()
            return
        said: list[bytes] = []
        try:
            self._read(b"".join(self._begun), said)
        except (AnswerError, ApiError):
            if any(said):
                yield b"".join(said)
            raise
        if any(said):
            yield b"".join(said)

    @property
    def characters(self) -> int:
        """How much was said, about: what was passed on, less what is around it."""
        return self._said + max(0, self._passed - self._lines // LINES * self._frame_size)

    def finish(self) -> None:
        """Raises AnswerError for an answer that is not whole."""
        if not self.is_ended:
            raise AnswerError("The upstream ended its answer before it was complete.")

    def whole(self, body: bytes) -> bytes:
        """An answer that is not streamed."""
        message = checked(_MESSAGE.decode, body)
        self._check_error(message.error)
        if message.type != "message":
            raise AnswerError("The upstream sent something that is not an answer of the Messages API.")
        self._note(message)
        self.is_counted = _is_told("output_tokens", self._told)
        if not message.content and self.stop_reason in NEEDS_CONTENT:
            raise AnswerError("The model gave an empty answer.")
        self._has_call = any(block.type == "tool_use" for block in message.content or ())
        self._said = len(bytes(_FIELDS.decode(body).get("content", ABSENT)))
        ours = self._ours(body)
        blocks = self._blocks
        changes = [(block, blocks.whole(block)) for block in message.content or ()]
        if any(change or blocks.is_copy(block) for block, change in changes):
            came = zip(changes, items("content", ours["content"]), strict=True)
            ours["content"] = [put(raw, change) for (block, change), raw in came if not blocks.is_copy(block)]
        return encoded({**ours, **self._true_reason()})

    # --- bytes to events ---

    def _read(self, data: bytes, said: list[bytes]) -> None:
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        position = 0
        while not self.is_ended:
            if self._is_quiet and (unread := UNREAD.match(data, position)):
                said.append(data[position : unread.end()])
                self._passed += unread.end() - position
                self._lines += data.count(b"\n", position, unread.end())
                position = unread.end()
            end = data.find(END, position)
            if end < 0:
                break
            said.append(self._event(data[position:end]))
            position = end + len(END)
        rest = data[position:]
        self._begun, self._size = [rest] if rest else [], len(rest)
        self._check_size()

    def _check_size(self) -> None:
        if self._size > LONGEST_EVENT:
            raise AnswerError(f"The upstream sent an event of more than {LONGEST_EVENT} bytes.")

    def _event(self, frame: bytes) -> bytes:
        """One event as the client gets it; no bytes for comments and pings: ours come when they are due."""
        name, payload = _parts(frame)
        if not payload:
            return b""
        event = checked(_EVENT.decode, payload)
        self._check_error(event.error)
        match event.type or name:
            case "ping":
                return b""
            case "error":
                raise self._failure(payload)
            case "message_start":
                self._begin(event, payload)
                return b""
            case "message_delta":
                return self._judge(event, payload)
            case "message_stop":
                return self._stop(payload)
            case "content_block_start":
                return self._open(event, payload)
            case "content_block_delta" | "content_block_stop" if self._is_in_copy:
                return b""
            case "content_block_delta" if self._blocks.is_sealing and self._blocks.takes(event.delta):
                return b""
            case "content_block_stop" if self._blocks.is_sealing:
                return self._seal(payload)
            case kind:
                return self._pass(kind, payload)

    # --- what an event does ---

    def _begin(self, event: _Event, payload: bytes) -> None:
        if self._has_begun:
            raise AnswerError("The upstream began its answer twice.")
        self._has_begun = True
        self._note(checked(_MESSAGE.decode, event.message))
        if not self._is_given:
            start = {**_FIELDS.decode(payload), "message": self._ours(event.message)}
            self._waiting = _framed("message_start", encoded(start))

    def _open(self, event: _Event, payload: bytes) -> bytes:
        block = block_in(event.content_block)
        self._is_in_copy = self._blocks.is_copy(block)
        if self._is_in_copy:
            self._copies += 1
            self._is_quiet = False
            return b""
        self._has_content = True
        self._has_call = self._has_call or block.type == "tool_use"
        self._said, self._passed, self._lines = self.characters, 0, 0
        self._frame_size = FRAME_SIZE + MORE_FRAME.get(block.type, 0)
        changes = self._blocks.open(block)
        self._is_quiet = self._copies == 0 and not self._blocks.is_sealing
        if changes:
            fields = _FIELDS.decode(payload)
            payload = encoded({**fields, "content_block": put(fields["content_block"], changes)})
        return self._pass("content_block_start", payload)

    def _seal(self, payload: bytes) -> bytes:
        """The end of a thought, with its signature before it."""
        signed = {"type": "content_block_delta", "index": index_in(payload), "delta": self._blocks.close()}
        return self._pass("content_block_delta", encoded(signed)) + self._pass("content_block_stop", payload)

    def _pass(self, kind: str, payload: bytes) -> bytes:
        """Content, and events that are not known yet; the latter do not count as content."""
        self._check_begun()
        if self._is_judged and kind in BLOCK_EVENTS:
            raise AnswerError("The upstream went on with an answer that it had ended.")
        if self._has_content:
            if self._copies and kind in BLOCK_EVENTS:
                payload = _moved_up(payload, self._copies)
            framed = _framed(kind, payload)
            self._passed += len(framed)
            self._lines += LINES
            return self._released() + framed
        if kind in BLOCK_EVENTS:
            raise AnswerError("The upstream went on with a block that it had not begun.")
        return b""

    def _judge(self, event: _Event, payload: bytes) -> bytes:
        self._check_begun()
        self._is_judged, self._is_quiet = True, False
        self.stop_reason = delta_in(event.delta).stop_reason or ""
        if not self._has_content and self.stop_reason in NEEDS_CONTENT:
            raise AnswerError("The model gave an empty answer.")
        usage = (None if event.usage is ABSENT else checked(_USAGE.decode, event.usage)) or {}
        self._note_usage(usage)
        self.is_counted = _is_told("output_tokens", usage)
        return self._released() + _framed("message_delta", self._corrected(usage, payload))

    def _corrected(self, usage: Fields, payload: bytes) -> bytes:
        """message_delta with the true reason and, where message_start was an estimate, with the true counts; that of
        the answer is estimated where it is not told."""
        reason = self._true_reason()
        if not reason and not self._is_estimated and self.is_counted:
            return payload
        fields: dict[str, Any] = _FIELDS.decode(payload)
        if reason:
            fields["delta"] = {**_FIELDS.decode(fields["delta"]), **reason}
        known = {name: self._told[name] for name in TOLD_AT_START if name in self._told}
        counts = {**usage, **NO_CACHE, **known} if self._is_estimated else usage
        fields["usage"] = counts if self.is_counted else {**counts, "output_tokens": self._estimate().output}
        return encoded(fields)

    def _estimate(self) -> Tokens:
        return estimated_tokens(self._input_tokens, self.characters)

    def _true_reason(self) -> dict[str, str]:
        """The field `stop_reason` where the one that was told contradicts the content; else nothing."""
        true = TRUE_REASON.get((self.stop_reason, self._has_call))
        self.stop_reason = true or self.stop_reason
        return {"stop_reason": true} if true else {}

    def _stop(self, payload: bytes) -> bytes:
        if not self._is_judged:
            raise AnswerError("The upstream ended its answer before it was complete.")
        self.is_ended = True  # what OpenRouter says after it, `[DONE]`, no Messages client knows (wire.md 2.6)
        return _framed("message_stop", payload)

    def _note(self, message: _Message) -> None:
        self.upstream_id = message.id
        self.provider = message.provider or ""
        self.stop_reason = message.stop_reason or ""
        self._note_usage(message.usage)

    def _note_usage(self, told: Fields | None) -> None:
        together = added(self._told, told or {})
        self.usage = checked(chat_usage, together)
        self._told = together

    def _ours(self, message: bytes | Raw) -> dict[str, Any]:
        """A message under the id and the model's name that the client knows; counts are estimated that are not told."""
        ours: dict[str, Any] = {**_FIELDS.decode(message), "id": self._message_id, "model": self._model}
        counts = {"input_tokens": self._input_tokens, "output_tokens": self._estimate().output}
        untold = {name: count for name, count in counts.items() if not _is_told(name, self._told)}
        if untold:
            ours["usage"] = {**self._told, **untold}
        return ours

    def _released(self) -> bytes:
        waiting, self._waiting = self._waiting, b""
        self._is_given = True
        return waiting

    def _check_begun(self) -> None:
        if not self._has_begun:
            raise AnswerError("The upstream's answer does not begin with message_start.")

    def _check_error(self, error: Raw) -> None:
        if bytes(error) not in {b"", NULL}:
            raise self._failure(bytes(error))

    def _failure(self, said: bytes) -> ApiError:
        return failure_in_answer(self._speaker, said)


def _parts(frame: bytes) -> tuple[str, bytes]:
    """The name and the data of an event; a comment has neither. Several lines of data are JSON that was broken up."""
    name, data = "", []
    for line in frame.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip().decode(errors="replace")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return name, b" ".join(data)


def _is_told(name: str, usage: Fields) -> bool:
    return bytes(usage.get(name, ABSENT)) not in {b"", NULL}


def _moved_up(payload: bytes, places: int) -> bytes:
    """An event of a block, behind blocks that were left out: indexes stay contiguous."""
    fields = _FIELDS.decode(payload)
    return encoded({**fields, "index": index_in(payload) - places})


def _framed(kind: str, payload: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), payload)
