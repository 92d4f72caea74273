"""Beside OpenRouter's, the simulator has the Messages endpoint of a plain provider, with nothing of OpenRouter's."""

from typing import Any

import aiohttp
import orjson
import pytest

from testing.openrouter_simulator.exact_json import Json
from testing.tests.conftest import KEY, Client

MODEL = "claude-haiku-4-5"
VERSION = {"anthropic-version": "2023-06-01"}
TOOL: Json = {"name": "Bash", "input_schema": {"type": "object", "properties": {}}}


def body(text: str = "hi", **more: Any) -> Json:
    return {"model": MODEL, "max_tokens": 2000, "messages": [{"role": "user", "content": text}], **more}


async def post(client: Client, sent: Json, **headers: str) -> aiohttp.ClientResponse:
    given = {"x-api-key": KEY, **VERSION, **headers}
    kept = {name: value for name, value in given.items() if value}
    response = await client.session.post(f"{client.origin}/v1/messages", data=orjson.dumps(sent), headers=kept)
    await response.read()
    return response


async def error(client: Client, sent: Json, **headers: str) -> tuple[int, Json]:
    response = await post(client, sent, **headers)
    return response.status, orjson.loads(await response.read())


@pytest.mark.asyncio
async def test_its_answer_tells_no_cost_and_no_provider(client: Client) -> None:
    response = await post(client, body())
    message = orjson.loads(await response.read())
    assert set(message) == {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"}
    assert message["id"].startswith("msg_")
    assert message["model"] == MODEL
    assert not {"cost", "is_byok", "cost_details"} & set(message["usage"])
    assert response.headers["request-id"].startswith("req_")
    assert "X-Generation-Id" not in response.headers


@pytest.mark.asyncio
async def test_its_stream_ends_with_message_stop(client: Client) -> None:
    response = await post(client, body("[[reasoning_tool]]", stream=True, tools=[TOOL]))
    text = await response.text()
    assert text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert "[DONE]" not in text
    assert '"cost"' not in text


@pytest.mark.asyncio
@pytest.mark.parametrize("header", ["x-api-key", "Authorization"])
async def test_it_takes_a_key_in_either_header(client: Client, header: str) -> None:
    sent = {"x-api-key": "", header: KEY if header == "x-api-key" else f"Bearer {KEY}"}
    assert (await post(client, body(), **sent)).status == 200
    status, document = await error(client, body(), **{"x-api-key": "", header: "nonsense"})
    assert status == 401
    assert document["error"] == {"type": "authentication_error", "message": "invalid x-api-key"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "headers", "status", "words"),
    [
        (body(provider={"only": ["anthropic"]}), {}, 400, "provider: Extra inputs are not permitted"),
        (body(session_id="s"), {}, 400, "session_id: Extra inputs are not permitted"),
        (body(models=["a"]), {}, 400, "models: Extra inputs are not permitted"),
        (body(plugins=[]), {}, 400, "plugins: Extra inputs are not permitted"),
        (body(context_management={}), {}, 400, "context_management: Extra inputs are not permitted"),
        (body(), {"anthropic-version": ""}, 400, "anthropic-version: header is required"),
        (body(), {"anthropic-beta": "a, refused-1"}, 400, "Unexpected value(s) `refused-1`"),
        (body(temperature=1), {"anthropic-version": "2026-10-21"}, 400, "temperature: not supported"),
        (body(model="gpt-seven"), {}, 404, "model: gpt-seven"),
        (body(model="anthropic/claude-haiku-4.5"), {}, 404, "model: anthropic/claude-haiku-4.5"),
        (
            body(messages=[{"role": "user", "content": [{"type": "text", "text": "x", "id": 1}]}]),
            {},
            400,
            "messages.0.content.0.text.id: Extra inputs are not permitted",
        ),
        (
            body(thinking={"type": "enabled", "budget_tokens": 2000}),
            {},
            400,
            "must be greater than `thinking.budget_tokens`",
        ),
    ],
)
async def test_it_refuses(client: Client, sent: Json, headers: dict[str, str], status: int, words: str) -> None:
    seen, document = await error(client, sent, **headers)
    assert seen == status, document
    assert words in document["error"]["message"]
    assert set(document["error"]) == {"type", "message"}


@pytest.mark.asyncio
async def test_a_beta_opens_its_field(client: Client) -> None:
    sent = body(context_management={"edits": []})
    response = await post(client, sent, **{"anthropic-beta": "context-management-2025-06-27"})
    assert response.status == 200
    assert (await post(client, body(thinking={"type": "between_tools"}))).status == 200


@pytest.mark.asyncio
async def test_it_speaks_in_its_own_words_of_overload(client: Client) -> None:
    status, document = await error(client, body("[[error 529]]"))
    assert status == 529
    assert document["error"] == {"type": "overloaded_error", "message": "Overloaded"}


@pytest.mark.asyncio
async def test_openrouters_messages_refuse_too(client: Client) -> None:
    """What only OpenRouter's own schema says of /messages."""
    native = body() | {"model": "anthropic/claude-haiku-4.5"}
    refused: list[tuple[Json, str]] = [
        ({"fallbacks": "default"}, "fallbacks: Invalid input"),
        ({"fallbacks": [{"model": "a"}] * 4}, "fallbacks: Too big"),
        ({"fallbacks": [{"model": "a", "max_tokens": 5}]}, 'fallbacks.0: Unrecognized key: "max_tokens"'),
        ({"fallbacks": [{"model": "a"}], "models": ["a"]}, "cannot be combined with models"),
        ({"plugins": [{"id": "magic"}]}, "plugins.0.id: Invalid option"),
        ({"provider": {"fastest": True}}, "provider: Unrecognized key"),
        ({"session_id": "s" * 257}, "session_id: Too big"),
        ({"thinking": {"type": "between_tools"}}, "Input tag 'between_tools' found"),
    ]
    for more, words in refused:
        async with client.post("/messages", native | more) as response:
            document = orjson.loads(await response.read())
        assert response.status == 400
        assert words in document["error"]["message"]
    async with client.post("/messages", native, **{"anthropic-beta": "refused-2"}) as response:
        assert "Unexpected value(s) `refused-2`" in await response.text()
    async with client.post("/messages", native | {"container": "c", "thread": {"type": "create"}}) as response:
        assert response.status == 200
    assert (await client.control("requests"))["requests"][-1]["ignored"] == ["container", "thread"]
