"""Every kind of bad request, and the words with which it is refused."""

import base64
from typing import Any

import orjson
import pytest

from testing.openrouter_simulator import (
    rules,
    rules_anthropic,
    rules_chat,
    rules_messages,
    rules_provider,
    rules_reasoning,
    rules_schema,
    rules_search,
)
from testing.openrouter_simulator.exact_json import Json
from testing.openrouter_simulator.signatures import claude_signature, new_call_id
from testing.tests.conftest import Client

OPENAI = "openai/gpt-4o-mini"
THINKER = "openai/gpt-5"
CLAUDE = "anthropic/claude-haiku-4.5"
ADAPTIVE = "anthropic/claude-sonnet-5"
GEMINI = "google/gemini-2.5-pro"
MISTRAL = "mistralai/mistral-large"
KIMI = "moonshotai/kimi-k2"
LLAMA = "meta-llama/llama-3.3-70b-instruct"

PIXEL = "data:image/png;base64," + base64.b64encode(b"not really a picture").decode()
USER: Json = {"role": "user", "content": "hi"}
IMAGE: Json = {"type": "image_url", "image_url": {"url": PIXEL}}
LASTING: Json = {"type": "text", "text": "cached", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
BREAKPOINT: Json = {"type": "text", "text": "cached", "cache_control": {"type": "ephemeral"}}


def chat(model: str = OPENAI, messages: Any = None, **more: Any) -> Json:
    return {"model": model, "messages": [USER] if messages is None else messages, **more}


def calling(*ids: str, arguments: str = "{}", **more: Any) -> Json:
    calls = [{"id": each, "type": "function", "function": {"name": "Bash", "arguments": arguments}} for each in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def result(call_id: str, content: Any = "done") -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def tool(name: str = "Bash", parameters: Json | None = None, **more: Any) -> Json:
    schema = {"type": "object", "properties": {}} if parameters is None else parameters
    return {"type": "function", "function": {"name": name, "parameters": schema, **more}}


def strict_tool(schema: Json) -> Json:
    closed = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return tool(parameters=closed, strict=True)


def with_property(schema: Json) -> list[Json]:
    return [tool(parameters={"type": "object", "properties": {"a": schema}})]


def detail(issued: str, **more: Any) -> Json:
    return {"role": "assistant", "content": "ok", "reasoning_details": [{"format": issued, "index": 0, **more}]}


THOUGHT = {"type": "reasoning.text", "text": "I think", "signature": claude_signature("I think")}
ALTERED = {**THOUGHT, "text": "I thought"}
FORGED = {"type": "reasoning.encrypted", "data": "gAAAAABforged", "id": "rs_1"}
GEMINI_ID = new_call_id("google", "Bash", 0, True)

CHAT_REFUSALS: dict[str, tuple[Json, int, str]] = {
    "no model": ({"messages": [USER]}, 400, "No models provided"),
    "unknown model": (chat("nobody/nothing"), 400, "nobody/nothing is not a valid model ID"),
    "unknown variant": (chat(f"{OPENAI}:quick"), 400, "is not a valid model ID"),
    "too many models": (chat(models=[OPENAI] * 4), 400, "'models' array must have 3 items or fewer"),
    "no messages": ({"model": OPENAI}, 400, 'specify "prompt" or "messages"'),
    "empty messages": (chat(messages=[]), 400, "messages: Too small"),
    "messages of wrong type": (chat(messages="hi"), 400, "messages: Invalid input: expected array, received string"),
    "unknown role": (chat(messages=[{"role": "human", "content": "hi"}]), 400, "messages.0.role: Invalid option"),
    "no content": (chat(messages=[{"role": "user"}]), 400, "messages.0.content: Invalid input"),
    "content number": (chat(messages=[{"role": "user", "content": 1}]), 400, "expected string|array, received integer"),
    "unknown part": (
        chat(messages=[{"role": "user", "content": [{"type": "image"}]}]),
        400,
        "messages.0.content.0.type",
    ),
    "system image": (chat(messages=[{"role": "system", "content": [IMAGE]}, USER]), 400, 'expected "text"'),
    "bad base64": (
        chat(
            messages=[
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,!!"}}]}
            ]
        ),
        400,
        "Invalid base64 data",
    ),
    "odd image type": (
        chat(
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}],
                }
            ]
        ),
        400,
        "Unsupported image media type",
    ),
    "file without name": (
        chat(
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}],
                }
            ]
        ),
        400,
        "file.filename",
    ),
    "file without data": (
        chat(messages=[{"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf"}}]}]),
        400,
        "file.file_data",
    ),
    "temperature text": (chat(temperature="hot"), 400, "temperature: Invalid input: expected number|null"),
    "temperature high": (chat(temperature=3), 400, "temperature: Invalid input: expected number between 0 and 2"),
    "five stops": (chat(stop=list("abcde")), 400, "Invalid 'stop': array too long"),
    "user too long": (chat(user="u" * 129), 400, "user: Too big"),
    "user_id too long": (chat(metadata={"user_id": "u" * 190}), 400, "metadata.user_id: Too big"),
    "metadata number": (chat(metadata={"n": 1}), 400, "metadata.n: Invalid input"),
    "session too long": (chat(session_id="s" * 257), 400, "session_id: Too big"),
    "effort and budget": (
        chat(THINKER, reasoning={"effort": "low", "max_tokens": 2000}),
        400,
        'Only one of "reasoning.effort" and "reasoning.max_tokens" can be specified',
    ),
    "unknown effort": (chat(THINKER, reasoning={"effort": "huge"}), 400, "reasoning.effort: Invalid option"),
    "mandatory reasoning": (chat(THINKER, reasoning={"enabled": False}), 400, "Reasoning is mandatory"),
    "budget above max_tokens": (
        chat(CLAUDE, max_tokens=1500, reasoning={"max_tokens": 2000}),
        400,
        "must be greater than `thinking.budget",
    ),
    "effort without room": (
        chat(CLAUDE, max_tokens=1000, reasoning={"effort": "low"}),
        400,
        "must be greater than `thinking.budget",
    ),
    "thinking off, effort max": (
        chat(ADAPTIVE, reasoning={"enabled": False, "effort": "max"}),
        400,
        "thinking cannot be disabled",
    ),
    "thinking and forced tool": (
        chat(CLAUDE, tools=[tool()], tool_choice="required", reasoning={"enabled": True}),
        400,
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    "short effort and budget": (
        chat(THINKER, reasoning_effort="low", reasoning={"max_tokens": 2000}),
        400,
        'Only one of "reasoning.effort" and "reasoning.max_tokens" can be specified',
    ),
    "unknown word of reasoning": (chat(THINKER, reasoning={"budget": 1}), 400, "reasoning: Invalid option"),
    "unknown verbosity": (chat(THINKER, verbosity="loud"), 400, "verbosity: Invalid option"),
    "max_tokens above limit, OpenAI": (chat(max_tokens=64000), 400, "supports at most 16384 completion tokens"),
    "max_tokens above limit, Claude": (chat(CLAUDE, max_tokens=64001), 400, "max_tokens: 64001 > 64000"),
    "max_tokens above limit, Gemini": (chat(GEMINI, max_tokens=70000), 400, "maxOutputTokens value of 70000"),
    "max_tokens below 16": (chat(max_tokens=8), 400, "Expected a value >= 16"),
    "max_tokens zero": (chat(max_tokens=0), 400, "max_tokens: Too small"),
    "context overflow": (
        chat(messages=[{"role": "user", "content": "word " * 110_000}]),
        400,
        "This endpoint's maximum context length is 128000 tokens",
    ),
    "tool name too long": (chat(tools=[tool("n" * 65)]), 400, "string does not match pattern"),
    "tool name with dots": (chat(tools=[tool("a.b")]), 400, "string does not match pattern"),
    "same name twice": (chat(tools=[tool(), tool()]), 400, "duplicate function name 'Bash'"),
    "same name twice, Claude": (chat(CLAUDE, tools=[tool(), tool()]), 400, "Tool names must be unique"),
    "empty tools": (chat(tools=[]), 400, "Invalid 'tools': empty array"),
    "anthropic tool": (chat(tools=[{"name": "Bash", "input_schema": {}}]), 400, "tools.0.type: Invalid input"),
    "choice without tools": (chat(tool_choice="auto"), 400, "only allowed when 'tools' are specified"),
    "parallel without tools": (chat(parallel_tool_calls=True), 400, "only allowed when 'tools' are specified"),
    "choice of no tool": (
        chat(tools=[tool()], tool_choice={"type": "function", "function": {"name": "Grep"}}),
        400,
        "Tool choice 'Grep' not found",
    ),
    "unknown choice": (chat(tools=[tool()], tool_choice="any"), 400, "tool_choice: Invalid option"),
    "no tool use": (chat("perplexity/sonar", tools=[tool()]), 404, "No endpoints found that support tool use"),
    "no image input": (chat(LLAMA, [{"role": "user", "content": [IMAGE]}]), 404, "support image input"),
    "provider unknown key": (chat(provider={"fastest": True}), 400, "provider: Unrecognized key"),
    "provider of wrong type": (chat(provider={"only": "groq"}), 400, "provider.only: Invalid input: expected array"),
    "provider number": (chat(provider={"order": [1]}), 400, "provider.order.0: Invalid input: expected string"),
    "sort by size": (chat(provider={"sort": {"by": "size"}}), 400, "provider.sort: Invalid option"),
    "sort unknown key": (chat(provider={"sort": {"on": "price"}}), 400, "provider.sort: Invalid option"),
    "price of videos": (chat(provider={"max_price": {"video": 1}}), 400, "provider.max_price: Invalid option"),
    "latency of most": (
        chat(provider={"preferred_max_latency": {"p95": 1}}),
        400,
        "provider.preferred_max_latency: Invalid option",
    ),
    "provider elsewhere": (chat(provider={"only": ["groq"]}), 404, "No allowed providers are available"),
    "parameters required": (
        chat(THINKER, temperature=1, provider={"require_parameters": True}),
        404,
        "handle the requested parameters",
    ),
    "data collection": (chat(provider={"data_collection": "no"}), 400, "provider.data_collection: Invalid option"),
    "unknown plugin": (chat(plugins=[{"id": "magic"}]), 400, "plugins.0.id: Invalid option"),
    "unknown PDF engine": (
        chat(plugins=[{"id": "file-parser", "pdf": {"engine": "pdf-text"}}]),
        400,
        "plugins.0.pdf.engine: Invalid option",
    ),
    "unknown server tool": (chat(tools=[{"type": "openrouter:magic"}]), 400, "tools.0.type: Invalid option"),
    "choice of a server tool that is not there": (
        chat(tools=[tool()], tool_choice={"type": "openrouter:web_search"}),
        400,
        "Tool choice 'openrouter:web_search' not found",
    ),
    "unknown service tier": (chat(service_tier="gold"), 400, "service_tier: Invalid option"),
    "json_schema without name": (
        chat(response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
        400,
        "json_schema.name",
    ),
    "strict format, loose schema": (
        chat(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "t", "strict": True, "schema": {"type": "object", "properties": {}}},
            }
        ),
        400,
        "'additionalProperties' is required to be supplied",
    ),
    **{
        f"strict schema with {word}": (
            chat(tools=[strict_tool({"type": "string", word: value})]),
            400,
            f"'{word}' is not permitted",
        )
        for word, value in {"default": "a", "minLength": 1, "allOf": [], "not": {}, "patternProperties": {}}.items()
    },
    "strict schema with uri": (
        chat(tools=[strict_tool({"type": "string", "format": "uri"})]),
        400,
        "'uri' is not a valid format",
    ),
    "strict schema, described reference": (
        chat(tools=[strict_tool({"$ref": "#/$defs/x", "description": "y"})]),
        400,
        "$ref cannot have keywords ['description']",
    ),
    "long-lived breakpoint after a short-lived one": (
        chat(CLAUDE, [{"role": "user", "content": [BREAKPOINT, LASTING]}]),
        400,
        "must not come after a ttl='5m' cache_control block",
    ),
    "name of an earlier call": (
        chat(
            messages=[
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "a.b", "arguments": "{}"}}],
                },
                result("c"),
            ]
        ),
        400,
        "messages.1.tool_calls.0.function.name': string does not match pattern",
    ),
    "four breakpoints and one for all": (
        chat(CLAUDE, [{"role": "user", "content": [BREAKPOINT] * 4}], cache_control={"type": "ephemeral"}),
        400,
        "A maximum of 4 blocks with cache_control",
    ),
    # the order of calls and results
    "result without call": (chat(messages=[USER, result("call_1")]), 400, "must be a response to a preceeding message"),
    "result of another call": (
        chat(CLAUDE, [USER, calling("a"), result("b")]),
        400,
        "unexpected `tool_use_id` found in `tool_result`",
    ),
    "text before result": (
        chat(messages=[USER, calling("call_1"), USER, result("call_1")]),
        400,
        "did not have response messages: call_1",
    ),
    "missing result, Claude": (
        chat(CLAUDE, [USER, calling("a", "b"), result("a"), USER]),
        400,
        "without `tool_result` blocks immediately",
    ),
    "missing result, Gemini": (
        chat(GEMINI, [USER, calling("a", "b"), result("a")]),
        400,
        "number of function response parts",
    ),
    "missing result, Mistral": (
        chat(MISTRAL, [USER, calling("abcdefghi"), USER]),
        400,
        "Not the same number of function calls",
    ),
    "call at the end": (chat(messages=[USER, calling("call_1")]), 400, "did not have response messages"),
    "same id twice": (chat(CLAUDE, [USER, calling("a", "a"), result("a")]), 400, "`tool_use` ids must be unique"),
    "result without id": (chat(messages=[USER, {"role": "tool", "content": "x"}]), 400, "tool_call_id"),
    "arguments as object": (
        chat(
            messages=[
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "Bash", "arguments": {}}}],
                },
                result("c"),
            ]
        ),
        400,
        "function.arguments: Invalid input: expected string, received object",
    ),
    "arguments no JSON": (
        chat(CLAUDE, [USER, calling("a", arguments="{oops"), result("a")]),
        400,
        "Input should be a valid dictionary",
    ),
    "Kimi's id at Claude": (
        chat(CLAUDE, [USER, calling("functions.Bash:0"), result("functions.Bash:0")]),
        400,
        "String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    "Claude's id at Mistral": (
        chat(MISTRAL, [USER, calling("toolu_1"), result("toolu_1")]),
        400,
        "Tool call id was toolu_1 but must be a-z, A-Z, 0-9, with a length of 9.",
    ),
    "long id at OpenAI": (chat(messages=[USER, calling("c" * 41), result("c" * 41)]), 400, "maximum length 40"),
    "image in result, OpenAI": (
        chat(messages=[USER, calling("c"), result("c", [IMAGE])]),
        400,
        "Image URLs are only allowed for",
    ),
    "image in result, Gemini": (
        chat(GEMINI, [USER, calling("c"), result("c", [IMAGE])]),
        400,
        "Image URLs are only allowed for",
    ),
    # contents
    "empty text, Claude": (chat(CLAUDE, [{"role": "user", "content": ""}]), 400, "content blocks must be non-empty"),
    "blank text, Claude": (chat(CLAUDE, [{"role": "user", "content": " "}]), 400, "non-whitespace text"),
    "only system, Claude": (
        chat(CLAUDE, [{"role": "system", "content": "x"}]),
        400,
        "at least one message is required",
    ),
    "prefill, adaptive": (
        chat(ADAPTIVE, [USER, {"role": "assistant", "content": "I"}]),
        400,
        "does not support assistant message prefill",
    ),
    "prefill with blank": (
        chat(CLAUDE, [USER, {"role": "assistant", "content": "I "}]),
        400,
        "cannot end with trailing whitespace",
    ),
    "null assistant, OpenAI": (
        chat(messages=[USER, {"role": "assistant", "content": None}, USER]),
        400,
        "expected a string, got null",
    ),
    "five breakpoints": (
        chat(CLAUDE, [{"role": "user", "content": [BREAKPOINT] * 5}]),
        400,
        "A maximum of 4 blocks with cache_control",
    ),
    "cache ttl": (
        chat(
            CLAUDE, [{"role": "user", "content": [{**BREAKPOINT, "cache_control": {"type": "ephemeral", "ttl": "2h"}}]}]
        ),
        400,
        "cache_control.ttl: Invalid option",
    ),
    # schemas
    **{
        f"{word}, Gemini": (chat(GEMINI, tools=with_property({"type": "integer", word: 1})), 400, f'"{word}"')
        for word in ("multipleOf", "exclusiveMinimum", "x-order", "minContains", "readOnly", "const")
    },
    "int128, Gemini": (
        chat(GEMINI, tools=with_property({"type": "integer", "format": "int128"})),
        400,
        "only 'int64' and 'int32' are supported for INTEGER type",
    ),
    "odd key, Claude": (
        chat(CLAUDE, tools=[tool(parameters={"type": "object", "properties": {"a b": {"type": "string"}}})]),
        400,
        "Property keys should match pattern",
    ),
    "$schema, Gemini": (
        chat(GEMINI, tools=[tool(parameters={"type": "object", "properties": {}, "$schema": "x"})]),
        400,
        'Unknown name "$schema"',
    ),
    "additionalProperties inside, Gemini": (
        chat(GEMINI, tools=with_property({"type": "object", "additionalProperties": False})),
        400,
        'Unknown name "additionalProperties"',
    ),
    "default, Gemini 2": (chat(GEMINI, tools=with_property({"type": "string", "default": "x"})), 400, '"default"'),
    "type array, Gemini": (chat(GEMINI, tools=with_property({"type": ["string", "null"]})), 400, "not repeating"),
    "array without items, Gemini": (chat(GEMINI, tools=with_property({"type": "array"})), 400, "items: missing field"),
    "number enum, Gemini": (chat(GEMINI, tools=with_property({"type": "integer", "enum": [1]})), 400, "(TYPE_STRING)"),
    "uri format, Gemini": (
        chat(GEMINI, tools=with_property({"type": "string", "format": "uri"})),
        400,
        "only 'enum' and 'date-time'",
    ),
    "required unknown, Gemini": (
        chat(GEMINI, tools=[tool(parameters={"type": "object", "properties": {}, "required": ["a"]})]),
        400,
        "property is not defined",
    ),
    "anyOf at root, OpenAI": (
        chat(tools=[tool(parameters={"type": "object", "properties": {}, "anyOf": []})]),
        400,
        "at the top level",
    ),
    "no properties, OpenAI": (
        chat(tools=[tool(parameters={"type": "object"})]),
        400,
        "object schema missing properties",
    ),
    "array without items, OpenAI": (chat(tools=with_property({"type": "array"})), 400, "array schema missing items"),
    "strict tool, OpenAI": (
        chat(tools=[tool(parameters={"type": "object", "properties": {}}, strict=True)]),
        400,
        "'additionalProperties' is required to be supplied",
    ),
    "oneOf at root, Claude": (
        chat(CLAUDE, tools=[tool(parameters={"type": "object", "oneOf": []})]),
        400,
        "does not support oneOf, allOf, or anyOf at the top level",
    ),
    "no type, Claude": (chat(CLAUDE, tools=[tool(parameters={})]), 400, "input_schema.type: Field required"),
    "type beside anyOf, Kimi": (
        chat(KIMI, tools=with_property({"type": "string", "anyOf": [{"type": "string"}]})),
        400,
        "when using anyOf, type should be defined in anyOf items",
    ),
    # reasoning that comes back
    "Claude's thinking at OpenAI": (
        chat(THINKER, [USER, detail("anthropic-claude-v1", **THOUGHT), USER]),
        400,
        "format 'anthropic-claude-v1' was not issued by OpenAI",
    ),
    "altered thinking": (
        chat(CLAUDE, [USER, detail("anthropic-claude-v1", **ALTERED), USER]),
        400,
        "Invalid `signature` in `thinking` block",
    ),
    "thinking without signature": (
        chat(CLAUDE, [USER, detail("anthropic-claude-v1", type="reasoning.text", text="I think"), USER]),
        400,
        "signature: Field required",
    ),
    "forged encrypted reasoning": (
        chat(THINKER, [USER, detail("openai-responses-v1", **FORGED), USER]),
        400,
        "could not be verified",
    ),
    "forged thought signature": (
        chat(GEMINI, [USER, detail("google-gemini-v1", **FORGED), USER]),
        400,
        "Corrupted thought signature",
    ),
    "lost thought signature": (
        chat(GEMINI, [USER, calling(GEMINI_ID), result(GEMINI_ID)]),
        400,
        "missing a thought_signature",
    ),
    "unknown detail": (
        chat(CLAUDE, [USER, detail("anthropic-claude-v1", type="thinking"), USER]),
        400,
        "type: Invalid option",
    ),
    "unknown format": (chat(CLAUDE, [USER, detail("claude-v9", **THOUGHT), USER]), 400, "format: Invalid option"),
}


def native(messages: Any = None, model: str = CLAUDE, **more: Any) -> Json:
    return {"model": model, "max_tokens": 2000, "messages": [USER] if messages is None else messages, **more}


def says(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def answers(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


TEXT: Json = {"type": "text", "text": "hi"}
USE: Json = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
NATIVE_TOOL: Json = {"name": "Bash", "input_schema": {"type": "object"}}
REASONED_ID = new_call_id("anthropic", "Bash", 0, True)

MESSAGES_REFUSALS: dict[str, tuple[Json, int, str]] = {
    "no max_tokens": ({"model": CLAUDE, "messages": [USER]}, 400, "max_tokens: Field required"),
    "no messages": ({"model": CLAUDE, "max_tokens": 10}, 400, "messages: Field required"),
    "empty messages": (native([]), 400, "at least one message is required"),
    "unknown model": (native(model="claude-unknown"), 400, "is not a valid model ID"),
    "unknown role": (native([{"role": "tool", "content": "x"}]), 400, "messages.0.role"),
    "unknown block": (native([answers({"type": "image_url"})]), 400, "Input tag 'image_url' found"),
    "thinking of user": (native([answers({"type": "thinking"})]), 400, "Input tag 'thinking' found"),
    "result without id": (native([answers({"type": "tool_result"})]), 400, "tool_use_id: Field required"),
    "thinking without signature": (
        native([USER, says({"type": "thinking", "thinking": "x"}, TEXT), USER]),
        400,
        "thinking.signature: Field required",
    ),
    "altered signature": (
        native([USER, says({"type": "thinking", "thinking": "x", "signature": "y"}, TEXT), USER]),
        400,
        "Invalid `signature` in `thinking` block",
    ),
    "forged redaction": (
        native([USER, says({"type": "redacted_thinking", "data": "y"}, TEXT), USER]),
        400,
        "Invalid `data`",
    ),
    "small budget": (native(thinking={"type": "enabled", "budget_tokens": 500}), 400, "greater than or equal to 1024"),
    "large budget": (
        native(thinking={"type": "enabled", "budget_tokens": 2000}),
        400,
        "must be greater than `thinking",
    ),
    "between_tools": (native(thinking={"type": "between_tools"}), 400, "Input tag 'between_tools' found"),
    "adaptive on Haiku": (native(thinking={"type": "adaptive"}), 400, "adaptive thinking is not supported"),
    "effort on Haiku": (native(output_config={"effort": "high"}), 400, "does not support the effort parameter"),
    "open answer schema": (
        native(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}),
        400,
        "'additionalProperties' must be explicitly set to false",
    ),
    "thinking and temperature": (
        native(thinking={"type": "enabled", "budget_tokens": 1024}, temperature=0.5),
        400,
        "may only be set to 1",
    ),
    "thinking and forced tool": (
        native(thinking={"type": "enabled", "budget_tokens": 1024}, tools=[NATIVE_TOOL], tool_choice={"type": "any"}),
        400,
        "Thinking may not be enabled",
    ),
    "lost thinking": (
        native(
            [USER, says({**USE, "id": REASONED_ID}), answers({**RESULT, "tool_use_id": REASONED_ID})],
            thinking={"type": "enabled", "budget_tokens": 1024},
            tools=[NATIVE_TOOL],
        ),
        400,
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    "edits of thoughts without thinking": (
        native(context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}),
        400,
        "`clear_thinking_20251015` strategy requires `thinking`",
    ),
    "missing result": (native([USER, says(USE), USER]), 400, "without `tool_result` blocks immediately after: toolu_1"),
    "result without use": (native([answers(RESULT)]), 400, "unexpected `tool_use_id` found in `tool_result` blocks"),
    "text before result": (native([USER, says(USE), answers(TEXT, RESULT)]), 400, "must come first in the content"),
    "bad id": (
        native([USER, says({**USE, "id": "a.b:0"}), answers({**RESULT, "tool_use_id": "a.b:0"})]),
        400,
        "String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    "max_tokens too large": (native(max_tokens=64001), 400, "max_tokens: 64001 > 64000"),
    "five breakpoints": (native([answers(*[BREAKPOINT] * 5)]), 400, "A maximum of 4 blocks with cache_control"),
    "empty text": (native([answers({"type": "text", "text": ""})]), 400, "content blocks must be non-empty"),
    "tools twice": (native(tools=[NATIVE_TOOL, NATIVE_TOOL]), 400, "Tool names must be unique"),
    "combinator at root": (
        native(tools=[{"name": "B", "input_schema": {"type": "object", "anyOf": []}}]),
        400,
        "at the top level",
    ),
    "choice without tools": (native(tool_choice={"type": "auto"}), 400, "while providing tools"),
    "prompt too long": (native([answers({"type": "text", "text": "word " * 170_000})]), 400, "prompt is too long: 2"),
    "user_id too long": (native(metadata={"user_id": "u" * 257}), 400, "metadata.user_id: Too big"),
    "prefill, adaptive": (native([USER, says(TEXT)], ADAPTIVE), 400, "does not support assistant message prefill"),
}


def words_of(document: Json) -> str:
    error = document["error"]
    raw = error.get("metadata", {}).get("raw")
    if raw is None:
        return str(error["message"])
    inner = orjson.loads(raw)
    return str(inner.get("message") or inner["error"]["message"])


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "status", "words"), CHAT_REFUSALS.values(), ids=CHAT_REFUSALS.keys())
async def test_chat_refuses(client: Client, body: Json, status: int, words: str) -> None:
    async with client.post("/chat/completions", body) as response:
        document = orjson.loads(await response.read())
        assert response.status == status, document
    assert words in words_of(document)
    assert document["error"]["code"] == status
    assert document["error"]["metadata"]["error_type"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "status", "words"), MESSAGES_REFUSALS.values(), ids=MESSAGES_REFUSALS.keys())
async def test_messages_refuses(client: Client, body: Json, status: int, words: str) -> None:
    async with client.post("/messages", body) as response:
        document = orjson.loads(await response.read())
        assert response.status == status, document
    assert words in document["error"]["message"]
    assert document["type"] == "error"
    assert document["request_id"].startswith("req_")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("authorization", "status", "words"),
    [
        ("", 401, "No auth credentials found"),
        ("Bearer sk-ant-1", 401, "User not found."),
        ("Basic sk-or-1", 401, "No auth credentials found"),
        ("Bearer sk-or-poor-1", 402, "Insufficient credits"),
    ],
)
async def test_key_is_judged(client: Client, authorization: str, status: int, words: str) -> None:
    async with client.post("/chat/completions", chat(), Authorization=authorization) as response:
        assert response.status == status
        assert words in (await response.text())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"{", 400, "Invalid JSON"),
        (b"[]", 400, "expected object at the root"),
        (b" " * (33 * 1024 * 1024), 413, "Request payload is too large"),
    ],
    ids=["no JSON", "array", "oversized"],
)
async def test_body_is_judged(client: Client, data: bytes, status: int, words: str) -> None:
    async with client.post("/chat/completions", data) as response:
        assert response.status == status
        assert words in (await response.text())


@pytest.mark.asyncio
async def test_property_named_like_a_keyword_is_accepted_by_gemini(client: Client) -> None:
    names = ("const", "default", "additionalProperties", "$schema", "not", "x-y")
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    async with client.post("/chat/completions", chat(GEMINI, tools=[tool(parameters=schema)])) as response:
        assert response.status == 200, await response.text()


@pytest.mark.asyncio
async def test_unknown_keys_are_ignored_and_recorded(client: Client) -> None:
    async with client.post("/chat/completions", chat(thinking={"type": "adaptive"}, betas=[])) as response:
        assert response.status == 200
    (request,) = (await client.control("requests"))["requests"]
    assert request["ignored"] == ["betas", "thinking"]


@pytest.mark.asyncio
async def test_what_a_model_cannot_do_is_left_out_and_recorded(client: Client) -> None:
    body = chat(LLAMA, reasoning={"effort": "low"}, temperature=1, max_tokens=100)
    async with client.post("/chat/completions", body) as response:
        assert response.status == 200
    (request,) = (await client.control("requests"))["requests"]
    assert request["unsupported"] == ["reasoning"]


@pytest.mark.asyncio
async def test_longer_lived_breakpoints_may_come_first(client: Client) -> None:
    messages = [{"role": "user", "content": [LASTING, BREAKPOINT]}]
    tools = [{**tool(), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    async with client.post("/chat/completions", chat(CLAUDE, messages, tools=tools)) as response:
        assert response.status == 200, await response.text()


def test_every_rule_cites_its_place_in_the_wires_description() -> None:
    modules = (
        rules,
        rules_anthropic,
        rules_chat,
        rules_messages,
        rules_provider,
        rules_reasoning,
        rules_schema,
        rules_search,
    )
    checks = {name: check for module in modules for name, check in vars(module).items() if name.startswith("check_")}
    assert len(checks) > 40
    assert [name for name, check in checks.items() if "wire.md" not in (check.__doc__ or "")] == []
