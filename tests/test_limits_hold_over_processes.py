"""Limits at real servers: what a client is told, two processes with one Redis, its death, and that of a server."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import pytest

from testing.redis_process import RedisProcess
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, message_body, open_request, post_messages, read_until, send
from tests.limits import set_limits

RESET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LONG = message_body("[[stream 200 50]]", stream=True, max_tokens=4000)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as running:
        yield running


@pytest.fixture(scope="module")
def pair(simulator: SimulatorProcess, redis: RedisProcess) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two servers with one database and one Redis."""
    with (
        ServerProcess(simulator.base_url, REDIS_URL=redis.url) as one,
        ServerProcess(simulator.base_url, REDIS_URL=redis.url, DATABASE_URL=one.database_url) as other,
    ):
        yield one, other


@pytest.fixture
def limited(pair: tuple[ServerProcess, ServerProcess]) -> "Limited":
    return Limited(*pair)


class Limited:
    """Both servers, and a client of the team that is limited."""

    def __init__(self, *servers: ServerProcess) -> None:
        self.servers = servers
        self.api_key = servers[0].api_key

    def to(self, **limit: object) -> None:
        """One limit alone, which both servers know of. Of a limit for the key nothing is used: it is a new one."""
        self.api_key = self.servers[0].new_key()
        set_limits(self.servers[0], limit)
        time.sleep(2.5)

    def ask(self, number: int = 0, prompt: str = "[[text]]", **body: object) -> Reply:
        server = self.servers[number % 2]
        return post_messages(server.base_url, self.api_key, messages=[{"role": "user", "content": prompt}], **body)


def seconds_until(moment: str) -> float:
    assert RESET.fullmatch(moment)
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


def test_two_servers_share_a_limit_and_tell_what_is_left(limited: Limited) -> None:
    limited.to(applies_to="team", requests_per_minute=6, tokens_per_minute=100_000)
    replies = [limited.ask(number, stream=number % 3 == 0) for number in range(8)]
    assert [reply.status for reply in replies] == [200] * 6 + [429] * 2
    left = [int(reply.headers["anthropic-ratelimit-requests-remaining"]) for reply in replies]
    assert left == [5, 4, 3, 2, 1, 0, 0, 0]
    for reply in replies:
        assert reply.headers["anthropic-ratelimit-requests-limit"] == "6"
        assert 40 < seconds_until(reply.headers["anthropic-ratelimit-requests-reset"]) <= 61
        assert reply.headers["anthropic-ratelimit-tokens-limit"] == "100000"
        assert 90_000 < int(reply.headers["anthropic-ratelimit-tokens-remaining"]) < 100_000
        assert 40 < seconds_until(reply.headers["anthropic-ratelimit-tokens-reset"]) <= 61
        assert not any("unified" in name for name in reply.headers)
    refused = replies[-1]
    assert refused.json["error"]["type"] == "rate_limit_error"
    seconds = int(refused.headers["retry-after"])
    assert 1 <= seconds <= 61
    assert refused.json["error"]["message"] == (
        f"Rate limit of the team Acme: at most 6 requests a minute. Try again in {seconds} seconds."
    )
    assert "x-should-retry" not in refused.headers, "the client tries it again, and should"


def test_counting_tokens_and_listing_models_is_never_limited(limited: Limited) -> None:
    limited.to(applies_to="each_member", requests_per_minute=1, tokens_per_minute=1, concurrent_requests=1)
    assert [limited.ask().status for _ in range(2)] == [200, 429]
    base_url, headers = limited.servers[0].base_url, {"x-api-key": limited.api_key}
    body = message_body()
    for _ in range(10):
        for reply in (
            send(base_url, "POST", "/v1/messages/count_tokens", body, headers),
            send(base_url, "GET", "/v1/models?limit=1000", headers=headers),
        ):
            assert reply.status == 200
            assert not any(name.startswith("anthropic-ratelimit") for name in reply.headers)
    assert limited.ask().status == 429


def test_fifty_at_once_are_five_at_a_time_over_both_servers(limited: Limited, simulator: SimulatorProcess) -> None:
    limited.to(applies_to="team", concurrent_requests=5)
    assert simulator.state()["open_requests"] == 0
    seen: list[int] = []
    refused: Counter[str] = Counter()

    async def ask_until_answered(client: aiohttp.ClientSession, number: int) -> None:
        body = message_body(f"[[stream 20 10]] {number}", stream=True, max_tokens=4000)
        url = f"{limited.servers[number % 2].base_url}/v1/messages"
        while True:
            async with client.post(url, data=body) as response:
                answer = await response.read()
                if response.status == 200:
                    assert b"message_stop" in answer
                    return
                assert response.status == 429
                assert "retry-after" not in response.headers, "nobody knows when an answer ends"
                refused[(await response.json())["error"]["message"]] += 1
            await asyncio.sleep(0.1)

    async def watch() -> None:
        while True:
            seen.append((await asyncio.to_thread(simulator.state))["open_requests"])
            await asyncio.sleep(0.01)

    async def ask_all() -> None:
        async with aiohttp.ClientSession(headers={"x-api-key": limited.api_key}) as client:
            watching = asyncio.create_task(watch())
            await asyncio.gather(*(ask_until_answered(client, number) for number in range(50)))
            watching.cancel()

    asyncio.run(ask_all())
    assert max(seen) == 5
    (words,) = refused
    assert words == "Rate limit of the team Acme: at most 5 requests at the same time. Try again when one has ended."
    assert refused[words] >= 45


def test_redis_dies_and_comes_back_and_nobody_is_turned_away_for_it(limited: Limited, redis: RedisProcess) -> None:
    limited.to(applies_to="key", requests_per_minute=8, concurrent_requests=4)
    logs = [len(server.log()) for server in limited.servers]
    with open_request(limited.servers[1].base_url, limited.api_key, LONG) as streaming:
        read_until(streaming, b"text_delta")
        redis.kill()
        try:
            assert [limited.ask(number).status for number in range(14)] == [200] * 14, "each alone: 7, and the stream"
            assert [limited.ask(number).status for number in range(4)] == [200, 429, 429, 429]
        finally:
            redis.start()
        time.sleep(2.5)
        for server, length in zip(limited.servers, logs, strict=True):
            said = [line for line in server.log()[length:].splitlines() if "Limits:" in line]
            assert [("Redis fails" in line, "Redis works again" in line) for line in said] == [
                (True, False),
                (False, True),
            ]
        shared = [limited.ask(number).status for number in range(10)]
        assert shared == [200] * 8 + [429] * 2, "counted together, from nothing"
    for server in limited.servers:
        assert all(row["state"] in {"completed", "aborted"} for row in server.records())


def places_left(limited: Limited, server: ServerProcess, limit: int) -> int:
    """How many streams can be opened at `server` at once, up to `limit`; all are closed again."""
    opened = []
    try:
        for _ in range(limit):
            request = open_request(server.base_url, limited.api_key, LONG)
            connection = request.__enter__()
            opened.append(request)
            if b" 429 " in read_until(connection, b"\r\n").partition(b"\r\n")[0]:
                return len(opened) - 1
        return limit
    finally:
        for request in opened:
            request.__exit__(None, None, None)
        time.sleep(0.5)


def test_a_server_that_is_stopped_frees_its_places_at_once(limited: Limited) -> None:
    limited.to(applies_to="team", concurrent_requests=2)
    one, other = limited.servers
    with open_request(one.base_url, limited.api_key, LONG) as streaming:
        read_until(streaming, b"text_delta")
        assert places_left(limited, other, 2) == 1
        assert one.stop() == 0
    try:
        assert places_left(limited, other, 2) == 2
    finally:
        one.start()


@pytest.mark.proof
@pytest.mark.timeout(180)
def test_a_server_that_is_killed_frees_its_places_after_its_leases(limited: Limited) -> None:
    limited.to(applies_to="team", concurrent_requests=2)
    one, other = limited.servers
    slow = message_body("[[stream 600 250]]", stream=True, max_tokens=4000)
    with (
        open_request(one.base_url, limited.api_key, slow) as killed,
        open_request(other.base_url, limited.api_key, slow) as living,
    ):
        read_until(killed, b"text_delta")
        read_until(living, b"text_delta")
        one.kill()
        try:
            began = time.monotonic()
            while places_left(limited, other, 2) == 0:
                assert time.monotonic() - began < 70, "the places of a killed process stay taken"
                time.sleep(2)
            assert time.monotonic() - began > 30
            assert places_left(limited, other, 2) == 1, "a stream longer than its lease has renewed it"
        finally:
            one.start()


def test_an_answer_that_fails_or_is_left_frees_its_place(limited: Limited) -> None:
    limited.to(applies_to="member", concurrent_requests=1)
    server = limited.servers[0]
    for prompt in ("[[error 400]]", "[[mid_stream_error]]", "[[cut]]", "[[text]]"):
        for stream in (True, False):
            reply = limited.ask(0, f"{prompt} {uuid4()}", stream=stream)
            assert reply.status != 429, prompt
    for _ in range(5):
        with open_request(server.base_url, limited.api_key, LONG) as connection:
            read_until(connection, b"text_delta")
        time.sleep(0.5)
    assert places_left(limited, server, 1) == 1


@pytest.mark.parametrize(("prompt", "status"), [("[[error 400]]", 400), ("[[error 429]]", 429), ("[[error 529]]", 529)])
def test_an_error_after_admission_tells_what_is_left_as_an_answer_does(
    limited: Limited, prompt: str, status: int
) -> None:
    limited.to(applies_to="key", requests_per_minute=6)
    for stream, left in ((False, "5"), (True, "4")):
        reply = limited.ask(prompt=prompt, stream=stream)
        assert reply.status == status
        assert reply.headers["anthropic-ratelimit-requests-limit"] == "6"
        assert reply.headers["anthropic-ratelimit-requests-remaining"] == left
