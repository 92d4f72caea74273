"""Owns a provider on loopback, for tests: what it is asked, what it answers, and whether its client has left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import ProviderAccess, Target

#: Of no form that a redactor knows by itself.
KEY_OF_PROVIDER = "plain-secret-of-provider"


@dataclass
class Provider:
    """`frames` are what a stream is written as, one after the other; `answer` is what is not streamed."""

    base_url: str = ""
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Any = None
    refusal: tuple[int, Any] | None = None
    elsewhere: str = ""  # where a refusal says that the answer is
    frames: list[bytes] = field(default_factory=list)
    content_type: str = "text/event-stream"
    stall_at: int | None = None  # before this frame; 0 is before the head
    cut_at: int | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path_qs, dict(request.headers), await request.json()))
        self.asked.set()
        if self.refusal is not None:
            status, body = self.refusal
            return web.json_response(body, status=status, headers=self._headers())
        try:
            if self.stall_at == 0:
                await asyncio.sleep(30)
            if "stream" not in request.path_qs and not self.requests[-1][2].get("stream"):
                return web.json_response(self.answer)
            return await self._play(request)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise

    def _headers(self) -> dict[str, str]:
        return {"Retry-After": "7", **({"Location": self.elsewhere} if self.elsewhere else {})}

    async def _play(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        await response.prepare(request)
        for position, frame in enumerate(self.frames):
            if position == self.stall_at:
                await asyncio.sleep(30)
            if position == self.cut_at:
                return response
            await response.write(frame)
        return response

    def target(self, kind: str, model: str, *, family: str = "", key: str = KEY_OF_PROVIDER) -> Target:
        access = ProviderAccess("ours", kind, self.base_url, key)
        return Target(model, ModelFacts(id=model, family=family or kind), access)


@asynccontextmanager
async def provider_on_loopback() -> AsyncIterator[Provider]:
    served = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()
