"""Owns one streamed answer while it is on its way: reading, translating, writing, and its end, whatever that is."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from messages_api.errors import ApiError
from messages_api.services.settlement import ClientStalled, Settlement, told
from messages_api.services.sse import PING, encode, encode_error
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.upstream.base import ChatStream

Write = Callable[[bytes], Awaitable[None]]
Open = Callable[[], Awaitable[ChatStream]]

#: Until something is said, or this long, nothing is sent: a failure keeps a status of its own.
PATIENCE_SECONDS = 10.0
PING_SECONDS = 10.0
#: A client that takes nothing for this long is gone, whatever its connection says.
STALL_SECONDS = 60.0


class MessageStream:
    """A streamed answer. `begin` may fail with a status of its own; `relay` then runs to the end."""

    def __init__(
        self,
        open_upstream: Open,
        translator: StreamTranslator,
        settlement: Settlement,
        live: "set[MessageStream]",
    ) -> None:
        self._live = live
        self._open = open_upstream
        self._upstream: ChatStream | None = None
        self._translator = translator
        self._settlement = settlement
        self._answer = self._translated()
        self._first: asyncio.Task[bytes] | None = None
        self._relaying: asyncio.Task[object] | None = None
        self._interruption: ApiError | ClientStalled | None = None
        self._write: Write | None = None
        self._write_began: float | None = None
        self._last_write = time.monotonic()
        self._ping: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Ask, and wait for the first event, but not for ever. Whatever it raises, it has closed the upstream."""
        self._live.add(self)
        self._first = asyncio.create_task(self._next())
        try:
            done, _ = await asyncio.wait({self._first}, timeout=PATIENCE_SECONDS)
            if done:
                self._first.result()
        except BaseException:
            self._settlement.note_answer(self._translator)
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
            await write(encode_error(told(error), self._settlement.entry.request_id))

    def interrupt(self, reason: ApiError | ClientStalled) -> None:
        """End the answer from outside: with an error the client is told, or because it has stopped reading."""
        if self._relaying is not None and self._interruption is None:
            self._interruption = reason
            self._relaying.cancel()

    def tick(self) -> None:
        """Called once a second: keep a silent answer alive, and give up a client that takes nothing."""
        now = time.monotonic()
        if self._write is None:
            return
        if self._write_began is not None:
            if now - self._write_began > STALL_SECONDS:
                self.interrupt(ClientStalled())
        elif now - self._last_write > PING_SECONDS:
            self._ping = asyncio.create_task(self._send(PING))

    def _settle(self, error: BaseException | None) -> None:
        try:
            self._settlement.note_answer(self._translator)
        finally:
            self._settlement.end(error)

    async def _translated(self) -> AsyncIterator[bytes]:
        """The whole answer as bytes, a piece for each read that says something."""
        self._upstream = await self._open()
        self._settlement.entry.generation_id = self._upstream.generation_id
        async for chunks in self._upstream:
            events = [event for chunk in chunks for event in self._translator.feed(chunk)]
            if events:
                self._settlement.note_first_byte()
                yield encode(events)
        yield encode(self._translator.finish())

    async def _next(self) -> bytes:
        return await anext(self._answer)

    async def _relay_all(self) -> None:
        if self._first is not None:
            if not self._first.done():
                await self._send(encode(self._translator.start()))
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
        if self._upstream is not None:
            await self._upstream.close()
