"""Owns one streamed answer while it is on its way: reading, translating, writing, and its end, whatever that is."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from django.conf import settings

from messages_api.errors import ApiError, TimedOut
from messages_api.services.attempts.sequence import Attempts
from messages_api.services.settlement import ClientStalled, Settlement, as_api_error
from messages_api.services.sse import PING, encode_error

Write = Callable[[bytes], Awaitable[None]]

#: Until something is said, or this long, nothing is sent: a failure keeps a status of its own.
PATIENCE_SECONDS = 10.0
PING_SECONDS = 10.0
#: A client that takes nothing for this long is gone, whatever its connection says.
STALL_SECONDS = 60.0


class MessageStream:
    """A streamed answer. `begin` may fail with a status of its own; `relay` then runs to the end."""

    def __init__(self, attempts: Attempts, settlement: Settlement, live: "set[MessageStream]") -> None:
        self._live = live
        self._attempts = attempts
        self._settlement = settlement
        self._answer = self._noted()
        self._first: asyncio.Task[bytes] | None = None
        self._relaying: asyncio.Task[object] | None = None
        self._interruption: ApiError | ClientStalled | None = None
        self._write: Write | None = None
        self._write_began: float | None = None
        self._last_write = self._last_content = time.monotonic()
        self._has_content = False
        self._ping: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Ask, and wait for the first event, but not for ever. Whatever it raises, it has closed the upstream."""
        self._live.add(self)
        self._first = asyncio.create_task(self._next())
        try:
            patience = min(PATIENCE_SECONDS, settings.CONTENT_SECONDS)
            done, _ = await asyncio.wait({self._first}, timeout=patience)
            if done:
                self._first.result()
        except BaseException:
            try:
                self._note()
            finally:
                await self._close()
            raise

    async def relay(self, write: Write, start: Callable[[], Awaitable[None]]) -> None:
        """Write the answer, behind what `start` writes, until it ends, and settle it.

        Once begun, an error becomes `event: error`. Raises CancelledError when the client has gone, ClientStalled when
        it has stopped reading.
        """
        self._relaying = asyncio.current_task()
        error: BaseException | None = None
        try:
            await start()
            self._write = write
            await self._relay_all()
        except BaseException as raised:
            error = self._reason(raised)
        self._write = None
        try:
            self._settle(error)
        finally:
            await self._close()
        if isinstance(error, asyncio.CancelledError | ClientStalled):
            raise error
        if error is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALL_SECONDS):  # nobody ticks any more
                    await write(encode_error(as_api_error(error), self._settlement.entry.request_id))

    def interrupt(self, reason: ApiError | ClientStalled) -> None:
        """End the answer from outside: with an error the client is told, or because it has stopped reading."""
        if self._relaying is not None and self._interruption is None:
            self._interruption = reason
            self._relaying.cancel()

    def tick(self) -> None:
        """Called once a second: keep a silent answer alive, and give up an upstream, or a client, that is gone."""
        now = time.monotonic()
        if self._write is None:
            return
        if self._write_began is not None:
            if now - self._write_began > STALL_SECONDS:
                self.interrupt(ClientStalled())
        elif self._is_upstream_gone(now):
            self.interrupt(TimedOut("The upstream has stopped answering."))
        elif now - self._last_write > PING_SECONDS:
            self._ping = asyncio.create_task(self._send(PING))

    def _is_upstream_gone(self, now: float) -> bool:
        """Comments are signs of life, but not for ever: an upstream can keep a dead answer's connection alive."""
        if now - self._last_content > settings.CONTENT_SECONDS:
            return True
        return self._has_content and now - self._attempts.current.heard_at > settings.SILENCE_SECONDS

    def _settle(self, error: BaseException | None) -> None:
        try:
            self._note()
        finally:
            self._settlement.end(error)

    def _note(self) -> None:
        self._attempts.note()

    async def _noted(self) -> AsyncGenerator[bytes, None]:
        """The answer, and when it was heard of."""
        async with contextlib.aclosing(self._attempts.stream()) as events:
            async for data in events:
                self._last_content = time.monotonic()
                if not self._has_content:
                    self._has_content = True
                    self._settlement.note_first_byte()
                    self._note()
                    self._settlement.note_name()
                yield data

    async def _next(self) -> bytes:
        return await anext(self._answer)

    async def _relay_all(self) -> None:
        if self._first is not None:
            if not self._first.done():
                await self._send(self._attempts.start())
            await self._send(await self._first)
        async for data in self._answer:
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        write = self._write
        if write is not None:
            self._write_began = time.monotonic()
            await write(data)
            self._write_began = None
            self._last_write = time.monotonic()

    def _reason(self, raised: BaseException) -> BaseException:
        """Why the answer ended early: a cancellation of our own making stands for its reason."""
        if self._interruption is None or not isinstance(raised, asyncio.CancelledError):
            return raised
        if self._relaying is not None:
            self._relaying.uncancel()
        return self._interruption

    async def _close(self) -> None:
        """End the upstream's work, and every task of this answer's."""
        self._live.discard(self)
        for task in (self._first, self._ping):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(BaseException):
                    await task
        await self._answer.aclose()
        await self._attempts.close()
