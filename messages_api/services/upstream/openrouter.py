"""Owns the direct way to OpenRouter: one HTTP session per process, our own reader, nothing between."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import msgspec
from yarl import URL

from messages_api.errors import ApiError, UpstreamFailed
from messages_api.services.failures import OPENROUTER, Speaker, failure, failure_in_answer
from messages_api.services.sse_reader import LineTooLong, SseReader
from messages_api.services.translation.chat import NO_ERROR, ChatChunk, decode_chunk, is_error, tells_error
from messages_api.services.translation.cut_characters import CutCharacters, decodable
from messages_api.services.upstream.base import ChatCall, Completion
from messages_api.services.upstream.http import Http, HttpOrder, HttpStream, Refused, Sessions, named

DONE = b"[DONE]"


class HttpChat:
    """Carries chat completions to whatever answers as OpenAI does; `refused` names the error of a refusal."""

    def __init__(self, sessions: Sessions, proxy: str = "") -> None:
        self._http = Http(sessions, proxy)

    async def complete(self, order: HttpOrder, refused: Refused = failure) -> Completion:
        answer = await self._http.complete(order, refused)
        with named(answer.generation_id):
            return Completion(whole_answer(answer.body, order.speaker), answer.generation_id)

    async def stream(self, order: HttpOrder, refused: Refused = failure) -> "HttpChatStream":
        stream = await self._http.stream(order, refused)
        if stream.is_single_object:  # an error, told with 200
            with named(stream.generation_id):
                whole_answer(await stream.read(), order.speaker)
                raise UpstreamFailed("The upstream answered a stream with a single object.")
        return HttpChatStream(stream, order.speaker)


class OpenRouterUpstream:
    """OpenRouter's chat completions, and those of anything that speaks like it."""

    def __init__(self, sessions: Sessions, base_url: str, *, proxy: str = "", referer: str = "") -> None:
        self._http = HttpChat(sessions, proxy)
        self._url = URL(f"{base_url}/chat/completions")
        self._headers = {"Content-Type": "application/json", **attribution(referer)}

    async def complete(self, call: ChatCall) -> Completion:
        return await self._http.complete(self._order(call))

    async def stream(self, call: ChatCall) -> "HttpChatStream":
        return await self._http.stream(self._order(call))

    def _order(self, call: ChatCall) -> HttpOrder:
        headers = {**self._headers, "Authorization": f"Bearer {call.api_key}"}
        speaker = replace(OPENROUTER, key=call.api_key)
        return HttpOrder(self._url, speaker, headers, call.translation.encode(), is_judged=False)


def attribution(referer: str) -> dict[str, str]:
    """Under what name OpenRouter lists the requests of this server."""
    return {"X-OpenRouter-Title": "Bridge", **({"HTTP-Referer": referer} if referer else {})}


class HttpChatStream:
    """A stream of chunks over HTTP, in the form that OpenAI gave it."""

    def __init__(self, stream: HttpStream, speaker: Speaker) -> None:
        self.generation_id = stream.generation_id
        self._stream = stream
        self._chunks = ChunkReader(speaker)

    @property
    def heard_at(self) -> float:
        return self._stream.heard_at

    async def __aiter__(self) -> AsyncIterator[list[ChatChunk]]:
        reader = SseReader()
        try:
            async for received in self._stream:
                payloads = reader.feed(received)
                for chunks in self._until_failure(payloads):
                    yield chunks
                if DONE in payloads:
                    self._stream.is_done = True
                    return
        except LineTooLong as error:
            raise UpstreamFailed(str(error)) from error
        for chunks in self._until_failure(reader.finish()):
            yield chunks

    def _until_failure(self, payloads: list[bytes]) -> Iterator[list[ChatChunk]]:
        """The chunks of one read, together; those before one that tells an error come before its exception."""
        chunks: list[ChatChunk] = []
        try:
            for payload in payloads:
                if payload != DONE:
                    chunks.append(self._chunks.read(payload))
        except ApiError:
            yield chunks
            raise
        if chunks:
            yield chunks

    async def close(self) -> None:
        await self._stream.close()


def whole_answer(body: bytes, speaker: Speaker) -> ChatChunk:
    """A completion that is not streamed. Raises ApiError for an error told with 200."""
    return ChunkReader(speaker).read(body)


class ChunkReader:
    """Reads the chunks of one answer, one after the other. Raises ApiError for an error that one of them tells."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._cut: CutCharacters | None = None  # until a character was cut

    def read(self, payload: bytes) -> ChatChunk:
        try:
            chunk = decode_chunk(payload) if self._cut is None else self._joined(payload, self._cut)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            chunk = self._mended(payload, error)
        for part in (chunk, *(chunk.choices or ())):
            if part.error is not NO_ERROR and tells_error(part):  # the first spares most chunks a call
                raise failure_in_answer(self._speaker, bytes(part.error))
        if chunk.choices is None and is_error(chunk):
            raise failure_in_answer(self._speaker, payload)
        return chunk

    def _mended(self, payload: bytes, error: Exception) -> ChatChunk:
        """A chunk that could not be decoded, if nothing but a character that was cut in two was to blame."""
        if self._cut is None and decodable(payload) != payload:
            self._cut = CutCharacters(with_stand_ins=True)
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return self._joined(payload, self._cut)
        raise UpstreamFailed(f"The upstream sent something that is not a chat completion: {error}") from error

    def _joined(self, payload: bytes, cut: CutCharacters) -> ChatChunk:
        return cut.joined(decode_chunk(decodable(payload)))
