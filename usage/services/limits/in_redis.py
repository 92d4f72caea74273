"""Owns the counters that several processes share in Redis: one script lets a request in, one takes it out again.

Each script is atomic and goes by the clock of Redis. A place among the concurrent requests is a lease: a process that
is killed does not renew its own, and they run out. Everything expires by itself; the keys of a team share a hash tag,
so that a cluster keeps them together.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from usage.services.limits.arithmetic import SPAN, Count, Demand, Meter, Reading, Return

#: A Redis that has not answered by then is taken to be away: a request waits no longer for it.
SLOW_SECONDS = 0.25
LEASE_SECONDS = 60
#: Longer than anything counts.
KEEP_SECONDS = 120
#: Redis does one thing after the other anyway; who waits here is not waiting for it.
AT_ONCE = 16
BATCH = 500
#: Errors that mean: Redis is not there, or cannot do what it should.
AWAY = (RedisError, OSError, TimeoutError)
PREFIX = "bridge:limits:"
#: What is written where nothing else is: one that is full or only reads would answer a mere ping.
PROBE = "probe"
NOBODY_KNOWS = -1
_FIELDS = 4

_FOLDER = Path(__file__).parent


def _script(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text()


class RedisCounters:
    """The counters in one Redis. Every call raises one of AWAY when Redis does not do it in time."""

    def __init__(self, url: str, *, ticks_a_second: int = 1, lease_seconds: int = LEASE_SECONDS) -> None:
        self._ticks = ticks_a_second
        self._lease = lease_seconds
        patience = {"socket_timeout": SLOW_SECONDS, "socket_connect_timeout": SLOW_SECONDS}
        once = Retry(NoBackoff(), 0)  # a script that may have run must not run again
        self._pool = ConnectionPool.from_url(url, retry=once, **patience)
        self._client = Redis(connection_pool=self._pool)
        self._take = self._client.register_script(_script("take"))
        self._give_back = self._client.register_script(_script("give_back"))
        self._renew = self._client.register_script(_script("renew"))

    async def take(self, demand: Demand) -> Count:
        """Take of every meter, or of none."""
        arguments: list[str | int] = [self._ticks, SPAN, self._lease, KEEP_SECONDS, demand.request_id]
        for meter in demand.meters:
            arguments += [meter.kind, meter.limit, demand.amount(meter)]
        async with asyncio.timeout(SLOW_SECONDS):
            answer = await self._take(_keys(demand.meters), arguments)
        return _count(demand, answer)

    async def give_back(self, returns: Sequence[Return]) -> None:
        async with asyncio.timeout(SLOW_SECONDS):
            if len(returns) == 1:
                await self._give_back(*self._given_back(returns[0]))
                return
            pipeline = self._client.pipeline(transaction=False)
            for returned in returns:
                await self._give_back(*self._given_back(returned), client=pipeline)
            await pipeline.execute()

    def _given_back(self, returned: Return) -> tuple[list[str], list[str | int]]:
        """The keys and arguments for one request."""
        arguments: list[str | int] = [self._ticks, KEEP_SECONDS, returned.request_id]
        for meter, change in returned.changes:
            arguments += [meter.kind, returned.taken_at, change]
        return _keys(meter for meter, _ in returned.changes), arguments

    async def renew(self, in_progress: Mapping[str, Iterable[str]]) -> None:
        """Renew the leases of requests, by the key of their meter; without any, see whether Redis takes anything."""
        for key, requests in {**in_progress, PROBE: (PROBE,)}.items():
            ids = sorted(requests)
            for start in range(0, len(ids), BATCH):
                async with asyncio.timeout(SLOW_SECONDS):
                    await self._renew([PREFIX + key], [self._lease, KEEP_SECONDS, *ids[start : start + BATCH]])

    async def forget_connections(self) -> None:
        """After an outage: those that were open are to a Redis that may be gone."""
        await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self._client.aclose()
        await self._pool.disconnect()


def _keys(meters: Iterable[Meter]) -> list[str]:
    return [PREFIX + meter.key for meter in meters]


def _count(demand: Demand, answer: Sequence[bytes | int]) -> Count:
    now = float(answer[0])
    told = [int(value) for value in answer[1:]]
    readings = (
        _reading(meter, told[_FIELDS * number : _FIELDS * (number + 1)]) for number, meter in enumerate(demand.meters)
    )
    return Count(now, tuple(readings))


def _reading(meter: Meter, told: Sequence[int]) -> Reading:
    used, fits, opens_at, full_at = told
    return Reading(meter, used, bool(fits), None if opens_at == NOBODY_KNOWS else opens_at, full_at)
