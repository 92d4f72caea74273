"""Left out in silence, the client would take an answer for one to what it asked: so a provider's lacks are told."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from messages_api.errors import Forbidden, InvalidRequest
from messages_api.services.terms import Terms
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.tests.asked_upstream import BASH, call_to, outcome
from messages_api.tests.loopback_provider import Provider, provider_on_loopback
from messages_api.tests.provider_formats import ANTHROPIC, BEDROCK, FORMATS, GEMINI, OLLAMA, OPENAI, Format, Scripted

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with provider_on_loopback() as served:
        yield served


@pytest_asyncio.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiteLlmUpstream]:
    monkeypatch.setenv("AWS_REGION_NAME", "eu-central-1")
    async with aiohttp.ClientSession() as session:
        client = LiteLlmUpstream(Sessions(session, session), "http://127.0.0.1:9")
        yield client
        await client.close()


async def refusal_of(
    upstream: LiteLlmUpstream, provider: Provider, kind: str, model: str, **more: Any
) -> tuple[type, str]:
    """The error of a request that never left."""
    found = await outcome(upstream, call_to(provider.target(kind, model), "Hi", streamed=True, **more))
    assert found.error is not None
    assert provider.requests == []
    return found.error[0], found.error[2]


@pytest.mark.parametrize("wire", FORMATS, ids=str)
async def test_a_search_that_only_openrouter_runs(wire: Format, upstream: LiteLlmUpstream, provider: Provider) -> None:
    kind, words = await refusal_of(upstream, provider, wire.kind, wire.model, tools=[BASH, SEARCH])
    assert kind is InvalidRequest
    assert words.startswith("tools: web_search")
    assert "ours" in words


@pytest.mark.parametrize("demand", [{"zdr": True}, {"data_collection": "deny"}, {"enforce_distillable_text": True}])
@pytest.mark.parametrize("wire", [OPENAI, ANTHROPIC], ids=str)
async def test_a_demand_about_data_that_only_openrouter_keeps(
    wire: Format, demand: Any, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    terms = Terms(provider={"sort": "price", **demand})
    call = call_to(provider.target(wire.kind, wire.model), "Hi", streamed=True, terms=terms)
    found = await outcome(upstream, call)
    assert found.error is not None
    assert found.error[0] is Forbidden
    assert next(iter(demand)) in found.error[2]
    assert provider.requests == []


PLACES = [OPENAI, ANTHROPIC, GEMINI, BEDROCK, OLLAMA]


@pytest.mark.parametrize("kind", ["image", "document"])
@pytest.mark.parametrize("wire", PLACES, ids=str)
async def test_nothing_is_fetched_from_here_for_a_client(
    wire: Format, kind: str, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    """LiteLLM would fetch what a format takes no address for, or leave the server to fetch it from its own network."""
    provider.frames, provider.content_type = wire.frames(Scripted(text="Hello")), wire.content_type
    where = f"{provider.base_url}/secret"
    shown = [{"role": "user", "content": [{"type": kind, "source": {"type": "url", "url": where}}]}]
    target = provider.target(wire.kind, wire.model, family=wire.family)
    found = await outcome(upstream, call_to(target, "", streamed=True, messages=shown))
    if wire is OPENAI:
        assert [path for path, _, _ in provider.requests] == ["/chat/completions"]
        assert where in str(provider.requests[0][2])
        return
    assert found.error is not None
    assert found.error[0] is InvalidRequest
    assert found.error[2].startswith("document:" if (wire, kind) == (OLLAMA, "document") else "source.url:")
    assert provider.requests == []


@pytest.mark.parametrize("kind", ["image", "document"])
async def test_anthropic_is_given_the_address(kind: str, upstream: LiteLlmUpstream, provider: Provider) -> None:
    provider.frames = ANTHROPIC.frames(Scripted(text="Hello"))
    source = {"type": "url", "url": "https://example.com/a"}
    shown = [{"role": "user", "content": [{"type": kind, "source": source}]}]
    found = await outcome(
        upstream, call_to(provider.target("anthropic", ANTHROPIC.model), "", streamed=True, messages=shown)
    )
    assert found.error is None
    assert provider.requests[0][2]["messages"][0]["content"][0] == {"type": kind, "source": source}


async def test_files_that_ollamas_format_has_no_place_for(upstream: LiteLlmUpstream, provider: Provider) -> None:
    shown = [{"role": "user", "content": [{"type": "document", "source": PDF}]}]
    kind, words = await refusal_of(upstream, provider, "ollama_chat", "qwen3", messages=shown)
    assert kind is InvalidRequest
    assert words.startswith("document: ours takes no files")


LACKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "tools": ("predibase", "some-model", {}),
    "tool_choice": ("ollama_chat", "qwen3", {"tool_choice": {"type": "any"}}),
    "output_config.format": (
        "snowflake",
        "some-model",
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "stop_sequences": ("snowflake", "some-model", {"stop_sequences": ["END"]}),
}


@pytest.mark.parametrize("lacking", LACKS)
async def test_parameters_that_a_format_has_no_place_for(
    lacking: str, upstream: LiteLlmUpstream, provider: Provider
) -> None:
    kind, model, asked = LACKS[lacking]
    error, words = await refusal_of(upstream, provider, kind, model, **asked)
    assert error is InvalidRequest
    assert words.startswith(f"{lacking}: ours")


@pytest.mark.parametrize("kind", ["cohere", "cohere_chat"])
async def test_a_format_that_litellm_misreads(kind: str, upstream: LiteLlmUpstream, provider: Provider) -> None:
    error, words = await refusal_of(upstream, provider, kind, "command-a-03-2025")
    assert error is InvalidRequest
    assert "https://api.cohere.ai/compatibility/v1" in words


async def test_what_openai_answers_only_at_its_responses_api(upstream: LiteLlmUpstream, provider: Provider) -> None:
    error, words = await refusal_of(upstream, provider, "openai", "gpt-5-codex")
    assert error is InvalidRequest
    assert "Responses API" in words


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "claude-sonnet-4-5"])
async def test_a_package_that_a_provider_needs(model: str, upstream: LiteLlmUpstream, provider: Provider) -> None:
    error, words = await refusal_of(upstream, provider, "vertex_ai", model)
    assert error is InvalidRequest
    assert "lacks the package" in words
