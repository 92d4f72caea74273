"""Owns how a call goes out over HTTP and comes back as bytes, whatever is asked for in it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.request import proxy_bypass

import aiohttp
from django.conf import settings
from yarl import URL

from accounts.addresses import AddressRefused, refusal_of_url
from messages_api.errors import ApiError, Forbidden, TimedOut, UpstreamFailed
from messages_api.services.failures import Speaker, failure

CONNECT_SECONDS = 10
SILENCE_SECONDS = 280
ERROR_BYTES = 256 * 1024
#: A conversation goes on only with its answers in the next request, whose body may have 32 MB: what is longer than that
#: is of no use to any client. The longest honest one, a million tokens written with escapes throughout, is below it.
LARGEST_ANSWER = 32 * 1024 * 1024
#: How long the end of a connection may come after the end of its answer, for the connection to be used again.
END_SECONDS = 0.25
GENERATION = "X-Generation-Id"
#: A stream's silence is watched from outside, once a second for all streams: a timer for each read costs more.
STREAM_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

#: The error of an answer that is not 200: from whose it is, its status, its body and its Retry-After.
Refused = Callable[[Speaker, int, bytes, str | None], ApiError]


@dataclass(frozen=True, slots=True)
class HttpOrder:
    """A call as it goes over HTTP, to `speaker`, with its key among the headers. Its address is judged unless it is
    one of the server's own settings."""

    url: URL
    speaker: Speaker
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_judged: bool


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer, and the id under which OpenRouter remembers it."""

    body: bytes = field(repr=False)
    generation_id: str


@dataclass(frozen=True, slots=True)
class Sessions:
    """The two ways out: to where settings say, and to where people who write in the admin say (accounts.way_out)."""

    own: aiohttp.ClientSession
    judged: aiohttp.ClientSession

    async def close(self) -> None:
        await self.own.close()
        await self.judged.close()


class Http:
    """The way out; `refused` names the error of an answer that is not 200."""

    def __init__(self, sessions: Sessions, proxy: str = "") -> None:
        self._sessions = sessions
        self._proxy = URL(proxy) if proxy else None

    async def complete(self, order: HttpOrder, refused: Refused = failure) -> HttpAnswer:
        response = await self._post(order, refused, self._sessions.own.timeout)
        generation_id = response.headers.get(GENERATION, "")
        try:
            with named(generation_id):
                body = await _read(response)
        finally:
            response.release()
        return HttpAnswer(body, generation_id)

    async def stream(self, order: HttpOrder, refused: Refused = failure) -> "HttpStream":
        return HttpStream(await self._post(order, refused, STREAM_PATIENCE))

    async def _post(
        self, order: HttpOrder, refused: Refused, patience: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        proxy = self._proxy_to(order.url)
        if order.is_judged and proxy is not None:
            check_text(order.url)  # what a name stands for is then the proxy's business
        session = self._sessions.judged if order.is_judged and proxy is None else self._sessions.own
        try:
            response = await session.post(
                order.url, data=order.body, headers=order.headers, proxy=proxy, timeout=patience, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error
        if response.status != 200:
            with named(response.headers.get(GENERATION, "")):
                raise await refusal(response, order.speaker, refused)
        return response

    def _proxy_to(self, url: URL) -> URL | None:
        return None if self._proxy is None or proxy_bypass(url.host or "") else self._proxy


@contextlib.contextmanager
def named(generation_id: str) -> Iterator[None]:
    """What goes wrong with an answer says which one it was."""
    try:
        yield
    except ApiError as error:
        error.answer_id = generation_id
        raise


class HttpStream:
    """An answer as it arrives, in the pieces in which the network gives it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.generation_id = response.headers.get(GENERATION, "")
        self.heard_at = time.monotonic()
        self.is_done = False  # whether its reader has heard its end, whatever bytes may follow
        self._response = response

    @property
    def is_single_object(self) -> bool:
        """Whether the answer is no stream: an error told with 200, for instance."""
        return self._response.content_type == "application/json"

    def __aiter__(self) -> Self:
        """An iterator of its own: a generator that is left in its middle would need a task to be ended by."""
        return self

    async def __anext__(self) -> bytes:
        try:
            received = await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error
        if not received:
            raise StopAsyncIteration
        self.heard_at = time.monotonic()
        return received

    async def read(self) -> bytes:
        """All of it, and its end."""
        try:
            return await _read(self._response)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection unless the answer was read to its end: that is what stops the provider's work."""
        content = self._response.content
        if self.is_done and not content.at_eof():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await asyncio.wait_for(content.readany(), END_SECONDS)
        if content.at_eof():
            self._response.release()
        else:
            self._response.close()


async def refusal(response: aiohttp.ClientResponse, speaker: Speaker, refused: Refused) -> ApiError:
    """The error of a response that is not 200; the connection is given back or closed."""
    try:
        body = b""
        while len(body) < ERROR_BYTES and (piece := await response.content.readany()):
            body += piece
    except (aiohttp.ClientError, TimeoutError):
        pass  # what has come of it may say enough
    finally:
        response.close()
    return refused(speaker, response.status, body, response.headers.get("Retry-After"))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """A whole answer, within bounds: an upstream that goes on for ever must not fill the memory."""
    pieces, size = [], 0
    try:
        while piece := await response.content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_ANSWER:
                response.close()
                raise UpstreamFailed(f"The upstream sent an answer of more than {LARGEST_ANSWER} bytes.")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(error) from error
    return b"".join(pieces)


def check_text(url: URL | str) -> None:
    """Raises Forbidden for an address that shows already that the server may not be sent there."""
    refusal = refusal_of_url(str(url), allow_private=settings.ALLOW_PRIVATE_ADDRESSES)
    if refusal is not None:
        raise Forbidden(f"The upstream's address: {refusal}")


def unreachable(error: Exception) -> ApiError:
    """The upstream could not be reached, may not be, or the connection broke."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, AddressRefused):
        return Forbidden(str(error.os_error.strerror))
    if isinstance(error, asyncio.TimeoutError):
        return TimedOut("The upstream did not answer in time.")
    return UpstreamFailed(f"The connection to the upstream failed: {type(error).__name__}.")
