"""The real Claude Code at a limit: it waits and goes on by itself, and says in words what kept it out."""

import time
from collections.abc import Iterator

import pytest

from testing.claude_code import Answer, ask
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import message_body, open_request, post_messages, read_until
from tests.limits import set_limits

#: The client tries a 429 ten times, as late as it is told to: a minute each, here.
AT_ONCE = {"CLAUDE_CODE_MAX_RETRIES": "0"}


@pytest.fixture(scope="module")
def limited(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    with ServerProcess(simulator.base_url) as running:
        running.manage("sync_models")
        yield running


def limit(server: ServerProcess, **amounts: int) -> None:
    set_limits(server, {"applies_to": "member", **amounts})
    time.sleep(2.5)


def claude(server: ServerProcess, prompt: str, **env: str) -> Answer:
    return ask(prompt, ANTHROPIC_BASE_URL=server.base_url, ANTHROPIC_API_KEY=server.api_key, **env)


def test_a_limit_is_told_in_words(limited: ServerProcess) -> None:
    limit(limited, requests_per_minute=1)
    assert post_messages(limited.base_url, limited.api_key).status == 200
    answer = claude(limited, "[[say hello]]", **AT_ONCE)
    assert answer.is_error
    assert (answer.result["api_error_status"], answer.result["api_error_type"]) == (429, "rate_limit_error")
    assert "Rate limit of the member alice@acme.example: at most 1 request a minute. Try again in" in answer.text


def test_it_waits_for_its_turn_by_itself(limited: ServerProcess) -> None:
    limit(limited, concurrent_requests=1)
    body = message_body("[[stream 60 50]]", stream=True, max_tokens=4000)
    with open_request(limited.base_url, limited.api_key, body) as connection:
        read_until(connection, b"text_delta")
        answer = claude(limited, "[[say hello]]")
    assert (answer.is_error, answer.text) == (False, "hello")
    assert "at most 1 request at the same time" in limited.log()
