"""Whatever happens to a request, its record ends in exactly one settled state, and nothing is lost."""

import asyncio
import os
import time
from decimal import Decimal
from uuid import uuid4

import aiohttp
import pytest

from messages_api.tests.stream_grammar import check_beginning, check_grammar, events_of
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import message_body, open_request, post_messages, read_until, send, streamed

SECONDS_UNTIL_CLOSED = 3.0


def until(condition: object, what: str) -> None:
    """Wait a little for something that happens in another process."""
    assert callable(condition)
    deadline = time.monotonic() + SECONDS_UNTIL_CLOSED
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS_UNTIL_CLOSED} s: {what}"
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_closes_the_upstream_and_is_settled(
    server: ServerProcess, simulator: SimulatorProcess, stream: bool
) -> None:
    session = str(uuid4())
    body = message_body("[[stream 200 50]]", stream=stream, max_tokens=4000)
    with open_request(server.base_url, server.api_key, body, session) as connection:
        if stream:
            told = b"".join(read_until(connection, b"text_delta") for _ in range(10))
        else:
            until(lambda: simulator.state()["open_requests"], "the request reached the upstream")
    until(lambda: simulator.state()["open_requests"] == 0, "the upstream saw the client leave")
    (row,) = server.records(session_id=session)
    assert (row["state"], row["status"]) == ("aborted", 499)
    if stream:
        check_beginning(events_of(streamed(told)))
        assert (
            row["output_tokens"] >= told.count(b"token ") * len("token ") // 4 > 0
        )  # far more than message_start told


def test_many_requests_at_once_cost_what_the_upstream_charged(
    server: ServerProcess, simulator: SimulatorProcess
) -> None:
    session = str(uuid4())
    streams: list[str] = []
    prompts = ["[[text]]", "[[stream 20 1]]", "[[error 429]]", "[[mid_stream_error]]", "[[reasoning_text]]"] * 12

    async def ask_all() -> None:
        headers = {"x-api-key": server.api_key, "x-claude-code-session-id": session}
        async with aiohttp.ClientSession(base_url=server.base_url, headers=headers) as client:
            await asyncio.gather(*(ask_one(client, prompt, number) for number, prompt in enumerate(prompts)))

    async def ask_one(client: aiohttp.ClientSession, prompt: str, number: int) -> None:
        body = message_body(f"{prompt} {number}", stream=number % 2 == 0, max_tokens=2000)
        async with client.post("/v1/messages", data=body) as response:
            data = await response.read()
        if response.content_type == "text/event-stream":
            check_grammar(events_of(data))
            streams.append(prompt)

    asyncio.run(ask_all())
    assert set(streams) == {prompt for prompt in prompts if "429" not in prompt}
    rows = server.records(session_id=session)
    assert len(rows) == len({row["request_id"] for row in rows}) == len(prompts)
    assert {row["state"] for row in rows} == {"completed", "error"}
    completed = {row["generation_id"]: row["cost"] for row in rows if row["state"] == "completed"}
    charges = {row["generation_id"]: int(Decimal(row["cost"]) * 10**12) for row in simulator.account()["rows"]}
    assert completed == {generation: charges[generation] for generation in completed}


def test_a_killed_server_loses_no_record(simulator: SimulatorProcess) -> None:
    with ServerProcess(simulator.base_url) as server:
        for _ in range(5):
            assert post_messages(server.base_url, server.api_key).status == 200
        body = message_body("[[stream 200 50]]", stream=True, max_tokens=4000)
        with open_request(server.base_url, server.api_key, body) as connection:
            check_beginning(events_of(streamed(read_until(connection, b"text_delta"))))
            server.kill()
        server.start()
        until(lambda: len(server.records()) == 6, "all records are in the database")
        states = sorted(row["state"] for row in server.records())
        assert states == ["completed"] * 5 + ["lost"]


def test_a_stopped_server_ends_its_streams_and_settles_them(simulator: SimulatorProcess) -> None:
    with ServerProcess(simulator.base_url, DRAIN_SECONDS="1.5") as server:
        body = message_body("[[stream 200 50]]", stream=True, max_tokens=4000)
        with open_request(server.base_url, server.api_key, body) as connection:
            received = read_until(connection, b"text_delta")
            server.begin_to_stop()
            until(lambda: send(server.base_url, "GET", "/readyz").status == 503, "readyz fails while draining")
            received += read_until(connection, b"0\r\n\r\n")
            check_grammar(events := events_of(streamed(received)))
            assert events[-1]["error"]["type"] == "overloaded_error"
            assert events[-1]["request_id"]
            assert server.wait() == 0
        (row,) = server.records()
        assert (row["state"], row["error_type"]) == ("error", "overloaded_error")


def test_a_stream_that_ends_in_time_is_not_cut_by_stopping(simulator: SimulatorProcess) -> None:
    with ServerProcess(simulator.base_url, DRAIN_SECONDS="10") as server:
        body = message_body("[[stream 20 50]]", stream=True, max_tokens=4000)
        with open_request(server.base_url, server.api_key, body) as connection:
            received = read_until(connection, b"text_delta")
            server.begin_to_stop()
            check_grammar(events := events_of(streamed(received + read_until(connection, b"0\r\n\r\n"))))
            assert events[-1]["type"] == "message_stop"
            assert server.wait() == 0
        assert [row["state"] for row in server.records()] == ["completed"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_without_an_answer_yet_is_told_that_the_server_restarts(
    simulator: SimulatorProcess, stream: bool
) -> None:
    with ServerProcess(simulator.base_url, DRAIN_SECONDS="0.5") as server:
        body = message_body("[[silence 25]]", stream=stream)
        with open_request(server.base_url, server.api_key, body) as connection:
            until(lambda: simulator.state()["open_requests"], "the request reached the upstream")
            server.begin_to_stop()
            answer = read_until(connection, b'"request_id"')
            assert answer.startswith(b"HTTP/1.1 529")
            assert b"overloaded_error" in answer
            assert server.wait() == 0
        (row,) = server.records()
        assert (row["state"], row["status"]) == ("error", 529)
    until(lambda: simulator.state()["open_requests"] == 0, "the upstream was closed")


@pytest.mark.skipif(
    not os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="SQLite has no connection to kill"
)
def test_a_killed_database_connection_is_replaced(server: ServerProcess) -> None:
    assert post_messages(server.base_url, server.api_key).status == 200
    server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    reply = post_messages(server.base_url, server.new_key())
    assert reply.status == 200
    assert server.records(request_id=reply.headers["request-id"])[0]["state"] == "completed"


def test_a_silent_upstream_is_bridged_by_pings(server: ServerProcess) -> None:
    body = message_body("[[silence 12]]", stream=True)
    with open_request(server.base_url, server.api_key, body) as connection:
        began = time.monotonic()
        received = read_until(connection, b"event: message_start")
        assert time.monotonic() - began < 11.5
        received += read_until(connection, b"0\r\n\r\n")
    check_grammar(events := events_of(streamed(received)))
    assert [event["type"] for event in events].count("message_start") == 1
    assert events[-1]["type"] == "message_stop"
