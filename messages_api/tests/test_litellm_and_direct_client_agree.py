"""One contract for both ways to OpenRouter: the direct client, and ours with what LiteLLM prepares."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from messages_api.errors import (
    ApiError,
    Forbidden,
    InvalidRequest,
    RateLimited,
    UpstreamFailed,
)
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import Target
from messages_api.services.translation.chat import AnswerError
from messages_api.services.upstream.base import ChatUpstream
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.services.upstream.openrouter import OpenRouterUpstream
from messages_api.tests.asked_upstream import BASH, SYSTEM, Outcome, call_to, outcome
from testing.simulator_process import SimulatorProcess

CLAUDE = "anthropic/claude-sonnet-5"
REFERER = "https://bridge.example"
SOON = 1.0


def openrouter_target(model: str) -> Target:
    return Target(model, ModelFacts(id=model, family=model.partition("/")[0]))


def without_chance(found: Outcome) -> Outcome:
    """Ids and seals are new in every answer of the simulator's."""
    if found.message is not None:
        for block in found.message["content"]:
            for name in ("id", "data", "signature"):
                if block.get(name):
                    block[name] = re.sub(r"[A-Za-z0-9+/=_-]{9,}", "...", block[name])
    return found


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
    return OpenRouterUpstream(Sessions(session, session), simulator.base_url, referer=REFERER)


@pytest_asyncio.fixture
async def litellm(simulator: SimulatorProcess, session: aiohttp.ClientSession) -> AsyncIterator[LiteLlmUpstream]:
    upstream = LiteLlmUpstream(Sessions(session, session), simulator.base_url, referer=REFERER)
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
        upstream = kind(Sessions(session, session), "http://127.0.0.1:9")
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
    assert {"tools", "reasoning", "session_id", "user"} <= sent.keys()
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
