"""What the client asked for reaches a provider beside OpenRouter, in the words of that provider's own format."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from messages_api.errors import ApiError, UpstreamFailed
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import ProviderAccess, Target
from messages_api.services.terms import Terms
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.tests.asked_upstream import BASH, SYSTEM, call_to, outcome, said, turn_after
from messages_api.tests.loopback_provider import KEY_OF_PROVIDER, Provider, provider_on_loopback
from messages_api.tests.provider_formats import (
    ANTHROPIC,
    AZURE,
    BEDROCK,
    GEMINI,
    OLLAMA,
    OPENAI,
    SEAL,
    Format,
    Scripted,
)

PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
SHOWN = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look.", "cache_control": HOUR},
            {"type": "image", "source": PIXEL},
            {"type": "document", "source": PDF},
        ],
    }
]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
WITH_SCHEMA: dict[str, Any] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}, "tools": []}


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with provider_on_loopback() as served:
        served.answer = OPENAI.whole(Scripted(text="Hello"))
        yield served


@pytest_asyncio.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiteLlmUpstream]:
    monkeypatch.setenv("AWS_REGION_NAME", "eu-central-1")
    async with aiohttp.ClientSession() as session:
        client = LiteLlmUpstream(Sessions(session, session), "http://127.0.0.1:9")
        yield client
        await client.close()


async def asked_of(
    upstream: LiteLlmUpstream, provider: Provider, wire: Format, *, family: str = "", **more: Any
) -> tuple[str, dict[str, str], Any]:
    """The path, the headers and the body of the one request that came of it."""
    provider.answer = wire.whole(Scripted(text="Hello"))
    target = provider.target(wire.kind, wire.model, family=family or wire.family)
    found = await outcome(upstream, call_to(target, "Hi", streamed=False, **more))
    assert found.error is None
    (request,) = provider.requests
    provider.requests.clear()
    return request


# --- what every format is asked for ----------------------------------------------------------------------------------


def where(wire: Format, body: Any) -> dict[str, Any]:
    """The parameters of a request under the names of our own."""
    match wire.kind:
        case "gemini":
            config = body["generationConfig"]
            names = {"temperature": "temperature", "stop": "stop_sequences", "max": "max_output_tokens"}
            return {ours: config[theirs] for ours, theirs in names.items()} | {"top_k": config["top_k"]}
        case "bedrock":
            config = body["inferenceConfig"]
            names = {"temperature": "temperature", "stop": "stopSequences", "max": "maxTokens"}
            top_k = body["additionalModelRequestFields"]["top_k"]
            return {ours: config[theirs] for ours, theirs in names.items()} | {"top_k": top_k}
        case "ollama_chat":
            config = body["options"]
            names = {"temperature": "temperature", "stop": "stop", "max": "num_predict", "top_k": "top_k"}
            return {ours: config[theirs] for ours, theirs in names.items()}
        case "anthropic":
            names = {"temperature": "temperature", "stop": "stop_sequences", "max": "max_tokens", "top_k": "top_k"}
            return {ours: body[theirs] for ours, theirs in names.items()}
    names = {"temperature": "temperature", "stop": "stop", "max": "max_tokens", "top_k": "top_k"}
    return {ours: body.get(theirs) for ours, theirs in names.items()}


@pytest.mark.parametrize("wire", [OPENAI, AZURE, ANTHROPIC, GEMINI, BEDROCK, OLLAMA], ids=str)
async def test_sampling_and_limits_arrive(wire: Format, upstream: LiteLlmUpstream, provider: Provider) -> None:
    asked: dict[str, Any] = {"temperature": 0.5, "top_k": 7, "stop_sequences": ["END"], "max_tokens": 900}
    _, _, body = await asked_of(upstream, provider, wire, **asked)
    takes_top_k = wire is not AZURE  # no model of OpenAI's does
    assert where(wire, body) == {"temperature": 0.5, "stop": ["END"], "max": 900, "top_k": 7 if takes_top_k else None}


@pytest.mark.parametrize("wire", [OPENAI, AZURE, ANTHROPIC, GEMINI, BEDROCK, OLLAMA], ids=str)
async def test_a_schema_for_the_answer_arrives(wire: Format, upstream: LiteLlmUpstream, provider: Provider) -> None:
    _, _, body = await asked_of(upstream, provider, wire, **WITH_SCHEMA)
    found = {
        "hosted_vllm": lambda: body["response_format"]["json_schema"]["schema"],
        "azure": lambda: body["response_format"]["json_schema"]["schema"],
        "anthropic": lambda: body["output_format"]["schema"],
        "gemini": lambda: body["generationConfig"]["response_json_schema"],
        "bedrock": lambda: body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"],
        "ollama_chat": lambda: body["format"],
    }[wire.kind]()
    assert "required" in found


@pytest.mark.parametrize("wire", [OPENAI, AZURE, ANTHROPIC, GEMINI, BEDROCK], ids=str)
async def test_images_and_files_arrive(wire: Format, upstream: LiteLlmUpstream, provider: Provider) -> None:
    _, _, body = await asked_of(upstream, provider, wire, messages=SHOWN)
    assert PIXEL["data"] in str(body)
    assert PDF["data"] in str(body)


@pytest.mark.parametrize("wire", [OPENAI, AZURE, ANTHROPIC, GEMINI, BEDROCK, OLLAMA], ids=str)
async def test_an_answer_that_was_begun_arrives_last(
    wire: Format, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    begun = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Once upon"}]
    _, _, body = await asked_of(upstream, provider, wire, messages=begun)
    last = body["contents" if wire is GEMINI else "messages"][-1]
    assert last["role"] in {"assistant", "model"}
    assert "Once upon" in str(last)


async def test_mistral_is_told_that_an_answer_was_begun(upstream: LiteLlmUpstream, provider: Provider) -> None:
    begun = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Once upon"}]
    target = provider.target("mistral", "mistral-large-latest", family="mistralai")
    await outcome(upstream, call_to(target, "", streamed=False, messages=begun))
    assert provider.requests[0][2]["messages"][-1] == {"role": "assistant", "content": "Once upon", "prefix": True}


# --- Claude ----------------------------------------------------------------------------------------------------------


async def test_anthropic_gets_cache_marks_with_their_time_to_live(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    path, headers, body = await asked_of(upstream, provider, ANTHROPIC, messages=SHOWN, system=SYSTEM)
    assert path == "/v1/messages"
    assert headers["x-api-key"] == KEY_OF_PROVIDER
    assert body["system"][0]["cache_control"] == HOUR
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][0]["content"][0]["cache_control"] == HOUR
    assert not {"reasoning", "plugins", "session_id", "user", "provider"} & body.keys()


async def test_claude_at_bedrock_gets_cache_marks_with_their_time_to_live(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    _, headers, body = await asked_of(upstream, provider, BEDROCK, messages=SHOWN, system=SYSTEM)
    assert headers["Authorization"] == f"Bearer {KEY_OF_PROVIDER}"
    assert body["system"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
        ({"thinking": {"type": "adaptive"}}, {"output_config": {"effort": "high"}}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, {"output_config": {"effort": "max"}}),
    ],
)
async def test_claude_thinks_as_it_is_told(
    asked: Any, sent: Any, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    _, _, body = await asked_of(upstream, provider, ANTHROPIC, **asked)
    assert sent.items() <= body.items()


async def test_what_claude_thought_goes_back_as_it_came(upstream: LiteLlmUpstream, provider: Provider) -> None:
    thought = Scripted(thought="Hm.", text="Well.", calls=[("Bash", {"command": "ls"})], end="tools")
    provider.frames = ANTHROPIC.frames(thought)
    target = provider.target("anthropic", ANTHROPIC.model)
    found = await outcome(upstream, call_to(target, "Hi", streamed=True, thinking={"type": "adaptive"}))
    again = turn_after(found.message["content"])
    await outcome(upstream, call_to(target, "", streamed=True, messages=again, thinking={"type": "adaptive"}))
    assert provider.requests[1][2]["messages"][1]["content"] == ANTHROPIC.whole(thought)["content"]


async def test_the_tier_goes_where_there_are_tiers(upstream: LiteLlmUpstream, provider: Provider) -> None:
    for wire, tier in ((ANTHROPIC, "standard_only"), (AZURE, "default"), (OPENAI, None), (GEMINI, None)):
        provider.answer = wire.whole(Scripted(text="Hello"))
        target = provider.target(wire.kind, wire.model, family=wire.family)
        call = call_to(target, "Hi", streamed=False, service_tier="standard_only")
        assert (await outcome(upstream, call)).error is None
        assert provider.requests[-1][2].get("service_tier") == tier


async def test_the_mark_for_the_whole_request_reaches_anthropic(upstream: LiteLlmUpstream, provider: Provider) -> None:
    provider.answer = ANTHROPIC.whole(Scripted(text="Hello"))
    call = call_to(provider.target("anthropic", ANTHROPIC.model), "Hi", streamed=False, cache_control=HOUR)
    assert (await outcome(upstream, call)).error is None
    assert provider.requests[0][2]["cache_control"] == HOUR


# --- Gemini and Ollama -----------------------------------------------------------------------------------------------


async def test_gemini_gets_the_seal_of_its_call_back(upstream: LiteLlmUpstream, provider: Provider) -> None:
    provider.frames = GEMINI.frames(Scripted(calls=[("Bash", {"command": "ls"})], end="tools"))
    target = provider.target("gemini", GEMINI.model, family="google")
    found = await outcome(upstream, call_to(target, "Hi", streamed=True, output_config={"effort": "max"}))
    again = turn_after(found.message["content"])
    await outcome(upstream, call_to(target, "", streamed=True, messages=again))
    parts = provider.requests[1][2]["contents"][1]["parts"]
    (call,) = [part for part in parts if "function_call" in part]
    assert call["thoughtSignature"] == SEAL


async def test_no_cache_is_rented_at_google(upstream: LiteLlmUpstream, provider: Provider) -> None:
    """LiteLLM would make one of what is marked, if it is long; it is paid by the hour, and a new one each turn."""
    long = [{"type": "text", "text": "word " * 20_000, "cache_control": HOUR}]
    path, _, body = await asked_of(upstream, provider, GEMINI, system=long, messages=SHOWN)
    assert path.startswith("/models/gemini-3-pro-preview:generateContent")
    assert "word word" in str(body["system_instruction"])


async def test_ollama_is_asked_for_nothing_but_the_answer(upstream: LiteLlmUpstream, provider: Provider) -> None:
    """LiteLLM would ask it for prices after the answer, over blocking HTTP: this server could not reply."""
    for streamed in (False, True):
        provider.answer, provider.frames = OLLAMA.whole(Scripted(text="Hello")), OLLAMA.frames(Scripted(text="Hello"))
        target = provider.target("ollama_chat", "no-model-that-litellm-knows")
        assert said(await outcome(upstream, call_to(target, "Hi", streamed=streamed))) == [("text", "Hello")]
        await asyncio.sleep(0.2)
    assert [path for path, _, _ in provider.requests] == ["/api/chat", "/api/chat"]


# --- providers that speak as OpenAI does -----------------------------------------------------------------------------


async def test_openrouters_own_keys_stay_behind_and_effort_goes_by_its_other_name(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    call = call_to(
        provider.target("openai", "openai/gpt-oss"),
        "Hi",
        streamed=True,
        metadata={"user_id": "someone"},
        thinking={"type": "adaptive"},
        output_config={"effort": "max"},
        messages=SHOWN,
        terms=Terms(provider={"sort": "price", "zdr": False, "data_collection": "allow"}, pdf_engine="native"),
    )
    assert {"provider", "plugins", "session_id", "reasoning"} <= call.translation.body.keys()
    provider.frames = OPENAI.frames(Scripted(text="Hello"))
    assert (await outcome(upstream, call)).error is None
    path, headers, body = provider.requests[0]
    assert path == "/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY_OF_PROVIDER}"
    assert "HTTP-Referer" not in headers
    assert body["model"] == "openai/gpt-oss"
    assert body["reasoning_effort"] == "high"
    assert body["stream_options"] == {"include_usage": True}
    assert body["tools"][0]["function"]["name"] == "Bash"
    assert not {"reasoning", "plugins", "provider", "session_id", "extra_body", "usage"} & body.keys()
    assert all(message.keys() <= {"role", "content", "tool_calls", "tool_call_id"} for message in body["messages"])


async def test_reasoning_goes_back_to_a_provider_that_wants_it(upstream: LiteLlmUpstream, provider: Provider) -> None:
    provider.frames = OPENAI.frames(Scripted(thought="Hm.", calls=[("Bash", {"command": "ls"})], end="tools"))
    target = provider.target("deepseek", "deepseek-reasoner")
    found = await outcome(upstream, call_to(target, "Hi", streamed=True))
    again = turn_after(found.message["content"])
    await outcome(upstream, call_to(target, "", streamed=True, messages=again))
    assert provider.requests[1][2]["messages"][1]["reasoning_content"] == "Hm."


UNTAKEN: dict[str, dict[str, Any]] = {
    "perplexity": {"stop_sequences": ["END"]},  # and no tools, as LiteLLM has it
    "volcengine": WITH_SCHEMA,
    "groq": WITH_SCHEMA,  # LiteLLM would ask for a tool call, and read it back itself
}


@pytest.mark.parametrize("kind", UNTAKEN)
async def test_what_litellm_would_drop_goes_for_the_provider_to_judge(
    kind: str, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    asked = UNTAKEN[kind]
    await outcome(upstream, call_to(provider.target(kind, "some-model"), "Hi", streamed=True, **asked))
    body = provider.requests[0][2]
    if "output_config" in asked:
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
        assert not {"tools", "tool_choice", "json_mode"} & body.keys()
    else:
        assert body["stop"] == ["END"]
        assert body["tools"][0]["function"]["name"] == "Bash"


async def test_openais_newest_models_get_tools_without_reasoning(upstream: LiteLlmUpstream, provider: Provider) -> None:
    call = call_to(provider.target("openai", "gpt-5.4"), "Hi", streamed=False, output_config={"effort": "high"})
    assert (await outcome(upstream, call)).error is None
    path, _, body = provider.requests[0]
    assert path == "/chat/completions"
    assert body["reasoning_effort"] == "none"


# --- where it goes ---------------------------------------------------------------------------------------------------


async def test_azure_is_asked_at_its_deployment(
    upstream: LiteLlmUpstream, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_API_VERSION", "2025-04-01-preview")
    path, headers, body = await asked_of(upstream, provider, AZURE, tools=[BASH])
    assert path == "/openai/deployments/gpt-4o/chat/completions?api-version=2025-04-01-preview"
    assert headers["api-key"] == KEY_OF_PROVIDER
    assert body["tools"][0]["function"]["name"] == "Bash"


async def test_bedrock_is_asked_for_a_conversation_with_the_model(
    upstream: LiteLlmUpstream, provider: Provider
) -> None:
    path, _, _ = await asked_of(upstream, provider, BEDROCK)
    assert path == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"


@pytest.mark.parametrize(("streamed", "method"), [(False, "generateContent"), (True, "streamGenerateContent?alt=sse")])
async def test_vertex_is_asked_for_the_model_of_a_project(
    streamed: bool, method: str, upstream: LiteLlmUpstream, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's library, which would turn an account into a token, is not installed: the token is put in its place."""

    async def token(*_: Any, **__: Any) -> tuple[str, str]:
        return "token-of-vertex", "some-project"

    monkeypatch.setenv("VERTEXAI_PROJECT", "some-project")
    monkeypatch.setenv("VERTEXAI_LOCATION", "europe-west4")
    base: Any = import_module("litellm.llms.vertex_ai.vertex_llm_base")
    monkeypatch.setattr(base.VertexBase, "_ensure_access_token_async", token)
    answer = Scripted(text="Hello")
    provider.answer, provider.frames = GEMINI.whole(answer), GEMINI.frames(answer)
    target = provider.target("vertex_ai", "gemini-2.5-pro", family="google")
    found = await outcome(upstream, call_to(target, "Hi", streamed=streamed, system=SYSTEM))
    assert said(found) == [("text", "Hello")]
    ((path, headers, body),) = provider.requests
    where = "/v1/projects/some-project/locations/europe-west4/publishers/google/models/gemini-2.5-pro"
    assert path == f"{where}:{method}"
    assert headers["Authorization"] == "Bearer token-of-vertex"
    assert body["system_instruction"]["parts"] == [{"text": "You are a test."}]


async def test_a_key_never_goes_to_openai_because_a_base_url_is_missing(upstream: LiteLlmUpstream) -> None:
    access = ProviderAccess("ours", "hosted_vllm", "", KEY_OF_PROVIDER)
    call = call_to(Target("m", ModelFacts(id="m"), access), "Hi", streamed=False)
    with pytest.raises(UpstreamFailed, match="ours has no base URL"):
        await upstream.complete(call)


async def test_a_provider_that_litellm_does_not_know_is_an_error_and_not_a_crash(upstream: LiteLlmUpstream) -> None:
    access = ProviderAccess("ours", "no-such-provider", "http://127.0.0.1:9", "key")
    call = call_to(Target("m", ModelFacts(id="m"), access), "Hi", streamed=False)
    with pytest.raises(ApiError):
        await upstream.complete(call)
