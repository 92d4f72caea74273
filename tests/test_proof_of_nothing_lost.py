"""Long proofs, run by `make proof`: a client that does not read for a minute, and kills amid many streams."""

import asyncio
import contextlib
import random
import socket
import time
from decimal import Decimal

import aiohttp
import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import message_body, open_request, read_until

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

ROUNDS = 10
AT_ONCE = 200
PROMPTS = ["[[text]]", "[[stream 20 10]]", "[[stream 40 25]]", "[[error 429]]", "[[mid_stream_error]]", "[[cut]]"]


def test_a_client_that_stops_reading_is_dropped_after_a_minute(simulator: SimulatorProcess) -> None:
    with ServerProcess(simulator.base_url) as server:
        body = message_body("[[stream 400000 0]]", stream=True, max_tokens=120_000)
        with open_request(server.base_url, server.api_key, body) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            read_until(connection, b"text_delta")
            began = time.monotonic()
            while not server.query("SELECT 1 FROM usage_usagerecord WHERE state = 'aborted'"):
                assert time.monotonic() - began < 90, "the stalled client was not dropped"
                time.sleep(1)
            assert time.monotonic() - began > 50
        assert simulator.state()["open_streams"] == 0


def test_kills_in_the_middle_of_streams_lose_no_record(simulator: SimulatorProcess) -> None:
    """The figures for the record: requests that reached the upstream, rows found, cost charged, cost found."""
    simulator.reset()
    before = {row["generation_id"] for row in simulator.account()["rows"]}
    with ServerProcess(simulator.base_url) as server:
        for number in range(ROUNDS):
            asyncio.run(a_round(server, random.Random(number)))
            server.kill()
            server.start()
        time.sleep(2)
        rows = server.records()
    charges = [row for row in simulator.account()["rows"] if row["generation_id"] not in before]
    by_generation = {row["generation_id"]: row for row in rows if row["generation_id"]}
    found = {
        row["generation_id"]: by_generation[row["generation_id"]]
        for row in charges
        if row["generation_id"] in by_generation
    }
    settled = [row for row in charges if row["status"] == "completed" and row["generation_id"] in found]
    states = {state: sum(row["state"] == state for row in rows) for state in ("completed", "error", "aborted", "lost")}
    print(f"\n{ROUNDS} kills: {len(rows)} records {states}; {len(charges)} charges, {len(settled)} of them compared")
    assert len(rows) >= len(charges), "a request reached the upstream without a record"
    assert sum(states.values()) == len(rows), "a record is still open"
    for row in settled:
        record = found[row["generation_id"]]
        if record["state"] == "completed":
            assert record["cost"] == int(Decimal(row["cost"]) * 10**12)


async def a_round(server: ServerProcess, chance: random.Random) -> None:
    """Many requests at once; the server is killed while some of them are in the middle."""
    async with aiohttp.ClientSession(base_url=server.base_url, headers={"x-api-key": server.api_key}) as client:
        tasks = [asyncio.create_task(ask(client, chance.choice(PROMPTS), chance.random())) for _ in range(AT_ONCE)]
        await asyncio.sleep(0.5 + chance.random())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(client: aiohttp.ClientSession, prompt: str, delay: float) -> None:
    await asyncio.sleep(delay)
    with contextlib.suppress(aiohttp.ClientError):
        async with client.post("/v1/messages", data=message_body(prompt, stream=True, max_tokens=4000)) as response:
            await response.read()
