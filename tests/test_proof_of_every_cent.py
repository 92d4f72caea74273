"""Long proofs, run by `make proof` on PostgreSQL: what the records come to is what the upstream's own account says.

Requests are answered, fail, break off, are left by their clients and die with their servers; then every figure is asked
for that was guessed. What OpenRouter cannot be asked for, because its answer had no name yet, is counted apart.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import aiohttp
import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import message_body

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(1500),
    pytest.mark.skipif("postgres" not in os.environ.get("DATABASE_URL", ""), reason="asks for PostgreSQL"),
]

PROCESSES = 4
REQUESTS = 10_000
AT_ONCE = 60
FAULTS = ["[[error 500]]", "[[mid_stream_error]]", "[[cut]]", "[[error_in_200]]"]
GOOD = ["[[text]]", "[[stream 8 0]]", "[[reasoning_text]]", "[[two_tools]]"]
MODELS = ["openai/gpt-5", "anthropic/claude-sonnet-5", "google/gemini-2.5-pro", "claude-haiku-4-5"]
LEFT = "[[stream 60 20]]"


@pytest.fixture
def servers(simulator: SimulatorProcess) -> Iterator[list[ServerProcess]]:
    simulator.reset()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(ServerProcess(simulator.base_url, RETRY_SECONDS="1"))
        first.manage("sync_models")
        shared = {"DATABASE_URL": first.database_url, "RETRY_SECONDS": "1"}
        others = [ServerProcess(simulator.base_url, **shared) for _ in range(PROCESSES - 1)]
        yield [first, *(stack.enter_context(other) for other in others)]


class Clients:
    """Asks the servers in turn; of twenty requests one is left in its middle and one meets a fault."""

    def __init__(self, servers: Sequence[ServerProcess], seed: int) -> None:
        self.told: Counter[str] = Counter()
        self._servers = servers
        self._chance = random.Random(seed)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, requests: int) -> None:
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(headers={"x-api-key": self._servers[0].api_key}, timeout=timeout) as client:
            await asyncio.gather(*(self._ask(client, number) for number in range(requests)))

    async def _ask(self, client: aiohttp.ClientSession, number: int) -> None:
        kind = self._chance.choices(["good", "left", "fault"], [18, 1, 1])[0]
        prompt = {"good": self._chance.choice(GOOD), "left": LEFT, "fault": self._chance.choice(FAULTS)}[kind]
        streamed = kind == "left" or self._chance.random() < 0.7
        body = message_body(prompt, model=self._chance.choice(MODELS), stream=streamed, max_tokens=4000)
        url = f"{self._servers[number % len(self._servers)].base_url}/v1/messages"
        async with self._room:
            try:
                async with client.post(url, data=body) as response:
                    await self._read(response, leave=kind == "left")
                    self.told[f"{kind} {response.status}"] += 1
            except aiohttp.ClientError:
                self.told[f"{kind} broken off"] += 1

    @staticmethod
    async def _read(response: aiohttp.ClientResponse, *, leave: bool) -> None:
        async for line in response.content:
            if leave and b"text_delta" in line:
                response.close()
                return


def reconciled(servers: Sequence[ServerProcess], simulator: SimulatorProcess) -> list[dict[str, Any]]:
    """The records, once all is settled, charged and asked for."""
    until(lambda: simulator.state()["open_streams"] == 0)
    for server in servers:
        until(partial(is_spooled_to_its_end, server))
    until(lambda: not servers[0].query("SELECT 1 FROM usage_usagerecord WHERE state = 'open' LIMIT 1"), 120)
    print(servers[0].manage("reconcile").strip())
    return servers[0].query("SELECT * FROM usage_usagerecord")


def is_spooled_to_its_end(server: ServerProcess) -> bool:
    return server.spool_bytes() == 0


def until(is_so: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "not so in time"
        time.sleep(0.2)


def charges(simulator: SimulatorProcess, since: Collection[str]) -> dict[str, int]:
    """What each answer was charged, in picodollars, but for those that were there before."""
    rows = [row for row in simulator.account()["rows"] if row["generation_id"] not in since]
    return {row["generation_id"]: int(Decimal(row["cost"]) * 10**12) for row in rows}


def names(record: dict[str, Any]) -> list[str]:
    return [attempt["generation_id"] for attempt in record["attempts"]] or [record["generation_id"]]


def test_ten_thousand_requests_over_four_processes(servers: list[ServerProcess], simulator: SimulatorProcess) -> None:
    before = charges(simulator, ())
    clients = Clients(servers, seed=1)
    asyncio.run(clients.run(REQUESTS))
    rows = reconciled(servers, simulator)
    charged = charges(simulator, before)
    found = sum(row["cost"] for row in rows)
    print(f"{dict(clients.told)}; {dict(Counter(row['state'] for row in rows))}")
    print(f"sent {REQUESTS}, rows {len(rows)}; charged {sum(charged.values())}, found {found}")
    assert len(rows) == REQUESTS
    unnamed = set(charged) - {name for row in rows for name in names(row)}
    apart = sum(charged[name] for name in unnamed)
    print(f"of it {apart} for {len(unnamed)} answers that failed before anything said what they are called")
    assert len(unnamed) < REQUESTS / 50
    assert found == sum(charged.values()) - apart


def test_kills_in_the_middle_of_two_hundred_streams(servers: list[ServerProcess], simulator: SimulatorProcess) -> None:
    """A stream that has said something is asked for afterwards; one that has not is a record without a cost."""
    before, sent = charges(simulator, ()), 0
    for number in range(3):
        asyncio.run(killed_in_the_middle(servers[0], number))
        sent += 200
    rows = reconciled(servers, simulator)
    charged = charges(simulator, before)
    of_named = {name: cost for name, cost in charged.items() if name in {n for row in rows for n in names(row)}}
    found = sum(row["cost"] for row in rows)
    print(f"{dict(Counter(row['state'] for row in rows))}; charged without a name {len(charged) - len(of_named)}")
    print(f"sent {sent}, rows {len(rows)}; charged {sum(of_named.values())}, found {found}")
    assert len(rows) >= len(charged)
    assert found == sum(of_named.values())
    assert len(of_named) > len(charged) / 2


async def killed_in_the_middle(server: ServerProcess, seed: int) -> None:
    chance = random.Random(seed)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers={"x-api-key": server.api_key}, connector=connector) as client:
        tasks = [asyncio.create_task(ask_for_a_stream(client, server, chance.choice(MODELS))) for _ in range(200)]
        await asyncio.sleep(2 + chance.random())
        await asyncio.to_thread(server.kill)
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(server.start)


async def ask_for_a_stream(client: aiohttp.ClientSession, server: ServerProcess, model: str) -> None:
    body = message_body("[[stream 200 25]]", model=model, stream=True, max_tokens=4000)
    with contextlib.suppress(aiohttp.ClientError):
        async with client.post(f"{server.base_url}/v1/messages", data=body) as response:
            await response.read()
