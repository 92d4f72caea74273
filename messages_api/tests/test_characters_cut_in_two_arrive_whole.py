"""A character that an upstream cut between its two halves of UTF-16 arrives whole, wherever it stands."""

import json
from typing import Any

import aiohttp
import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages_api.errors import ApiError, UpstreamFailed
from messages_api.services.failures import OPENROUTER
from messages_api.services.translation.chat import ChatChunk
from messages_api.services.translation.cut_characters import CutCharacters
from messages_api.services.translation.response import fold, message_of
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.services.upstream.openrouter import ChunkReader, whole_answer
from messages_api.tests.asked_upstream import call_to, outcome, said
from messages_api.tests.loopback_provider import provider_on_loopback
from messages_api.tests.provider_formats import OLLAMA, Scripted
from messages_api.tests.translated import Json, call, completion_of, delta, finish, said_by, text, translator

SMILE = "\U0001f600"
FIRST, SECOND = "\ud83d", "\ude00"
#: Characters of two halves, some of them the ones that stand in for halves here; and what JSON writes with a backslash.
TEXTS = st.text(st.sampled_from('a\\"\n/u\u2028\ufffd🙂\U0010d83d\U0010de00\U0010ffff') | st.characters(), min_size=1)


def read(chunks: list[Json]) -> Json:
    """The message that chunks add up to, written with an escape for all that is not ASCII, as many encoders do."""
    reader, answer = ChunkReader(OPENROUTER), translator("anthropic")
    events = [event for chunk in chunks for event in answer.feed(reader.read(json.dumps(chunk).encode()))]
    message: Json = orjson.loads(msgspec.json.encode(fold([*events, *answer.finish()])))
    return message


@st.composite
def cut_texts(draw: st.DrawFn) -> list[str]:
    """A text in pieces, cut between any two halves."""
    units = draw(TEXTS).encode("utf-16-le", "surrogatepass")
    cuts = sorted({2 * draw(st.integers(0, len(units) // 2)) for _ in range(draw(st.integers(0, 5)))})
    ends = zip([0, *cuts], [*cuts, len(units)], strict=True)
    return [units[start:end].decode("utf-16-le", "surrogatepass") for start, end in ends]


def whole(pieces: list[str]) -> str:
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def details(pieces: list[str]) -> list[Json]:
    head = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    return [delta(reasoning_details=[{**head, "text": piece}]) for piece in pieces]


@given(cut_texts(), cut_texts(), cut_texts())
@settings(max_examples=500, derandomize=True, deadline=None)
def test_any_text_cut_anywhere_arrives_as_it_was_said(said: list[str], thought: list[str], argued: list[str]) -> None:
    arguments = ['{"a": "', *[json.dumps(piece, ensure_ascii=False)[1:-1] for piece in argued], '"}']
    message = read(
        [
            *details(thought),
            *[text(piece) for piece in said],
            call({"name": "a"}, index=0, call_id="call_1"),
            *[call({"arguments": piece}, index=0) for piece in arguments],
            finish("tool_calls"),
        ]
    )
    assert "".join(said_by(message, "thinking", "thinking")) == whole(thought)
    assert "".join(said_by(message, "text", "text")) == whole(said)
    assert said_by(message, "tool_use", "input") == [{"a": whole(argued)}]


@given(cut_texts(), st.sampled_from(["reasoning", "reasoning_content"]))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_plain_reasoning_too(thought: list[str], key: str) -> None:
    message = read([*[delta(**{key: piece}) for piece in thought], finish("length")])
    assert "".join(said_by(message, "thinking", "thinking")) == whole(thought)


def test_halves_of_two_texts_that_come_in_turn_find_their_own() -> None:
    message = read(
        [
            call({"name": "a", "arguments": '{"n": "' + FIRST}, index=0, call_id="call_1"),
            call({"name": "b", "arguments": '{"n": "' + "\ud83c"}, index=1, call_id="call_2"),
            {"choices": [], "usage": None},
            text(""),
            call({"arguments": SECOND + '"}'}, index=0),
            call({"arguments": "\udf89" + '"}'}, index=1),
            finish("tool_calls"),
        ]
    )
    assert said_by(message, "tool_use", "input") == [{"n": SMILE}, {"n": "🎉"}]


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ([FIRST, "a"], "\ufffda"),  # JSON can say it, and no text of the client's can hold it
        (["a" + SECOND, "b"], "a\ufffdb"),
        ([FIRST + FIRST, SECOND], "\ufffd" + SMILE),
        (["a", FIRST], "a"),  # at the very end, of an answer that was cut by its limit
    ],
)
def test_half_a_character_costs_no_more_than_itself(pieces: list[str], told: str) -> None:
    assert said_by(read([*map(text, pieces), finish("length")]), "text", "text") == [told]
    body = json.dumps(completion_of({"content": "".join(pieces)}, "length")).encode()
    if told.endswith("a"):
        message = message_of(whole_answer(body, OPENROUTER), translator())
        assert orjson.loads(msgspec.json.encode(message))["content"] == [{"type": "text", "text": told}]


def test_the_exact_cost_of_an_answer_survives_its_mending() -> None:
    reader = ChunkReader(OPENROUTER)
    chunk = reader.read(b'{"choices":[{"delta":{"content":"\\ud83d"}}],"usage":{"cost":0.1234567890123456789}}')
    assert chunk.usage is not None
    assert str(chunk.usage.cost) == "0.1234567890123456789"


def test_what_is_no_answer_for_another_reason_is_an_error_still() -> None:
    for payload in (b'{"choices":[{"delta":{"content":"\\ud83d"}]}', b'{"choices":"\\ud83d"}', b"\\ud83d", b'"\xff"'):
        with pytest.raises(UpstreamFailed, match="not a chat completion"):
            ChunkReader(OPENROUTER).read(payload)


def test_an_error_with_half_a_character_in_it_keeps_its_words() -> None:
    with pytest.raises(ApiError, match="No, \ufffd says Tom") as raised:
        ChunkReader(OPENROUTER).read(json.dumps({"error": {"code": 429, "message": f"No, {FIRST} says Tom"}}).encode())
    assert raised.value.status == 429


async def test_what_litellm_read_is_joined_likewise() -> None:
    """Its JSON comes from Python, which takes halves as they are."""
    async with provider_on_loopback() as provider, aiohttp.ClientSession() as session:
        upstream = LiteLlmUpstream(Sessions(session, session), provider.base_url)
        provider.frames = [
            line.replace(b"Hel", b"Hi \\ud83d").replace(b"lo!", "\\ude00!\U0010d83d".encode())
            for line in OLLAMA.frames(Scripted("Hello!"))
        ]
        provider.content_type = OLLAMA.content_type
        found = await outcome(
            upstream, call_to(provider.target(OLLAMA.kind, OLLAMA.model), "Hi", streamed=True, tools=[])
        )
        await upstream.close()
    assert said(found) == [("text", f"Hi {SMILE}!\U0010d83d")]


def test_a_chunk_that_can_be_decoded_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(*_: Any) -> ChatChunk:
        raise AssertionError

    monkeypatch.setattr(CutCharacters, "joined", looked)
    reader = ChunkReader(OPENROUTER)
    for piece in ("a", SMILE, "\U0010d83d"):
        for ascii_only in (True, False):
            reader.read(json.dumps(text(piece), ensure_ascii=ascii_only).encode())


def test_a_private_character_beside_half_of_one_is_not_taken_for_a_half() -> None:
    """In bytes of its own, where the half needs an escape."""
    reader, answer = ChunkReader(OPENROUTER), translator()
    first = '{"choices":[{"delta":{"content":"\U0010d83d\U0010de00\\ud83d"}}]}'.encode()
    second = json.dumps(text(SECOND + "\U0010d83d"), ensure_ascii=True).encode()
    third = json.dumps(text("\U0010de00"), ensure_ascii=False).encode()
    chunks = [first, second, third, json.dumps(finish("length")).encode()]
    events = [event for chunk in chunks for event in answer.feed(reader.read(chunk))]
    message = orjson.loads(msgspec.json.encode(fold([*events, *answer.finish()])))
    assert said_by(message, "text", "text") == ["\U0010d83d\U0010de00" + SMILE + "\U0010d83d\U0010de00"]
