"""The real Claude Code talks through the server: what it prints, what reaches OpenRouter, what is recorded."""

from collections.abc import Callable
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


def cost_of(rows: list[dict[str, Any]]) -> int:
    return sum(row["cost"] for row in rows)


def charged(simulator: SimulatorProcess, session_id: str) -> int:
    """What the simulator's own account says this session cost, in 10^-12 USD."""
    rows = [row for row in simulator.account()["rows"] if row["session_id"] == session_id]
    return int(sum(Decimal(row["cost"]) for row in rows) * 10**12)


def test_a_plain_answer(claude: Claude, server: ServerProcess, upstream_requests: Bodies) -> None:
    answer = claude("[[say good morning]]")
    assert (answer.exit_code, answer.is_error, answer.text) == (0, False, "good morning")
    (body,) = upstream_requests(answer.session_id)
    assert body["model"] == "openai/gpt-5"
    assert body["messages"][0]["role"] == "system"
    assert "x-anthropic-billing-header" not in str(body["messages"])
    (row,) = server.records(session_id=answer.session_id)
    assert (row["state"], row["status"], row["stop_reason"], bool(row["streamed"])) == (
        "completed",
        200,
        "end_turn",
        True,
    )
    assert (row["team_name"], row["email"], row["model"]) == ("Acme", "alice@acme.example", "openai/gpt-5")
    assert row["requested_model"].startswith("claude-")


def test_a_bash_tool_makes_a_round_trip(
    claude: Claude, server: ServerProcess, simulator: SimulatorProcess, upstream_requests: Bodies
) -> None:
    answer = claude("[[bash_echo]]")
    assert (answer.is_error, answer.text) == (False, "The command printed: hello-from-bash")
    first, second = upstream_requests(answer.session_id)
    assert {tool["function"]["name"] for tool in first["tools"]} >= {"Bash", "Read"}
    assistant, tool = (message for message in second["messages"] if message["role"] in {"assistant", "tool"})
    assert tool["tool_call_id"] == assistant["tool_calls"][0]["id"]
    assert "hello-from-bash" in tool["content"]
    rows = server.records(session_id=answer.session_id)
    assert [row["stop_reason"] for row in rows] == ["tool_use", "end_turn"]
    assert rows[1]["cache_read_tokens"] > 0
    assert all(row["cost_source"] == "upstream" for row in rows)
    assert cost_of(rows) == charged(simulator, answer.session_id) > 0


def test_two_tools_run_from_one_answer(claude: Claude) -> None:
    assert claude("[[two_tools]]").text.startswith("Both commands are done")


@pytest.mark.parametrize(("name", "content", "seen"), [("red.png", png(), "1 images"), ("page.pdf", pdf(), "1 files")])
def test_an_image_and_a_pdf_are_read(claude: Claude, tmp_path: Path, name: str, content: bytes, seen: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    answer = claude(f"[[read {path}]]", "--add-dir", str(tmp_path))
    assert not answer.is_error
    assert seen in answer.text


def test_a_web_search_brings_back_its_sources(claude: Claude, server: ServerProcess) -> None:
    answer = claude("[[web_search]]")
    assert not answer.is_error
    assert "https://example.com/simulated" in answer.text
    assert sum(row["web_searches"] for row in server.records(session_id=answer.session_id)) == 1


def test_a_subagent_is_recorded_under_its_session(claude: Claude, server: ServerProcess) -> None:
    answer = claude("[[subagent]]")
    assert not answer.is_error
    rows = server.records(session_id=answer.session_id)
    assert [row for row in rows if row["agent_id"]], "no record names its agent"
    assert [row for row in rows if not row["agent_id"]]


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
def test_every_family_thinks_and_uses_tools(claude: Claude, server: ServerProcess, model: str) -> None:
    """The simulator refuses what each provider refuses: schemas, ids, altered or missing reasoning."""
    answer = claude("[[reasoning_tool]]", "--model", model)
    assert (answer.is_error, answer.text) == (False, "After thinking, the command printed: hello-from-bash")
    assert {row["model"] for row in server.records(session_id=answer.session_id)} == {model}


def test_a_bearer_token_works_like_a_key(claude: Claude, server: ServerProcess) -> None:
    assert claude("[[say token]]", ANTHROPIC_AUTH_TOKEN=server.api_key).text == "token"


def test_a_revoked_key_is_refused(claude: Claude, server: ServerProcess) -> None:
    key = server.new_key()
    assert claude("[[say hello]]", ANTHROPIC_API_KEY=key).text == "hello"
    server.manage("revokekey", key)
    answer = _eventually_refused(claude, key)
    assert answer.result["api_error_status"] == 401


def _eventually_refused(claude: Claude, key: str) -> Answer:
    """A change made by another process is in force within seconds."""
    for _ in range(5):
        answer = claude("[[say hello]]", ANTHROPIC_API_KEY=key)
        if answer.is_error:
            break
    return answer


def test_an_unknown_model_is_named_with_the_nearest_ones(claude: Claude) -> None:
    answer = claude("[[text]]", "--model", "gpt-five")
    assert answer.is_error
    assert "gpt-five" in answer.text


def test_an_upstream_429_is_retried_by_the_client(claude: Claude, server: ServerProcess) -> None:
    answer = claude("[[rate_limited_once#e2e]]")
    assert not answer.is_error
    rows = server.records(session_id=answer.session_id)
    assert [(row["state"], row["status"]) for row in rows] == [("error", 429), ("completed", 200)]
    assert rows[0]["error_type"] == "rate_limit_error"


def test_an_error_in_mid_stream_reaches_the_client(
    claude: Claude, server: ServerProcess, simulator: SimulatorProcess
) -> None:
    broken = [{"text": "half an ans", "pieces": 3}, {"error": {"code": 502, "message": "Provider disconnected"}}]
    simulator.register({"name": "breaks_once", "turns": [{"attempts": [broken, [{"text": "whole"}]]}]})
    answer = claude("[[breaks_once#e2e]]")
    rows = server.records(session_id=answer.session_id)
    assert (rows[0]["state"], rows[0]["error_message"]) == ("error", "Provider disconnected")
    assert (answer.is_error, answer.text) == (False, "whole"), "the client did not notice that the answer broke"
    assert rows[-1]["state"] == "completed"


def test_a_prompt_that_is_too_long_is_told_in_the_words_the_client_knows(claude: Claude) -> None:
    answer = claude("[[context_overflow]]")
    assert "Prompt is too long" in answer.text


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
