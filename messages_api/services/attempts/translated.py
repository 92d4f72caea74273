"""Owns an attempt that is translated: Messages become a chat completion, and its answer becomes Messages again."""

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Iterator

import msgspec

from messages_api.errors import ApiError
from messages_api.services.attempts.base import Asked, keeping_secret
from messages_api.services.routing import Target
from messages_api.services.sse import encode
from messages_api.services.translation import stop_sequences
from messages_api.services.translation.last_words import last_words
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.response import message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.translation.usage import charged, estimated_tokens, tokens_of
from messages_api.services.upstream.base import ChatCall, ChatStream, ChatUpstream
from usage.services.ledger import Entry

logger = logging.getLogger("bridge.request")
_encode = msgspec.json.Encoder().encode


class TranslatedAttempt:
    """Asks `target` for a chat completion. Raises InvalidRequest when it is made for what cannot be expressed."""

    def __init__(self, asked: Asked, target: Target, upstream: ChatUpstream, api_key: str, input_tokens: int) -> None:
        translation = translate_request(
            asked.request, model=target.model, facts=target.facts, terms=asked.terms, session_id=asked.session_id
        )
        for warning in translation.warnings:
            logger.info("%s, %s", warning, asked.message_id)
        self.target = target
        self._upstream = upstream
        self._call = ChatCall(target, translation, api_key)
        self._stream: ChatStream | None = None
        self._generation_id = ""
        self._heard_at = time.monotonic()
        self._input_tokens = input_tokens
        request, tools = asked.request, translation.tools
        self._translator = StreamTranslator(
            message_id=asked.message_id,
            model=asked.envelope.model,
            family=target.facts.family,
            tools=tools,
            input_tokens=input_tokens,
            search_query=last_words(request) if tools.web_search else "",
            stop_sequences=stop_sequences.sent(request.stop_sequences, target.facts),
            watched=stop_sequences.watched(request.stop_sequences, target.facts),
        )

    @property
    def heard_at(self) -> float:
        return self._heard_at if self._stream is None else self._stream.heard_at

    async def complete(self) -> bytes:
        with self._naming():
            completion = await self._upstream.complete(self._call)
        self._generation_id = completion.generation_id
        with keeping_secret(self._call.api_key):
            return _encode(message_of(completion.answer, self._translator))

    async def stream(self) -> AsyncGenerator[bytes, None]:
        with self._naming():
            self._stream = await self._upstream.stream(self._call)
        self._generation_id = self._stream.generation_id
        with keeping_secret(self._call.api_key):
            async for chunks in self._stream:
                events = [event for chunk in chunks for event in self._translator.feed(chunk)]
                if events:
                    yield encode(events)
                if self._translator.is_stopped:
                    break
            yield encode(self._translator.finish())

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """An error that was told as an answer has the name of one, and may cost as much."""
        try:
            yield
        except ApiError as error:
            self._generation_id = error.answer_id
            raise

    def start(self) -> bytes:
        return encode(self._translator.start())

    def note(self, entry: Entry) -> None:
        translator = self._translator
        entry.generation_id = self._generation_id
        entry.stop_reason = translator.stop_reason or ""
        entry.provider = translator.provider
        entry.held_seconds = translator.held_seconds
        if translator.usage is not None:
            entry.tokens = tokens_of(translator.usage)
            entry.charged = charged(translator.usage)
        elif translator.characters:  # broken off, or stopped here, before the upstream told what it used
            entry.tokens = estimated_tokens(self._input_tokens, translator.characters)

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()
