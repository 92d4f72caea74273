"""Owns who judges whether one more request fits: Redis where there is one, else this process for itself.

A Redis that fails or is slow is left alone until it answers again: meanwhile each process counts alone, which is logged
once per outage. No request is lost by it, nor waits for it: what a request gives back is sent beside it.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass

from accounts.authentication import Caller
from usage.services.limits.arithmetic import (
    Count,
    Demand,
    Refusal,
    Return,
    Standing,
    only_places,
    place,
    refusal,
    settled,
    standing,
    undone,
)
from usage.services.limits.in_process import ProcessCounters
from usage.services.limits.in_redis import AT_ONCE, AWAY, BATCH, SLOW_SECONDS, RedisCounters
from usage.services.limits.rules import meters_of

logger = logging.getLogger("bridge.limits")

#: How often a Redis that is away is asked whether it is back, and what is idle is swept away.
TICK_SECONDS = 1.0
RENEW_SECONDS = 20.0
#: What is given back waits for a Redis that is away; what is more than this runs out there by itself.
MOST_WAITING = 10_000


class LimitExceeded(Exception):
    """A limit keeps the request out, for now."""

    def __init__(self, why: Refusal, left: Standing) -> None:
        super().__init__(str(why))
        self.why = why
        self.standing = left


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request has taken, where, and what was left then."""

    demand: Demand
    here_at: int
    redis_at: int | None  # None: Redis does not know of it
    standing: Standing


class Limits:
    """The limits of the requests of one server process."""

    def __init__(self, redis: RedisCounters | None = None) -> None:
        self._here = ProcessCounters()
        self._redis = redis
        self._is_redis_away = False
        self._returns: deque[Return] = deque(maxlen=MOST_WAITING)
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._returning = asyncio.Lock()
        self._wake = asyncio.Event()
        self._renewed_at = time.monotonic()
        self._tending: asyncio.Task[None] | None = None

    # --- on the path of a request ---

    async def take(self, caller: Caller, request_id: str, tokens: int) -> Taken | None:
        """Let a request of about `tokens` in; None where nothing limits it. Raises LimitExceeded."""
        meters = await meters_of(caller)
        if not meters:
            return None
        demand = Demand(request_id, meters, tokens)
        shared = await self._take_in_redis(demand)
        now = clock()
        count = shared or self._here.take(demand, now)
        left = standing(demand, count)
        if not count.is_taken:
            raise LimitExceeded(refusal(demand, count), left)
        if shared:
            self._here.note(demand, now)
        return Taken(demand, int(now), shared.tick if shared else None, left)

    def settle(self, taken: Taken, tokens: int) -> None:
        """The request has ended and has used `tokens`."""
        self._here.give_back(settled(taken.demand, taken.here_at, tokens), clock())
        if taken.redis_at is None:
            self._send(place(taken.demand))
        else:
            self._send(settled(taken.demand, taken.redis_at, tokens))

    def undo(self, taken: Taken) -> None:
        """The request does not go out after all."""
        self._here.give_back(undone(taken.demand, taken.here_at), clock())
        self._send(place(taken.demand) if taken.redis_at is None else undone(taken.demand, taken.redis_at))

    async def _take_in_redis(self, demand: Demand) -> Count | None:
        """What Redis says; None where there is none, or none that answers."""
        if self._redis is None or self._is_redis_away:
            return None
        asking = asyncio.ensure_future(self._ask(self._redis, demand))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda asked: self._take_back(demand, asked))
            raise

    async def _ask(self, redis: RedisCounters, demand: Demand) -> Count | None:
        """A few at a time, so that a crowd here is not taken for a Redis that is slow."""
        async with self._asking:
            return None if self._is_redis_away else await self._answer_of(redis, demand)

    async def _answer_of(self, redis: RedisCounters, demand: Demand) -> Count | None:
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                if self._returns or self._returning.locked():  # whoever has just been answered has room again
                    await self._send_returns(redis)
                return await redis.take(demand)
        except AWAY as error:
            self._lose(error)
            return None

    def _take_back(self, demand: Demand, asked: "asyncio.Future[Count | None]") -> None:
        """The client left while Redis was being asked: what it let in goes nowhere."""
        count = None if asked.cancelled() or asked.exception() else asked.result()
        if count is not None and count.is_taken:
            self._send(undone(demand, count.tick))

    # --- beside it ---

    def _send(self, returned: Return) -> None:
        """Have Redis told soon. A request that it does not know of may have been given a place since."""
        if self._redis is not None and returned.changes:
            self._returns.append(returned)
            if not self._is_redis_away:
                self._wake.set()

    async def keep(self) -> None:
        """Give back what requests no longer need, renew the leases of the others, look for Redis. Until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            # Not cancelled itself: redis-py can swallow that, and this would go on for ever.
            self._tending = asyncio.create_task(self._tend())
            try:
                await asyncio.shield(self._tending)
            except Exception:  # whatever goes wrong once must not let everybody's leases run out
                logger.exception("Limits: tending failed and is tried again")

    async def _tend(self) -> None:
        is_due = time.monotonic() - self._renewed_at > RENEW_SECONDS
        if is_due:
            self._here.sweep(clock())
            self._renewed_at = time.monotonic()
        if self._redis is None:
            return
        was_away = self._is_redis_away
        try:
            if was_away:
                await self._redis.forget_connections()
            if was_away or is_due:
                await self._renew(self._redis)
            await self._send_returns(self._redis)
        except AWAY as error:
            self._lose(error)
        else:
            if was_away:
                self._find()

    async def _renew(self, redis: RedisCounters) -> None:
        async with self._returning:  # a place that is given back meanwhile is given back after this
            await redis.renew({key: set(requests) for key, requests in self._here.in_progress.items()})

    async def _send_returns(self, redis: RedisCounters) -> None:
        """One at a time: whoever comes meanwhile waits until what was given back before is there."""
        async with self._returning:
            while self._returns:
                batch = [self._returns.popleft() for _ in range(min(BATCH, len(self._returns)))]
                try:
                    await redis.give_back(batch)
                except BaseException:
                    # It may have been done all the same: places can be given back twice, tokens cannot.
                    self._returns.extendleft(only_places(returned) for returned in reversed(batch))
                    raise

    def _lose(self, error: Exception) -> None:
        if not self._is_redis_away:
            self._is_redis_away = True
            why = str(error) or type(error).__name__
            logger.warning("Limits: Redis fails (%s): each process counts alone until it works again", why)

    def _find(self) -> None:
        self._is_redis_away = False
        logger.warning("Limits: Redis works again: processes count together")

    async def close(self) -> None:
        """Give back what is left to give back, if Redis takes it, and let go of it."""
        if self._redis is None:
            return
        if self._tending is not None:
            await asyncio.wait([self._tending])
        if not self._is_redis_away:
            with contextlib.suppress(*AWAY):
                await self._send_returns(self._redis)
        with contextlib.suppress(*AWAY):
            await self._redis.close()


#: The time of day without its leaps: what was taken must not count longer because somebody has set the clock.
_BEGAN = time.time() - time.monotonic()


def clock() -> float:
    """This process's clock, in ticks."""
    return _BEGAN + time.monotonic()
