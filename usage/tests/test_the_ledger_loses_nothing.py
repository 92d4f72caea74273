"""Records go through the spool to the database: once each, in any order, whatever dies or fills up on the way."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import Q

from accounts.authentication import Caller
from testing import cast
from usage.models import UsageRecord
from usage.pricing import Prices, Tokens
from usage.services import ledger as ledger_module
from usage.services.admission import Admission
from usage.services.ledger import Entry, Ledger, Origin, Outcome, State, ingest_orphans, mark_lost, write_lines
from usage.services.refusals import NotRecorded
from usage.services.spool import Spool

pytestmark = pytest.mark.django_db(transaction=True)
COMPLETED = Outcome(State.COMPLETED, 200)


def caller() -> Caller:
    return cast.alice().caller()


def entry(name: str, who: Caller, **fields: Any) -> Entry:
    given = {"requested_model": "sonnet", "model": "openai/gpt-5", "streamed": True, "prices": None, **fields}
    return Entry(request_id=name, caller=who, origin=Origin("session"), **given)


def states() -> dict[str, str]:
    return dict(UsageRecord.objects.values_list("request_id", "state"))


async def settled(tmp_path: Path, *entries: Entry, outcome: Outcome = COMPLETED) -> Ledger:
    ledger = Ledger(tmp_path)
    for each in entries:
        ledger.open(each)
        ledger.settle(each, outcome)
    await ledger.close()
    return ledger


def test_an_admitted_request_is_in_the_spool_before_anything_else(tmp_path: Path) -> None:
    async def admitted() -> None:
        ledger = Ledger(tmp_path)
        await Admission(ledger).admit(entry("req_1", who))

    who = caller()
    asyncio.run(admitted())
    (spool,) = tmp_path.glob("*.jsonl")
    assert b'"request_id":"req_1"' in spool.read_bytes()


def test_a_settled_request_has_what_was_learned_about_it(tmp_path: Path) -> None:
    asked = entry("req_1", caller(), prices=Prices(input=2_000_000, output=10_000_000))
    asked.tokens, asked.charged, asked.stop_reason = Tokens(input=10, output=5, reasoning=2), 123, "end_turn"
    asyncio.run(settled(tmp_path, asked))
    record = UsageRecord.objects.get()
    assert (record.state, record.status, record.stop_reason) == ("completed", 200, "end_turn")
    assert (record.input_tokens, record.output_tokens, record.reasoning_tokens) == (10, 5, 2)
    assert (record.cost, record.cost_source, record.team_name) == (123, "upstream", "Acme")
    assert list(tmp_path.iterdir()) == [], "an empty spool is removed at the end"


def test_a_cost_nobody_told_is_estimated_from_the_catalogue(tmp_path: Path) -> None:
    asked = entry("req_1", caller(), prices=Prices(input=2_000_000, output=10_000_000))
    asked.tokens = Tokens(input=10, output=5)
    asyncio.run(settled(tmp_path, asked))
    record = UsageRecord.objects.get()
    assert (record.cost, record.cost_source) == (70_000_000, "catalogue")


def test_only_the_first_settlement_counts(tmp_path: Path) -> None:
    async def twice() -> None:
        ledger, asked = Ledger(tmp_path), entry("req_1", who)
        ledger.open(asked)
        ledger.settle(asked, Outcome(State.ABORTED, 499))
        ledger.settle(asked, COMPLETED)
        await ledger.close()

    who = caller()
    asyncio.run(twice())
    assert states() == {"req_1": "aborted"}


def test_lines_may_come_twice_and_in_any_order(tmp_path: Path) -> None:
    async def lines() -> list[dict[str, Any]]:
        ledger, asked = Ledger(tmp_path), entry("req_1", who)
        ledger.open(asked)
        ledger.settle(asked, COMPLETED)
        return ledger._spool.read(10_000)[0]

    who = caller()
    opened, done = asyncio.run(lines())
    for order in ([opened, done], [done, opened], [done], [opened], [opened, opened, done]):
        write_lines(order)
        write_lines(order)
    assert states() == {"req_1": "completed"}


def test_a_record_that_was_lost_may_still_be_settled() -> None:
    who = caller()
    line = ledger_module._opened(entry("req_1", who), "server")
    write_lines([line])
    assert mark_lost(Q(server="server")) == 1
    assert states() == {"req_1": "lost"}
    done = entry("req_1", who)
    done.settled_at = time.time()
    write_lines([ledger_module._settled(done, COMPLETED, "server")])
    assert states() == {"req_1": "completed"}


def test_the_spool_of_a_dead_process_is_ingested_and_its_open_records_are_lost(tmp_path: Path) -> None:
    async def dies() -> None:
        ledger = Ledger(tmp_path)
        for name in ("req_1", "req_2"):
            ledger.open(entry(name, who))
        ledger.settle(ledger.in_flight["req_1"], COMPLETED)
        with ledger._spool.path.open("ab") as file:
            file.write(b'{"request_id":"req_3","st')  # it died while writing
        os.close(ledger._spool._descriptor)

    who = caller()
    asyncio.run(dies())
    assert ingest_orphans(tmp_path) == 1
    assert states() == {"req_1": "completed", "req_2": "lost"}
    assert ingest_orphans(tmp_path) == 0


def test_the_spool_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "living")
    spool.append({"request_id": "req_1"})
    assert Spool.adopt(spool.path) is None
    assert ingest_orphans(tmp_path) == 0


def test_records_wait_while_the_database_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def outage() -> None:
        ledger = Ledger(tmp_path)
        ledger.open(entry("req_1", who))
        with monkeypatch.context() as patch:
            patch.setattr(ledger_module, "write_lines", unreachable)
            await ledger.ingest()
            assert ledger._spool.backlog > 0
        await ledger.ingest()
        assert ledger._spool.backlog == 0
        ledger.settle(ledger.in_flight["req_1"], COMPLETED)
        await ledger.close()

    def unreachable(lines: object) -> None:
        raise OperationalError("away")

    who = caller()
    asyncio.run(outage())
    assert states() == {"req_1": "completed"}


def test_a_request_that_cannot_be_recorded_is_not_let_in(tmp_path: Path) -> None:
    async def full() -> None:
        ledger = Ledger(tmp_path)
        os.dup2(os.open("/dev/full", os.O_RDWR), ledger._spool._descriptor)
        with pytest.raises(NotRecorded):
            await Admission(ledger).admit(entry("req_1", who))
        assert ledger.in_flight == {}

    who = caller()
    asyncio.run(full())


def test_a_settlement_waits_in_memory_while_the_disk_is_full(tmp_path: Path) -> None:
    async def full() -> None:
        ledger, asked = Ledger(tmp_path), entry("req_1", who)
        ledger.open(asked)
        descriptor = ledger._spool._descriptor
        ledger._spool._descriptor = os.open("/dev/full", os.O_RDWR)
        ledger.settle(asked, COMPLETED)
        ledger._spool._descriptor = descriptor
        await ledger.close()

    who = caller()
    asyncio.run(full())
    assert states() == {"req_1": "completed"}


def test_text_is_cut_to_its_column_and_a_nul_is_taken_out(tmp_path: Path) -> None:
    asked = entry("req_1", caller(), requested_model="m" * 5000)
    asyncio.run(settled(tmp_path, asked, outcome=Outcome(State.ERROR, 502, "api_error", "no\x00t" + "x" * 5000)))
    record = UsageRecord.objects.get()
    assert (len(record.requested_model), len(record.error_message)) == (200, 500)
    assert record.error_message.startswith("notx")


def test_a_long_spool_is_compacted_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage.services.spool.COMPACT_BYTES", 100)
    spool = Spool.create(tmp_path, "busy")
    for number in range(50):
        spool.append({"number": number})
    seen: list[int] = []
    while spool.backlog:
        lines, position = spool.read(60)
        seen += [line["number"] for line in lines]
        if len(seen) == 20:
            spool.append({"number": 50})
        spool.ingested_to(position)
        assert Spool.adopt(spool.path) is None, "the fresh file is locked as the old one was"
    assert seen == list(range(51))
    assert spool.path.stat().st_size == 0


def test_a_text_longer_than_a_batch_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "BATCH_BYTES", 100)
    who = caller()
    asked = [entry(f"req_{number}", who, requested_model="claude-" + "x" * 600_000) for number in range(3)]
    asyncio.run(settled(tmp_path, *asked))
    assert states() == dict.fromkeys(["req_0", "req_1", "req_2"], "completed")


def test_a_record_that_the_database_refuses_keeps_no_other_out(tmp_path: Path) -> None:
    who = caller()
    absurd = entry("req_1", who)
    absurd.tokens = Tokens(input=2**63)
    asyncio.run(settled(tmp_path, entry("req_0", who), absurd, entry("req_2", who)))
    assert states() == {"req_0": "completed", "req_1": "open", "req_2": "completed"}, "what was opened is still known"
    (refused,) = tmp_path.glob("*.refused")
    assert "req_1" in refused.read_text()


def test_a_job_that_fails_once_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    async def job() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise OverflowError("once")

    async def repeated() -> None:
        task = asyncio.create_task(ledger_module._repeat(job, 0.01))
        await asyncio.sleep(0.1)
        task.cancel()

    asyncio.run(repeated())
    assert len(done) > 2


@pytest.mark.parametrize("is_ingested_between", [False, True])
def test_of_a_process_that_dies_is_known_what_the_upstream_calls_its_answer(
    tmp_path: Path, is_ingested_between: bool
) -> None:
    """So that it can be asked what the answer cost."""

    async def died() -> None:
        ledger = Ledger(tmp_path)
        ledger.open(begun)
        if is_ingested_between:
            await ledger.ingest()
        begun.generation_id, begun.model = "gen-1", "openai/gpt-5-mini"
        ledger.name(begun)
        ledger._spool.close()

    begun = entry("req_1", caller())
    asyncio.run(died())
    assert ingest_orphans(tmp_path) == 1
    row = UsageRecord.objects.get()
    assert (row.state, row.generation_id, row.model) == ("lost", "gen-1", "openai/gpt-5-mini")
    assert row.session_id == "session"


def test_a_settled_record_is_not_named_anew(tmp_path: Path) -> None:
    begun = entry("req_1", caller(), generation_id="gen-2")
    asyncio.run(settled(tmp_path, begun))
    write_lines([{"request_id": "req_1", "state": "named", "started_at": 1.0, "generation_id": "gen-1", "model": "x"}])
    assert UsageRecord.objects.get().generation_id == "gen-2"
