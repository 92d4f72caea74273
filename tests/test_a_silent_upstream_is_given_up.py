"""An upstream that stops answering is given up in time, whatever keeps its connection alive."""

import time
from collections.abc import Iterator

import pytest

from messages_api.tests.stream_grammar import check_grammar, events_of
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, message_body, post_messages, send

CONTENT_SECONDS, SILENCE_SECONDS = 4, 2
#: One is relayed as Messages, the other translated.
MODELS = ["anthropic/claude-sonnet-5", "openai/gpt-5"]


@pytest.fixture(scope="module")
def impatient(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    seconds = {"CONTENT_SECONDS": str(CONTENT_SECONDS), "SILENCE_SECONDS": str(SILENCE_SECONDS), "RETRY_SECONDS": "0"}
    with ServerProcess(simulator.base_url, **seconds) as running:
        yield running


def asked(server: ServerProcess, prompt: str, model: str) -> tuple[Reply, float]:
    """The answer, a well-formed stream, and how long it took."""
    began = time.monotonic()
    body = message_body(prompt, model=model, stream=True)
    reply = send(server.base_url, "POST", "/v1/messages", body, {"x-api-key": server.api_key})
    seconds = time.monotonic() - began
    check_grammar(events_of(reply.body))
    return reply, seconds


@pytest.mark.parametrize("model", MODELS)
def test_comments_do_not_keep_an_answer_without_content_alive(impatient: ServerProcess, model: str) -> None:
    reply, seconds = asked(impatient, "[[silence 30]]", model)
    assert reply.status == 200  # it had begun to wait aloud
    assert reply.body.rstrip().rpartition(b"event: ")[2].startswith(b"error\n")
    assert b'"type":"timeout_error"' in reply.body
    assert CONTENT_SECONDS <= seconds < CONTENT_SECONDS + 4


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_falls_silent_in_its_middle_is_given_up_sooner(impatient: ServerProcess, model: str) -> None:
    reply, seconds = asked(impatient, "[[stall 30]]", model)
    assert b"text_delta" in reply.body
    assert reply.body.rstrip().rpartition(b"event: ")[2].startswith(b"error\n")
    assert b'"type":"timeout_error"' in reply.body
    assert b"message_stop" not in reply.body
    assert SILENCE_SECONDS <= seconds < CONTENT_SECONDS


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_is_only_slow_is_not(impatient: ServerProcess, model: str) -> None:
    reply, _ = asked(impatient, "[[stream 30 100]]", model)
    assert reply.body.rstrip().endswith(b'data: {"type":"message_stop"}')


def test_what_was_given_up_is_recorded_as_an_error(impatient: ServerProcess) -> None:
    session = "silent-upstream"
    body = message_body("[[stall 30]]", stream=True)
    headers = {"x-api-key": impatient.api_key, "x-claude-code-session-id": session}
    reply = send(impatient.base_url, "POST", "/v1/messages", body, headers)
    check_grammar(events_of(reply.body))
    (row,) = impatient.records(session_id=session)
    assert (row["state"], row["status"], row["error_type"]) == ("error", 504, "timeout_error")


def test_an_error_before_the_first_byte_keeps_its_status(impatient: ServerProcess) -> None:
    assert post_messages(impatient.base_url, impatient.api_key, prompt="[[error 504]]", stream=True).status == 504
