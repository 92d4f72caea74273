"""Owns the way of an answer through the translator, for tests: what an upstream says in, what the client reads out."""

import json
from collections.abc import Iterable
from typing import Any, cast

import msgspec
import orjson

from messages_api.errors import UpstreamFailed
from messages_api.schemas import AssistantBlock, parse_request
from messages_api.services.sse import encode, encode_error
from messages_api.services.sse_reader import SseReader
from messages_api.services.translation import events as out
from messages_api.services.translation.chat import AnswerError, decode_chunk
from messages_api.services.translation.reasoning import reasoning_back
from messages_api.services.translation.response import fold, message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.tests.stream_grammar import Event, check_grammar, events_of, message_added_up

Json = dict[str, Any]
ESTIMATE = 7


def translator(family: str = "openai", **more: Any) -> StreamTranslator:
    return StreamTranslator(message_id="msg_1", model="sonnet", family=family, input_tokens=ESTIMATE, **more)


# --- the client's side of an answer ----------------------------------------------------------------------------------


def translated(chunks: Iterable[Json], answer: StreamTranslator | None = None) -> list[Event]:
    """The events of a stream as the client reads them; an AnswerError as the error that it is told."""
    return _events(map(orjson.dumps, chunks), answer or translator())


def translated_bytes(received: Iterable[bytes], answer: StreamTranslator | None = None) -> list[Event]:
    """The same, from the bytes of the upstream."""
    reader = SseReader()
    payloads = [payload for piece in received for payload in reader.feed(piece)] + reader.finish()
    assert payloads.pop() == b"[DONE]"
    return _events(payloads, answer or translator())


def _events(payloads: Iterable[bytes], answer: StreamTranslator) -> list[Event]:
    told: list[out.Event] = []
    sent: list[bytes] = []
    try:
        for payload in payloads:
            told += (events := answer.feed(decode_chunk(payload)))
            sent.append(encode(events))
            if answer.is_stopped:
                break
        told += (events := answer.finish())
        sent.append(encode(events))
    except AnswerError as error:
        return events_of(b"".join([*sent, encode_error(UpstreamFailed(str(error)), "req_1")]))
    read = events_of(b"".join(sent))
    assert _decoded(fold(told)) == message_added_up(read), "the events folded are not what the client adds up"
    return read


def message_in(chunks: Iterable[Json], answer: StreamTranslator | None = None) -> Event:
    """The message that a stream which ends well adds up to."""
    events = translated(chunks, answer)
    check_grammar(events)
    assert events[-1]["type"] == "message_stop", events[-1]
    return message_added_up(events)


def whole(completion: Json, answer: StreamTranslator | None = None) -> Event:
    """The message of a completion that is not streamed."""
    return _decoded(message_of(decode_chunk(orjson.dumps(completion)), answer or translator()))


def _decoded(message: Any) -> Event:
    decoded: Event = json.loads(msgspec.json.encode(message))
    return decoded


def said_by(message: Event, kind: str, key: str) -> list[Any]:
    return [block[key] for block in message["content"] if block["type"] == kind]


def sent_back(content: list[Event], family: str) -> Json:
    """The reasoning that the next turn tells a model of `family`, after an answer with this content."""
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": content}]
    # Not by orjson: it writes no integer of more than 64 bits, and a model may.
    request = parse_request(json.dumps({"model": "m", "max_tokens": 99, "messages": history}).encode())
    blocks = request.messages[1].content
    assert isinstance(blocks, list)
    reasoning: Json = json.loads(json.dumps(reasoning_back(cast(list[AssistantBlock], blocks), family)))
    return reasoning


# --- chunks by hand --------------------------------------------------------------------------------------------------


def delta(**said: Any) -> Json:
    return {"choices": [{"index": 0, "delta": said}]}


def text(words: str) -> Json:
    return delta(content=words)


def call(fragment: Json, *, index: int | None = None, call_id: str | None = None) -> Json:
    return delta(tool_calls=[{"index": index, "id": call_id, "function": fragment}])


def finish(reason: str, **more: Any) -> Json:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason, **more}]}


def completion_of(message: Json, reason: str = "stop", **more: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"id": "gen-1", "object": "chat.completion", "choices": [choice], **more}
