"""No upstream can fill the memory: an answer, its parts and a line of it have a largest size."""

import orjson
import pytest

from messages_api.services import sse_reader
from messages_api.services.sse_reader import LineTooLong, SseReader
from messages_api.services.translation import pieces, stream
from messages_api.services.translation.chat import AnswerError, ChatChunk, decode_chunk
from messages_api.tests.translated import Json, call, delta, text, translator

HUGE = "x" * 1000


def chunk(document: Json) -> ChatChunk:
    return decode_chunk(orjson.dumps(document))


@pytest.mark.parametrize(
    "part",
    [
        text(HUGE),
        delta(refusal=HUGE),
        delta(reasoning=HUGE),
        delta(reasoning_details=[{"type": "reasoning.text", "text": HUGE}]),
        delta(reasoning_details=[{"type": "reasoning.encrypted", "data": HUGE}]),
        call({"name": "a", "arguments": HUGE}, index=0, call_id="call_1"),
    ],
)
def test_an_answer_without_end_is_an_error(part: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_CHARACTERS", 10 * len(HUGE))
    answer, piece = translator(), chunk(part)
    for _ in range(10):
        answer.feed(piece)
    with pytest.raises(AnswerError, match="more than 10000 characters"):
        answer.feed(piece)


def test_what_waits_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_CHARACTERS", 10 * len(HUGE))
    answer = translator()
    answer.feed(chunk(call({"name": "a", "arguments": "{"}, index=0, call_id="call_1")))
    with pytest.raises(AnswerError, match="characters"):
        for _ in range(10):
            answer.feed(chunk(text(HUGE)))


def test_calls_without_end_are_an_error() -> None:
    answer = translator()
    with pytest.raises(AnswerError, match=f"more than {pieces.MOST_CALLS} tools"):
        for number in range(pieces.MOST_CALLS + 1):
            answer.feed(chunk(call({"name": "a", "arguments": "{}"}, index=number, call_id=f"call_{number}")))


def test_parts_without_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_BLOCKS", 10)
    answer = translator()
    with pytest.raises(AnswerError, match="more than 10 parts"):
        for _ in range(6):
            answer.feed(chunk(text("a")))
            answer.feed(chunk(delta(reasoning="b")))


@pytest.mark.parametrize("piece", [b"x" * 100, b"data: " + b"x" * 94 + b"\n"])
def test_an_event_without_end_is_an_error(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_reader, "LONGEST_EVENT", 1000)
    reader = SseReader()
    with pytest.raises(LineTooLong):
        for _ in range(12):
            reader.feed(piece)


def test_many_short_events_are_no_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_reader, "LONGEST_EVENT", 1000)
    reader = SseReader()
    assert sum(len(reader.feed(b"data: x\n\n" * 10)) for _ in range(100)) == 1000
