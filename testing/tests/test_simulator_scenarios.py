"""What the built-in scripts are for: failures per model and in time, endings, and odd places of things in a stream."""

from typing import Any

import aiohttp
import orjson
import pytest

from testing.openrouter_simulator.exact_json import Json
from testing.tests.conftest import Client, chunks_of

OPENAI = "openai/gpt-4o-mini"
CLAUDE = "anthropic/claude-haiku-4.5"
GEMINI = "google/gemini-3-pro-preview"


async def status(client: Client, model: str, text: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    async with client.post("/chat/completions", body) as response:
        await response.read()
        return int(response.status)


def choice_of(chunks: list[Json]) -> Json:
    """The choice that finishes."""
    return next(choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"])


def text_of(chunks: list[Json]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def native(client: Client, model: str, text: str, **more: Any) -> Json:
    body = {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **more}
    async with client.post("/messages", body) as response:
        document: Json = orjson.loads(await response.read())
        return document


@pytest.mark.asyncio
async def test_only_the_model_that_is_named_fails(client: Client) -> None:
    text = "[[fail_model claude 529]]"
    assert [await status(client, model, text) for model in (CLAUDE, OPENAI, CLAUDE, GEMINI)] == [529, 200, 529, 200]


@pytest.mark.asyncio
async def test_a_model_fails_so_many_times_by_itself(client: Client) -> None:
    text = "[[fail_model_times / 502 2]]"
    assert [await status(client, CLAUDE, text) for _ in range(3)] == [502, 502, 200]
    assert [await status(client, OPENAI, text) for _ in range(3)] == [502, 502, 200]
    async with client.session.delete(f"{client.origin}/_simulator/requests"):
        pass
    assert await status(client, OPENAI, text) == 502


@pytest.mark.asyncio
async def test_any_model_fails_so_many_times(client: Client) -> None:
    text = "[[fail_times 2 429]]"
    assert [await status(client, model, text) for model in (CLAUDE, OPENAI, CLAUDE)] == [429, 429, 200]


@pytest.mark.asyncio
async def test_only_the_model_that_is_named_is_dropped(client: Client) -> None:
    with pytest.raises(aiohttp.ClientError):
        await status(client, CLAUDE, "[[drop_model claude]]")
    assert await status(client, OPENAI, "[[drop_model claude]]") == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("script", ["late_error_once 0", "silence_error_once 0", "mid_stream_error_early_once"])
async def test_a_stream_fails_before_its_first_word_and_then_goes_well(client: Client, script: str) -> None:
    first = await client.chunks(OPENAI, f"[[{script}]]")
    assert first[0]["error"]["code"] == "server_error"
    assert text_of(await client.chunks(OPENAI, f"[[{script}]]")) == "Hello from the simulator."


@pytest.mark.asyncio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "native_reason"),
    [(CLAUDE, "stop_sequence"), (OPENAI, "completed"), (GEMINI, "STOP"), ("qwen/qwen3-coder", "stop")],
)
async def test_the_text_ends_at_a_stop_sequence(client: Client, model: str, native_reason: str, stream: bool) -> None:
    asked = {"stop": ["never", "END"]}
    if stream:
        chunks = await client.chunks(model, "[[stop_here END]]", **asked)
        choice, text = choice_of(chunks), text_of(chunks)
    else:
        choice = (await client.chat(model, "[[stop_here END]]", **asked))["choices"][0]
        text = choice["message"]["content"]
    assert text == "Before the stop. "
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", native_reason)


@pytest.mark.asyncio
async def test_the_messages_wire_names_the_stop_sequence(client: Client) -> None:
    message = await native(client, CLAUDE, "[[stop_here END]]", stop_sequences=["END"])
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")
    message = await native(client, CLAUDE, "[[stream 10 0]]", stop_sequences=["n t"])
    assert message["content"][0]["text"] == "toke"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("script", "finish", "native_reason", "stop_reason"),
    [
        ("context_window_exceeded", "length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("pause_turn", "stop", "pause_turn", "pause_turn"),
        ("refuse", "content_filter", "refusal", "refusal"),
        ("refusal_text", "content_filter", "refusal", "refusal"),
    ],
)
async def test_endings_on_both_wires(
    client: Client, script: str, finish: str, native_reason: str, stop_reason: str
) -> None:
    choice = choice_of(await client.chunks(CLAUDE, f"[[{script}]]"))
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (finish, native_reason)
    assert (await native(client, CLAUDE, f"[[{script}]]"))["stop_reason"] == stop_reason


@pytest.mark.asyncio
async def test_a_refusal_has_a_field_of_its_own(client: Client) -> None:
    message = (await client.chat(OPENAI, "[[refusal_text]]"))["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == ("", "I will not do that.")


@pytest.mark.asyncio
async def test_a_malformed_call_costs_what_was_thought(client: Client) -> None:
    chunks = await client.chunks(GEMINI, "[[malformed_function_call_charged]]")
    assert choice_of(chunks)["native_finish_reason"] == "MALFORMED_FUNCTION_CALL"
    assert chunks[-1]["usage"]["cost"] > 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("script", "places"), [("usage_before", [-2]), ("usage_with", [-1]), ("usage_none", []), ("text", [-1])]
)
async def test_usage_stands_where_the_script_wants_it(client: Client, script: str, places: list[int]) -> None:
    chunks = await client.chunks(OPENAI, f"[[{script}]]")
    assert [place - len(chunks) for place, chunk in enumerate(chunks) if "usage" in chunk] == places
    finished = next(chunk for chunk in chunks if chunk["choices"] and chunk["choices"][0]["finish_reason"])
    assert (finished is chunks[-1]) == (script != "text")


@pytest.mark.asyncio
async def test_citations_name_their_place_in_the_text(client: Client) -> None:
    chunks = await client.chunks(OPENAI, "[[citations]]")
    text = text_of(chunks)
    cited = [
        annotation["url_citation"]
        for chunk in chunks
        for choice in chunk["choices"]
        for annotation in choice["delta"].get("annotations") or []
    ]
    words = [text[each["start_index"] : each["end_index"]] for each in cited]
    assert words == ["the sky is blue", "grass is green", "a third agrees"]


@pytest.mark.asyncio
async def test_three_tools_are_interleaved(client: Client) -> None:
    chunks = await client.chunks(OPENAI, "[[three_tools]]")
    pieces = [
        call["index"]
        for chunk in chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls") or []
    ]
    assert pieces[:6] == [0, 1, 2, 0, 1, 2]


@pytest.mark.asyncio
async def test_geminis_signature_may_come_after_its_call(client: Client) -> None:
    chunks = await client.chunks(GEMINI, "[[signature_after]]")
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    signed = [place for place, delta in enumerate(deltas) if "data" in (delta.get("reasoning_details") or [{}])[0]]
    assert len(signed) == 2
    assert all("tool_calls" not in deltas[place] and "tool_calls" in deltas[place - 1] for place in signed)
    question: Json = {"role": "user", "content": "[[signature_after]]"}
    said = (await client.chat(GEMINI, question["content"]))["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in said["tool_calls"]]
    async with client.post("/chat/completions", {"model": GEMINI, "messages": [question, said, *results]}) as response:
        assert response.status == 200, await response.text()


@pytest.mark.asyncio
async def test_an_answer_may_be_very_long(client: Client) -> None:
    assert len((await client.chat(OPENAI, "[[long 30]]"))["choices"][0]["message"]["content"]) == 30 * 1000


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        (OPENAI, "auto", "default"),
        (OPENAI, "priority", "priority"),
        (OPENAI, "flex", "flex"),
        (CLAUDE, "priority", None),
    ],
)
async def test_the_answer_tells_its_service_tier(client: Client, model: str, asked: str, told: str | None) -> None:
    assert (await client.chat(model, "hi", service_tier=asked))["service_tier"] == told
    assert {chunk["service_tier"] for chunk in await client.chunks(model, "hi", service_tier=asked)} == {told}


@pytest.mark.asyncio
async def test_comments_come_for_as_long_as_there_is_no_content(client: Client) -> None:
    body = {"model": OPENAI, "messages": [{"role": "user", "content": "[[silence 2]]"}], "stream": True}
    async with client.post("/chat/completions", body) as response:
        text = await response.text()
    assert text.count(": OPENROUTER PROCESSING") == 3
    assert text_of(chunks_of(text)) == "Hello from the simulator."


@pytest.mark.asyncio
async def test_kimi_counts_its_calls_through_the_conversation(client: Client) -> None:
    question: Json = {"role": "user", "content": "[[two_tools]]"}
    said = (await client.chat("moonshotai/kimi-k2", question["content"]))["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in said["tool_calls"]]
    done, again = {"role": "assistant", "content": "Done."}, {"role": "user", "content": "[[bash_echo]]"}
    body = {"model": "moonshotai/kimi-k2", "messages": [question, said, *results, done, again]}
    async with client.post("/chat/completions", body) as response:
        third = orjson.loads(await response.read())["choices"][0]["message"]["tool_calls"]
    ids = [call["id"] for call in (*said["tool_calls"], *third)]
    assert ids == ["functions.Bash:0", "functions.Bash:1", "functions.Bash:2"]
