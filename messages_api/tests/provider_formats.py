"""Owns the formats in which providers answer, for tests: one scripted answer in the words of each of them.

Written after the providers' own references: OpenAI's chat completions (Azure's are the same), Anthropic's Messages,
Gemini's streamGenerateContent, Bedrock's Converse in AWS's event stream, Ollama's /api/chat.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

End = Literal["stop", "tools", "length", "refusal"]


@dataclass(frozen=True)
class Scripted:
    """What a model is to say: a thought, a text and calls, each if there is one, and how it ends."""

    text: str = ""
    thought: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    end: End = "stop"


#: In every format that tells it: 10 tokens read anew, 40 from a cache, 7 into one, 9 given.
FRESH, READ, WRITTEN, GIVEN = 10, 40, 7, 9
SEAL = "RXFTZWFsKy89"


@dataclass(frozen=True)
class Format:
    """How one kind of provider answers; `whole` is its answer in one piece, `frames` the same streamed."""

    kind: str
    model: str
    whole: Callable[[Scripted], Any]
    frames: Callable[[Scripted], list[bytes]]
    error: Callable[[str], Any]  # the body of a refusal
    error_frame: Callable[[str], bytes] | None
    family: str = ""
    content_type: str = "text/event-stream"
    cache: tuple[int, int] = (READ, WRITTEN)  # of them, what the format can tell

    def __str__(self) -> str:
        return self.kind


def sse(events: Iterable[Any]) -> list[bytes]:
    return [_sse(event) for event in events]


def _sse(event: Any) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: ".encode() + orjson.dumps(event) + b"\n\n"


def ndjson(events: Iterable[Any]) -> list[bytes]:
    return [orjson.dumps(event) + b"\n" for event in events]


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _arguments(call: tuple[str, dict[str, Any]]) -> str:
    return orjson.dumps(call[1]).decode() if call[1] else ""


# --- OpenAI ----------------------------------------------------------------------------------------------------------

OPENAI_END = {"stop": "stop", "tools": "tool_calls", "length": "length", "refusal": "content_filter"}
OPENAI_USAGE = {
    "prompt_tokens": FRESH + READ,
    "completion_tokens": GIVEN,
    "total_tokens": FRESH + READ + GIVEN,
    "prompt_tokens_details": {"cached_tokens": READ},
}


def _openai_chunk(delta: Any, finish: str | None = None) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _openai_calls(answer: Scripted) -> list[Any]:
    return [
        {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": call[0], "arguments": _arguments(call)},
        }
        for index, call in enumerate(answer.calls)
    ]


def openai_events(answer: Scripted) -> list[Any]:
    deltas: list[Any] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": half} for half in _halves(answer.thought) if half]
    deltas += [{"content": half} for half in _halves(answer.text) if half]
    for call in _openai_calls(answer):
        first, second = _halves(call["function"]["arguments"])
        name = call["function"]["name"]
        deltas.append({"tool_calls": [{**call, "function": {"name": name, "arguments": first}}]})
        deltas.append({"tool_calls": [{"index": call["index"], "function": {"arguments": second}}]})
    chunks = [_openai_chunk(delta) for delta in deltas]
    return [
        *chunks,
        _openai_chunk({}, OPENAI_END[answer.end]),
        {**_openai_chunk({}), "choices": [], "usage": OPENAI_USAGE},
    ]


def openai_whole(answer: Scripted) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.thought:
        message["reasoning_content"] = answer.thought
    if answer.calls:
        message["tool_calls"] = _openai_calls(answer)
    choice = {"index": 0, "message": message, "finish_reason": OPENAI_END[answer.end]}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]} | {
        "usage": OPENAI_USAGE
    }


def _openai_frames(answer: Scripted) -> list[bytes]:
    return [*sse(openai_events(answer)), b"data: [DONE]\n\n"]


def _openai_error(words: str) -> Any:
    return {"error": {"message": words, "type": "some_error", "param": None, "code": None}}


# --- Anthropic -------------------------------------------------------------------------------------------------------

ANTHROPIC_END = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens", "refusal": "refusal"}
ANTHROPIC_USAGE = {
    "input_tokens": FRESH,
    "cache_read_input_tokens": READ,
    "cache_creation_input_tokens": WRITTEN,
    "output_tokens": GIVEN,
}


def _anthropic_blocks(answer: Scripted) -> list[Any]:
    blocks: list[Any] = []
    if answer.thought:
        blocks.append({"type": "thinking", "thinking": answer.thought, "signature": SEAL})
        blocks.append({"type": "redacted_thinking", "data": "UmVkYWN0ZWQ="})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    return blocks + [
        {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": arguments}
        for index, (name, arguments) in enumerate(answer.calls)
    ]


def _anthropic_deltas(block: Any) -> tuple[Any, list[Any]]:
    """A block as it starts, and what comes after."""
    match block["type"]:
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": half} for half in _halves(block["thinking"])]
            return {**block, "thinking": "", "signature": ""}, [
                *deltas,
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": half} for half in _halves(block["text"])]
        case "tool_use":
            pieces = _halves(_arguments((block["name"], block["input"])))
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block, []


def anthropic_whole(answer: Scripted, stop_reason: str = "") -> Any:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": _anthropic_blocks(answer),
        "stop_reason": stop_reason or ANTHROPIC_END[answer.end],
        "usage": ANTHROPIC_USAGE,
    }


def anthropic_events(answer: Scripted, stop_reason: str = "", thoughts: Iterable[Any] = ()) -> list[Any]:
    start = {**anthropic_whole(answer), "content": [], "stop_reason": None}
    events: list[Any] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate([*thoughts, *_anthropic_blocks(answer)]):
        first, deltas = _anthropic_deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": first})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": stop_reason or ANTHROPIC_END[answer.end]}
    return [
        *events,
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": GIVEN}},
        {"type": "message_stop"},
    ]


def _anthropic_error(words: str) -> Any:
    return {"type": "error", "error": {"type": "some_error", "message": words}}


# --- Gemini ----------------------------------------------------------------------------------------------------------

GEMINI_END = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}
GEMINI_USAGE = {
    "promptTokenCount": FRESH + READ,
    "cachedContentTokenCount": READ,
    "candidatesTokenCount": GIVEN,
    "totalTokenCount": FRESH + READ + GIVEN,
}


def _gemini_parts(answer: Scripted) -> list[Any]:
    parts: list[Any] = [{"text": answer.thought, "thought": True}] if answer.thought else []
    parts += [{"text": answer.text}] if answer.text else []
    for index, (name, arguments) in enumerate(answer.calls):
        seal = {"thoughtSignature": SEAL} if index == 0 else {}  # as Gemini 3 does
        parts.append({"functionCall": {"name": name, "args": arguments}, **seal})
    return parts


def _gemini_answer(parts: list[Any], finish: str | None) -> Any:
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    about = {"usageMetadata": GEMINI_USAGE, "responseId": "r1", "modelVersion": "gemini-3-pro"}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], **about}


def gemini_whole(answer: Scripted, finish: str = "") -> Any:
    return _gemini_answer(_gemini_parts(answer), finish or GEMINI_END[answer.end])


def gemini_events(answer: Scripted, finish: str = "") -> list[Any]:
    pieces = [_gemini_answer([part], None) for part in _gemini_parts(answer)]
    return [*pieces, _gemini_answer([{"text": ""}], finish or GEMINI_END[answer.end])]


def _gemini_error(words: str) -> Any:
    return {"error": {"code": 400, "message": words, "status": "SOME_ERROR"}}


# --- Bedrock ---------------------------------------------------------------------------------------------------------

BEDROCK_END = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens", "refusal": "guardrail_intervened"}
BEDROCK_USAGE = {
    "inputTokens": FRESH,
    "outputTokens": GIVEN,
    "totalTokens": FRESH + GIVEN,
    "cacheReadInputTokens": READ,
    "cacheWriteInputTokens": WRITTEN,
}


def _aws_frame(payload: Any, **headers: str) -> bytes:
    """A message of AWS's event stream: its length, its headers', a checksum; both; a checksum of all."""
    packed = b""
    for name, value in {"content-type": "application/json", **headers}.items():
        wire_name = f":{name}".encode()
        packed += struct.pack("!B", len(wire_name)) + wire_name + struct.pack("!BH", 7, len(value)) + value.encode()
    body = orjson.dumps(payload)
    prelude = struct.pack("!II", 16 + len(packed) + len(body), len(packed))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + packed + body
    return message + struct.pack("!I", zlib.crc32(message))


def converse(event: str, payload: Any) -> bytes:
    return _aws_frame(payload, **{"message-type": "event", "event-type": event})


def _converse_blocks(answer: Scripted) -> list[tuple[Any, list[Any], Any]]:
    """Of each block: how it starts, its deltas, and what it is when whole."""
    blocks: list[tuple[Any, list[Any], Any]] = []
    if answer.thought:
        deltas = [{"reasoningContent": {"text": answer.thought}}, {"reasoningContent": {"signature": SEAL}}]
        thought = {"reasoningText": {"text": answer.thought, "signature": SEAL}}
        blocks.append((None, deltas, {"reasoningContent": thought}))
    if answer.text:
        blocks.append((None, [{"text": half} for half in _halves(answer.text)], {"text": answer.text}))
    for index, call in enumerate(answer.calls):
        named = {"toolUseId": f"tooluse_{index}", "name": call[0]}
        deltas = [{"toolUse": {"input": half}} for half in _halves(_arguments(call)) if half]
        blocks.append(({"toolUse": named}, deltas, {"toolUse": {**named, "input": call[1]}}))
    return blocks


def converse_frames(answer: Scripted, stop_reason: str = "") -> list[bytes]:
    frames = [converse("messageStart", {"role": "assistant"})]
    for index, (start, deltas, _) in enumerate(_converse_blocks(answer)):
        at = {"contentBlockIndex": index}
        frames += [converse("contentBlockStart", {**at, "start": start})] if start else []
        frames += [converse("contentBlockDelta", {**at, "delta": delta}) for delta in deltas]
        frames.append(converse("contentBlockStop", at))
    stop = converse("messageStop", {"stopReason": stop_reason or BEDROCK_END[answer.end]})
    return [*frames, stop, converse("metadata", {"usage": BEDROCK_USAGE, "metrics": {"latencyMs": 1}})]


def converse_whole(answer: Scripted, stop_reason: str = "") -> Any:
    message = {"role": "assistant", "content": [whole for _, _, whole in _converse_blocks(answer)]}
    return {
        "output": {"message": message},
        "stopReason": stop_reason or BEDROCK_END[answer.end],
        "usage": BEDROCK_USAGE,
        "metrics": {"latencyMs": 1},
    }


def _converse_error(words: str) -> bytes:
    return _aws_frame({"message": words}, **{"message-type": "exception", "exception-type": "throttlingException"})


# --- Ollama ----------------------------------------------------------------------------------------------------------

OLLAMA_END = {"stop": "stop", "tools": "stop", "length": "length"}


def _ollama_answer(message: Any, end: End | None = None) -> Any:
    answer = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", **message}}
    if end is None:
        return {**answer, "done": False}
    return {
        **answer,
        "done": True,
        "done_reason": OLLAMA_END[end],
        "prompt_eval_count": FRESH + READ,
        "eval_count": GIVEN,
    }


def _ollama_calls(answer: Scripted) -> list[Any]:
    return [{"function": {"name": name, "arguments": arguments}} for name, arguments in answer.calls]


def _ollama_frames(answer: Scripted) -> list[bytes]:
    messages: list[Any] = [{"content": "", "thinking": half} for half in _halves(answer.thought) if half]
    messages += [{"content": half} for half in _halves(answer.text) if half]
    messages += [{"content": "", "tool_calls": [call]} for call in _ollama_calls(answer)]
    return ndjson([*map(_ollama_answer, messages), _ollama_answer({"content": ""}, answer.end)])


def _ollama_whole(answer: Scripted) -> Any:
    message: dict[str, Any] = {"content": answer.text}
    message |= {"thinking": answer.thought} if answer.thought else {}
    message |= {"tool_calls": _ollama_calls(answer)} if answer.calls else {}
    return _ollama_answer(message, answer.end)


# --- all of them -----------------------------------------------------------------------------------------------------

OPENAI = Format(
    "hosted_vllm",
    "openai/gpt-oss",
    openai_whole,
    _openai_frames,
    _openai_error,
    lambda words: sse([_openai_error(words)])[0],
    cache=(READ, 0),
)
AZURE = Format(
    "azure",
    "gpt-4o",
    openai_whole,
    _openai_frames,
    _openai_error,
    lambda words: sse([_openai_error(words)])[0],
    cache=(READ, 0),
)
ANTHROPIC = Format(
    "anthropic",
    "claude-opus-4-6",
    anthropic_whole,
    lambda answer: sse(anthropic_events(answer)),
    _anthropic_error,
    lambda words: sse([_anthropic_error(words)])[0],
)
GEMINI = Format(
    "gemini",
    "gemini-3-pro-preview",
    gemini_whole,
    lambda answer: sse(gemini_events(answer)),
    _gemini_error,
    lambda words: sse([_gemini_error(words)])[0],
    family="google",
    cache=(READ, 0),
)
BEDROCK = Format(
    "bedrock",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    converse_whole,
    converse_frames,
    lambda words: {"message": words},
    _converse_error,
    family="anthropic",
    content_type="application/vnd.amazon.eventstream",
)
OLLAMA = Format(
    "ollama_chat",
    "qwen3",
    _ollama_whole,
    _ollama_frames,
    lambda words: {"error": words},
    lambda words: ndjson([{"error": words}])[0],
    content_type="application/x-ndjson",
    cache=(0, 0),
)
FORMATS = (OPENAI, AZURE, ANTHROPIC, GEMINI, BEDROCK, OLLAMA)
