"""The arithmetic of limits: no minute holds more than the limit, and what a client is told about it is true."""

import copy
import itertools
import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from usage.services.limits.arithmetic import (
    SPAN,
    WINDOW,
    Count,
    Demand,
    Kind,
    Meter,
    place,
    refusal,
    settled,
    standing,
)
from usage.services.limits.in_process import ProcessCounters

TEAM = Meter("team", "the team Acme", Kind.REQUESTS, 5)
NUMBERS = itertools.count()
#: Pauses between requests: mostly short, some longer than a minute.
PAUSES = st.one_of(st.floats(0, 3), st.floats(0, 130))


def demand(*meters: Meter, tokens: int = 0) -> Demand:
    return Demand(f"req_{next(NUMBERS)}", meters, tokens)


def meter(kind: Kind, limit: int, key: str = "") -> Meter:
    return Meter(key or str(kind), "the team Acme", kind, limit)


@dataclass
class Story:
    """Counters, a clock, and what was let in when."""

    limit: Meter
    now: float = 1_000.25
    counters: ProcessCounters = field(default_factory=ProcessCounters)
    let_in: list[tuple[float, int]] = field(default_factory=list)

    def ask(self, tokens: int = 1) -> tuple[Demand, Count]:
        wanted = demand(self.limit, tokens=tokens)
        count = self.counters.take(wanted, self.now)
        if count.is_taken:
            self.let_in.append((self.now, wanted.amount(self.limit)))
        return wanted, count

    def would_fit(self, tokens: int, now: float) -> bool:
        """Whether a request would be let in at `now`."""
        return copy.deepcopy(self.counters).take(demand(self.limit, tokens=tokens), now).is_taken


def most_in_any_minute(let_in: list[tuple[float, int]]) -> int:
    sums = (sum(amount for at, amount in let_in if start <= at < start + WINDOW) for start, _ in let_in)
    return max(sums, default=0)


@given(st.integers(1, 6), st.lists(PAUSES, max_size=40))
def test_no_minute_holds_more_requests_than_the_limit(limit: int, pauses: list[float]) -> None:
    story = Story(meter(Kind.REQUESTS, limit))
    for pause in pauses:
        story.now += pause
        story.ask()
    assert most_in_any_minute(story.let_in) <= limit


@given(st.lists(st.tuples(PAUSES, st.integers(0, 100)), max_size=40))
def test_no_minute_holds_more_tokens_than_the_limit(asked: list[tuple[float, int]]) -> None:
    story = Story(meter(Kind.TOKENS, 100))
    for pause, tokens in asked:
        story.now += pause
        story.ask(tokens)
    assert most_in_any_minute(story.let_in) <= 100


@given(st.lists(st.tuples(PAUSES, st.integers(0, 100), st.integers(0, 100)), max_size=40))
def test_tokens_count_as_estimated_and_then_as_they_were(asked: list[tuple[float, int, int]]) -> None:
    """Settled for less: less counts, from when it was taken. For more: the rest counts from when it is known."""
    story = Story(meter(Kind.TOKENS, 100))
    known: list[tuple[float, int]] = []
    for pause, estimate, used in asked:
        story.now += pause
        counted = sum(amount for at, amount in known if math.floor(at) + SPAN > math.floor(story.now))
        wanted, count = story.ask(estimate)
        assert count.is_taken == (counted + estimate <= 100)
        if count.is_taken:
            taken_at = story.now
            story.now += pause / 7
            story.counters.give_back(settled(wanted, count.tick, used), story.now)
            known += [(taken_at, min(estimate, used)), (story.now, max(0, used - estimate))]


@given(st.integers(1, 6), st.lists(st.tuples(PAUSES, st.integers(1, 130)), min_size=1, max_size=40))
def test_waiting_as_long_as_told_and_no_shorter_lets_in(limit: int, asked: list[tuple[float, int]]) -> None:
    for story in (Story(meter(Kind.REQUESTS, limit)), Story(meter(Kind.TOKENS, 100))):
        for pause, tokens in asked:
            story.now += pause
            wanted, count = story.ask(tokens)
            if not count.is_taken:
                seconds = refusal(wanted, count).seconds
                assert seconds is not None
                assert 1 <= seconds <= SPAN
                assert story.would_fit(tokens, story.now + seconds)
                assert not story.would_fit(tokens, story.now + seconds - 1)


@given(st.integers(1, 6), st.lists(PAUSES, min_size=1, max_size=20))
def test_what_is_said_to_remain_can_be_taken_and_not_more(limit: int, pauses: list[float]) -> None:
    story = Story(meter(Kind.REQUESTS, limit))
    for pause in pauses:
        story.now += pause
        told = standing(*story.ask())[Kind.REQUESTS]
    assert told.limit == limit
    for _ in range(told.remaining):
        assert story.ask()[1].is_taken
    assert not story.ask()[1].is_taken


@given(st.integers(2, 6), st.lists(PAUSES, min_size=1, max_size=20))
def test_all_is_there_again_when_it_is_said_to_be_and_not_before(limit: int, pauses: list[float]) -> None:
    story = Story(meter(Kind.REQUESTS, limit))
    for pause in pauses:
        story.now += pause
        told = standing(*story.ask())[Kind.REQUESTS]
    story.now = told.full_at - 0.001
    just_before = story.counters.take(demand(story.limit), story.now)
    assert just_before.readings[0].used > 0
    assert story.counters.take(demand(story.limit), told.full_at).readings[0].used <= 1, "all but the one just taken"


def test_a_request_larger_than_the_whole_limit_waits_until_nothing_else_counts() -> None:
    story = Story(meter(Kind.TOKENS, 100))
    assert story.ask(1)[1].is_taken
    wanted, count = story.ask(5_000)
    seconds = refusal(wanted, count).seconds
    assert seconds == SPAN, "60 seconds, and what is left of the one in which the other was let in"
    story.now += seconds
    assert story.ask(5_000)[1].is_taken
    assert not story.ask(1)[1].is_taken


@given(st.lists(st.tuples(PAUSES, st.integers(0, 60)), max_size=30))
def test_a_request_takes_of_all_its_limits_or_of_none(asked: list[tuple[float, int]]) -> None:
    meters = (meter(Kind.REQUESTS, 5), meter(Kind.TOKENS, 100), meter(Kind.CONCURRENT, 4))
    counters, now = ProcessCounters(), 1_000.0
    for pause, tokens in asked:
        now += pause
        before = used(counters, meters, now)
        count = counters.take(demand(*meters, tokens=tokens), now)
        took = (1, tokens, 1) if count.is_taken else (0, 0, 0)
        assert used(counters, meters, now) == [old + new for old, new in zip(before, took, strict=True)]


def used(counters: ProcessCounters, meters: tuple[Meter, ...], now: float) -> list[int]:
    """What counts, told to somebody for whom there is no room, so that asking changes nothing."""
    closed = Meter("closed", "", Kind.CONCURRENT, 0)
    return [reading.used for reading in counters.take(demand(*meters, closed), now).readings[:-1]]


def test_places_are_free_when_requests_end_and_nobody_knows_when() -> None:
    limit = meter(Kind.CONCURRENT, 2)
    counters = ProcessCounters()
    first, second, third = demand(limit), demand(limit), demand(limit)
    assert counters.take(first, 1.0).is_taken
    assert counters.take(second, 1.0).is_taken
    refused = counters.take(third, 900.0)
    assert not refused.is_taken
    assert refusal(third, refused).seconds is None
    counters.give_back(place(first), 901.0)
    counters.give_back(place(first), 901.0)  # a second time frees no second place
    assert counters.take(third, 901.0).is_taken
    assert not counters.take(demand(limit), 901.0).is_taken


def test_the_limit_that_keeps_out_longest_is_named() -> None:
    few, many, places = meter(Kind.REQUESTS, 1, "few"), meter(Kind.REQUESTS, 2, "many"), meter(Kind.CONCURRENT, 1)
    counters = ProcessCounters()
    counters.take(demand(few), 5.0)
    counters.take(demand(many), 1.0)
    counters.take(demand(many), 2.0)
    counters.take(demand(places), 2.0)
    wanted = demand(places, many, few)
    why = refusal(wanted, counters.take(wanted, 9.5))
    assert (why.meter, why.seconds) == (few, 57)


def test_what_is_left_is_told_of_the_scarcest() -> None:
    counters = ProcessCounters()
    team, member = meter(Kind.REQUESTS, 10, "team"), meter(Kind.REQUESTS, 4, "member")
    counters.take(demand(team), 1.0)
    wanted = demand(team, member, meter(Kind.CONCURRENT, 3))
    told = standing(wanted, counters.take(wanted, 2.0))
    assert {kind: (left.limit, left.remaining, left.full_at) for kind, left in told.items()} == {
        Kind.REQUESTS: (4, 3, 2 + SPAN)
    }


def test_who_has_not_asked_for_a_minute_is_forgotten() -> None:
    counters = ProcessCounters()
    for number in range(1000):
        wanted = demand(meter(Kind.REQUESTS, 5, f"r{number}"), meter(Kind.CONCURRENT, 5, f"c{number}"))
        counters.take(wanted, 10.0 + number / 100)
        counters.give_back(place(wanted), 10.0)
    counters.sweep(10.0 + WINDOW)
    assert len(counters.windows) == 1000
    counters.sweep(20.0 + SPAN)
    assert not counters.windows
    assert not counters.in_progress


def test_a_refusal_says_whose_limit_it_is_and_what_it_is() -> None:
    counters = ProcessCounters()
    said = []
    for kind, limit, tokens in ((Kind.REQUESTS, 1, 1), (Kind.TOKENS, 1_000, 900), (Kind.CONCURRENT, 1, 1)):
        wanted = demand(meter(kind, limit), tokens=tokens)
        counters.take(wanted, 5.5)
        said.append(str(refusal(wanted, counters.take(wanted, 60.0 if kind is Kind.TOKENS else 65.5))))
    assert said == [
        "Rate limit of the team Acme: at most 1 request a minute. Try again in 1 second.",
        "Rate limit of the team Acme: at most 1,000 tokens a minute; 100 left, and this request needs 900. "
        "Try again in 6 seconds.",
        "Rate limit of the team Acme: at most 1 request at the same time. Try again when one has ended.",
    ]
