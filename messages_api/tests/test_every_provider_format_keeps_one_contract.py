"""Whatever format a provider answers in, streamed or whole, the client gets the same message or the same error.

The servers are real, on loopback: one that is read by our own client, five that LiteLLM reads.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from messages_api import errors
from messages_api.errors import ApiError, InvalidRequest, TimedOut
from messages_api.services.sse_reader import LONGEST_EVENT, LineTooLong
from messages_api.services.translation.chat import AnswerError, ChatChunk
from messages_api.services.upstream import litellm as litellm_client
from messages_api.services.upstream.base import ChatStream
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.tests.asked_upstream import BASH, LIST, SYSTEM, Outcome, call_to, outcome, said, turn_after
from messages_api.tests.loopback_provider import KEY_OF_PROVIDER, Provider, provider_on_loopback
from messages_api.tests.provider_formats import (
    ANTHROPIC,
    AZURE,
    BEDROCK,
    FORMATS,
    FRESH,
    GEMINI,
    GIVEN,
    OLLAMA,
    OPENAI,
    SEAL,
    End,
    Format,
    Scripted,
    anthropic_events,
    anthropic_whole,
    converse,
    converse_frames,
    converse_whole,
    gemini_events,
    gemini_whole,
    openai_events,
    openai_whole,
    sse,
)

SOON = 1.0
SILENCE = 0.5
BOTH_WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
EVERY_FORMAT = pytest.mark.parametrize("wire", FORMATS, ids=str)


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with provider_on_loopback() as served:
        yield served


@pytest_asyncio.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiteLlmUpstream]:
    monkeypatch.setenv("AWS_REGION_NAME", "eu-central-1")
    # The session's bound is the gateway's to set; here it is as short as the one that is passed to LiteLLM.
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None, sock_read=SILENCE * 4)) as session:
        client = LiteLlmUpstream(Sessions(session, session), "http://127.0.0.1:9")
        yield client
        await client.close()


async def ask(upstream: LiteLlmUpstream, provider: Provider, wire: Format, *, streamed: bool, **more: Any) -> Outcome:
    provider.content_type = wire.content_type
    target = provider.target(wire.kind, wire.model, family=wire.family)
    asked: dict[str, Any] = {"tools": [BASH, LIST], "system": SYSTEM, **more}
    return await outcome(upstream, call_to(target, "Hi", streamed=streamed, **asked))


def play(provider: Provider, wire: Format, answer: Scripted) -> None:
    provider.answer, provider.frames = wire.whole(answer), wire.frames(answer)


TALK = Scripted(text="Hello \u2028 [DONE] </s> ====== ü")
CALLS = Scripted(text="Let me look.", calls=[("Bash", {"command": "ls \u2028"}), ("List", {})], end="tools")


@BOTH_WAYS
@EVERY_FORMAT
async def test_text_comes_as_it_was_said(
    wire: Format, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    play(provider, wire, TALK)
    found = await ask(upstream, provider, wire, streamed=streamed)
    assert said(found) == [("text", TALK.text)]
    assert found.message["stop_reason"] == "end_turn"


@BOTH_WAYS
@EVERY_FORMAT
async def test_parallel_calls_come_whole_and_apart_also_without_arguments(
    wire: Format, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    play(provider, wire, CALLS)
    found = await ask(upstream, provider, wire, streamed=streamed)
    blocks = [block for block in said(found) if block[0] != "redacted_thinking"]
    assert blocks == [("text", CALLS.text), ("tool_use", {"command": "ls \u2028"}), ("tool_use", {})]
    calls = [block for block in found.message["content"] if block["type"] == "tool_use"]
    assert [call["name"] for call in calls] == ["Bash", "List"]
    assert calls[0]["id"] != calls[1]["id"]
    assert found.message["stop_reason"] == "tool_use"


@BOTH_WAYS
@EVERY_FORMAT
async def test_what_was_read_from_a_cache_is_told_apart(
    wire: Format, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    play(provider, wire, TALK)
    found = await ask(upstream, provider, wire, streamed=streamed)
    assert found.tokens is not None
    assert (found.tokens.cache_read, found.tokens.cache_write) == wire.cache
    assert found.tokens.output == GIVEN
    assert found.tokens.input == (FRESH if any(wire.cache) else 50)
    assert found.charged is None


@BOTH_WAYS
@EVERY_FORMAT
async def test_thoughts_are_told_and_go_back_where_the_format_seals_them(
    wire: Format, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    play(provider, wire, Scripted(thought="Hm. Well.", calls=[("Bash", {"command": "ls"})], end="tools"))
    thinking = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "max_tokens": 20_000}
    found = await ask(upstream, provider, wire, streamed=streamed, **thinking)
    assert ("thinking", "Hm. Well.") in said(found)
    again = turn_after(found.message["content"])
    await ask(upstream, provider, wire, streamed=streamed, messages=again, **thinking)
    sent_back = str(provider.requests[1][2])
    assert (SEAL in sent_back) is (wire.kind in {"anthropic", "gemini", "bedrock"})


@BOTH_WAYS
@pytest.mark.parametrize("end", ["length", "refusal"])
@EVERY_FORMAT
async def test_the_end_is_told_as_what_it_was(
    wire: Format, end: End, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    told = {"length": "max_tokens", "refusal": "refusal"}[end]
    if (wire, end) == (OLLAMA, "refusal"):
        pytest.skip("Ollama has no word for a refusal")
    play(provider, wire, Scripted(text="Well", end=end))
    found = await ask(upstream, provider, wire, streamed=streamed)
    assert found.message["stop_reason"] == told
    is_withheld = (wire, end, streamed) == (GEMINI, "refusal", False)  # by LiteLLM
    assert said(found) == [("text", "" if is_withheld else "Well")]


@EVERY_FORMAT
async def test_a_stream_that_was_cut_is_not_taken_for_whole(
    wire: Format, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    play(provider, wire, TALK)
    provider.cut_at = 1 + max(at for at, frame in enumerate(provider.frames) if b"===" in frame)
    found = await ask(upstream, provider, wire, streamed=True)
    assert found.error is not None
    assert found.error[1] == 502
    assert found.events_before_error > 0


@EVERY_FORMAT
async def test_an_error_in_mid_stream_is_told_in_the_providers_words(
    wire: Format, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    assert wire.error_frame is not None
    play(provider, wire, TALK)
    provider.frames = [*provider.frames[:4], wire.error_frame("The kitchen is on fire")]
    found = await ask(upstream, provider, wire, streamed=True)
    assert found.error is not None
    assert issubclass(found.error[0], ApiError | AnswerError)
    assert "kitchen is on fire" in found.error[2]


STATUSES = {
    400: errors.InvalidRequest,
    401: errors.Forbidden,
    402: errors.PaymentRequired,
    403: errors.Forbidden,
    404: errors.NotFound,
    408: errors.TimedOut,
    413: errors.TooLarge,
    422: errors.InvalidRequest,
    429: errors.RateLimited,
    500: errors.Internal,
    502: errors.UpstreamFailed,
    503: errors.Unavailable,
    504: errors.TimedOut,
    529: errors.Overloaded,
}


@BOTH_WAYS
@pytest.mark.parametrize("status", STATUSES)
@EVERY_FORMAT
async def test_a_refusal_keeps_its_status_its_words_and_its_retry_after(
    wire: Format, status: int, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    provider.refusal = (status, wire.error(f"No, says {KEY_OF_PROVIDER}, ask Tom"))
    found = await ask(upstream, provider, wire, streamed=streamed)
    assert found.error is not None
    kind, _, words, retry_after = found.error
    assert kind is STATUSES[status]
    assert "No, says " in words
    assert words.endswith(", ask Tom")
    assert KEY_OF_PROVIDER not in words
    assert retry_after == "7"
    assert ("ours refused the key" in words) is (status == 401)
    assert len(provider.requests) == 1  # nothing is tried again here


TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"


@BOTH_WAYS
@EVERY_FORMAT
async def test_a_prompt_that_is_too_long_is_told_in_the_words_at_which_claude_code_compacts(
    wire: Format, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    said_so = "This model's maximum context length is 200000 tokens. However, your messages resulted in 210000 tokens."
    for words in (TOO_LONG, said_so):
        provider.refusal = (400, wire.error(words))
        found = await ask(upstream, provider, wire, streamed=streamed)
        assert found.error is not None
        assert found.error[0] is InvalidRequest
        assert found.error[2] == TOO_LONG


async def read_all(stream: ChatStream) -> list[ChatChunk]:
    return [chunk async for chunks in stream for chunk in chunks]


@pytest.mark.parametrize("how", ["close", "cancel"])
@EVERY_FORMAT
async def test_leaving_a_stream_closes_the_connection_within_a_second(
    wire: Format, how: str, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    play(provider, wire, TALK)
    provider.content_type, provider.stall_at = wire.content_type, len(provider.frames) - 1
    target = provider.target(wire.kind, wire.model, family=wire.family)
    stream = await upstream.stream(call_to(target, "Hi", streamed=True))
    if how == "cancel":
        reading = asyncio.create_task(read_all(stream))
        await asyncio.sleep(0.2)
        reading.cancel()
        await asyncio.wait({reading}, timeout=SOON)
    else:
        await anext(aiter(stream))
    await stream.close()
    await asyncio.wait_for(provider.left.wait(), SOON)


@BOTH_WAYS
@EVERY_FORMAT
async def test_leaving_before_the_answer_closes_the_connection_within_a_second(
    wire: Format, streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    play(provider, wire, TALK)
    provider.stall_at = 0
    asking = asyncio.create_task(ask(upstream, provider, wire, streamed=streamed))
    async with asyncio.timeout(SOON * 5):  # the first call to a provider loads what LiteLLM has for it
        await provider.asked.wait()
    asking.cancel()
    await asyncio.wait_for(provider.left.wait(), SOON)


@pytest.mark.parametrize("stall_at", [0, 3], ids=["before the head", "in the stream"])
@pytest.mark.parametrize("wire", [each for each in FORMATS if each is not OPENAI], ids=str)
async def test_a_silent_provider_is_given_up(
    wire: Format, stall_at: int, upstream: LiteLlmUpstream, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where LiteLLM reads. What our own client reads is given up by whoever drives the stream, once a second."""
    monkeypatch.setattr(litellm_client, "SILENCE_SECONDS", SILENCE)
    play(provider, wire, Scripted(text="Hello", calls=CALLS.calls, end="tools"))
    provider.stall_at = stall_at
    found = await asyncio.wait_for(ask(upstream, provider, wire, streamed=True), SILENCE * 10)
    assert found.error is not None
    assert found.error[0] is TimedOut


#: How a format is made to say a given word for its end, whole and streamed.
WORDED: dict[str, tuple[Callable[[Scripted, str], Any], Callable[[Scripted, str], list[bytes]]]] = {
    "anthropic": (anthropic_whole, lambda answer, word: sse(anthropic_events(answer, word))),
    "bedrock": (converse_whole, converse_frames),
    "gemini": (gemini_whole, lambda answer, word: sse(gemini_events(answer, word))),
}
NATIVE_WORDS = [
    (ANTHROPIC, "stop_sequence", "stop"),
    (ANTHROPIC, "pause_turn", "stop"),
    (ANTHROPIC, "model_context_window_exceeded", "length"),
    (BEDROCK, "stop_sequence", "stop"),
    (GEMINI, "MALFORMED_FUNCTION_CALL", "error"),
    (GEMINI, "UNEXPECTED_TOOL_CALL", "error"),
]


@BOTH_WAYS
@pytest.mark.parametrize("case", NATIVE_WORDS, ids=lambda case: f"{case[0]}-{case[1]}")
async def test_an_end_that_openai_has_no_word_for_keeps_its_own(
    case: tuple[Format, str, str], streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    wire, word, finish = case
    whole, frames = WORDED[wire.kind]
    provider.answer, provider.frames, provider.content_type = whole(TALK, word), frames(TALK, word), wire.content_type
    call = call_to(provider.target(wire.kind, wire.model, family=wire.family), "Hi", streamed=streamed)
    if streamed:
        chunks = await read_all(await upstream.stream(call))
    else:
        chunks = [(await upstream.complete(call)).answer]
    ends = [choice for chunk in chunks for choice in chunk.choices or () if choice.finish_reason]
    assert [(end.finish_reason, end.native_finish_reason) for end in ends] == [(finish, word)]


async def test_an_answer_without_converse_is_refused_rather_than_left_out(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    said_so = base64.b64encode(orjson.dumps({"outputs": [{"text": "Hello", "stop_reason": "stop"}]})).decode()
    provider.frames, provider.content_type = [converse("chunk", {"bytes": said_so})], BEDROCK.content_type
    target = provider.target("bedrock", "invoke/mistral.mistral-7b-instruct-v0:2")
    found = await outcome(upstream, call_to(target, "Hi", streamed=True, tools=[]))
    assert found.error is not None
    assert found.error[0] is InvalidRequest
    assert "converse/" in found.error[2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LiteLLM's wrapper, which is used for nothing else here
async def test_the_end_that_litellms_wrapper_invents_is_not_believed(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    """For a format whose chunks are read through the wrapper."""
    play(provider, OPENAI, Scripted(text="Hello you"))
    target = provider.target("databricks", "some-model")
    assert said(await outcome(upstream, call_to(target, "Hi", streamed=True))) == [("text", "Hello you")]
    provider.cut_at = 3
    found = await outcome(upstream, call_to(target, "Hi", streamed=True))
    assert found.error is not None
    assert found.error[0] is AnswerError


@pytest.mark.parametrize(
    "body",
    [{"error": "slow down"}, {"detail": "slow down"}, {"message": "slow down"}, [{"error": {"message": "slow down"}}]],
)
@pytest.mark.parametrize("wire", [OPENAI, ANTHROPIC], ids=str)
async def test_the_words_are_found_wherever_a_provider_puts_them(
    wire: Format, body: Any, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    provider.refusal = (429, body)
    found = await ask(upstream, provider, wire, streamed=True)
    assert found.error == (errors.RateLimited, 429, "slow down", "7")


async def test_what_cannot_be_read_is_told_without_where_it_failed(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    """LiteLLM writes its traceback into the error's message."""
    provider.frames = sse([{"choices": 5}])
    found = await outcome(upstream, call_to(provider.target("huggingface", "some-model"), "Hi", streamed=True))
    assert found.error is not None
    assert issubclass(found.error[0], ApiError)
    assert "Traceback" not in found.error[2]
    assert "litellm" not in found.error[2]


async def test_the_key_that_gemini_has_in_its_address_stands_in_no_error(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    provider.refusal = (400, GEMINI.error("API key AIzaSecretOfGemini not valid"))
    target = provider.target("gemini", GEMINI.model, family="google", key="AIzaSecretOfGemini")
    found = await outcome(upstream, call_to(target, "Hi", streamed=True))
    assert found.error is not None
    assert found.error[0] is InvalidRequest
    assert "not valid" in found.error[2]
    assert "AIza" not in found.error[2]


async def test_a_line_without_end_is_given_up(
    upstream: LiteLlmUpstream, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm_client, "LONGEST_EVENT", 1_000)
    provider.frames = [*ANTHROPIC.frames(TALK)[:4], b"data: " + b"x" * 2_000]
    found = await ask(upstream, provider, ANTHROPIC, streamed=True)
    assert found.error is not None
    assert "a line of more than 1000" in found.error[2]


@BOTH_WAYS
async def test_thoughts_with_seals_of_their_own_stay_apart(
    streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    thoughts = [{"type": "thinking", "thinking": text, "signature": f"{SEAL}{text}"} for text in ("Hm.", "Well.")]
    answer = anthropic_whole(Scripted(text="Yes"))
    provider.answer = {**answer, "content": [*thoughts, *answer["content"]]}
    provider.frames = sse(anthropic_events(Scripted(text="Yes"), thoughts=thoughts))
    found = await ask(upstream, provider, ANTHROPIC, streamed=streamed)
    assert found.message["content"][:2] == thoughts


@BOTH_WAYS
async def test_a_refusal_in_words_of_its_own_is_told(
    streamed: bool, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    provider.answer, provider.frames = openai_whole(TALK), sse(openai_events(TALK))
    provider.answer["choices"][0]["message"] |= {"content": None, "refusal": "I cannot"}
    provider.frames = [frame.replace(b'"content":"Hello', b'"refusal":"Hello') for frame in provider.frames]
    found = await ask(upstream, provider, AZURE, streamed=streamed)
    assert found.message["stop_reason"] == "refusal"


def test_a_line_ends_at_a_line_feed_and_has_a_bound() -> None:
    lines = litellm_client.Lines()
    assert lines.decode("a\u2028b\x85\r") == []
    assert lines.decode('\n{"t": "[DONE]"}\ndata: [DONE]\nc') == [
        "a\u2028b\x85",
        '{"t": "\\u005bDONE]"}',
        "data: [DONE]",
    ]
    assert lines.flush() == ["c"]
    with pytest.raises(LineTooLong):
        lines.decode("x" * (LONGEST_EVENT + 1))
