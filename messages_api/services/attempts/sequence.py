"""Owns the attempts at one answer, one after the other, until one says something or none is left."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from messages_api.errors import ApiError
from messages_api.services.attempts.base import Attempt
from messages_api.services.attempts.retry import Another, Situation, another_attempt
from messages_api.services.routing import Target
from messages_api.services.settlement import Settlement, as_api_error
from messages_api.services.translation.chat import AnswerError

logger = logging.getLogger("bridge.request")

Make = Callable[[Target], Attempt]


class Attempts:
    """Asks the targets in order. An attempt that has said something is the last: nobody could take it back."""

    def __init__(self, make: Make, targets: Sequence[Target], settlement: Settlement, retry_seconds: float) -> None:
        self._make = make
        self._targets = list(targets)
        self._settlement = settlement
        self._deadline = time.monotonic() + retry_seconds
        self._tries = 1
        self._is_started = False
        self.current = make(self._targets[0])

    async def complete(self) -> bytes:
        """The whole answer. Raises ApiError or AnswerError when no attempt is left."""
        while True:
            try:
                return await self.current.complete()
            except (ApiError, AnswerError) as error:
                await self._prepare_another(error)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The events. Raises ApiError or AnswerError when no attempt is left, or once something was said."""
        while True:
            try:
                async with aclosing(self.current.stream()) as events:
                    async for data in events:
                        yield data
                        self._deadline = 0
                return
            except (ApiError, AnswerError) as error:
                await self._prepare_another(error)

    def start(self) -> bytes:
        """message_start, for a client that has waited long enough."""
        self._is_started = True
        return self.current.start()

    def note(self) -> None:
        """Put what the answer told so far onto the entry; nothing for an attempt that waits to be asked."""
        entry = self._settlement.entry
        if not entry.is_between_attempts:
            self.current.note(entry)

    async def close(self) -> None:
        await self.current.close()

    async def _prepare_another(self, error: ApiError | AnswerError) -> None:
        """Wait and put another attempt into place. Raises `error` if there is to be none."""
        left = self._deadline - time.monotonic()
        situation = Situation(error, self._tries, len(self._targets) == 1, left, now=time.time())
        another = another_attempt(situation, random.random())  # noqa: S311  # spreads retries; guards nothing
        if another is None:
            raise error
        following = self._following(error, another)
        await self.current.close()
        self._log(error, following, another.seconds)
        self._turn_to(following, as_api_error(error))
        await asyncio.sleep(another.seconds)
        target = following.target  # recorded only now: a client that leaves in the wait has asked it nothing
        self._settlement.entry.begin_attempt(str(target), target.facts.prices)

    def _following(self, error: ApiError | AnswerError, another: Another) -> Attempt:
        """The attempt to be made; targets that cannot be asked for this at all are passed over."""
        self._tries += 1
        if another.is_next_target:
            self._drop_target()
        while self._targets:
            try:
                return self._make(self._targets[0])
            except ApiError:
                self._drop_target()
        raise error

    def _drop_target(self) -> None:
        self._targets.pop(0)
        self._tries = 1

    def _turn_to(self, following: Attempt, failure: ApiError) -> None:
        """Before the wait: whoever is told of a start in it is told by the attempt that follows."""
        entry = self._settlement.entry
        self.current.note(entry)
        entry.end_attempt(failure.status, failure.message)
        self.current = following
        if self._is_started:
            following.start()  # the client has it already

    def _log(self, error: ApiError | AnswerError, following: Attempt, seconds: float) -> None:
        failure, request_id = as_api_error(error), self._settlement.entry.request_id
        logger.warning(
            "%s failed: %d %s; asking %s in %.1f s, %s",
            self.current.target,
            failure.status,
            failure.message,
            following.target,
            seconds,
            request_id,
            extra={"request_id": request_id, "model": str(self.current.target), "status": failure.status},
        )
