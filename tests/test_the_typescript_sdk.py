"""The official SDK for TypeScript talks to the server: streams added up, tools run, answers parsed, errors told."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up
from testing.server_process import ROOT, ServerProcess
from tests.test_the_official_sdk import TOOLS

SCRIPT = Path(__file__).parent / "typescript_sdk" / "conversations.cjs"
MODULES = ROOT / ".node" / "typescript_sdk" / "node_modules"
RUN_SECONDS = 60
COUNTS = {"input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "server_tool_use"}
THINKERS = [
    "anthropic/claude-haiku-4.5",
    "openai/gpt-5",
    "google/gemini-2.5-pro",
    "x-ai/grok-4",
    "moonshotai/kimi-k2",
    "deepseek/deepseek-chat",
]


@dataclass(frozen=True)
class Told:
    """What a function of the script returned, and the text of every answer on its way there."""

    result: Any
    received: list[str]


Run = Callable[..., Told]


@pytest.fixture
def run(server: ServerProcess) -> Run:
    def run(name: str, **details: Any) -> Told:
        done = subprocess.run(
            ["node", str(SCRIPT), name, orjson.dumps(details)],
            env={
                "PATH": os.environ["PATH"],
                "NODE_PATH": str(MODULES),
                "ANTHROPIC_BASE_URL": server.base_url,
                "ANTHROPIC_API_KEY": server.api_key,
            },
            capture_output=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        return Told(**orjson.loads(done.stdout))

    return run


def asking(prompt: str, model: str = "sonnet", **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 4000, "messages": [{"role": "user", "content": prompt}], **fields}


def streamed(run: Run, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """What the SDK made of the streams. Each is grammatical, and adds up to the same message by our own reading."""
    told = run("streams", requests=requests)
    for answer, text in zip(told.result, told.received, strict=True):
        events = events_of(text.encode())
        check_grammar(events)
        check_same(answer["message"], message_added_up(events))
    return list(told.result)


def check_same(message: dict[str, Any], added_up: dict[str, Any]) -> None:
    """Of the usage, the SDKs add up what they know of; the counts are the same."""
    for name, value in added_up.items():
        if name != "usage":
            assert message[name] == value
    for name in COUNTS & added_up["usage"].keys():
        assert message["usage"][name] == added_up["usage"][name]


def test_a_stream_adds_up_to_its_message(run: Run, server: ServerProcess) -> None:
    (answer,) = streamed(run, asking("[[stream 40 0]]"))
    assert answer["heard"]["text"] == answer["message"]["content"][0]["text"] == "token " * 40
    (row,) = server.records(request_id=answer["requestId"])
    assert answer["message"]["usage"]["output_tokens"] == row["output_tokens"] > 0


def test_the_thinking_of_every_format_is_heard_and_signed(run: Run) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answers = streamed(run, *(asking("[[reasoning_text]]", model, thinking=thinking) for model in THINKERS))
    for model, answer in zip(THINKERS, answers, strict=True):
        thought, *_, text = answer["message"]["content"]
        assert thought["thinking"] == answer["heard"]["thinking"] == "First I think about it. Then I answer.", model
        assert thought["signature"], model
        assert text["text"] == "Hello from the simulator."


def test_redacted_thinking_is_a_block_of_its_own(run: Run) -> None:
    answers = streamed(run, *(asking("[[reasoning_redacted]]", model) for model in THINKERS[:4]))
    assert [answer["heard"]["blocks"] for answer in answers] == [["redacted_thinking", "text"]] * 4


def test_the_arguments_of_tools_are_put_together(run: Run) -> None:
    wanted = {
        "[[bash_echo]]": ["echo hello-from-bash"],
        "[[two_tools]]": ["echo first", "echo second"],
        "[[two_tools_sequential]]": ["echo first", "echo second"],
        "[[interleaved_reasoning]]": ["echo hello-from-bash"],
        "[[tool_then_text]]": ["echo hello-from-bash"],
        "[[whole_arguments]]": ["echo hello-from-bash"],
        "[[repeated_ids]]": ["echo hello-from-bash"],
    }
    cases = [(model, prompt) for model in THINKERS for prompt in wanted]
    answers = streamed(run, *(asking(prompt, model, tools=TOOLS) for model, prompt in cases))
    for (model, prompt), answer in zip(cases, answers, strict=True):
        calls = [block for block in answer["message"]["content"] if block["type"] == "tool_use"]
        assert [call["input"]["command"] for call in calls] == wanted[prompt], (model, prompt)
        assert answer["message"]["stop_reason"] == "tool_use"


def test_a_web_search_is_shown_with_its_sources(run: Run) -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    (answer,) = streamed(run, asking("What is new?", tools=[search]))
    asked, found = (block for block in answer["message"]["content"] if block["type"] != "text")
    assert (asked["type"], found["type"]) == ("server_tool_use", "web_search_tool_result")
    assert found["tool_use_id"] == asked["id"]
    assert found["content"][0]["url"] == "https://example.com/simulated"
    assert answer["message"]["usage"]["server_tool_use"]["web_search_requests"] == 1


def test_odd_answers_add_up(run: Run) -> None:
    prompts = ["[[odd_chunks]]", "[[unicode]]", "[[length]]", "[[content_filter]]", "[[refuse]]", "[[silence 1]]"]
    answers = streamed(run, *(asking(prompt) for prompt in prompts))
    texts = ["".join(block.get("text", "") for block in answer["message"]["content"]) for answer in answers]
    assert texts[:3] == [
        "Odd: Hello from the simulator.",
        "naïve 🙂 \u2028 line\u0085 next [DONE] data: x",
        "This answer is too long to",
    ]
    assert [answer["message"]["stop_reason"] for answer in answers] == [
        *["end_turn", "end_turn", "max_tokens", "refusal", "refusal", "end_turn"]
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner_runs_tools_until_the_answer(run: Run, stream: bool) -> None:
    told = run("tools", requests=[asking("[[reasoning_two_tools]]", model) for model in THINKERS], stream=stream)
    for model, answer in zip(THINKERS, told.result, strict=True):
        assert answer["commands"] == ["echo first", "echo second"], model
        assert answer["message"]["content"][0]["text"].endswith("printed: printed by echo second"), model


def test_a_thread_is_not_found_and_the_tool_runner_sends_the_whole_conversation(run: Run) -> None:
    told = run("tools", requests=[asking("[[reasoning_tool]]")], stream=True)
    first, refused, second = told.received
    assert orjson.loads(refused)["error"]["details"] == {"error_code": "thread_not_found"}
    for text in (first, second):
        check_grammar(events_of(text.encode()))
    assert told.result[0]["message"]["content"][0]["text"].startswith("After thinking")


def test_a_structured_answer_is_parsed(run: Run) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    told = run("structured", request=asking("Name it."), schema=schema)
    assert isinstance(told.result["parsed"]["title"], str)


def test_tokens_are_counted(run: Run) -> None:
    told = run("count", model="sonnet", system="word " * 1000, messages=[{"role": "user", "content": "hi"}])
    assert told.result["input_tokens"] > 1000


def test_models_are_listed_over_all_pages(run: Run) -> None:
    told = run("models", limit=7, named="openai/gpt-5")
    ids = told.result["ids"]
    assert len(ids) == len(set(ids)) > 14
    assert {"haiku", "sonnet", "opus", "openai/gpt-5"} <= set(ids)
    assert told.result["named"]["max_tokens"] == 128_000


def test_errors_have_their_class_status_words_and_request_id(run: Run, server: ServerProcess) -> None:
    wanted = {
        "[[error 400]]": ("BadRequestError", 400, "invalid_request_error"),
        "[[error 402]]": ("PaymentRequiredError", 402, "billing_error"),
        "[[error 403]]": ("PermissionDeniedError", 403, "permission_error"),
        "[[error 429]]": ("RateLimitError", 429, "rate_limit_error"),
        "[[error 529]]": ("OverloadedError", 529, "overloaded_error"),
    }
    requests = [asking(prompt, stream=stream) for prompt in wanted for stream in (False, True)]
    told = run("failures", requests=requests).result
    for error, (kind, status, type_) in zip(told, [row for row in wanted.values() for _ in range(2)], strict=True):
        assert (error["kind"], error["status"], error["type"]) == (kind, status, type_)
        assert error["requestId"] == error["body"]["request_id"]
        assert error["message"]
        (row,) = server.records(request_id=error["requestId"])
        assert (row["status"], row["error_type"]) == (status, type_)


@pytest.mark.parametrize(("marker", "words"), [("[[mid_stream_error]]", "Provider disconnected"), ("[[cut]]", "")])
def test_a_stream_that_breaks_is_an_error_after_its_text(run: Run, marker: str, words: str) -> None:
    told = run("brokenStream", **asking(marker))
    assert told.result["heard"]["text"].startswith("This answer will not be finished")
    assert words in told.result["body"]["error"]["message"]
    assert told.result["body"]["request_id"]
    events = events_of(told.received[0].encode())
    check_grammar(events)
    assert events[-1]["type"] == "error"
