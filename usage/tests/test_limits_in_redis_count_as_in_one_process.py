"""The scripts in Redis do the arithmetic of one process, for all of them, and what is left behind expires by itself."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count as numbers

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from testing.redis_process import RedisProcess
from usage.services.limits import in_redis
from usage.services.limits.arithmetic import Count, Demand, Kind, Meter, Return, place, settled, undone
from usage.services.limits.in_process import ProcessCounters
from usage.services.limits.in_redis import AWAY, RedisCounters

FAST = 100  # ticks a second: a window passes in 0.6 s
NUMBER = numbers()
PAUSES = st.sampled_from([0, 0, 0, 0, 0.004, 0.02, 0.1, 0.62])
USED = st.one_of(st.just(0), st.integers(0, 120))
ESTIMATE = st.one_of(st.just(0), st.integers(1, 60), st.integers(90, 150))
STEP = st.tuples(PAUSES, ESTIMATE, USED, st.booleans())


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as running:
        yield running


def meters(name: str = "") -> tuple[Meter, ...]:
    """With keys of their own, so that no test sees what another has taken."""
    key = name or f"{{team:{next(NUMBER)}}}"
    limits = {Kind.REQUESTS: 5, Kind.TOKENS: 100, Kind.CONCURRENT: 3}
    return tuple(Meter(f"{key}:{kind}", "the team Acme", kind, limit) for kind, limit in limits.items())


def demand(limited: tuple[Meter, ...], tokens: int = 1) -> Demand:
    return Demand(f"req_{next(NUMBER)}", limited, tokens)


def run(redis: RedisProcess, story: object, **options: int) -> None:
    """A story, told with counters that are closed behind it."""

    async def told() -> None:
        counters = RedisCounters(redis.url, **options)
        try:
            await story(counters)  # type: ignore[operator]  # a coroutine function
        finally:
            await counters.close()

    asyncio.run(told())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=25))
def test_both_say_and_keep_the_same(redis: RedisProcess, steps: list[tuple[float, int, int, bool]]) -> None:
    async def story(shared: RedisCounters) -> None:
        alone, limited = ProcessCounters(), meters()
        for pause, tokens, used, stays in steps:
            await asyncio.sleep(pause)
            wanted = demand(limited, tokens)
            count = await shared.take(wanted)
            assert alone.take(wanted, count.now) == count
            if count.is_taken and not stays:
                back = settled(wanted, count.tick, used) if used else undone(wanted, count.tick)
                before = await tick(shared)
                await shared.give_back([back])
                if await tick(shared) != before:
                    return  # nobody knows in which of them it was given back
                alone.give_back(back, before)

    run(redis, story, ticks_a_second=FAST)


async def tick(shared: RedisCounters) -> int:
    """The time in Redis."""
    return (await shared.take(demand(()))).tick


def test_of_many_at_once_as_many_are_let_in_as_the_limit_says(redis: RedisProcess) -> None:
    async def story(shared: RedisCounters) -> None:
        limited = meters()
        counts: list[Count] = []
        for _ in range(10):
            counts += await asyncio.gather(*(shared.take(demand(limited)) for _ in range(10)))
        assert sum(count.is_taken for count in counts) == 3
        left = await shared.take(demand(limited))
        assert [reading.used for reading in left.readings] == [3, 3, 3], "who was refused has taken nothing"

    run(redis, story)


def test_a_place_that_nobody_renews_is_free_after_its_lease(redis: RedisProcess) -> None:
    async def story(shared: RedisCounters) -> None:
        limited = meters()[2:]
        gone, renewed, ended = demand(limited), demand(limited), demand(limited)
        for each in (gone, renewed, ended):
            assert (await shared.take(each)).is_taken
        await shared.give_back([place(ended), place(ended)])
        assert (await shared.take(demand(limited))).is_taken
        await asyncio.sleep(0.6)
        await shared.renew({limited[0].key: {renewed.request_id}})
        assert not (await shared.take(demand(limited))).is_taken
        await asyncio.sleep(0.6)
        (reading,) = (await shared.take(demand(limited))).readings
        assert reading.used == 1, "the one that was renewed"

    run(redis, story, lease_seconds=1)


HOLDS_A_PLACE = """
import asyncio, sys
from usage.services.limits.arithmetic import Demand, Kind, Meter
from usage.services.limits.in_redis import RedisCounters
async def hold():
    shared = RedisCounters(sys.argv[1], lease_seconds=2)
    meter = Meter(sys.argv[2], "the team Acme", Kind.CONCURRENT, 3)
    for number in range(3):
        assert (await shared.take(Demand(f"of the process {number}", (meter,), 0))).is_taken
    print("held", flush=True)
    while True:
        await asyncio.sleep(0.5)
        await shared.renew({meter.key: {f"of the process {number}" for number in range(3)}})
asyncio.run(hold())
"""


def test_a_killed_process_frees_its_places_after_its_leases(redis: RedisProcess) -> None:
    limited = meters()[2:]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_PLACE, redis.url, limited[0].key], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"

    async def story(shared: RedisCounters) -> None:
        await asyncio.sleep(2.5)
        assert not (await shared.take(demand(limited))).is_taken, "it lives, and has renewed them"
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = time.monotonic()
        assert not (await shared.take(demand(limited))).is_taken
        while not (await shared.take(demand(limited))).is_taken:
            assert time.monotonic() - killed < 3
            await asyncio.sleep(0.05)
        assert time.monotonic() - killed > 1

    try:
        run(redis, story)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_everything_in_redis_expires_by_itself(redis: RedisProcess) -> None:
    async def story(shared: RedisCounters) -> None:
        wanted = demand(meters("{team:x}:team"))
        count = await shared.take(wanted)
        await shared.give_back([Return(wanted.request_id, count.tick, ((wanted.meters[1], 50),))])
        await shared.renew({wanted.meters[2].key: {wanted.request_id}})

    run(redis, story)
    with Redis.from_url(redis.url) as client:
        kept = {key.decode(): client.ttl(key) for key in client.keys("*team:x*")}
    assert sorted(kept) == [f"bridge:limits:{{team:x}}:team:{kind}" for kind in ("concurrent", "requests", "tokens")]
    assert all(61 < seconds <= in_redis.KEEP_SECONDS for seconds in kept.values())


def test_the_scripts_are_known_again_after_a_restart() -> None:
    with RedisProcess() as mine:

        async def story(shared: RedisCounters) -> None:
            limited = meters()
            assert (await shared.take(demand(limited))).is_taken
            mine.kill()
            with pytest.raises(AWAY):
                await shared.take(demand(limited))
            mine.start()
            await shared.forget_connections()
            assert (await shared.take(demand(limited))).readings[0].used == 0

        run(mine, story)


def test_a_redis_that_does_not_answer_is_not_waited_for() -> None:
    with RedisProcess() as mine:

        async def story(shared: RedisCounters) -> None:
            await shared.take(demand(meters()))
            mine.pause()
            began = time.monotonic()
            with pytest.raises(AWAY):
                await shared.take(demand(meters()))
            assert time.monotonic() - began < 2 * in_redis.SLOW_SECONDS
            mine.go_on()

        run(mine, story)
