"""One contract for both ways to OpenRouter, and what it takes for the providers that only LiteLLM can reach."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import orjson
import pytest
import pytest_asyncio
from aiohttp import web

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
from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import ProviderAccess, Target
from messages_api.services.translation.chat import AnswerError, ChatChunk, ChatUsage
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.response import fold, message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.translation.usage import charged, tokens_of
from messages_api.services.upstream.base import ChatCall, ChatStream, ChatUpstream
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.services.upstream.openrouter import OpenRouterUpstream
from testing.simulator_process import SimulatorProcess

KEY = "sk-or-v1-contract-abcd"
CLAUDE = "anthropic/claude-sonnet-5"
REFERER = "https://bridge.example"
PATIENCE = 5.0
SOON = 1.0

BASH = {
    "name": "Bash",
    "description": "Run a command",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
        "required": ["command"],
    },
    "cache_control": {"type": "ephemeral"},
}
SYSTEM = [{"type": "text", "text": "You are a test.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


# --- what both clients are asked, and what comes of it ---------------------------------------------------------------


def call_to(target: Target, prompt: str, *, streamed: bool, key: str = KEY, **more: Any) -> ChatCall:
    body = {"model": "any", "max_tokens": 2000, "stream": streamed, "tools": [BASH], **more}
    body.setdefault("messages", [{"role": "user", "content": prompt}])
    translation = translate_request(
        parse_request(orjson.dumps(body)), model=target.model, facts=target.facts, session_id="session-of-a-test"
    )
    return ChatCall(target, translation, key)


def openrouter_target(model: str) -> Target:
    return Target(model, ModelFacts(id=model, family=model.partition("/")[0]))


def translator_for(call: ChatCall) -> StreamTranslator:
    facts = call.target.facts
    return StreamTranslator(message_id="msg_1", model="any", family=facts.family, tools=call.translation.tools)


@dataclass
class Outcome:
    """What a client of ours would get: the message, what it used and cost, or the error it is told."""

    message: Any = None
    usage: ChatUsage | None = None
    tokens: Any = None
    charged: int | None = None
    generation: bool = False
    error: tuple[type, int, str, str | None] | None = None
    events_before_error: int = 0


async def outcome(upstream: ChatUpstream, call: ChatCall) -> Outcome:
    translator, events = translator_for(call), []
    result = Outcome()
    try:
        if call.translation.body.get("stream"):
            stream = await upstream.stream(call)
            try:
                async for chunks in stream:
                    events += [event for chunk in chunks for event in translator.feed(chunk)]
            finally:
                result.events_before_error = len(events)
                result.generation = bool(stream.generation_id)
                await stream.close()
            message = fold([*events, *translator.finish()])
        else:
            completion = await upstream.complete(call)
            result.generation = bool(completion.generation_id)
            message = message_of(completion.answer, translator)
        result.message = orjson.loads(msgspec.json.encode(message))
    except ApiError as error:
        result.error = (type(error), error.status, error.message, error.retry_after)
    except AnswerError as error:
        result.error = (AnswerError, 502, str(error), None)
    result.usage = translator.usage
    if translator.usage is not None:
        result.tokens, result.charged = tokens_of(translator.usage), charged(translator.usage)
    return result


def without_chance(found: Outcome) -> Outcome:
    """Ids and seals are new in every answer of the simulator's."""
    if found.message is not None:
        for block in found.message["content"]:
            for name in ("id", "data", "signature"):
                if block.get(name):
                    block[name] = re.sub(r"[A-Za-z0-9+/=_-]{9,}", "...", block[name])
    return found


# --- both clients and OpenRouter -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        yield running


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def direct(simulator: SimulatorProcess, session: aiohttp.ClientSession) -> OpenRouterUpstream:
    return OpenRouterUpstream(session, simulator.base_url, referer=REFERER)


@pytest_asyncio.fixture
async def litellm(simulator: SimulatorProcess, session: aiohttp.ClientSession) -> AsyncIterator[LiteLlmUpstream]:
    upstream = LiteLlmUpstream(session, simulator.base_url, referer=REFERER)
    yield upstream
    await upstream.close()


@pytest.fixture(params=["direct", "litellm"])
def upstream(request: pytest.FixtureRequest, direct: OpenRouterUpstream, litellm: LiteLlmUpstream) -> ChatUpstream:
    return direct if request.param == "direct" else litellm


ANSWERS = {
    "[[text]]": "end_turn",
    "[[say a word]]": "end_turn",
    "[[bash_echo]]": "tool_use",
    "[[text_tool]]": "tool_use",
    "[[two_tools]]": "tool_use",
    "[[reasoning_text]]": "end_turn",
    "[[reasoning_tool]]": "tool_use",
    "[[reasoning_redacted]]": "end_turn",
    "[[interleaved_reasoning]]": "tool_use",
    "[[whole_arguments]]": "tool_use",
    "[[length]]": "max_tokens",
    "[[content_filter]]": "refusal",
    "[[unicode]]": "end_turn",
    "[[odd_chunks]]": "end_turn",
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("prompt", ANSWERS)
async def test_both_give_the_same_answer_usage_and_cost(
    prompt: str, streamed: bool, direct: ChatUpstream, litellm: ChatUpstream, simulator: SimulatorProcess
) -> None:
    found = []
    for upstream in (direct, litellm):
        simulator.reset()  # its prompt cache would give the second one a better price
        target = openrouter_target(CLAUDE)
        found.append(without_chance(await outcome(upstream, call_to(target, prompt, streamed=streamed))))
    assert found[0].error is None
    assert found[0].message["stop_reason"] == ANSWERS[prompt]
    assert found[0].charged is not None
    assert found[0].generation
    assert found[1] == found[0]


@pytest.mark.parametrize("model", ["openai/gpt-5", "google/gemini-2.5-pro", "deepseek/deepseek-v3.2"])
async def test_both_keep_the_seals_of_each_familys_reasoning(
    model: str, direct: ChatUpstream, litellm: ChatUpstream, simulator: SimulatorProcess
) -> None:
    found = []
    for upstream in (direct, litellm):
        simulator.reset()
        target = openrouter_target(model)
        found.append(without_chance(await outcome(upstream, call_to(target, "[[reasoning_tool]]", streamed=True))))
    assert found[0].error is None
    assert {block["type"] for block in found[0].message["content"]} & {"thinking", "redacted_thinking"}
    assert found[1] == found[0]


ERRORS: dict[str, Any] = {
    **{f"[[error {status}]]": ApiError for status in (400, 402, 403, 404, 408, 413, 429, 500, 502, 503, 529)},
    "[[context_overflow]]": InvalidRequest,
    "[[prompt_too_long]]": InvalidRequest,
    "[[html_error]]": UpstreamFailed,
    "[[error_in_200]]": UpstreamFailed,
    "[[drop_once]]": UpstreamFailed,
    "[[mid_stream_error]]": ApiError,
    "[[mid_stream_error_early]]": RateLimited,
    "[[cut]]": (UpstreamFailed, AnswerError),
    "[[cut_reset]]": (UpstreamFailed, AnswerError),
    "[[cut_clean]]": AnswerError,
    "[[cut_tool]]": (UpstreamFailed, AnswerError),
    "[[malformed_function_call]]": AnswerError,
    "[[empty]]": AnswerError,
}


@pytest.mark.parametrize(
    ("prompt", "streamed"),
    # Only a stream can be cut in the middle.
    [
        (prompt, streamed)
        for prompt in ERRORS
        for streamed in (False, True)
        if streamed or not prompt.startswith("[[cut")
    ],
)
async def test_both_tell_the_same_error(
    prompt: str, streamed: bool, direct: ChatUpstream, litellm: ChatUpstream, simulator: SimulatorProcess
) -> None:
    found = []
    for upstream in (direct, litellm):
        simulator.reset()
        found.append(await outcome(upstream, call_to(openrouter_target(CLAUDE), prompt, streamed=streamed)))
    error = found[0].error
    assert error is not None
    assert issubclass(error[0], ERRORS[prompt])
    assert found[1].error == error


@pytest.mark.parametrize(("key", "kind"), [("nonsense", Forbidden), ("sk-or-poor-1234", ApiError)])
async def test_both_tell_the_same_of_a_key_that_is_refused(
    key: str, kind: type[ApiError], direct: ChatUpstream, litellm: ChatUpstream
) -> None:
    call = call_to(openrouter_target(CLAUDE), "[[text]]", streamed=True, key=key)
    found = [await outcome(upstream, call) for upstream in (direct, litellm)]
    assert found[0].error is not None
    assert issubclass(found[0].error[0], kind)
    assert key not in found[0].error[2]
    assert found[1] == found[0]


async def test_a_server_that_is_not_there_is_an_upstream_failure(session: aiohttp.ClientSession) -> None:
    for kind in (OpenRouterUpstream, LiteLlmUpstream):
        upstream = kind(session, "http://127.0.0.1:9")
        with pytest.raises(UpstreamFailed, match="connection to the upstream failed"):
            await upstream.complete(call_to(openrouter_target(CLAUDE), "[[text]]", streamed=False))


EARLIER = [
    {"role": "user", "content": [{"type": "text", "text": "Go.", "cache_control": {"type": "ephemeral"}}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "I wonder.", "signature": "EqRoundTrip+/="},
            {"type": "redacted_thinking", "data": "UmVkYWN0ZWQ="},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": "ls", "n": 1.0}},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_01",
                "content": [
                    {"type": "text", "text": "done"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                ],
            },
            {"type": "text", "text": "[[text]] and now?"},
        ],
    },
]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("family", ["anthropic", "qwen"])
async def test_the_body_reaches_the_wire_unchanged(
    family: str, streamed: bool, direct: ChatUpstream, litellm: ChatUpstream, simulator: SimulatorProcess
) -> None:
    """Also where LiteLLM would strip cache_control (qwen), move images, and drop user and reasoning_details."""
    facts = ModelFacts(id=CLAUDE, family=family)
    simulator.reset()
    for upstream in (direct, litellm):
        call = call_to(
            Target(CLAUDE, facts),
            "",
            streamed=streamed,
            messages=EARLIER,
            system=SYSTEM,
            tools=[BASH, {"type": "web_search_20250305", "name": "web_search"}],
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
            metadata={"user_id": "someone"},
            thinking={"type": "adaptive"},
            output_config={"effort": "max"},
            stop_sequences=["END"],
        )
        await outcome(upstream, call)
    direct_row, litellm_row = simulator.requests()
    sent = litellm_row["body"]
    # `usage` is LiteLLM's own; OpenRouter ignores it. `stream: false` is what leaving it out means.
    assert sent.pop("usage") == {"include": True}
    assert sent.pop("stream") is streamed
    direct_row["body"].pop("stream", None)
    assert sent == direct_row["body"]
    assert {"tools", "reasoning", "plugins", "session_id", "user"} <= sent.keys()
    assert "cache_control" in sent["tools"][0]
    if family == "anthropic":
        assert [detail["type"] for detail in sent["messages"][2]["reasoning_details"]] == [
            "reasoning.text",
            "reasoning.encrypted",
        ]
    own = ("content-length", "host")
    headers = [{k: v for k, v in row["headers"].items() if k not in own} for row in (direct_row, litellm_row)]
    assert headers[0] == headers[1]
    assert headers[0]["http-referer"] == REFERER


async def until(condition: Any) -> bool:
    for _ in range(int(SOON / 0.02)):
        if await asyncio.to_thread(condition):
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("how", ["close", "cancel", "cancel before the head"])
async def test_leaving_closes_the_upstream_within_a_second(
    how: str, upstream: ChatUpstream, simulator: SimulatorProcess
) -> None:
    simulator.reset()
    prompt = "[[late 30]]" if how == "cancel before the head" else "[[stall 30]]"
    call = call_to(openrouter_target(CLAUDE), prompt, streamed=True)

    async def read() -> None:
        stream = await upstream.stream(call)
        try:
            async for _ in stream:
                if how == "close":
                    return
        finally:
            await stream.close()

    await upstream.complete(call_to(openrouter_target(CLAUDE), "[[text]]", streamed=False))  # what is lazy is loaded
    reading = asyncio.create_task(read())
    assert await until(lambda: simulator.requests()[-1]["marker"] in {"late 30", "stall 30"})
    await asyncio.sleep(0.1)
    if how != "close":
        reading.cancel()
    await asyncio.wait({reading}, timeout=SOON)
    assert await until(lambda: simulator.state()["open_requests"] == 0)
    assert simulator.requests()[-1]["state"] == "client_gone"


# --- a provider that speaks as OpenAI does ---------------------------------------------------------------------------


@dataclass
class Provider:
    """A provider on loopback: what it was asked, what it answers, and whether its client has left."""

    base_url: str = ""
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Any = None
    refusal: tuple[int, Any] | None = None
    events: list[Any] = field(default_factory=list)
    stall_at: int | None = None
    cut_at: int | None = None
    is_bare_json: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path_qs, dict(request.headers), await request.json()))
        if self.refusal is not None:
            status, body = self.refusal
            return web.json_response(body, status=status, headers={"Retry-After": "7"})
        if "stream" not in request.path_qs and not self.requests[-1][2].get("stream"):
            return web.json_response(self.answer)
        try:
            return await self.play(request)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise

    async def play(self, request: web.Request) -> web.StreamResponse:
        kind = "application/x-ndjson" if self.is_bare_json else "text/event-stream"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        for position, event in enumerate(self.events):
            if position == self.stall_at:
                await asyncio.sleep(30)
            if position == self.cut_at:
                return response
            name = f"event: {event['type']}\n" if "type" in event else ""
            head = b"" if self.is_bare_json else f"{name}data: ".encode()
            await response.write(head + orjson.dumps(event) + b"\n\n")
        return response


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    served = Provider()
    app = web.Application()
    app.router.add_post("/{path:.*}", served.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


def target_of(provider: Provider, kind: str, model: str, key: str = "sk-secret-of-provider") -> Target:
    return Target(model, ModelFacts(id=model, family=kind), ProviderAccess("ours", kind, f"{provider.base_url}", key))


def openai_chunk(delta: Any, finish: str | None = None, **more: Any) -> Any:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


OPENAI_EVENTS = [
    openai_chunk({"role": "assistant", "reasoning_content": "Hm."}),
    openai_chunk({"content": "Hello \u2028 </s>"}),
    openai_chunk({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "Bash", "arguments": ""}}]}),
    openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"command": "ls"}'}}]}),
    openai_chunk({}, "tool_calls"),
    {
        "id": "c1",
        "choices": [],
        "usage": {"prompt_tokens": 50, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 40}},
    },
]
SAID = [
    ("thinking", "Hm."),
    ("text", "Hello \u2028 </s>"),
    ("tool_use", {"command": "ls"}),
]


def said(found: Outcome) -> list[tuple[str, Any]]:
    assert found.error is None
    read = {"thinking": "thinking", "text": "text", "tool_use": "input", "redacted_thinking": "data"}
    return [(block["type"], block[read[block["type"]]]) for block in found.message["content"]]


async def test_a_provider_that_speaks_as_openai_does_is_read_by_our_own_reader(
    litellm: LiteLlmUpstream, provider: Provider
) -> None:
    provider.events = OPENAI_EVENTS
    call = call_to(target_of(provider, "hosted_vllm", "openai/gpt-oss"), "Hi", streamed=True, system=SYSTEM)
    found = await outcome(litellm, call)
    assert said(found) == SAID
    assert found.tokens is not None
    assert (found.tokens.input, found.tokens.cache_read, found.tokens.output) == (10, 40, 9)
    assert found.charged is None


async def test_openrouters_own_keys_stay_behind_and_effort_goes_by_its_other_name(
    litellm: LiteLlmUpstream, provider: Provider
) -> None:
    provider.events = OPENAI_EVENTS
    call = call_to(
        target_of(provider, "openai", "openai/gpt-oss"),
        "",
        streamed=True,
        messages=EARLIER,
        metadata={"user_id": "someone"},
        thinking={"type": "adaptive"},
        output_config={"effort": "max"},
        tools=[BASH, {"type": "web_search_20250305", "name": "web_search"}],
    )
    await outcome(litellm, call)
    path, headers, body = provider.requests[0]
    assert path == "/chat/completions"
    assert headers["Authorization"] == "Bearer sk-secret-of-provider"
    assert "HTTP-Referer" not in headers
    assert body["model"] == "openai/gpt-oss"
    assert body["reasoning_effort"] == "high"
    assert body["stream_options"] == {"include_usage": True}
    assert body["tools"][0]["function"]["name"] == "Bash"
    assert not {"reasoning", "plugins", "session_id", "extra_body", "usage"} & body.keys()
    assert all(message.keys() <= {"role", "content", "tool_calls", "tool_call_id"} for message in body["messages"])


async def test_reasoning_goes_back_to_a_provider_that_wants_it(litellm: LiteLlmUpstream, provider: Provider) -> None:
    provider.events = OPENAI_EVENTS
    target = target_of(provider, "deepseek", "deepseek-reasoner")
    found = await outcome(litellm, call_to(target, "Hi", streamed=True))
    again = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": found.message["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "ok"}]},
    ]
    await outcome(litellm, call_to(target, "", streamed=True, messages=again))
    assert provider.requests[1][2]["messages"][1]["reasoning_content"] == "Hm."


REFUSALS = [
    (401, {"error": {"message": "Bad key sk-secret-of-provider"}}, Forbidden, "ours refused the key"),
    (404, {"error": "no such model"}, NotFound, "no such model"),
    (422, {"detail": "max_tokens is too big"}, InvalidRequest, "max_tokens is too big"),
    (429, {"message": "slow down", "type": "limit"}, RateLimited, "slow down"),
    (503, {"error": {"message": "try later"}}, Unavailable, "try later"),
]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal[0]))
async def test_a_refusal_is_told_in_the_providers_own_words(
    kind: str, refusal: tuple[int, Any, type, str], litellm: LiteLlmUpstream, provider: Provider
) -> None:
    status, body, error, words = refusal
    provider.refusal = (status, body)
    for streamed in (False, True):
        found = await outcome(litellm, call_to(target_of(provider, kind, "some-model"), "Hi", streamed=streamed))
        assert found.error is not None
        assert found.error[0] is error
        assert words in found.error[2]
        assert "sk-secret" not in found.error[2]
        assert found.error[3] == "7"
    assert len(provider.requests) == 2  # nothing is tried again here


async def test_a_key_never_goes_to_openai_because_a_base_url_is_missing(litellm: LiteLlmUpstream) -> None:
    access = ProviderAccess("ours", "hosted_vllm", "", "sk-secret-of-provider")
    call = call_to(Target("m", ModelFacts(id="m"), access), "Hi", streamed=False)
    with pytest.raises(UpstreamFailed, match="ours has no base URL"):
        await litellm.complete(call)


async def test_a_provider_that_litellm_does_not_know_is_an_error_and_not_a_crash(litellm: LiteLlmUpstream) -> None:
    access = ProviderAccess("ours", "no-such-provider", "http://127.0.0.1:9", "key")
    call = call_to(Target("m", ModelFacts(id="m"), access), "Hi", streamed=False)
    with pytest.raises(ApiError):
        await litellm.complete(call)


# --- providers with a format of their own ----------------------------------------------------------------------------

ANTHROPIC_USAGE = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 7}


def block(index: int, start: Any, *deltas: Any) -> list[Any]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


ANTHROPIC_EVENTS = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-4-6",
            "content": [],
            "stop_reason": None,
            "usage": {**ANTHROPIC_USAGE, "output_tokens": 1},
        },
    },
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "H"},
        {"type": "thinking_delta", "thinking": "m."},
        {"type": "signature_delta", "signature": "EqSeal+/="},
    ),
    *block(1, {"type": "redacted_thinking", "data": "UmVkYWN0ZWQ="}),
    *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello [DONE] </s>"}),
    *block(
        3,
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"comm'},
        {"type": "input_json_delta", "partial_json": 'and": "ls"}'},
    ),
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 42}},
    {"type": "message_stop"},
]
ANTHROPIC_ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-6",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "EqSeal+/="},
        {"type": "redacted_thinking", "data": "UmVkYWN0ZWQ="},
        {"type": "text", "text": "Hello [DONE] </s>"},
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
    ],
    "stop_reason": "tool_use",
    "usage": {**ANTHROPIC_USAGE, "output_tokens": 42},
}
CLAUDE_SAID = [
    ("thinking", "Hm."),
    ("redacted_thinking", "UmVkYWN0ZWQ="),
    ("text", "Hello [DONE] </s>"),
    ("tool_use", {"command": "ls"}),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_claude_at_anthropic_keeps_its_seals_and_its_cache_counts(
    streamed: bool, litellm: LiteLlmUpstream, provider: Provider
) -> None:
    provider.events, provider.answer = ANTHROPIC_EVENTS, ANTHROPIC_ANSWER
    target = target_of(provider, "anthropic", "claude-opus-4-6")
    found = await outcome(litellm, call_to(target, "Hi", streamed=streamed, system=SYSTEM))
    assert said(found) == CLAUDE_SAID
    assert found.message["content"][0]["signature"] == "EqSeal+/="
    assert found.message["stop_reason"] == "tool_use"
    assert found.message["usage"] == {**ANTHROPIC_USAGE, "output_tokens": 42}
    assert found.charged is None


async def test_what_claude_thought_goes_back_to_anthropic_as_it_came(
    litellm: LiteLlmUpstream, provider: Provider
) -> None:
    provider.events = ANTHROPIC_EVENTS
    target = target_of(provider, "anthropic", "claude-opus-4-6")
    more: dict[str, Any] = {"thinking": {"type": "adaptive"}, "system": SYSTEM}
    found = await outcome(litellm, call_to(target, "Hi", streamed=True, **more))
    again = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": found.message["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]},
    ]
    await outcome(litellm, call_to(target, "", streamed=True, messages=again, **more))
    path, headers, body = provider.requests[1]
    assert path == "/v1/messages"
    assert headers["x-api-key"] == "sk-secret-of-provider"
    assert body["messages"][1]["content"] == ANTHROPIC_ANSWER["content"]
    assert body["thinking"]["type"] == "adaptive"
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}
    assert not {"reasoning", "plugins", "session_id", "user"} & body.keys()


async def test_a_stream_of_anthropics_that_was_cut_is_not_taken_for_whole(
    litellm: LiteLlmUpstream, provider: Provider
) -> None:
    provider.events, provider.cut_at = ANTHROPIC_EVENTS, 11
    found = await outcome(litellm, call_to(target_of(provider, "anthropic", "claude-opus-4-6"), "Hi", streamed=True))
    assert found.error is not None
    assert found.events_before_error > 0
    assert found.error[1] == 502


async def test_an_error_in_mid_stream_of_anthropics_is_told(litellm: LiteLlmUpstream, provider: Provider) -> None:
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.events = [*ANTHROPIC_EVENTS[:11], failed]
    found = await outcome(litellm, call_to(target_of(provider, "anthropic", "claude-opus-4-6"), "Hi", streamed=True))
    assert found.error == (Overloaded, 529, "Overloaded", None)
    assert found.events_before_error > 0


async def read_all(stream: ChatStream) -> list[ChatChunk]:
    return [chunk async for chunks in stream for chunk in chunks]


def gemini_event(parts: list[Any], finish: str | None = None) -> Any:
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    usage = {"promptTokenCount": 50, "cachedContentTokenCount": 40, "candidatesTokenCount": 4, "thoughtsTokenCount": 5}
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": {**usage, "totalTokenCount": 59},
        "responseId": "r1",
        "modelVersion": "gemini-3-pro",
    }


SEALED_CALL = {"functionCall": {"name": "Bash", "args": {"command": "ls"}}, "thoughtSignature": "R2VtaW5pU2VhbA=="}
GEMINI_EVENTS = [
    gemini_event([{"text": "Hm.", "thought": True}]),
    gemini_event([{"text": "Hello \u2028 </s>"}]),
    gemini_event([SEALED_CALL]),
    gemini_event([{"text": ""}], "STOP"),
]


async def test_gemini_gets_the_seal_of_its_call_back(litellm: LiteLlmUpstream, provider: Provider) -> None:
    provider.events = GEMINI_EVENTS
    target = target_of(provider, "gemini", "gemini-3-pro-preview", key="AIzaSecretOfGemini")
    found = await outcome(litellm, call_to(target, "Hi", streamed=True, output_config={"effort": "max"}))
    assert [kind for kind, _ in said(found)] == ["thinking", "text", "redacted_thinking", "tool_use"]
    assert found.message["stop_reason"] == "tool_use"
    assert found.tokens is not None
    assert (found.tokens.input, found.tokens.cache_read, found.tokens.output) == (10, 40, 9)
    call_id = found.message["content"][-1]["id"]
    again = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": found.message["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": "ok"}]},
    ]
    await outcome(litellm, call_to(target, "", streamed=True, messages=again))
    parts = provider.requests[1][2]["contents"][1]["parts"]
    sealed = [part for part in parts if "functionCall" in part or "function_call" in part]
    assert sealed[0]["thoughtSignature"] == "R2VtaW5pU2VhbA=="


async def test_the_key_of_gemini_stands_in_no_error(litellm: LiteLlmUpstream, provider: Provider) -> None:
    provider.refusal = (400, {"error": {"code": 400, "message": "API key AIzaSecretOfGemini not valid", "status": "X"}})
    target = target_of(provider, "gemini", "gemini-3-pro-preview", key="AIzaSecretOfGemini")
    found = await outcome(litellm, call_to(target, "Hi", streamed=True))
    assert found.error is not None
    assert found.error[0] is InvalidRequest
    assert "not valid" in found.error[2]
    assert "AIza" not in found.error[2]


OLLAMA_EVENTS = [
    {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": False},
    {"model": "m", "message": {"role": "assistant", "content": " you"}, "done": False},
    {
        "model": "m",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 50,
        "eval_count": 9,
    },
]


async def test_a_format_that_only_litellms_wrapper_reads(litellm: LiteLlmUpstream, provider: Provider) -> None:
    """Also: LiteLLM would ask Ollama for prices, blocking the loop; here it would wait for itself."""
    provider.events, provider.is_bare_json = OLLAMA_EVENTS, True
    began = time.monotonic()
    found = await outcome(litellm, call_to(target_of(provider, "ollama_chat", "m"), "Hi", streamed=True))
    await asyncio.sleep(0.1)  # the asking would come after the answer
    assert time.monotonic() - began < PATIENCE
    assert said(found) == [("text", "Hello you")]
    assert found.message["stop_reason"] == "end_turn"
    assert found.tokens is not None
    assert (found.tokens.input, found.tokens.output) == (50, 9)


async def test_the_wrappers_invented_end_of_a_cut_stream_is_not_believed(
    litellm: LiteLlmUpstream, provider: Provider
) -> None:
    provider.events, provider.is_bare_json, provider.cut_at = OLLAMA_EVENTS, True, 2
    found = await outcome(litellm, call_to(target_of(provider, "ollama_chat", "m"), "Hi", streamed=True))
    assert found.error is not None
    assert found.error[0] is AnswerError
    assert found.events_before_error > 0


@pytest.mark.parametrize("how", ["close", "cancel"])
@pytest.mark.parametrize("kind", ["anthropic", "gemini", "ollama_chat"])
async def test_leaving_closes_the_connection_within_a_second(
    kind: str, how: str, litellm: LiteLlmUpstream, provider: Provider
) -> None:
    every = {"anthropic": ANTHROPIC_EVENTS, "gemini": GEMINI_EVENTS, "ollama_chat": OLLAMA_EVENTS}
    provider.events, provider.is_bare_json = every[kind], kind == "ollama_chat"
    provider.stall_at = 6 if kind == "anthropic" else 2
    stream = await litellm.stream(call_to(target_of(provider, kind, "some-model"), "Hi", streamed=True))
    if how == "cancel":
        reading = asyncio.create_task(read_all(stream))
        await asyncio.sleep(0.2)
        reading.cancel()
        await asyncio.wait({reading}, timeout=SOON)
    else:
        await anext(aiter(stream))
    await stream.close()
    await asyncio.wait_for(provider.left.wait(), SOON)


async def test_openais_newest_models_get_tools_without_reasoning(litellm: LiteLlmUpstream, provider: Provider) -> None:
    provider.events = OPENAI_EVENTS
    call = call_to(target_of(provider, "openai", "gpt-5.4"), "Hi", streamed=True, output_config={"effort": "high"})
    assert said(await outcome(litellm, call)) == SAID
    path, _, body = provider.requests[0]
    assert path == "/chat/completions"
    assert body["reasoning_effort"] == "none"


async def test_what_openai_answers_only_at_its_responses_api_is_refused(
    litellm: LiteLlmUpstream, provider: Provider
) -> None:
    found = await outcome(litellm, call_to(target_of(provider, "openai", "gpt-5-codex"), "Hi", streamed=True))
    assert found.error is not None
    assert found.error[0] is InvalidRequest
    assert "Responses API" in found.error[2]
    assert provider.requests == []
