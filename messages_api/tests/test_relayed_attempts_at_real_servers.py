"""Attempts that are relayed, against servers on loopback: the simulator of OpenRouter, and a provider of one's own."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from accounts.authentication import Caller
from messages_api.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimited,
    Unavailable,
    UpstreamFailed,
)
from messages_api.schemas import parse_envelope
from messages_api.services.attempts.base import Asked, Attempt
from messages_api.services.attempts.relayed import RelayedAttempt
from messages_api.services.attempts.sequence import Attempts
from messages_api.services.cost_estimate import CostEstimates
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import ProviderAccess, Target
from messages_api.services.settlement import Settlement
from messages_api.services.terms import NO_TERMS, Terms
from messages_api.services.token_factors import TokenFactors
from messages_api.services.translation.chat import AnswerError
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.messages import MessagesUpstream
from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up
from testing.simulator_process import SimulatorProcess
from usage.pricing import picodollars
from usage.services.admission import Admission
from usage.services.ledger import Entry, Ledger, Origin

Json = dict[str, Any]

KEY = "sk-or-v1-relayed-abcd"
SECRET = "a key that looks like none"
SOON = 1.0
BASH = {
    "name": "Bash",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
HEADERS = {"anthropic-version": "2026-10-21", "anthropic-beta": "effort-2025-11-24,never-heard-of-2030-01-01"}


def asked_for(prompt: str = "[[text]]", *, streamed: bool = True, terms: Terms = NO_TERMS, **more: Any) -> Asked:
    body: Json = {"model": "claude-sonnet-5", "max_tokens": 2000, "stream": streamed, "tools": [BASH], **more}
    body.setdefault("messages", [{"role": "user", "content": prompt}])
    return Asked("msg_ours", parse_envelope(orjson.dumps(body)), terms, session_id="5d1f", headers=HEADERS)


def entry() -> Entry:
    caller = Caller(1, "laptop", 1, "ann@example.com", 1, "Ops", "ops", True, None, "", None)
    return Entry("req_1", caller, Origin(), "claude-sonnet-5", "m", True, None)


async def all_of(attempt: Attempt | Attempts) -> bytes:
    """The stream, read to its end, and closed."""
    try:
        async with aclosing(attempt.stream()) as pieces:
            return b"".join([piece async for piece in pieces])
    finally:
        await attempt.close()


async def raised_by(attempt: Attempt, *, streamed: bool = True) -> ApiError | AnswerError:
    with pytest.raises((ApiError, AnswerError)) as raised:
        await (all_of(attempt) if streamed else attempt.complete())
    error = raised.value
    assert isinstance(error, ApiError | AnswerError)
    return error


# --- OpenRouter ------------------------------------------------------------------------------------------------------

CLAUDE = "anthropic/claude-sonnet-5"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        yield running


@pytest.fixture(autouse=True)
def forgetful(simulator: SimulatorProcess) -> None:
    simulator.reset()


@pytest_asyncio.fixture
async def upstream(simulator: SimulatorProcess) -> AsyncIterator[MessagesUpstream]:
    async with aiohttp.ClientSession() as session:
        yield MessagesUpstream(Sessions(session, session), simulator.base_url, referer="https://bridge.example")


def openrouter(upstream: MessagesUpstream, asked: Asked, model: str = CLAUDE) -> RelayedAttempt:
    target = Target(model, ModelFacts(id=model, family=model.partition("/")[0]), transport="native")
    return RelayedAttempt(asked, target, upstream, KEY, 77)


ANSWERS = {
    "[[text]]": "end_turn",
    "[[bash_echo]]": "tool_use",
    "[[two_tools]]": "tool_use",
    "[[reasoning_text]]": "end_turn",
    "[[reasoning_tool]]": "tool_use",
    "[[reasoning_redacted]]": "end_turn",
    "[[interleaved_reasoning]]": "tool_use",
    "[[length]]": "max_tokens",
    "[[content_filter]]": "refusal",
    "[[unicode]]": "end_turn",
    "[[stream 300]]": "end_turn",
}


def without_chance(message: Json) -> Json:
    """Ids and seals are new in every answer of the simulator's."""
    text = orjson.dumps(message).decode()
    data: Json = orjson.loads(re.sub(r'"(id|data|signature)":"[^"]+"', r'"\1":"..."', text))
    return data


@pytest.mark.parametrize("prompt", ANSWERS)
async def test_streamed_and_whole_are_one_answer_and_are_noted_alike(
    prompt: str, upstream: MessagesUpstream, simulator: SimulatorProcess
) -> None:
    streamed = openrouter(upstream, asked_for(prompt))
    events = events_of(await all_of(streamed))
    check_grammar(events)
    simulator.reset()  # its prompt cache would give the second one a better price
    whole = openrouter(upstream, asked_for(prompt, streamed=False))
    message = orjson.loads(await whole.complete())
    assert (message["id"], message["model"]) == ("msg_ours", "claude-sonnet-5")
    assert without_chance(message_added_up(events)) == without_chance(message)
    first, second = entry(), entry()
    streamed.note(first)
    whole.note(second)
    assert first.stop_reason == ANSWERS[prompt]
    assert first.tokens.input > 0
    assert first.tokens.output > 0
    assert (first.tokens, first.charged, first.stop_reason) == (second.tokens, second.charged, second.stop_reason)
    charges = {row["generation_id"]: row["cost"] for row in simulator.account()["rows"]}
    for noted in (first, second):
        assert noted.charged == picodollars(charges[noted.generation_id])


@pytest.mark.parametrize("model", [CLAUDE, "openai/gpt-5", "google/gemini-2.5-pro"])
async def test_reasoning_makes_the_round_trip(model: str, upstream: MessagesUpstream) -> None:
    """The simulator refuses what is altered or lost."""
    question = {"role": "user", "content": "[[reasoning_tool]]"}
    first = message_added_up(events_of(await all_of(openrouter(upstream, asked_for(messages=[question]), model))))
    assert {block["type"] for block in first["content"]} & {"thinking", "redacted_thinking"}
    [call_id] = [block["id"] for block in first["content"] if block["type"] == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call_id, "content": "done"}
    turns = [question, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
    second = message_added_up(events_of(await all_of(openrouter(upstream, asked_for(messages=turns), model))))
    assert "done" in second["content"][-1]["text"]


async def test_a_search_of_claudes_own_makes_the_round_trip(upstream: MessagesUpstream) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    question = {"role": "user", "content": "[[searches 2]]"}
    events = events_of(await all_of(openrouter(upstream, asked_for(messages=[question], tools=tools))))
    check_grammar(events)
    content = message_added_up(events)["content"]
    kinds = ["server_tool_use", "web_search_tool_result"] * 2 + ["text"]
    assert [block["type"] for block in content] == kinds
    assert content[0]["input"] == {"query": "simulated query"}
    assert content[-1]["citations"][0]["encrypted_index"]
    turns = [question, {"role": "assistant", "content": content}, {"role": "user", "content": "[[text]]"}]
    check_grammar(events_of(await all_of(openrouter(upstream, asked_for(messages=turns, tools=tools)))))


async def test_the_request_on_the_wire(upstream: MessagesUpstream, simulator: SimulatorProcess) -> None:
    terms = Terms(provider={"zdr": True}, system_addendum="Be kind.", max_output=900, pdf_engine="native")
    await all_of(openrouter(upstream, asked_for(terms=terms, thinking={"type": "between_tools"})))
    [row] = simulator.requests()
    assert row["path"].endswith("/messages")
    assert row["body"]["model"] == CLAUDE
    assert row["body"]["provider"] == {"zdr": True}
    assert row["body"]["max_tokens"] == 900
    assert row["body"]["system"] == "Be kind."
    assert row["body"]["session_id"] == "5d1f"
    assert row["body"]["thinking"] == {"type": "adaptive"}
    headers = row["headers"]
    assert headers["anthropic-version"] == HEADERS["anthropic-version"]
    assert headers["anthropic-beta"] == headers["x-anthropic-beta"] == HEADERS["anthropic-beta"]
    assert headers["http-referer"] == "https://bridge.example"
    assert "x-api-key" not in headers


ERRORS: dict[str, Any] = {
    **{f"[[error {status}]]": ApiError for status in (400, 402, 403, 404, 408, 413, 429, 500, 502, 503, 529)},
    "[[error 429]]": RateLimited,
    "[[error 529]]": Overloaded,
    "[[error 503 provider_overloaded]]": Overloaded,
    "[[html_error]]": UpstreamFailed,
    "[[drop_once]]": UpstreamFailed,
    "[[empty]]": AnswerError,
}
ERRORS_OF_STREAMS: dict[str, Any] = {
    "[[mid_stream_error]]": ApiError,
    "[[mid_stream_error_early]]": RateLimited,
    "[[malformed_function_call]]": ApiError,
    "[[cut]]": (UpstreamFailed, AnswerError),
    "[[cut_reset]]": (UpstreamFailed, AnswerError),
    "[[cut_clean]]": AnswerError,
    "[[cut_tool]]": (UpstreamFailed, AnswerError),
}


@pytest.mark.parametrize("prompt", ERRORS | ERRORS_OF_STREAMS)
async def test_what_goes_wrong_in_a_stream_is_an_error(prompt: str, upstream: MessagesUpstream) -> None:
    error = await raised_by(openrouter(upstream, asked_for(prompt)))
    assert isinstance(error, (ERRORS | ERRORS_OF_STREAMS)[prompt])
    assert str(error)


@pytest.mark.parametrize("prompt", ERRORS)
async def test_what_goes_wrong_in_a_whole_answer_is_an_error(prompt: str, upstream: MessagesUpstream) -> None:
    error = await raised_by(openrouter(upstream, asked_for(prompt, streamed=False)), streamed=False)
    assert isinstance(error, ERRORS[prompt])
    if prompt == "[[error 429]]":
        assert isinstance(error, ApiError)
        assert error.retry_after == "1"


async def test_a_refusal_is_told_in_claudes_own_words(upstream: MessagesUpstream) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "altered"}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [thought]}]
    asked = asked_for(messages=[*turns, {"role": "user", "content": "And?"}])
    error = await raised_by(openrouter(upstream, asked))
    assert isinstance(error, InvalidRequest)
    assert error.message == "messages.1.content.0: Invalid `signature` in `thinking` block"


async def test_a_prompt_that_is_too_long_makes_the_client_compact(upstream: MessagesUpstream) -> None:
    error = await raised_by(openrouter(upstream, asked_for("[[context_overflow]]")))
    assert str(error).startswith("prompt is too long:")


@pytest.mark.parametrize("prompt", ["[[stall]]", "[[late]]"])
async def test_leaving_closes_the_connection_within_a_second(
    prompt: str, upstream: MessagesUpstream, simulator: SimulatorProcess
) -> None:
    attempt = openrouter(upstream, asked_for(prompt))
    reading = asyncio.create_task(all_of(attempt))
    await asyncio.sleep(0.3)
    reading.cancel()
    await asyncio.wait({reading}, timeout=SOON)
    async with asyncio.timeout(SOON):
        while simulator.requests()[0]["state"] != "client_gone":  # noqa: ASYNC110  # another process cannot set an event
            await asyncio.sleep(0.05)


async def test_a_stream_that_is_left_is_noted_with_an_estimate_of_what_it_said(upstream: MessagesUpstream) -> None:
    attempt, noted, words = openrouter(upstream, asked_for("[[stream 200 2]]")), entry(), 0
    async with aclosing(attempt.stream()) as pieces:
        async for piece in pieces:
            words += piece.count(b"token ")
            if words >= 100:
                break
    await attempt.close()
    attempt.note(noted)
    assert noted.tokens.input > 0
    assert abs(noted.tokens.output - words * len("token ") / 4) < 8


# --- a provider ------------------------------------------------------------------------------------------------------

MESSAGE: Json = {
    "id": "msg_theirs",
    "type": "message",
    "role": "assistant",
    "model": "local",
    "content": [],
    "stop_reason": None,
    "usage": {"input_tokens": 5, "output_tokens": 0},
}
EVENTS: list[Json] = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
]
SAID = {**MESSAGE, "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}


@dataclass
class Provider:
    """A server on loopback: what it was asked, and what it does."""

    address: str = ""
    requests: list[tuple[str, dict[str, str], Json]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    refusal: tuple[int, Any] | None = None
    answer: Any = None
    pieces: list[bytes | float] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path, dict(request.headers), await request.json()))
        self.connections.add(request.transport)
        if self.refusal is not None:
            status, body = self.refusal
            return web.json_response(body, status=status, headers={"Retry-After": "7"})
        if self.answer is not None:
            return web.json_response(self.answer)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in self.pieces:
            await (asyncio.sleep(piece) if isinstance(piece, float) else response.write(piece))
        return response


def framed(*events: Json) -> list[bytes]:
    return [b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events]


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    served = Provider(pieces=[*framed(*EVENTS)])
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.address = site.name
    yield served
    await runner.cleanup()


def relayed_to(
    provider: Provider, upstream: MessagesUpstream, asked: Asked, *, path: str = "", key: str = SECRET
) -> RelayedAttempt:
    access = ProviderAccess("ours", "anthropic", provider.address + path, key, speaks_messages=True)
    target = Target("local", ModelFacts(id="local"), access, "native")
    return RelayedAttempt(asked, target, upstream, key, 77)


@pytest.mark.parametrize(
    ("path", "asked_at"),
    [
        ("", "/v1/messages"),
        ("/", "/v1/messages"),
        ("/v1", "/v1/messages"),
        ("/v1/", "/v1/messages"),
        ("/anthropic", "/anthropic/v1/messages"),
    ],
)
async def test_a_provider_is_asked_where_it_answers_messages(
    path: str, asked_at: str, provider: Provider, upstream: MessagesUpstream
) -> None:
    data = await all_of(relayed_to(provider, upstream, asked_for(), path=path))
    check_grammar(events_of(data))
    assert data.endswith(b"".join(framed(*EVENTS[1:])))
    assert provider.requests[0][0] == asked_at


async def test_a_provider_is_told_the_key_in_both_ways_and_nothing_of_openrouters(
    provider: Provider, upstream: MessagesUpstream
) -> None:
    await all_of(relayed_to(provider, upstream, asked_for()))
    _, headers, body = provider.requests[0]
    assert headers["x-api-key"] == SECRET
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert not {"x-anthropic-beta", "HTTP-Referer", "X-OpenRouter-Title"} & headers.keys()
    assert body.keys() == {"model", "max_tokens", "stream", "tools", "messages"}
    assert body["model"] == "local"


async def test_a_server_that_wants_no_key_is_sent_none(provider: Provider, upstream: MessagesUpstream) -> None:
    await all_of(relayed_to(provider, upstream, asked_for(), key=""))
    assert not {"x-api-key", "Authorization"} & provider.requests[0][1].keys()


async def test_a_version_is_named_for_a_client_that_names_none(provider: Provider, upstream: MessagesUpstream) -> None:
    asked = asked_for()
    await all_of(relayed_to(provider, upstream, Asked("msg_ours", asked.envelope, NO_TERMS)))
    headers = provider.requests[0][1]
    assert headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in headers


REFUSALS = [
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Unknown beta"}}, InvalidRequest),
    (404, {"error": "Unknown beta"}, NotFound),
    (422, {"detail": "Unknown beta"}, InvalidRequest),
    (429, {"message": "Unknown beta", "type": "limit"}, RateLimited),
    (503, {"error": {"message": "Unknown beta"}}, Unavailable),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Unknown beta"}}, Overloaded),
]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal[0]))
async def test_a_refusal_is_told_in_the_providers_own_words(
    refusal: tuple[int, Any, type], streamed: bool, provider: Provider, upstream: MessagesUpstream
) -> None:
    status, body, kind = refusal
    provider.refusal = (status, body)
    error = await raised_by(relayed_to(provider, upstream, asked_for(streamed=streamed)), streamed=streamed)
    assert isinstance(error, ApiError)
    assert (type(error), error.message, error.retry_after) == (kind, "Unknown beta", "7")


async def test_a_refused_key_is_said_to_be_the_providers_and_is_not_told(
    provider: Provider, upstream: MessagesUpstream
) -> None:
    provider.refusal = (401, {"error": {"type": "authentication_error", "message": f"invalid x-api-key {SECRET}"}})
    error = await raised_by(relayed_to(provider, upstream, asked_for()))
    assert isinstance(error, Forbidden)
    assert error.message == "ours refused the key that pays for this request: invalid x-api-key [redacted]"


SINGLE_OBJECTS = [
    (SAID, UpstreamFailed, "The upstream answered a stream with a single object."),
    ({"error": {"code": 429, "message": "Slow."}}, RateLimited, "Slow."),
    ({"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}, Overloaded, "Busy."),
]


@pytest.mark.parametrize(("answer", "kind", "words"), SINGLE_OBJECTS)
async def test_a_single_object_in_place_of_a_stream_is_an_error(
    answer: Json, kind: type, words: str, provider: Provider, upstream: MessagesUpstream
) -> None:
    provider.answer = answer
    error = await raised_by(relayed_to(provider, upstream, asked_for()))
    assert (type(error), str(error)) == (kind, words)


async def test_a_whole_answer_of_a_providers(provider: Provider, upstream: MessagesUpstream) -> None:
    provider.answer = SAID
    attempt = relayed_to(provider, upstream, asked_for(streamed=False))
    assert orjson.loads(await attempt.complete()) == {**SAID, "id": "msg_ours", "model": "claude-sonnet-5"}
    noted = entry()
    attempt.note(noted)
    assert (noted.generation_id, noted.charged, noted.tokens.input) == ("msg_theirs", None, 5)


CACHED = {**MESSAGE, "usage": {"input_tokens": 1, "cache_read_input_tokens": 100, "output_tokens": 0}}
BUSY: Json = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}


@pytest.mark.parametrize("before", [[], [{"type": "message_start", "message": CACHED}]], ids=["ours", "the upstream's"])
async def test_after_a_start_the_second_attempt_tells_its_true_counts_at_the_end(
    before: list[Json], provider: Provider, upstream: MessagesUpstream, tmp_path: Path
) -> None:
    """What the client was given at the start was an estimate, or what the first attempt had told."""
    asked = asked_for()
    target = relayed_to(provider, upstream, asked).target
    settlement = Settlement(Admission(Ledger(tmp_path)), entry(), TokenFactors(), CostEstimates())
    attempts = Attempts(lambda _: relayed_to(provider, upstream, asked), [target], settlement, retry_seconds=30)
    provider.pieces = [b": waiting\n\n", *framed(*before), 0.2, *framed(BUSY)]
    reading = asyncio.create_task(all_of(attempts))
    await asyncio.sleep(0.1)
    started = attempts.start()
    provider.pieces = [*framed(*EVENTS)]
    events = events_of(started + await reading)
    check_grammar(events)
    first, last = events[0]["message"]["usage"], message_added_up(events)["usage"]
    assert first["input_tokens"] == (1 if before else 77)
    counts = {"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    assert last == counts
    assert len(provider.requests) == 2


async def test_every_byte_is_a_sign_of_life_and_content_alone_is_given(
    provider: Provider, upstream: MessagesUpstream
) -> None:
    signs: list[bytes | float] = [b": waiting\n\n", 0.1, b'event: ping\ndata: {"type":"ping"}\n\n', 0.1]
    provider.pieces = [*signs, *framed(*EVENTS)]
    attempt = relayed_to(provider, upstream, asked_for())
    made_at, heard = attempt.heard_at, set()

    async def listen() -> None:
        while True:
            heard.add(attempt.heard_at)
            await asyncio.sleep(0.01)

    listening = asyncio.create_task(listen())
    data = await all_of(attempt)
    listening.cancel()
    assert [event["type"] for event in events_of(data)] == [event["type"] for event in EVENTS]
    assert len({time for time in heard if time > made_at}) >= 2


async def test_a_stream_has_no_timer_of_its_own_and_a_whole_answer_keeps_the_sessions(provider: Provider) -> None:
    """Silence in a stream is judged by who drives it; a timer for each read would cost more, and end it too early."""
    provider.pieces = [0.6, *framed(*EVENTS)]
    patience = aiohttp.ClientTimeout(total=None, sock_read=0.2)
    async with aiohttp.ClientSession(timeout=patience) as session:
        upstream = MessagesUpstream(Sessions(session, session), "http://127.0.0.1:9")
        check_grammar(events_of(await all_of(relayed_to(provider, upstream, asked_for()))))
        error = await raised_by(relayed_to(provider, upstream, asked_for(streamed=False)), streamed=False)
        assert str(error) == "The upstream did not answer in time."


async def test_a_connection_is_used_again_after_an_answer_that_was_read_to_its_end(
    provider: Provider, upstream: MessagesUpstream
) -> None:
    provider.pieces = [*framed(*EVENTS), 0.05, b"data: [DONE]\n\n"]
    for _ in range(3):
        await all_of(relayed_to(provider, upstream, asked_for()))
    assert len(provider.connections) == 1


async def test_a_server_that_is_not_there_is_an_upstream_failure(upstream: MessagesUpstream) -> None:
    nowhere = Provider("http://127.0.0.1:9")
    for streamed in (True, False):
        attempt = relayed_to(nowhere, upstream, asked_for(streamed=streamed))
        assert isinstance(await raised_by(attempt, streamed=streamed), UpstreamFailed)


async def test_what_an_upstream_has_not_told_by_then_is_estimated(
    provider: Provider, upstream: MessagesUpstream
) -> None:
    start = {**EVENTS[0], "message": {name: value for name, value in MESSAGE.items() if name != "usage"}}
    provider.pieces = [*framed(start, EVENTS[1], *[EVENTS[2]] * 40)]
    attempt, noted = relayed_to(provider, upstream, asked_for()), entry()
    with pytest.raises((ApiError, AnswerError)):
        await all_of(attempt)
    attempt.note(noted)
    assert noted.tokens.input == 77
    assert abs(noted.tokens.output - 40 * len("Hello") / 4) < 5
