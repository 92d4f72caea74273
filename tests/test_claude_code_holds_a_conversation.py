"""The real Claude Code talks through the server: what it prints, what reaches OpenRouter, what is recorded."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from testing.claude_code import Answer, terminal
from testing.files import pdf, png
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess

Claude = Callable[..., Answer]
Bodies = Callable[[str], list[dict[str, Any]]]
Rows = list[dict[str, Any]]


@pytest.fixture
def talk(claude: Claude, server: ServerProcess, upstream_requests: Bodies) -> Callable[..., "Conversation"]:
    """Hold a conversation, and look at it from all sides: each request upstream has exactly one settled record."""

    def run(prompt: str, *arguments: str, **env: str) -> Conversation:
        answer = claude(prompt, *arguments, **env)
        rows = server.records(session_id=answer.session_id)
        bodies = upstream_requests(answer.session_id)
        assert {row["model"] for row in rows} == {body["model"] for body in bodies}
        assert all(row["state"] in {"completed", "error"} for row in rows)
        assert all((row["team_name"], row["email"]) == ("Acme", "alice@acme.example") for row in rows)
        return Conversation(answer, bodies, rows)

    return run


@dataclass(frozen=True)
class Conversation:
    """What the client printed, what reached the upstream, and what was recorded."""

    answer: Answer
    bodies: list[dict[str, Any]]
    rows: Rows

    @property
    def text(self) -> str:
        assert not self.answer.is_error, self.answer.text
        return self.answer.text

    @property
    def outcomes(self) -> list[tuple[str, int]]:
        return [(row["state"], row["status"]) for row in self.rows]


Talk = Callable[..., Conversation]
#: By default the client's own names lead to a model that is translated; this one is relayed.
CLAUDE = ("--model", "anthropic/claude-sonnet-5")


def charged(simulator: SimulatorProcess, session_id: str) -> int:
    """What the simulator's own account says this session cost, in 10^-12 USD."""
    rows = [row for row in simulator.account()["rows"] if row["session_id"] == session_id]
    return int(sum(Decimal(row["cost"]) for row in rows) * 10**12)


def test_a_plain_answer(talk: Talk) -> None:
    talked = talk("[[say good morning]]")
    assert (talked.answer.exit_code, talked.text) == (0, "good morning")
    (body,), (row,) = talked.bodies, talked.rows
    assert body["messages"][0]["role"] == "system"
    assert "x-anthropic-billing-header" not in str(body["messages"])
    assert (row["status"], row["stop_reason"], bool(row["streamed"])) == (200, "end_turn", True)
    assert row["requested_model"].startswith("claude-")


def test_a_plain_answer_of_claudes(talk: Talk) -> None:
    talked = talk("[[say good morning]]", *CLAUDE)
    assert (talked.answer.exit_code, talked.text) == (0, "good morning")
    (body,), (row,) = talked.bodies, talked.rows
    assert "x-anthropic-billing-header" in str(body["system"]), "what is relayed passes as it came"
    assert (row["status"], row["stop_reason"], bool(row["streamed"])) == (200, "end_turn", True)
    assert row["model"] == "anthropic/claude-sonnet-5"


def test_a_bash_tool_makes_a_round_trip(talk: Talk, simulator: SimulatorProcess) -> None:
    talked = talk("[[bash_echo]]")
    assert talked.text == "The command printed: hello-from-bash"
    first, second = talked.bodies
    assert {tool["function"]["name"] for tool in first["tools"]} >= {"Bash", "Read"}
    assistant, tool = (message for message in second["messages"] if message["role"] in {"assistant", "tool"})
    assert tool["tool_call_id"] == assistant["tool_calls"][0]["id"]
    assert "hello-from-bash" in tool["content"]
    is_paid_for(talked, simulator)


def test_a_bash_tool_makes_a_round_trip_with_claude(talk: Talk, simulator: SimulatorProcess) -> None:
    talked = talk("[[bash_echo]]", *CLAUDE)
    assert talked.text == "The command printed: hello-from-bash"
    first, second = talked.bodies
    assert {tool["name"] for tool in first["tools"]} >= {"Bash", "Read"}
    blocks = [block for message in second["messages"] for block in message["content"] if isinstance(block, dict)]
    (call,) = (block for block in blocks if block["type"] == "tool_use")
    (result,) = (block for block in blocks if block["type"] == "tool_result")
    assert result["tool_use_id"] == call["id"]
    assert "hello-from-bash" in str(result["content"])
    is_paid_for(talked, simulator)


def is_paid_for(talked: Conversation, simulator: SimulatorProcess) -> None:
    assert [row["stop_reason"] for row in talked.rows] == ["tool_use", "end_turn"]
    assert talked.rows[1]["cache_read_tokens"] > 0
    assert all(row["cost_source"] == "upstream" for row in talked.rows)
    assert sum(row["cost"] for row in talked.rows) == charged(simulator, talked.answer.session_id) > 0


def test_two_tools_run_from_one_answer(talk: Talk) -> None:
    talked = talk("[[two_tools]]")
    assert talked.text.startswith("Both commands are done")
    results = [message for message in talked.bodies[-1]["messages"] if message["role"] == "tool"]
    assert len(results) == len({result["tool_call_id"] for result in results}) == 2
    assert talked.outcomes == [("completed", 200)] * 2


@pytest.mark.parametrize(
    ("name", "content", "seen", "kind"),
    [("red.png", png(), "1 images", "image_url"), ("page.pdf", pdf(), "1 files", "file")],
)
def test_an_image_and_a_pdf_are_read(
    talk: Talk, tmp_path: Path, name: str, content: bytes, seen: str, kind: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    talked = talk(f"[[read {path}]]", "--add-dir", str(tmp_path))
    assert seen in talked.text
    parts = [part for message in talked.bodies[-1]["messages"] for part in message["content"] or ""]
    assert [part["type"] for part in parts if isinstance(part, dict)].count(kind) == 1
    assert talked.outcomes == [("completed", 200)] * 2


@pytest.mark.parametrize(
    ("arguments", "kind"), [((), "openrouter:web_search"), (CLAUDE, "web_search_20250305")], ids=["gpt", "claude"]
)
def test_a_web_search_brings_back_its_sources(talk: Talk, arguments: tuple[str, ...], kind: str) -> None:
    talked = talk("[[web_search]]", *arguments)
    assert "https://example.com/simulated" in talked.text
    asked = [tool for body in talked.bodies for tool in body.get("tools") or () if tool.get("type") == kind]
    assert len(asked) == 1
    assert sum(row["web_searches"] for row in talked.rows) == 1


def test_a_subagent_is_recorded_under_its_session(talk: Talk) -> None:
    talked = talk("[[subagent]]")
    assert talked.text
    by_agent = {bool(row["agent_id"]): row for row in talked.rows}
    assert by_agent.keys() == {True, False}
    assert len(talked.bodies) >= 3


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-5",
        "anthropic/claude-sonnet-5",
        "google/gemini-2.5-pro",
        "deepseek/deepseek-chat",
        "mistralai/mistral-large",
        "moonshotai/kimi-k2",
        "x-ai/grok-4",
        "cohere/command-a",
        "meta-llama/llama-3.3-70b-instruct",
        "qwen/qwen3-coder",
    ],
)
def test_every_family_thinks_and_uses_tools(talk: Talk, model: str) -> None:
    """The simulator refuses what each provider refuses: schemas, ids, altered or missing reasoning."""
    talked = talk("[[reasoning_tool]]", "--model", model)
    assert talked.text == "After thinking, the command printed: hello-from-bash"
    assert {body["model"] for body in talked.bodies} == {model}
    assert talked.outcomes == [("completed", 200)] * 2


def test_a_bearer_token_works_like_a_key(talk: Talk, server: ServerProcess) -> None:
    talked = talk("[[say token]]", ANTHROPIC_AUTH_TOKEN=server.api_key)
    assert talked.text == "token"
    assert talked.outcomes == [("completed", 200)]


def test_a_revoked_key_is_refused(talk: Talk, server: ServerProcess) -> None:
    key = server.new_key()
    assert talk("[[say hello]]", ANTHROPIC_API_KEY=key).text == "hello"
    server.manage("revokekey", key)
    for _ in range(5):  # a change made by another process is in force within seconds
        talked = talk("[[say hello]]", ANTHROPIC_API_KEY=key)
        if talked.answer.is_error:
            break
    assert talked.answer.result["api_error_status"] == 401
    assert (talked.bodies, talked.rows) == ([], []), "what is refused at the door goes nowhere"


def test_an_unknown_model_is_named_with_the_nearest_ones(talk: Talk, server: ServerProcess) -> None:
    talked = talk("[[text]]", "--model", "openai/gpt-five")
    assert talked.answer.is_error
    assert (talked.bodies, talked.rows) == ([], [])
    told = [line for line in server.log().splitlines() if "openai/gpt-five" in line]
    assert "The nearest names are: openai/gpt-5" in told[-1]


def test_an_upstream_429_is_tried_again_before_the_client_hears_of_it(talk: Talk) -> None:
    talked = talk("[[rate_limited_once#e2e]]")
    assert talked.text == "Hello from the simulator."
    (row,) = talked.rows
    assert (row["state"], row["status"]) == ("completed", 200)
    assert len(talked.bodies) == 2


def test_an_error_in_mid_stream_reaches_the_client(talk: Talk, simulator: SimulatorProcess) -> None:
    broken = [{"text": "half an ans", "pieces": 3}, {"error": {"code": 502, "message": "Provider disconnected"}}]
    simulator.register({"name": "breaks_once", "turns": [{"attempts": [broken, [{"text": "whole"}]]}]})
    talked = talk("[[breaks_once#e2e]]")
    assert talked.text == "whole", "the client did not notice that the answer broke"
    assert talked.outcomes == [("error", 502), ("completed", 200)]
    assert talked.rows[0]["error_message"] == "Provider disconnected"


def test_a_prompt_that_is_too_long_is_told_in_the_words_the_client_knows(talk: Talk) -> None:
    talked = talk("[[context_overflow]]")
    assert "Prompt is too long" in talked.answer.text
    assert set(talked.outcomes) == {("error", 400)}


def test_a_session_in_a_terminal_gets_its_title(server: ServerProcess, simulator: SimulatorProcess) -> None:
    """The title request asks for structured output, beside the first turn."""
    with terminal(server.base_url, server.api_key) as screen:
        screen.wait_for("for agents")
        screen.type("[[say hello from the gateway]] fix the login button")
        screen.wait_for("hello from the gateway", seconds=20)
        screen.watch(2)
    asked = [request for request in simulator.requests() if "response_format" in (request["body"] or {})]
    titles = [request for request in asked if "login button" in str(request["body"]["messages"])]
    assert titles, "the client asked for no title"
    assert {request["status"] for request in titles} == {200}
    assert titles[0]["body"]["response_format"]["json_schema"]["schema"]["required"] == ["title"]
    rows = server.records(session_id=titles[0]["body"]["session_id"])
    assert [(row["state"], row["status"]) for row in rows] == [("completed", 200)] * len(rows)
    assert len(rows) >= 2
