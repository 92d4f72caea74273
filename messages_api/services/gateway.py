"""Owns what one server process holds while it serves: the HTTP session, the upstreams, the ledger, live streams."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any, Self

import aiohttp
from django.conf import settings

from accounts import configuration, last_used
from accounts.way_out import judged_socket
from messages_api.errors import Overloaded
from messages_api.services.cost_estimate import CostEstimates
from messages_api.services.routing import Target
from messages_api.services.stream import MessageStream
from messages_api.services.token_factors import TokenFactors
from messages_api.services.upstream.base import ChatUpstream
from messages_api.services.upstream.http import CONNECT_SECONDS, SILENCE_SECONDS, Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.services.upstream.messages import MessagesUpstream
from messages_api.services.upstream.openrouter import OpenRouterUpstream
from usage.services import reconcile, rollups
from usage.services.admission import Admission
from usage.services.budgets import notices
from usage.services.ledger import Ledger
from usage.services.limits.in_redis import RedisCounters
from usage.services.limits.limits import Limits

logger = logging.getLogger("bridge")
TICK_SECONDS = 1.0
RESTARTING = "The server is being restarted. Try again."

_running: "Gateway | None" = None
_starting = asyncio.Lock()


async def running_gateway() -> "Gateway":
    """The gateway of this process. Where nobody speaks ASGI's lifespan (daphne), the first request starts it."""
    global _running  # noqa: PLW0603  # one gateway per process
    if _running is None:
        async with _starting:
            _running = _running or await Gateway.start()
    return _running


async def stop_gateway() -> None:
    global _running  # one gateway per process
    gateway, _running = _running, None
    if gateway is not None:
        await gateway.stop()


def is_draining() -> bool:
    return _running is not None and _running.is_draining


class Gateway:
    """Everything a request needs that outlives it. Made and ended with the server process."""

    def __init__(self, sessions: Sessions, ledger: Ledger) -> None:
        self.ledger = ledger
        self.limits = Limits(RedisCounters(settings.REDIS_URL) if settings.REDIS_URL else None)
        self.admission = Admission(ledger, self.limits)
        self.token_factors = TokenFactors()
        self.cost_estimates = CostEstimates()
        self.is_draining = False
        self.streams: set[MessageStream] = set()
        self.starting: set[asyncio.Task[Any]] = set()  # requests of which nothing has been answered yet
        self.ended: set[asyncio.Task[Any]] = set()  # those of them that were cancelled by `drain`
        self._sessions = sessions
        self.messages = MessagesUpstream(sessions, settings.OPENROUTER_BASE_URL, **_way_out())
        self._openrouter = OpenRouterUpstream(sessions, settings.OPENROUTER_BASE_URL, **_way_out())
        self._litellm = LiteLlmUpstream(sessions, settings.OPENROUTER_BASE_URL, **_way_out())
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls) -> Self:
        gateway = cls(_sessions(), Ledger(settings.SPOOL_DIR))
        gateway.ledger.start()
        gateway._tasks = [asyncio.create_task(job) for job in gateway._jobs()]
        return gateway

    def _jobs(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What is done beside requests."""
        yield configuration.watch()
        yield self._tick()
        yield self.token_factors.load()
        yield self.cost_estimates.load()
        yield last_used.keep()
        yield self.limits.keep()
        yield self.admission.budgets.keep()
        yield notices.keep()
        yield rollups.keep()
        yield reconcile.keep()

    def upstream_for(self, target: Target) -> ChatUpstream:
        """What carries a chat completion to `target`."""
        return self._litellm if target.transport == "litellm" else self._openrouter

    async def drain(self, seconds: float) -> None:
        """Refuse to look ready, let streams end for `seconds`, then end the rest with an error."""
        self.is_draining = True
        deadline = asyncio.get_running_loop().time() + seconds
        # A look now and then costs nothing here; an event would have to be kept on every request's path.
        while self.ledger.in_flight and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for stream in list(self.streams):
            stream.interrupt(Overloaded(RESTARTING))
        for task in list(self.starting):
            self.ended.add(task)
            task.cancel()

    async def stop(self) -> None:
        """Close everything. What is still in flight has been settled by then."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.limits.close()
        await self.ledger.close()
        await self._litellm.close()
        await self._sessions.close()

    async def _tick(self) -> None:
        """Look after all streams once a second: one timer for a thousand of them."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for stream in list(self.streams):
                with contextlib.suppress(Exception):
                    stream.tick()


def _sessions() -> Sessions:
    """No cookies: one team's calls must not carry what another's were given."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
    context = ssl.create_default_context(cafile=settings.SSL_CERT_FILE or None)

    def session(**how: Any) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=60, **how)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())

    return Sessions(own=session(), judged=session(socket_factory=judged_socket))


def _way_out() -> dict[str, str]:
    """How calls leave this machine, and under what name."""
    return {"proxy": settings.HTTPS_PROXY, "referer": settings.PUBLIC_URL}
