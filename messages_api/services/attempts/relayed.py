"""Owns an attempt that is relayed: the target speaks Messages itself, and its answer passes as it comes."""

import logging
import time
from collections.abc import AsyncGenerator

from messages_api.errors import ApiError, UpstreamFailed
from messages_api.services.attempts.base import Asked, keeping_secret
from messages_api.services.routing import Target
from messages_api.services.terms import refuse_data_policy
from messages_api.services.translation.relay_request import (
    RelayedRequest,
    request_to_openrouter,
    request_to_provider,
)
from messages_api.services.translation.relay_stream import AnswerRelay
from messages_api.services.translation.usage import charged, tokens_of, tokens_so_far
from messages_api.services.upstream.http import HttpStream
from messages_api.services.upstream.messages import MessagesCall, MessagesUpstream
from usage.services.ledger import Entry

logger = logging.getLogger("bridge.request")


class RelayedAttempt:
    """Asks `target` for Messages. Raises InvalidRequest when it is made for what may not be asked for."""

    def __init__(
        self, asked: Asked, target: Target, upstream: MessagesUpstream, api_key: str, input_tokens: int
    ) -> None:
        request = _request(asked, target)
        for warning in request.warnings:
            logger.info("%s, %s", warning, asked.message_id)
        self.target = target
        self._upstream = upstream
        self._call = MessagesCall(target, request.body, asked.headers, api_key)
        self._relay = AnswerRelay(
            message_id=asked.message_id,
            model=asked.envelope.model,
            family=target.facts.family,
            input_tokens=input_tokens,
            secret=api_key,
        )
        self._stream: HttpStream | None = None
        self._generation_id = ""
        self._input_tokens = input_tokens
        self._heard_at = time.monotonic()

    @property
    def heard_at(self) -> float:
        return self._heard_at if self._stream is None else self._stream.heard_at

    async def complete(self) -> bytes:
        try:
            answer = await self._upstream.complete(self._call)
        except ApiError as error:
            self._generation_id = error.answer_id
            raise
        self._generation_id = answer.generation_id
        with keeping_secret(self._call.api_key):
            return self._relay.whole(answer.body)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        self._stream = stream = await self._upstream.stream(self._call)
        self._generation_id = stream.generation_id
        with keeping_secret(self._call.api_key):
            if stream.is_single_object:  # an error, told with 200
                self._relay.whole(await stream.read())
                raise UpstreamFailed("The upstream answered a stream with a single object.")
            async for received in stream:
                for data in self._relay.feed(received):
                    yield data
                if self._relay.is_ended:
                    stream.is_done = True
                    return
            self._relay.finish()

    def start(self) -> bytes:
        return self._relay.start()

    def note(self, entry: Entry) -> None:
        relay = self._relay
        entry.generation_id = self._generation_id or relay.upstream_id
        entry.stop_reason = relay.stop_reason
        entry.provider = relay.provider
        if relay.characters and not relay.is_counted:  # broken off before the upstream told how long its answer was
            entry.tokens = tokens_so_far(relay.usage, self._input_tokens, relay.characters)
        else:
            entry.tokens = tokens_of(relay.usage)
        entry.charged = charged(relay.usage)

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()


def _request(asked: Asked, target: Target) -> RelayedRequest:
    if target.provider is not None:
        refuse_data_policy(asked.terms.provider, target.provider.name)
        return request_to_provider(asked.envelope, model=target.model, facts=target.facts, terms=asked.terms)
    return request_to_openrouter(
        asked.envelope, model=target.model, facts=target.facts, terms=asked.terms, session_id=asked.session_id
    )
