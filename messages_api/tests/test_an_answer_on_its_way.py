"""A streamed answer on its way: failures before its first word are tried again, silence is bridged, the end is one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pytest_django import Settings

from messages_api import errors
from messages_api.services import stream as stream_module
from messages_api.services.attempts import retry
from messages_api.services.attempts.base import Attempt
from messages_api.services.attempts.sequence import Attempts
from messages_api.services.cost_estimate import CostEstimates
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import Target
from messages_api.services.settlement import ClientStalled, Settlement
from messages_api.services.stream import MessageStream
from messages_api.services.token_factors import TokenFactors
from messages_api.services.translation.chat import AnswerError
from testing import cast as people
from usage.models import UsageRecord
from usage.pricing import Prices, Tokens
from usage.services.admission import Admission
from usage.services.ledger import Entry, Ledger, Origin

pytestmark = pytest.mark.django_db(transaction=True)

START, WORD, END = b"<start>", b"<word>", b"<end>"
BROKEN = errors.UpstreamFailed("The connection broke.")
REFUSED = errors.InvalidRequest("max_tokens: too many")
TICK = 0.02
LOSE_START = "the start is made, and what it would have gone out with breaks"
Step = float | bytes | str | Exception


@dataclass
class Scripted:
    """An attempt that does what it is told: waits for a number, says bytes, raises an error, loses its start."""

    target: Target
    script: list[Step]
    heard_at: float = field(default_factory=time.monotonic)
    is_started: bool = False
    is_closed: bool = False

    async def stream(self) -> AsyncGenerator[bytes, None]:
        for step in self.script:
            match step:
                case float():
                    await asyncio.sleep(step)
                case bytes():
                    self.heard_at = time.monotonic()
                    yield self.start() + step
                case str():
                    self.start()
                case Exception():
                    raise step

    async def complete(self) -> bytes:
        return b"".join([piece async for piece in self.stream()])

    def start(self) -> bytes:
        first, self.is_started = (b"" if self.is_started else START), True
        return first

    def note(self, entry: Entry) -> None:
        entry.tokens = Tokens(output=1)

    async def close(self) -> None:
        self.is_closed = True


@dataclass
class Way:
    """What was asked of whom, and what the client received."""

    attempts: list[Scripted]
    received: bytes = b""

    async def write(self, data: bytes) -> None:
        self.received += data

    async def start(self) -> None:
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """All patience is short, in proportion."""
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(stream_module, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(stream_module, "PING_SECONDS", 0.2)
    monkeypatch.setattr(stream_module, "STALL_SECONDS", 0.4)
    settings.CONTENT_SECONDS, settings.SILENCE_SECONDS = 1.0, 0.5


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


Send = Callable[..., Any]


@pytest.fixture
def send(ledger: Ledger) -> Iterator[Send]:
    """Send a request of Alice's to targets that act by scripts; what came back, and its record."""
    caller = people.alice().caller()

    async def sent(*scripts: list[Step], targets: int = 1, retry_seconds: float = 30, way: Way | None = None) -> Way:
        way = way or Way([])
        waiting = list(scripts)

        def make(target: Target) -> Attempt:
            if not waiting[0]:
                waiting.pop(0)
                raise errors.PaymentRequired("There is no key for this target.")
            way.attempts.append(Scripted(target, waiting.pop(0)))
            return cast(Attempt, way.attempts[-1])

        places = [Target(f"model-{number}", ModelFacts("m", prices=Prices(1, 1))) for number in range(targets)]
        entry = Entry("req_1", caller, Origin(), "sonnet", str(places[0]), streamed=True, prices=None)
        ledger.open(entry)
        settlement = Settlement(Admission(ledger), entry, TokenFactors(), CostEstimates())
        live: set[MessageStream] = set()
        stream = MessageStream(Attempts(make, places, settlement, retry_seconds), settlement, live)
        ticking = asyncio.create_task(tick(live))
        try:
            await stream.begin()
            await stream.relay(way.write, way.start)
        except errors.ApiError as error:
            settlement.end(error)
            raise
        except AnswerError as error:
            settlement.end(error)
            raise
        finally:
            ticking.cancel()
        return way

    yield sent


async def tick(live: set[MessageStream]) -> None:
    while True:
        await asyncio.sleep(TICK)
        for stream in list(live):
            stream.tick()


async def record(ledger: Ledger) -> UsageRecord:
    await ledger.close()
    return await UsageRecord.objects.aget()


async def test_what_breaks_before_its_first_word_is_asked_again(send: Send, ledger: Ledger) -> None:
    way = await send([BROKEN], [AnswerError("The model gave an empty answer.")], [WORD, END])
    assert way.received == START + WORD + END
    assert all(attempt.is_closed for attempt in way.attempts)
    row = await record(ledger)
    assert [attempt["status"] for attempt in row.attempts] == [502, 502, 200]
    assert (row.state, row.output_tokens) == ("completed", 3)


async def test_a_refusal_is_told_with_its_status_and_asked_once(send: Send, ledger: Ledger) -> None:
    with pytest.raises(errors.InvalidRequest):
        await send([REFUSED])
    row = await record(ledger)
    assert (row.state, row.status, row.attempts) == ("error", 400, [])


async def test_after_its_first_word_a_broken_answer_ends_in_an_error(send: Send, ledger: Ledger) -> None:
    way = await send([WORD, BROKEN], targets=2)
    assert way.received.startswith(START + WORD + b"event: error\n")
    assert way.received.count(b"event:") == 1
    assert len(way.attempts) == 1
    assert (await record(ledger)).status == 502


async def test_the_next_target_answers_when_the_first_is_busy(send: Send, ledger: Ledger) -> None:
    way = await send([errors.Overloaded("Busy.")], [WORD, END], targets=2)
    assert way.received == START + WORD + END
    assert (await record(ledger)).model == "model-1"


async def test_a_client_that_leaves_in_the_wait_leaves_no_attempt_that_was_never_made(
    send: Send, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 5.0)  # longer than the patience: the start goes out meanwhile
    way = Way([])
    sending = asyncio.create_task(send([BROKEN], [WORD, END], targets=2, way=way))
    while not way.received:  # noqa: ASYNC110  # the way is written to by the code under test, which knows no event
        await asyncio.sleep(TICK)
    sending.cancel()
    await asyncio.wait({sending})
    row = await record(ledger)
    assert way.received == START
    assert [(attempt["target"], attempt["status"]) for attempt in row.attempts] == [("model-0", 502)]
    assert (row.state, row.model, row.output_tokens) == ("aborted", "model-0", 1)


async def test_what_failed_after_pings_is_asked_again_too_and_starts_once(send: Send) -> None:
    way = await send([0.5, BROKEN], [0.3, WORD, END])
    assert way.received.count(START) == 1
    assert way.received.startswith(START + b"event: ping")
    assert way.received.endswith(WORD + END)


async def test_a_start_that_was_lost_with_a_failed_attempt_is_given_by_the_next(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.6)  # longer than the patience: the start goes out meanwhile
    way = await send([LOSE_START, BROKEN], [WORD, END])
    assert way.received.startswith(START)
    assert way.received.count(START) == 1


async def test_a_target_that_cannot_be_asked_is_passed_over(send: Send) -> None:
    way = await send([errors.NotFound("Gone.")], [], [WORD, END], targets=3)
    assert way.received == START + WORD + END
    assert [str(attempt.target) for attempt in way.attempts] == ["model-0", "model-2"]


async def test_where_no_other_target_can_be_asked_the_first_error_is_told(send: Send) -> None:
    with pytest.raises(errors.NotFound):
        await send([errors.NotFound("Gone.")], [], targets=2)


async def test_silence_is_bridged_by_pings_of_our_own(send: Send) -> None:
    way = await send([0.7, WORD, 0.3, END])
    pings = way.received.count(b"event: ping\n")
    assert way.received.startswith(START)
    assert 2 <= pings <= 4
    assert way.received.endswith(END)


async def test_an_answer_that_speaks_needs_no_ping(send: Send) -> None:
    way = await send([WORD, 0.1, WORD, 0.1, WORD, 0.1, END])
    assert b"ping" not in way.received


async def test_an_answer_without_content_is_given_up_although_its_upstream_lives(send: Send, ledger: Ledger) -> None:
    way = await send([5.0, END])
    assert way.received.endswith(b"}\n\n")
    assert b"timeout_error" in way.received
    assert (await record(ledger)).status == 504


async def test_an_answer_whose_upstream_falls_silent_is_given_up_sooner(send: Send, ledger: Ledger) -> None:
    began = time.monotonic()
    way = await send([WORD, 30.0, END])
    assert b"timeout_error" in way.received
    assert 0.5 <= time.monotonic() - began < 1.0


async def test_without_time_for_another_attempt_the_first_error_is_told(send: Send) -> None:
    with pytest.raises(errors.UpstreamFailed):
        await send([BROKEN], retry_seconds=0)


async def test_a_client_that_takes_nothing_is_given_up(send: Send, ledger: Ledger) -> None:
    class Stuck(Way):
        async def write(self, data: bytes) -> None:
            await asyncio.sleep(30)

    with pytest.raises(ClientStalled):
        await send([WORD, END], way=Stuck([]))
    row = await record(ledger)
    assert (row.state, row.status) == ("aborted", 499)
