"""A web search is judged by its settings, and its results keep to them."""

from typing import Any

import orjson
import pytest

from testing.openrouter_simulator.exact_json import Json
from testing.tests.conftest import Client

CLAUDE = "anthropic/claude-haiku-4.5"
OPENAI = "openai/gpt-5"
GEMINI = "google/gemini-3-pro-preview"
GROK = "x-ai/grok-4"
KIMI = "moonshotai/kimi-k2"
EXAMPLE, GUIDE, NEWS = (
    "https://example.com/simulated",
    "https://docs.example.org/guide",
    "https://news.example.net/today",
)


def tool(**parameters: Any) -> Json:
    return {"tools": [{"type": "openrouter:web_search", "parameters": parameters}]}


def plugin(**settings: Any) -> Json:
    return {"plugins": [{"id": "web", **settings}]}


def found(completion: Json) -> list[str]:
    annotations = completion["choices"][0]["message"].get("annotations") or []
    return [annotation["url_citation"]["url"] for annotation in annotations]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "search", "pages"),
    [
        (KIMI, {"tools": [{"type": "openrouter:web_search"}]}, [EXAMPLE, GUIDE, NEWS]),
        (KIMI, tool(max_results=2), [EXAMPLE, GUIDE]),
        (KIMI, tool(max_total_results=1), [EXAMPLE]),
        (CLAUDE, tool(max_results=1), [EXAMPLE, GUIDE, NEWS]),
        (CLAUDE, tool(engine="exa", max_results=1), [EXAMPLE]),
        (KIMI, tool(allowed_domains=["example.org", "example.net/today"]), [GUIDE, NEWS]),
        (KIMI, tool(allowed_domains=["*.example.org"], excluded_domains=["docs.example.org/guide"]), []),
        (KIMI, tool(excluded_domains=["example.com"]), [GUIDE, NEWS]),
        (GEMINI, tool(allowed_domains=["example.com"]), [EXAMPLE]),
        (OPENAI, tool(excluded_domains=["example.com"]), [EXAMPLE, GUIDE, NEWS]),
        (OPENAI, tool(engine="exa", excluded_domains=["example.com"]), [GUIDE, NEWS]),
        (KIMI, plugin(max_results=1, include_domains=["news.example.net"]), [NEWS]),
        (KIMI, plugin(exclude_domains=["example.com", "example.net"]), [GUIDE]),
        (KIMI, plugin(enabled=False), []),
    ],
)
async def test_results_keep_to_what_is_allowed(client: Client, model: str, search: Json, pages: list[str]) -> None:
    completion = await client.chat(model, "Search for django", **search)
    assert found(completion) == pages


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "parameters", "searches"),
    [
        (KIMI, {}, 4),
        (KIMI, {"max_uses": 3}, 3),
        (CLAUDE, {"max_uses": 2}, 2),
        (OPENAI, {"max_uses": 2}, 4),
        (OPENAI, {"max_uses": 2, "engine": "exa"}, 2),
    ],
)
async def test_searches_are_charged_as_often_as_they_are_made(
    client: Client, model: str, parameters: Json, searches: int
) -> None:
    completion = await client.chat(model, "[[searches 4]]", **tool(**parameters))
    assert completion["usage"]["server_tool_use_details"] == {"web_search_requests": searches}
    assert (await client.control("account"))["rows"][0]["tokens"]["web_searches"] == searches


@pytest.mark.asyncio
async def test_anthropics_own_tool_shows_each_search(client: Client) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "blocked_domains": ["example.com"]}]
    body = {
        "model": CLAUDE,
        "max_tokens": 500,
        "tools": tools,
        "messages": [{"role": "user", "content": "[[searches 5]]"}],
    }
    async with client.post("/messages", body) as response:
        message = orjson.loads(await response.read())
    results = [block for block in message["content"] if block["type"] == "web_search_tool_result"]
    assert [[page["url"] for page in block["content"]] for block in results] == [[GUIDE, NEWS]] * 2
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 2}


SEARCH_TOOL = {"type": "web_search_20250305", "name": "web_search"}
QUESTION = {"role": "user", "content": "[[searches 1]]"}


async def go_on(client: Client, content: list[Json], model: str = CLAUDE) -> Json:
    """What is said to a conversation in which `content` was answered before."""
    turns = [QUESTION, {"role": "assistant", "content": content}, {"role": "user", "content": "[[text]]"}]
    body = {"model": model, "max_tokens": 500, "tools": [SEARCH_TOOL], "messages": turns}
    async with client.post("/messages", body) as response:
        document: Json = orjson.loads(await response.read())
        return document


async def searched(client: Client) -> list[Json]:
    body = {"model": CLAUDE, "max_tokens": 500, "tools": [SEARCH_TOOL], "messages": [QUESTION]}
    async with client.post("/messages", body) as response:
        content: list[Json] = orjson.loads(await response.read())["content"]
        return content


@pytest.mark.asyncio
async def test_what_claude_found_and_cited_comes_back(client: Client) -> None:
    use, _, text = content = await searched(client)
    assert use["input"] == {"query": "simulated query"}
    assert [citation["url"] for citation in text["citations"]] == [EXAMPLE]
    assert (await go_on(client, content))["content"]


@pytest.mark.asyncio
@pytest.mark.parametrize("sealed", ["", "AAAA", "of another page"])
async def test_pages_that_claude_did_not_find_are_refused(client: Client, sealed: str) -> None:
    use, result, text = await searched(client)
    first, second, *_ = result["content"]
    pages = [{**first, "encrypted_content": second["encrypted_content"] if " " in sealed else sealed}]
    refused = await go_on(client, [use, {**result, "content": pages}, text])
    assert "messages.1.content.1: Invalid `encrypted_content` in `search_result` block" in str(refused["error"])
    assert (await go_on(client, [use, {**result, "content": pages}, text], OPENAI))["content"]


@pytest.mark.asyncio
async def test_citations_that_claude_did_not_make_are_refused(client: Client) -> None:
    use, result, text = await searched(client)
    citations = [{**text["citations"][0], "encrypted_index": ""}]
    refused = await go_on(client, [use, result, {**text, "citations": citations}])
    assert "messages.1.content.2: Invalid `encrypted_index` in `text` block" in str(refused["error"])


@pytest.mark.asyncio
async def test_a_search_and_its_result_go_together(client: Client) -> None:
    use, result, text = await searched(client)
    assert "without a corresponding `web_search_tool_result`" in str((await go_on(client, [use, text]))["error"])
    assert "unexpected `tool_use_id`" in str((await go_on(client, [result, text]))["error"])


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "search", "words"),
    [
        (KIMI, tool(max_usage=1), 'tools.0.parameters: Unrecognized key: "max_usage"'),
        (KIMI, tool(blocked_domains=["a.com"]), 'Unrecognized key: "blocked_domains"'),
        (KIMI, tool(max_uses="3"), "tools.0.parameters.max_uses: Invalid input: expected integer"),
        (KIMI, tool(max_uses=0), "expected integer between 1 and"),
        (KIMI, tool(max_results=26), "expected integer between 1 and 25"),
        (KIMI, tool(engine="google"), "parameters.engine: Invalid option"),
        (KIMI, tool(search_context_size="huge"), "search_context_size: Invalid option"),
        (KIMI, tool(allowed_domains="a.com"), "allowed_domains: Invalid input: expected array"),
        (KIMI, tool(allowed_domains=["https://a.com"]), "allowed_domains.0: Invalid domain"),
        (KIMI, tool(user_location={"type": "exact"}), "user_location.type: Invalid option"),
        (KIMI, tool(user_location={"town": "Bern"}), 'user_location: Unrecognized key: "town"'),
        (KIMI, {"tools": [{"type": "openrouter:web_search", "max_uses": 1}]}, 'tools.0: Unrecognized key: "max_uses"'),
        (KIMI, plugin(allowed_domains=["a.com"]), 'plugins.0: Unrecognized key: "allowed_domains"'),
        (KIMI, plugin(engine="auto"), "plugins.0.engine: Invalid option"),
        (GEMINI, tool(engine="native", allowed_domains=["a.com"]), "Domain filtering is not supported"),
        (CLAUDE, tool(allowed_domains=["a.com"], excluded_domains=["b.com"]), "are mutually exclusive"),
        (KIMI, tool(engine="parallel", allowed_domains=["a.com"], excluded_domains=["b.com"]), "mutually exclusive"),
        (GROK, tool(allowed_domains=[f"{each}.com" for each in "abcdef"]), "Provider returned error"),
        (KIMI, tool(engine="perplexity", max_results=21), "at most 20"),
    ],
)
async def test_bad_settings_are_refused(client: Client, model: str, search: Json, words: str) -> None:
    error = (await client.chat(model, "Search", **search))["error"]
    assert error["code"] == 400
    assert words in error["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "search"}, "Input should be 'web_search'"),
        ({"max_uses": "2"}, "max_uses: Invalid input"),
        ({"excluded_domains": []}, "Unrecognized key"),
        (
            {"allowed_domains": ["a.com"], "blocked_domains": ["b.com"]},
            "only one of allowed_domains and blocked_domains",
        ),
    ],
)
async def test_anthropics_own_tool_is_judged(client: Client, more: Json, words: str) -> None:
    tools = [{"type": "web_search_20260209", "name": "web_search", **more}]
    body = {"model": CLAUDE, "max_tokens": 500, "tools": tools, "messages": [{"role": "user", "content": "hi"}]}
    async with client.post("/messages", body) as response:
        document = orjson.loads(await response.read())
    assert words in document["error"]["message"]
