"""A simulator in this process, on a free port of loopback, and a client that speaks to it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest_asyncio
from aiohttp import web

from testing.openrouter_simulator.account import Account
from testing.openrouter_simulator.exact_json import Json
from testing.openrouter_simulator.server import API, Simulator, runner

KEY = "sk-or-v1-simulated-abcd"


@dataclass
class Client:
    session: aiohttp.ClientSession
    origin: str
    simulator: Simulator

    def post(self, path: str, body: Any, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {KEY}", **headers}
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.session.post(self.origin + API + path, data=BytesIO(data), headers=sent)

    async def chat(self, model: str, text: str, **more: Any) -> Json:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        async with self.post("/chat/completions", body) as response:
            document: Json = orjson.loads(await response.read())
            return document

    async def chunks(self, model: str, text: str, **more: Any) -> list[Json]:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True, **more}
        async with self.post("/chat/completions", body) as response:
            return chunks_of(await response.text())

    async def control(self, path: str) -> Json:
        async with self.session.get(f"{self.origin}/_simulator/{path}") as response:
            document: Json = orjson.loads(await response.read())
            return document

    async def register(self, *scripts: Json) -> int:
        async with self.session.post(f"{self.origin}/_simulator/scenarios", data=orjson.dumps(scripts)) as response:
            return response.status


def chunks_of(text: str) -> list[Json]:
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [orjson.loads(line) for line in lines if line != "[DONE]"]


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    simulator = Simulator(Account(tmp_path / "account.jsonl"))
    running = runner(simulator)
    await running.setup()
    await web.TCPSite(running, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{running.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield Client(session, origin, simulator)
    await running.cleanup()
