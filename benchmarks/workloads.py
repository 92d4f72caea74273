"""Owns what is asked and what must be answered: the workloads, their requests, and the answers they call for.

Pure and the same in every process: the upstream builds its bytes from `piece`, the load generator checks against them.
"""

import random
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import orjson

MODEL = "openai/gpt-5.1"
ASKED_MODEL = "claude-sonnet-5"
MARK = b"bench:"
VARIANTS = 64
TOOL_SETS = 20
TOOLS = 24
WORDS = (
    "the",
    "file",
    "reads",
    "path",
    "value",
    "of",
    "and",
    "in",
    "a",
    "command",
    "result",
    "error",
    "test",
    "module",
)
#: What a model says, piece by piece: with what JSON escapes, and with what is not ASCII.
PIECES = (" the", " value", " of", ' "it"', "\n", " naïve", " x = {", " }", " 日本", ".", " and", " a\\b", "\t")


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of traffic, asked in `turns`, on `connections` that are kept alive, each with one request at a time."""

    name: str
    title: str
    requests: int
    connections: int
    turns: int
    is_large: bool = False
    chunks: int = 0
    pause: float = 0.0

    @property
    def is_streamed(self) -> bool:
        return self.chunks > 0

    @property
    def without_stream(self) -> str:
        """The workload with the same request and no stream: the difference is what the chunks cost."""
        return "W2" if self.is_large else "W1"

    def scaled(self, factor: float) -> "Workload":
        return replace(self, requests=max(self.connections, round(self.requests * factor)))


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", "short request, JSON", 4000, 16, 20),
        Workload("W2", "77 KB request with 24 tools, JSON", 2000, 8, 20, is_large=True),
        Workload("W3", "77 KB request, 300 chunks streamed", 600, 8, 20, is_large=True, chunks=300),
        Workload("W5", "200 concurrent streams, 50 chunks, 20 ms apart", 400, 200, 1, chunks=50, pause=0.02),
    )
}


# --- what must be answered -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """What the client must receive for one variant of a workload's answer."""

    text: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int


def piece(workload: Workload, variant: int, position: int) -> str:
    """The text of one chunk. Each variant says something else, so that swapped answers are noticed."""
    if position == 0:
        return f"[{workload.name}/{variant}]"
    return PIECES[(position * 7 + variant) % len(PIECES)]


@cache
def expected(workload: Workload, variant: int) -> Expected:
    text = "".join(piece(workload, variant, position) for position in range(workload.chunks or 40))
    return Expected(text, 1_000 + variant, 512, 100 + variant)


# --- what is asked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as it differs from all others, and the variant of the answer it calls for."""

    session_id: str
    variant: int
    body: bytes


def ask(workload: Workload, seed: int, number: int) -> Ask:
    """Request `number` of a run. No two requests of two runs are the same."""
    draw = random.Random(seed * 1_000_003 + number)
    session_id = f"{draw.getrandbits(32):08x}-0000-4000-8000-{draw.getrandbits(48):012x}"
    variant = number % VARIANTS
    mark = f"{MARK.decode()}{workload.name}:{variant:03d};"
    build = _large_body if workload.is_large else _short_body
    body = build(draw, session_id, mark)
    if workload.is_streamed:
        body["stream"] = True
    return Ask(session_id, variant, orjson.dumps(body))


def _short_body(draw: random.Random, session_id: str, mark: str) -> dict[str, Any]:
    return {
        "model": ASKED_MODEL,
        "max_tokens": 1_000,
        "system": f"You are a careful assistant. {_prose(draw, 20)}",
        "messages": [{"role": "user", "content": f"{mark} {session_id} {_prose(draw, 20)}"}],
        "metadata": {"user_id": session_id},
    }


def _large_body(draw: random.Random, session_id: str, mark: str) -> dict[str, Any]:
    """A second turn of Claude Code: what it read came back from a tool."""
    call_id = f"toolu_{draw.getrandbits(64):016x}"
    ephemeral = {"type": "ephemeral"}
    return {
        "model": ASKED_MODEL,
        "max_tokens": 64_000,
        "system": [
            _text(f"x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint={session_id};"),
            _text("You are Claude Code, a coding agent.", cache_control=ephemeral),
            _text(f"{session_id} {_system_prose(draw.randrange(VARIANTS))}", cache_control=ephemeral),
        ],
        "messages": [
            {"role": "user", "content": [_text(f"{mark} {session_id}"), _text(_prose(draw, 60))]},
            {"role": "system", "content": f"Working directory: /home/{session_id}"},
            {
                "role": "assistant",
                "content": [
                    _text(_prose(draw, 10)),
                    {"type": "tool_use", "id": call_id, "name": "Tool7", "input": {"file_path": f"/{session_id}"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": call_id, "content": _prose(draw, 200), "is_error": False},
                    _text(_prose(draw, 20), cache_control=ephemeral),
                ],
            },
        ],
        "tools": orjson.Fragment(_tools(draw.randrange(TOOL_SETS))),
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": f'{{"device_id":"{session_id}","account_uuid":"","session_id":"{session_id}"}}'},
    }


def _text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def _prose(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


@cache
def _system_prose(variant: int) -> str:
    return _prose(random.Random(variant), 1_650)


@cache
def _tools(which: int) -> bytes:
    return orjson.dumps([_tool(random.Random(which * 100 + n), which, n) for n in range(TOOLS)])


def _tool(draw: random.Random, which: int, number: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        f"argument_{n}": {"type": "string", "description": _prose(draw, 25)} for n in range(4)
    } | {
        "mode": {"type": "string", "enum": ["content", "files", "count"], "description": _prose(draw, 10)},
        "limit": {"type": "integer", "exclusiveMinimum": 0, "description": _prose(draw, 10)},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"key": {"type": "string"}}, "additionalProperties": False},
        },
    }
    return {
        "name": f"Tool{number}",
        "description": f"Set {which}. {_prose(draw, 290)}",
        "input_schema": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": properties,
            "required": ["argument_0"],
            "additionalProperties": False,
        },
    }
