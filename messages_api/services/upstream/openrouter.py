"""Owns the direct way to OpenRouter: one HTTP session per process, our own reader, nothing between."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.request import proxy_bypass

import aiohttp
import msgspec
from yarl import URL

from messages_api.errors import ApiError, TimedOut, UpstreamFailed
from messages_api.services.translation.chat import ChatChunk, decode_chunk, tells_error
from messages_api.services.upstream.base import ChatCall, Completion
from messages_api.services.upstream.failures import failure, failure_in_answer
from messages_api.services.upstream.sse_reader import LineTooLong, SseReader

CONNECT_SECONDS = 10
SILENCE_SECONDS = 280
ERROR_BYTES = 256 * 1024
DONE = b"[DONE]"
#: How long the end of a connection may come after the end of its answer, for the connection to be used again.
END_SECONDS = 0.25

#: The error of an answer that is not 200, from its status, its body and its Retry-After.
Refused = Callable[[int, bytes, str | None], ApiError]


@dataclass(frozen=True, slots=True)
class HttpOrder:
    """A chat completion as it goes over HTTP."""

    url: URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpChat:
    """Carries chat completions to whatever answers as OpenAI does; `refused` names the error of a refusal."""

    def __init__(self, session: aiohttp.ClientSession, proxy: str = "") -> None:
        self._session = session
        self._proxy = URL(proxy) if proxy else None

    async def complete(self, order: HttpOrder, refused: Refused = failure) -> Completion:
        response = await self._post(order, refused)
        try:
            body = await _read(response)
        finally:
            response.release()
        return Completion(whole_answer(body), response.headers.get("X-Generation-Id", ""))

    async def stream(self, order: HttpOrder, refused: Refused = failure) -> "HttpChatStream":
        response = await self._post(order, refused)
        stream = HttpChatStream(response)
        if response.content_type == "application/json":  # an error, told with 200
            try:
                whole_answer(await _read(response))
            finally:
                await stream.close()
            raise UpstreamFailed("The upstream answered a stream with a single object.")
        return stream

    async def _post(self, order: HttpOrder, refused: Refused) -> aiohttp.ClientResponse:
        proxy = self._proxy_to(order.url)
        try:
            response = await self._session.post(
                order.url, data=order.body, headers=order.headers, proxy=proxy, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error
        if response.status != 200:
            raise await refusal(response, refused)
        return response

    def _proxy_to(self, url: URL) -> URL | None:
        return None if self._proxy is None or proxy_bypass(url.host or "") else self._proxy


class OpenRouterUpstream:
    """OpenRouter's chat completions, and those of anything that speaks like it."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, proxy: str = "", referer: str = "") -> None:
        self._http = HttpChat(session, proxy)
        self._url = URL(f"{base_url}/chat/completions")
        self._headers = {"Content-Type": "application/json", **attribution(referer)}

    async def complete(self, call: ChatCall) -> Completion:
        return await self._http.complete(self._order(call))

    async def stream(self, call: ChatCall) -> "HttpChatStream":
        return await self._http.stream(self._order(call))

    def _order(self, call: ChatCall) -> HttpOrder:
        headers = {**self._headers, "Authorization": f"Bearer {call.api_key}"}
        return HttpOrder(self._url, headers, call.translation.encode())


def attribution(referer: str) -> dict[str, str]:
    """Under what name OpenRouter lists the requests of this server."""
    return {"X-OpenRouter-Title": "Bridge", **({"HTTP-Referer": referer} if referer else {})}


class HttpChatStream:
    """A stream of chunks over HTTP, in the form that OpenAI gave it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.generation_id = response.headers.get("X-Generation-Id", "")
        self._response = response
        self.heard_at = time.monotonic()
        self._is_done = False

    async def __aiter__(self) -> AsyncIterator[list[ChatChunk]]:
        reader = SseReader()
        content = self._response.content
        try:
            while received := await content.readany():
                self.heard_at = time.monotonic()
                payloads = reader.feed(received)
                for chunks in _until_failure(payloads):
                    yield chunks
                if DONE in payloads:
                    self._is_done = True
                    return
        except LineTooLong as error:
            raise UpstreamFailed(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error
        for chunks in _until_failure(reader.finish()):
            yield chunks

    async def close(self) -> None:
        """Close the connection unless the answer was read to its end: that is what stops the provider's work."""
        if self._is_done and not self._response.content.at_eof():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await asyncio.wait_for(self._response.content.readany(), END_SECONDS)
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def whole_answer(body: bytes) -> ChatChunk:
    """A completion that is not streamed. Raises ApiError for an error told with 200."""
    answer = _chunk(body)
    for choice in answer.choices or ():
        if tells_error(choice):
            raise failure_in_answer(bytes(choice.error))
    return answer


def _until_failure(payloads: list[bytes]) -> Iterator[list[ChatChunk]]:
    """The chunks of one read, together; those before one that tells an error come before its exception."""
    chunks: list[ChatChunk] = []
    try:
        for payload in payloads:
            if payload != DONE:
                chunks.append(_chunk(payload))
    except ApiError:
        yield chunks
        raise
    if chunks:
        yield chunks


def _chunk(payload: bytes) -> ChatChunk:
    try:
        chunk = decode_chunk(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamFailed(f"The upstream sent something that is not a chat completion: {error}") from error
    if tells_error(chunk):
        raise failure_in_answer(bytes(chunk.error))
    return chunk


async def refusal(response: aiohttp.ClientResponse, refused: Refused = failure) -> ApiError:
    """The error of a response that is not 200; the connection is given back or closed."""
    try:
        body = b""
        while len(body) < ERROR_BYTES and (piece := await response.content.readany()):
            body += piece
    except (aiohttp.ClientError, TimeoutError):
        pass  # what has come of it may say enough
    finally:
        response.close()
    return refused(response.status, body, response.headers.get("Retry-After"))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(error) from error


def unreachable(error: Exception) -> ApiError:
    """The upstream could not be reached, or the connection broke."""
    if isinstance(error, asyncio.TimeoutError):
        return TimedOut("The upstream did not answer in time.")
    return UpstreamFailed(f"The connection to the upstream failed: {type(error).__name__}.")
