"""Redis fails, hangs, and comes back: requests go on, limits hold in each process, and one line says so."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from redis import Redis

from accounts.authentication import Caller
from testing import cast
from testing.redis_process import RedisProcess
from usage.models import Limit
from usage.services.limits import limits as limits_module
from usage.services.limits.arithmetic import Kind
from usage.services.limits.in_redis import SLOW_SECONDS, RedisCounters
from usage.services.limits.limits import LimitExceeded, Limits, Taken

pytestmark = pytest.mark.django_db(transaction=True)

AWAY, BACK = "Redis fails", "Redis works again"


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisProcess]:
    monkeypatch.setattr(limits_module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(limits_module, "RENEW_SECONDS", 0.2)
    with RedisProcess() as running:
        yield running


class Process:
    """The limits of one of several processes, tended as a server tends them. Its callers are all Alice."""

    def __init__(self, redis: RedisProcess, alice: Caller, lease_seconds: int) -> None:
        self.limits = Limits(RedisCounters(redis.url, lease_seconds=lease_seconds))
        self._alice = alice
        self._keeping = asyncio.create_task(self.limits.keep())
        self._asked = 0

    async def take(self) -> Taken:
        self._asked += 1
        taken = await self.limits.take(self._alice, f"req_{id(self)}_{self._asked}", 10)
        assert taken is not None
        return taken

    async def take_all(self) -> list[Taken]:
        """As much as there is."""
        took: list[Taken] = []
        while len(took) < 50:
            try:
                took.append(await self.take())
            except LimitExceeded:
                return took
        raise AssertionError("no limit holds")

    async def close(self) -> None:
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        await self.limits.close()


Story = Callable[[Process, Process], Awaitable[None]]


def run(redis: RedisProcess, story: Story, lease_seconds: int = 60, **limit: int) -> None:
    member = cast.alice()
    Limit.objects.create(team=member.team, **limit)

    async def told() -> None:
        processes = [Process(redis, member.caller(), lease_seconds) for _ in range(2)]
        try:
            await story(*processes)
        finally:
            for process in processes:
                await process.close()

    asyncio.run(told())


def times_said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # something in another process
            await asyncio.sleep(0.02)


def test_processes_share_a_limit_and_hold_it_each_for_itself_while_redis_is_away(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(one: Process, other: Process) -> None:
        assert len(await one.take_all()) == 3
        assert await other.take_all() == []
        redis.kill()
        assert await one.take_all() == [], "what it has let in itself counts on"
        assert len(await other.take_all()) == 3
        assert times_said(caplog, AWAY) == 2, "once for each process"
        redis.start()
        await until(lambda: times_said(caplog, BACK) == 2)
        assert len(await one.take_all()) == 3, "a Redis that was killed has forgotten"
        assert await other.take_all() == [], "and from then on they share again"

    run(redis, story, requests_per_minute=3)


def test_places_that_were_taken_meanwhile_are_known_to_all_when_redis_is_back(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(one: Process, other: Process) -> None:
        kept = await one.take_all()
        redis.kill()
        taken = await other.take_all()
        assert len(kept) == len(taken) == 3
        redis.start()
        await until(lambda: times_said(caplog, BACK) == 2)
        for each in taken:
            assert await one.take_all() == await other.take_all() == [], "six are in progress, where three may be"
            other.limits.settle(each, 5)
        await asyncio.sleep(0.2)
        assert await one.take_all() == await other.take_all() == []
        one.limits.settle(kept[0], 5)
        assert len(await one.take_all()) == 1

    run(redis, story, concurrent_requests=3)


def test_nothing_is_lost_while_redis_is_killed_and_comes_back(redis: RedisProcess) -> None:
    async def story(one: Process, other: Process) -> None:
        async def work(process: Process, number: int) -> None:
            await asyncio.sleep(number / 200)
            taken = await process.take()
            await asyncio.sleep(0.05)
            process.limits.settle(taken, 7)

        working = [asyncio.create_task(work(process, number)) for number in range(200) for process in (one, other)]
        for _ in range(2):
            await asyncio.sleep(0.2)
            redis.kill()
            await asyncio.sleep(0.1)
            redis.start()
        await asyncio.gather(*working)
        await asyncio.sleep(0.3)
        with Redis.from_url(redis.url) as client:
            assert client.keys("*:concurrent") == [], "no place is held by a request that has ended"

    run(redis, story, requests_per_minute=10_000, tokens_per_minute=1_000_000, concurrent_requests=500)


def test_a_redis_that_hangs_holds_up_one_moment_of_requests_and_no_more(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(one: Process, other: Process) -> None:
        await one.take()
        redis.pause()
        began = time.monotonic()
        await asyncio.gather(*(one.take() for _ in range(20)))
        assert time.monotonic() - began < 2 * SLOW_SECONDS
        began = time.monotonic()
        await asyncio.gather(*(one.take() for _ in range(20)))
        assert time.monotonic() - began < SLOW_SECONDS / 2, "nobody asks it any more"
        assert times_said(caplog, AWAY) == 1
        redis.go_on()
        await until(lambda: times_said(caplog, BACK) == 1)

    run(redis, story, requests_per_minute=1000)


def test_a_redis_that_answers_and_takes_nothing_is_away_once(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(one: Process, other: Process) -> None:
        with Redis.from_url(redis.url) as client:
            client.config_set("min-replicas-to-write", 1)
            for _ in range(20):
                await one.take()
                await asyncio.sleep(0.05)
            assert (times_said(caplog, AWAY), times_said(caplog, BACK)) == (2, 0), "once for each process"
            client.config_set("min-replicas-to-write", 0)
        await until(lambda: times_said(caplog, BACK) == 2)

    run(redis, story, requests_per_minute=1000)


def test_a_place_that_is_given_back_meanwhile_is_free_when_redis_is_back(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(one: Process, other: Process) -> None:
        (taken,) = await one.take_all()
        redis.pause()
        one.limits.settle(taken, 5)
        await until(lambda: times_said(caplog, AWAY) == 1)
        redis.go_on()
        await until(lambda: times_said(caplog, BACK) == 1)
        assert len(await other.take_all()) == 1

    run(redis, story, concurrent_requests=1)


def test_a_client_that_leaves_while_redis_is_asked_holds_nothing(redis: RedisProcess) -> None:
    async def story(one: Process, other: Process) -> None:
        for _ in range(3):
            redis.pause()
            asking = asyncio.create_task(one.take())
            await asyncio.sleep(0.05)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            redis.go_on()
            await asyncio.sleep(0.2)
        assert len(await other.take_all()) == 1

    run(redis, story, requests_per_minute=1, tokens_per_minute=10, concurrent_requests=1)


def test_a_request_that_has_just_been_answered_has_made_room_for_the_next(redis: RedisProcess) -> None:
    async def story(one: Process, other: Process) -> None:
        for _ in range(100):
            taken = await one.take()
            one.limits.settle(taken, 5)

    run(redis, story, concurrent_requests=1)


def test_tokens_are_corrected_for_all_processes(redis: RedisProcess) -> None:
    async def story(one: Process, other: Process) -> None:
        taken = await one.take()
        assert (await other.take()).standing[Kind.TOKENS].remaining == 80
        one.limits.settle(taken, 1)
        await asyncio.sleep(0.2)
        last = await other.take()
        assert last.standing[Kind.TOKENS].remaining == 79
        other.limits.undo(last)
        await asyncio.sleep(0.2)
        assert (await one.take()).standing[Kind.TOKENS].remaining == 79

    run(redis, story, tokens_per_minute=100)


def test_an_answer_longer_than_its_lease_keeps_its_place(redis: RedisProcess) -> None:
    async def story(one: Process, other: Process) -> None:
        await one.take()
        for _ in range(6):
            await asyncio.sleep(0.5)
            assert await other.take_all() == []

    run(redis, story, lease_seconds=2, concurrent_requests=1)


def test_a_process_that_stops_gives_everything_back_at_once(redis: RedisProcess) -> None:
    async def story(one: Process, other: Process) -> None:
        taken = await one.take_all()
        for each in taken:
            one.limits.settle(each, 5)
        await one.close()
        assert len(await other.take_all()) == len(taken) == 5

    run(redis, story, concurrent_requests=5)


def test_the_password_of_redis_is_in_no_line_of_the_log(caplog: pytest.LogCaptureFixture, redis: RedisProcess) -> None:
    member = cast.alice()
    Limit.objects.create(team=member.team, requests_per_minute=1)

    async def story() -> None:
        for port in (1, redis.port):
            limits = Limits(RedisCounters(f"redis://bridge:correct-horse@127.0.0.1:{port}/0"))
            assert await limits.take(member.caller(), "req_1", 10) is not None
            await limits.close()

    asyncio.run(story())
    assert times_said(caplog, AWAY) == 2
    assert "correct-horse" not in caplog.text
