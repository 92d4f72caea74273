"""One answer on its way: events to bytes, what was produced so far, and the charge at the end."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from aiohttp import web

from testing.openrouter_simulator.account import Account, Charge, Status
from testing.openrouter_simulator.control import Exchange, Log
from testing.openrouter_simulator.exact_json import Json, encode
from testing.openrouter_simulator.issued import Given, Issued
from testing.openrouter_simulator.metering import CHARACTERS_PER_TOKEN, Bill, Usage, bill
from testing.openrouter_simulator.models import Model
from testing.openrouter_simulator.performance import (
    CallPiece,
    CallStart,
    Citations,
    Comment,
    Cut,
    CutKind,
    Event,
    Failure,
    Finish,
    Pause,
    Refused,
    Text,
    Thought,
    Verbatim,
)
from testing.openrouter_simulator.refusals import Refusal

NO_FINISH = Finish("stop", "stop")


class Wire(Protocol):
    """How one endpoint writes an answer down."""

    @property
    def headers(self) -> dict[str, str]: ...
    def given(self) -> Given: ...
    def opening(self, prompt: Usage, /) -> bytes: ...
    def render(self, event: Event) -> bytes: ...
    def verbatim(self, chunk: Json) -> bytes: ...
    def failing(self, error: Json) -> bytes: ...
    def closing(self, finish: Finish, usage: Usage, owed: Bill) -> bytes: ...
    def fold(self, event: Event) -> None: ...
    def document(self, finish: Finish, usage: Usage, owed: Bill) -> Json: ...
    def failed_document(self, error: Json, usage: Usage, owed: Bill, /) -> Json: ...
    def refused(self, refusal: Refusal) -> Json: ...


@dataclass
class Generation:
    id: str
    request: web.Request
    exchange: Exchange
    account: Account
    log: Log
    issued: Issued
    prefix: str
    wire: Wire
    model: Model
    key: str
    session_id: str | None
    prompt: Usage
    is_byok: bool
    streamed: bool
    characters_said: int = 0
    characters_thought: int = 0
    web_searches: int = 0
    finish: Finish = NO_FINISH
    started: float = field(default_factory=time.monotonic)
    settled: Bill | None = None

    # what was produced

    def take(self, event: Event) -> None:
        match event:
            case Text(text) | CallPiece(_, text) | Refused(text):
                self.characters_said += len(text)
            case CallStart():
                self.characters_said += len(event.name) + len(event.arguments)
            case Thought(text):
                self.characters_thought += len(text)
            case Citations(_, searches):
                self.web_searches += searches
            case Finish():
                self.finish = event

    def usage(self) -> Usage:
        reasoning = -(-self.characters_thought // CHARACTERS_PER_TOKEN)
        said = -(-self.characters_said // CHARACTERS_PER_TOKEN)
        produced = {"completion": said + reasoning, "reasoning": reasoning}
        return replace(self.prompt, **produced, web_searches=self.web_searches)

    def settle(self, status: Status) -> Bill:
        """Charges once. wire.md 2.5, zero-completion insurance: a failure that produced nothing is free."""
        if self.settled is None:
            usage = self.usage()
            insured = usage.completion == 0 and (status == "error" or self.finish.reason == "error")
            owed = bill(Usage(0), FREE, self.is_byok) if insured else bill(usage, self.model, self.is_byok)
            self.settled = owed
            self.account.charge(self.charge(status, usage, owed))
            self.issued.remember(self.model.family, self.wire.given(), self.prefix)
        return self.settled

    def charge(self, status: Status, usage: Usage, owed: Bill) -> Charge:
        tokens = {name: value for name, value in vars(usage).items() if isinstance(value, int)}
        finish = {"finish_reason": self.finish.reason, "native_finish_reason": self.finish.native}
        return Charge(
            self.id,
            self.key,
            self.model.id,
            self.model.provider,
            status,
            self.session_id,
            tokens,
            owed.cost,
            owed.upstream,
            owed.is_byok,
            finish,
            self.streamed,
            time.monotonic() - self.started,
        )

    # streamed

    async def stream(self, events: Iterator[Event]) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **self.wire.headers}
        response = web.StreamResponse(headers=headers)
        self.exchange.status = response.status
        self.log.open_streams += 1
        try:
            await response.prepare(self.request)
            await self.send(response, events)
        except (asyncio.CancelledError, ConnectionError):
            self.settle("client_gone")
            self.exchange.close("client_gone")
            raise
        finally:
            self.log.open_streams -= 1
        return response

    async def send(self, response: web.StreamResponse, events: Iterator[Event]) -> None:
        opened = False
        for event in events:
            if not opened and not isinstance(event, Comment | Pause):
                await response.write(self.wire.opening(self.prompt))
                opened = True
            self.take(event)
            if isinstance(event, Cut):
                self.sever(event.kind)
                return
            if isinstance(event, Failure):
                self.settle("error")
                await response.write(self.wire.failing(event.error))
                return
            await self.send_event(response, event)
        owed = self.settle("error" if self.finish.reason == "error" else "completed")
        await response.write(self.wire.closing(self.finish, self.usage(), owed))
        # A client may hang up as soon as it has read the last line: that is no early leaving.
        self.exchange.close("answered")

    async def send_event(self, response: web.StreamResponse, event: Event) -> None:
        match event:
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Comment(text):
                await response.write(f": {text}\n\n".encode())
            case Verbatim(chunk, data):
                await response.write(data if chunk is None else self.wire.verbatim(chunk))
            case _:
                await response.write(self.wire.render(event))
        # Each piece leaves by itself, as from a real provider, and the others get their turn.
        await asyncio.sleep(0)

    def sever(self, kind: CutKind) -> None:
        self.settle("cut")
        self.exchange.close("cut")
        close_socket(self.request, kind)

    # whole

    async def whole(self, events: Iterator[Event]) -> web.StreamResponse:
        try:
            return await self.fold(events)
        except asyncio.CancelledError:
            self.settle("client_gone")
            self.exchange.close("client_gone")
            raise

    async def fold(self, events: Iterator[Event]) -> web.StreamResponse:
        for event in events:
            self.take(event)
            match event:
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Cut(kind):
                    self.sever(kind)
                    return web.Response()
                case Failure(error):
                    owed = self.settle("error")
                    return self.answer(self.wire.failed_document(error, self.usage(), owed))
                case Comment() | Verbatim():
                    pass
                case _:
                    self.wire.fold(event)
        owed = self.settle("error" if self.finish.reason == "error" else "completed")
        return self.answer(self.wire.document(self.finish, self.usage(), owed))

    def answer(self, document: Json) -> web.Response:
        return web.Response(body=encode(document), content_type="application/json", headers=self.wire.headers)


FREE = Model("", "", 0, 0, (), {}, ())


def close_socket(request: web.Request, kind: CutKind) -> None:
    """`reset` drops the connection with RST, `close` with FIN; `clean` ends the answer as if it were whole."""
    transport = request.transport
    if transport is None or kind == "clean":
        return
    if kind == "reset":
        transport.abort()
    else:
        transport.close()
