"""Shapes, streams, scripts and bills of the simulator, as OpenRouter's clients see them."""

import asyncio
import base64
import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import aiohttp
import orjson
import pytest

from testing.openrouter_simulator.exact_json import Json, amount_text
from testing.openrouter_simulator.models import BY_ID
from testing.simulator_process import SimulatorProcess
from testing.tests.conftest import KEY, Client, chunks_of

OPENAI = "openai/gpt-4o-mini"
THINKER = "openai/gpt-5"
CLAUDE = "anthropic/claude-haiku-4.5"
ADAPTIVE = "anthropic/claude-sonnet-5"
GEMINI = "google/gemini-3-pro-preview"
KIMI = "moonshotai/kimi-k2"
DEEPSEEK = "deepseek/deepseek-chat"
FAMILIES = (OPENAI, THINKER, CLAUDE, ADAPTIVE, GEMINI, KIMI, DEEPSEEK, "x-ai/grok-4", "mistralai/mistral-large")

BASH: Json = {
    "type": "function",
    "function": {
        "name": "Bash",
        "description": "Run a command",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}
SECONDS_TO_NOTICE = 3


def text_of(chunks: list[Json]) -> str:
    return "".join(delta.get("content") or "" for delta in deltas_of(chunks))


def deltas_of(chunks: list[Json]) -> list[Json]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def message_of(completion: Json) -> Json:
    message: Json = completion["choices"][0]["message"]
    return message


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def results_for(message: Json) -> list[Json]:
    return [{"role": "tool", "tool_call_id": call["id"], "content": "hello"} for call in message["tool_calls"]]


async def until_settled(client: Client, rows: int) -> Json:
    for _ in range(SECONDS_TO_NOTICE * 50):
        account = await client.control("account")
        if len(account["rows"]) >= rows:
            return account
        await asyncio.sleep(0.02)
    raise AssertionError("nothing was charged")


# the chat wire


@pytest.mark.asyncio
async def test_stream_has_comments_chunks_usage_and_done(client: Client) -> None:
    body = {"model": OPENAI, "messages": [user("hi")], "stream": True}
    async with client.post("/chat/completions", body) as response:
        text = await response.text()
        assert response.content_type == "text/event-stream"
        generation_id = response.headers["X-Generation-Id"]
    assert text.startswith(": OPENROUTER PROCESSING\n\n")
    assert text.endswith("data: [DONE]\n\n")
    chunks = chunks_of(text)
    assert {chunk["id"] for chunk in chunks} == {generation_id}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["provider"] for chunk in chunks} == {"OpenAI"}
    assert set(chunks[0]["choices"][0]) == {"index", "delta", "finish_reason", "native_finish_reason", "logprobs"}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert ["usage" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.asyncio
async def test_default_answer_quotes_the_user(client: Client) -> None:
    chunks = await client.chunks(OPENAI, "What is the weather like?")
    assert text_of(chunks).startswith("You said: What is the weather like?.")


@pytest.mark.asyncio
async def test_tool_call_comes_in_fragments_as_from_openai(client: Client) -> None:
    deltas = deltas_of(await client.chunks(OPENAI, "[[bash_echo]]"))
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", [])]
    assert set(pieces[0]) == {"index", "id", "type", "function"}
    assert pieces[0]["function"] == {"name": "Bash", "arguments": ""}
    assert all(set(piece) == {"index", "function"} for piece in pieces[1:])
    arguments = "".join(piece["function"]["arguments"] for piece in pieces)
    assert orjson.loads(arguments) == {"command": "echo hello-from-bash", "description": "Say hello"}


@pytest.mark.asyncio
async def test_two_tools_are_interleaved(client: Client) -> None:
    deltas = deltas_of(await client.chunks(OPENAI, "[[two_tools]]"))
    order = [piece["index"] for delta in deltas for piece in delta.get("tool_calls", [])]
    assert order[:4] == [0, 1, 0, 1]


@pytest.mark.asyncio
async def test_claude_signs_in_a_chunk_without_reasoning_key(client: Client) -> None:
    deltas = deltas_of(await client.chunks(CLAUDE, "[[reasoning_text]]"))
    signed = [delta for delta in deltas if "signature" in (delta.get("reasoning_details") or [{}])[0]]
    assert len(signed) == 1
    assert "reasoning" not in signed[0]
    assert set(signed[0]["reasoning_details"][0]) == {"type", "signature", "format", "index"}


@pytest.mark.asyncio
async def test_openai_summarises_and_encrypts(client: Client) -> None:
    deltas = deltas_of(await client.chunks(THINKER, "[[reasoning_text]]"))
    details = [detail for delta in deltas for detail in delta.get("reasoning_details", [])]
    assert {detail["type"] for detail in details[:-1]} == {"reasoning.summary"}
    assert details[-1]["type"] == "reasoning.encrypted"
    assert details[-1]["id"].startswith("rs_")


@pytest.mark.asyncio
async def test_gemini_signs_each_call_with_its_id(client: Client) -> None:
    message = message_of(await client.chat(GEMINI, "[[two_tools]]"))
    signed = [detail["id"] for detail in message["reasoning_details"]]
    assert signed == [call["id"] for call in message["tool_calls"]]


@pytest.mark.asyncio
async def test_deepseek_reasons_in_plain_text(client: Client) -> None:
    message = message_of(await client.chat(DEEPSEEK, "[[reasoning_text]]"))
    assert message["reasoning"] == "First I think about it. Then I answer."
    assert "reasoning_details" not in message


@pytest.mark.asyncio
@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("script", ["reasoning_two_tools", "two_tools", "reasoning_tool"])
async def test_round_trip_is_accepted_by_the_family_that_began_it(client: Client, model: str, script: str) -> None:
    question = user(f"[[{script}]]")
    first = message_of(await client.chat(model, question["content"], tools=[BASH]))
    conversation = [question, first, *results_for(first)]
    body = {"model": model, "messages": conversation, "tools": [BASH]}
    async with client.post("/chat/completions", body) as response:
        answer = orjson.loads(await response.read())
    assert response.status == 200, answer
    assert "printed: hello" in message_of(answer)["content"]


@pytest.mark.asyncio
@pytest.mark.parametrize("stream", [False, True])
async def test_schema_wins_over_the_script(client: Client, stream: bool) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "title", "schema": schema}}
    if stream:
        text = text_of(await client.chunks(OPENAI, "[[rate_limited_once]]", response_format=wanted))
    else:
        text = message_of(await client.chat(OPENAI, "[[rate_limited_once]]", response_format=wanted))["content"]
    assert orjson.loads(text) == {"title": "Simulated title"}
    assert (await client.chat(OPENAI, "[[rate_limited_once]]"))["error"]["code"] == 429


@pytest.mark.asyncio
@pytest.mark.parametrize("search", [{"plugins": [{"id": "web"}]}, {"tools": [{"type": "openrouter:web_search"}]}])
async def test_web_search_cites_and_counts(client: Client, search: Json) -> None:
    completion = await client.chat(GEMINI, "Search for django", **search)
    assert message_of(completion)["annotations"][0]["type"] == "url_citation"
    assert completion["usage"]["server_tool_use_details"] == {"web_search_requests": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("script", ["whole_arguments", "repeated_ids", "tool_then_text", "interleaved_reasoning"])
@pytest.mark.parametrize("model", [CLAUDE, THINKER, GEMINI])
async def test_odd_tool_calls_come_back_well(client: Client, model: str, script: str) -> None:
    question = user(f"[[{script}]]")
    first = message_of(await client.chat(model, question["content"], tools=[BASH]))
    assert orjson.loads(first["tool_calls"][0]["function"]["arguments"])["description"] == "Say hello"
    body = {"model": model, "messages": [question, first, *results_for(first)], "tools": [BASH]}
    async with client.post("/chat/completions", body) as response:
        assert response.status == 200, await response.text()


@pytest.mark.asyncio
async def test_usage_chunk_may_have_a_choice_with_an_empty_delta(client: Client) -> None:
    chunks = await client.chunks(CLAUDE, "hi")
    assert chunks[-1]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "usage" in chunks[-1]


# endings


@pytest.mark.asyncio
async def test_error_in_the_middle_of_a_stream(client: Client) -> None:
    chunks = await client.chunks(OPENAI, "[[mid_stream_error]]")
    assert chunks[-1]["error"]["code"] == "server_error"
    assert chunks[-1]["choices"][0]["finish_reason"] == "error"
    assert (await client.control("account"))["rows"][0]["status"] == "error"


@pytest.mark.asyncio
@pytest.mark.parametrize("script", ["cut", "cut_reset"])
async def test_cut_stream_breaks(client: Client, script: str) -> None:
    with pytest.raises(aiohttp.ClientError):
        await client.chunks(OPENAI, f"[[{script}]]")
    assert (await until_settled(client, 1))["rows"][0]["status"] == "cut"


@pytest.mark.asyncio
async def test_clean_cut_ends_without_finish_or_done(client: Client) -> None:
    body = {"model": OPENAI, "messages": [user("[[cut_clean]]")], "stream": True}
    async with client.post("/chat/completions", body) as response:
        text = await response.text()
    assert "[DONE]" not in text
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks_of(text))


@pytest.mark.asyncio
async def test_dropped_connection_then_answer(client: Client) -> None:
    with pytest.raises(aiohttp.ClientError):
        await client.chat(OPENAI, "[[drop_once]]")
    assert "choices" in await client.chat(OPENAI, "[[drop_once]]")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("script", "finish", "native"),
    [
        ("empty", "stop", "STOP"),
        ("malformed_function_call", "error", "MALFORMED_FUNCTION_CALL"),
        ("content_filter", "content_filter", "SAFETY"),
        ("length", "length", "MAX_TOKENS"),
    ],
)
async def test_finishes(client: Client, script: str, finish: str, native: str) -> None:
    chunks = await client.chunks(GEMINI, f"[[{script}]]")
    choice = chunks[-2]["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (finish, native)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 524, 529])
@pytest.mark.parametrize("path", ["/chat/completions", "/messages"])
async def test_errors_by_status(client: Client, status: int, path: str) -> None:
    body = {"model": CLAUDE, "max_tokens": 100, "messages": [user(f"[[error {status}]]")], "stream": True}
    async with client.post(path, body) as response:
        document = orjson.loads(await response.read())
        assert response.status == status
    error = document["error"]
    assert error["type"] if path == "/messages" else error["metadata"]["error_type"]
    assert (await client.control("account"))["rows"] == []


@pytest.mark.asyncio
async def test_error_with_status_200(client: Client) -> None:
    assert (await client.chat(OPENAI, "[[error_in_200]]"))["error"]["code"] == 502


# scripts


@pytest.mark.asyncio
async def test_attempts_are_counted_by_instance_until_reset(client: Client) -> None:
    async def status(text: str) -> int:
        async with client.post("/chat/completions", {"model": OPENAI, "messages": [user(text)]}) as response:
            return int(response.status)

    assert [await status("[[rate_limited_once#1]]") for _ in range(3)] == [429, 200, 200]
    assert await status("[[rate_limited_once#2]]") == 429
    async with client.session.delete(f"{client.origin}/_simulator/requests") as response:
        assert response.status == 204
    assert await status("[[rate_limited_once#1]]") == 429


@pytest.mark.asyncio
async def test_marker_takes_an_argument(client: Client) -> None:
    message = message_of(await client.chat(OPENAI, "Please [[read /tmp/a b.png]] now"))
    assert orjson.loads(message["tool_calls"][0]["function"]["arguments"]) == {"file_path": "/tmp/a b.png"}


@pytest.mark.asyncio
async def test_next_marker_takes_over_when_a_script_has_run_out(client: Client) -> None:
    spoken = [user("[[text]]"), {"role": "assistant", "content": "Hello"}, user("[[bash_echo]]")]
    async with client.post("/chat/completions", {"model": OPENAI, "messages": spoken}) as response:
        message = message_of(orjson.loads(await response.read()))
    assert message["tool_calls"][0]["function"]["name"] == "Bash"


@pytest.mark.asyncio
async def test_user_marker_wins_over_the_system_prompt(client: Client) -> None:
    spoken = [{"role": "system", "content": "[[empty]]"}, user("[[text]]")]
    async with client.post("/chat/completions", {"model": OPENAI, "messages": spoken}) as response:
        assert message_of(orjson.loads(await response.read()))["content"] == "Hello from the simulator."


@pytest.mark.asyncio
async def test_unknown_scenario_is_an_error(client: Client) -> None:
    assert "no scenario is named 'nonsense'" in (await client.chat(OPENAI, "[[nonsense]]"))["error"]["message"]


@pytest.mark.asyncio
async def test_registered_script_with_raw_chunks(client: Client) -> None:
    chunk = {"id": "x", "choices": [{"index": 0, "delta": {"content": "raw"}}], "error": None}
    emissions: list[Json] = [{"comment": "hello"}, {"chunk": chunk}, {"bytes": "data: {broken\n\n"}, {"cut": "clean"}]
    assert await client.register({"name": "raw", "turns": [{"attempts": [emissions]}]}) == 201
    async with client.post("/chat/completions", {"model": OPENAI, "messages": [user("[[raw]]")], "stream": True}) as r:
        text = await r.text()
    assert text.endswith(f": hello\n\ndata: {orjson.dumps(chunk).decode()}\n\ndata: {{broken\n\n")
    assert await client.register({"name": "bad", "turns": []}) == 400


# the Anthropic-shaped wire


def native(text: str, model: str = CLAUDE, **more: Any) -> Json:
    return {"model": model, "max_tokens": 2000, "messages": [user(text)], **more}


async def events(client: Client, body: Json) -> list[Json]:
    async with client.post("/messages", {**body, "stream": True}) as response:
        text = await response.text()
    assert text.endswith("data: [DONE]\n\n")
    return chunks_of(text)


def check_grammar(stream: list[Json]) -> None:
    kinds = [event["type"] for event in stream if event["type"] != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    opened = -1
    is_open = False
    for event in stream:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                opened, is_open = opened + 1, True
                assert event["index"] == opened
            case "content_block_delta":
                assert is_open
                assert event["index"] == opened
            case "content_block_stop":
                assert is_open
                is_open = False
    assert not is_open


@pytest.mark.asyncio
@pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE, THINKER, GEMINI, DEEPSEEK])
@pytest.mark.parametrize("script", ["text", "two_tools", "reasoning_tool", "text_tool", "empty"])
async def test_messages_stream_is_well_formed(client: Client, model: str, script: str) -> None:
    check_grammar(await events(client, native(f"[[{script}]]", model)))


@pytest.mark.asyncio
@pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE, THINKER, GEMINI])
async def test_messages_round_trip(client: Client, model: str) -> None:
    async with client.post("/messages", native("[[reasoning_tool]]", model)) as response:
        first = orjson.loads(await response.read())
    use = next(block for block in first["content"] if block["type"] == "tool_use")
    assert use["input"]["command"] == "echo hello-from-bash"
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": [{"type": "text", "text": "hello"}]}
    body = native("[[reasoning_tool]]", model)
    body["messages"] += [{"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
    async with client.post("/messages", body) as response:
        second = orjson.loads(await response.read())
    assert second["content"][0]["text"] == "After thinking, the command printed: hello"
    assert second["stop_reason"] == "end_turn"


@pytest.mark.asyncio
@pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE])
async def test_claudes_thoughts_are_told_once_more_at_the_end(client: Client, model: str) -> None:
    async with client.post("/messages", native("[[interleaved_reasoning]]", model)) as response:
        content = orjson.loads(await response.read())["content"]
    signed = [block for block in content if block["type"] == "thinking"]
    copies = [orjson.loads(base64.b64decode(block["data"].partition(":")[2])) for block in content[-2:]]
    assert [(copy["text"], copy["signature"]) for copy in copies] == [
        (block["thinking"], block["signature"]) for block in signed
    ]


@pytest.mark.asyncio
async def test_messages_refusal_has_details(client: Client) -> None:
    stream = await events(client, native("[[content_filter]]"))
    assert stream[-2]["delta"]["stop_reason"] == "refusal"
    assert stream[-2]["delta"]["stop_details"]["type"] == "refusal"


@pytest.mark.asyncio
async def test_messages_web_search(client: Client) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]
    async with client.post("/messages", native("Search for django", tools=tools)) as response:
        message = orjson.loads(await response.read())
    kinds = [block["type"] for block in message["content"]]
    assert "web_search_tool_result" in kinds
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 1}


# money


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("1.50", "1.5"), ("0.0001234", "0.0001234"), ("0.000015", "1.5e-05"), ("2E-7", "2e-07"), ("12", "12")],
)
def test_amounts_are_printed_exactly(value: str, text: str) -> None:
    assert amount_text(Decimal(value)) == text
    assert Decimal(text) == Decimal(value)


@pytest.mark.asyncio
async def test_cost_on_the_wire_is_the_cost_charged(client: Client) -> None:
    body = {"model": CLAUDE, "messages": [user("[[text]]")], "session_id": "s1"}
    async with client.post("/chat/completions", body) as response:
        raw = await response.text()
    sent = Decimal(raw.split('"cost":')[1].split(",")[0])
    account = await client.control("account")
    (row,) = account["rows"]
    tokens = row["tokens"]
    assert sent == Decimal(row["cost"]) == Decimal(account["total_cost"])
    assert sent == tokens["prompt"] * Decimal("0.000001") + tokens["completion"] * Decimal("0.000005")
    assert (row["status"], row["session_id"], row["key"]) == ("completed", "s1", KEY[-4:])
    (line,) = client.simulator.account.path.read_bytes().splitlines()
    assert orjson.loads(line) == row


@pytest.mark.asyncio
async def test_same_session_reads_from_cache(client: Client) -> None:
    long = "The same beginning of a long prompt. " * 50
    counted = []
    for session_id, text in (("s1", long), ("s1", long + "More."), ("s2", long)):
        completion = await client.chat(OPENAI, text, session_id=session_id)
        counted.append(completion["usage"]["prompt_tokens_details"]["cached_tokens"])
    assert counted[0] == counted[2] == 0
    assert counted[1] > 400


@pytest.mark.asyncio
async def test_byok_pays_a_fee_and_names_the_upstream_cost(client: Client) -> None:
    body = {"model": CLAUDE, "messages": [user("[[text]]")]}
    async with client.post("/chat/completions", body, Authorization="Bearer sk-or-byok-1") as response:
        usage = orjson.loads(await response.read())["usage"]
    assert usage["is_byok"] is True
    assert usage["cost"] == pytest.approx(usage["cost_details"]["upstream_inference_cost"] / 20)


@pytest.mark.asyncio
@pytest.mark.parametrize("script", ["slow", "stall 20", "silence 20"])
async def test_client_that_leaves_pays_for_what_was_produced(client: Client, script: str) -> None:
    body = {"model": OPENAI, "messages": [user(f"[[{script}]]")], "stream": True}
    response = await client.post("/chat/completions", body)
    await response.content.readany()
    await asyncio.sleep(0.15)
    assert (await client.control("state"))["open_streams"] == 1
    response.close()
    (row,) = (await until_settled(client, 1))["rows"]
    assert row["status"] == "client_gone"
    assert row["tokens"]["completion"] < 60
    (request,) = (await client.control("requests"))["requests"]
    assert request["state"] == "client_gone"
    assert request["closed_at"] >= request["time"]
    assert (await client.control("state"))["open_streams"] == 0


@pytest.mark.asyncio
async def test_client_that_leaves_a_whole_answer(client: Client) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.chat(OPENAI, "[[late 20]]")
    assert (await until_settled(client, 1))["rows"][0]["status"] == "client_gone"


# what only reads, and the control plane


@pytest.mark.asyncio
async def test_models_key_and_generation(client: Client) -> None:
    completion = await client.chat(OPENAI, "hi")
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{client.origin}/api/v1"
    async with client.session.get(f"{url}/models") as response:
        listed = orjson.loads(await response.read())["data"]
    async with client.session.get(f"{url}/key", headers=headers) as response:
        key = orjson.loads(await response.read())["data"]
    async with client.session.get(f"{url}/generation?id={completion['id']}", headers=headers) as response:
        generation = orjson.loads(await response.read())["data"]
    async with client.session.get(f"{url}/generation?id=gen-none", headers=headers) as response:
        assert response.status == 404
    assert [row["id"] for row in listed] == list(BY_ID)
    assert key["usage"] == generation["total_cost"] == completion["usage"]["cost"]
    assert generation["native_finish_reason"] == "completed"


@pytest.mark.asyncio
async def test_requests_are_recorded_without_secrets(client: Client) -> None:
    await client.chat(OPENAI, "[[text#7]] please", session_id="s")
    document = await client.control("requests")
    (request,) = document["requests"]
    assert KEY not in orjson.dumps(document).decode()
    assert request["headers"]["authorization"] == KEY[-4:]
    assert request["marker"] == "text#7"
    assert request["body"]["session_id"] == "s"
    assert (request["state"], request["status"], request["path"]) == ("answered", 200, "/api/v1/chat/completions")


def test_catalogue_rows_are_offered_too(tmp_path: Path) -> None:
    row = {
        "id": "openai/gpt-next",
        "name": "Next",
        "context_length": 1000,
        "architecture": {"input_modalities": ["text"]},
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "top_provider": {"max_completion_tokens": None},
        "supported_parameters": ["tools"],
    }
    catalogue = tmp_path / "models.json"
    catalogue.write_bytes(orjson.dumps({"data": [row]}))
    with SimulatorProcess(models=catalogue) as simulator, urlopen(f"{simulator.base_url}/models") as response:
        assert "openai/gpt-next" in [each["id"] for each in orjson.loads(response.read())["data"]]


def test_process_starts_serves_and_stops(tmp_path: Path) -> None:
    with SimulatorProcess(account=tmp_path / "account.jsonl", api_keys=("sk-or-only",)) as simulator:
        assert simulator.base_url.startswith("http://127.0.0.1:")
        simulator.register({"name": "mine", "turns": [{"attempts": [[{"text": "mine"}]]}]})
        assert simulator.account() == {"rows": [], "total_cost": "0"}
        assert simulator.requests() == []
        assert simulator.state()["open_streams"] == 0
        simulator.reset()
        process = simulator._process
        assert process is not None
        os.kill(simulator.pid, signal.SIGTERM)
        assert process.wait(5) == 0
