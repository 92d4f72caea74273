"""A request whose cost is a guess is asked for at OpenRouter, and corrected everywhere at once: record, day, budget."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.openrouter import generation
from testing import cast
from testing.cast import Member
from testing.simulator_process import SimulatorProcess
from testing.wire import send
from usage.models import Budget, BudgetCounter, TouchedDay, UsageRecord
from usage.services import reconcile
from usage.services.budgets.counting import count_anew
from usage.services.ledger import write_lines
from usage.tests.counted import record

pytestmark = pytest.mark.django_db(transaction=True)

PAID = "sk-or-v1-server-0123456789abcdef"
OTHER = "sk-or-v1-other-0123456789abcdef"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        yield running


@pytest.fixture(autouse=True)
def asked_at_the_simulator(simulator: SimulatorProcess, settings: Any) -> None:
    settings.OPENROUTER_BASE_URL = f"{simulator.base_url.removesuffix('/api/v1')}/api/v1"
    settings.OPENROUTER_API_KEY = PAID


@pytest.fixture
def alice() -> Member:
    return cast.alice()


def answered(simulator: SimulatorProcess, secret: str = PAID) -> str:
    """The id of an answer that `secret` has paid for."""
    body = orjson.dumps({"model": "openai/gpt-5", "messages": [{"role": "user", "content": "Hello"}]})
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    root = simulator.base_url.removesuffix("/api/v1")
    return str(send(root, "POST", "/api/v1/chat/completions", body, headers).json["id"])


def guessed(alice: Member, generation_id: str, **fields: Any) -> UsageRecord:
    """A request that Alice left a minute ago, with an estimate of what it cost."""
    minute_ago = timezone.now() - timedelta(minutes=1)
    given = {
        "state": "aborted",
        "cost": 7,
        "cost_source": "catalogue",
        "cache_read_tokens": 0,
        "started_at": minute_ago,
    }
    given |= {"api_key_id": alice.caller().key_id, "generation_id": generation_id, "input_tokens": 1} | fields
    return record(f"req_{generation_id}", alice, **given)


def test_a_record_is_corrected_and_keeps_what_stood_there(alice: Member, simulator: SimulatorProcess) -> None:
    row = guessed(alice, answered(simulator))
    told = generation(PAID, row.generation_id)
    assert reconcile.step() is False
    row.refresh_from_db()
    assert (row.cost, row.cost_source) == (told.cost, "upstream")
    assert row.input_tokens + row.cache_read_tokens + row.cache_write_tokens == told.prompt_tokens
    assert row.output_tokens == told.completion_tokens
    assert row.state == "aborted"
    assert row.corrected_at is not None
    assert row.before is not None
    assert row.before["why"] == "the client left before the end"
    assert (row.before["cost"], row.before["cost_source"], row.before["input_tokens"]) == (7, "catalogue", 1)
    assert TouchedDay.objects.filter(day=row.started_at.date()).exists()


def test_it_is_asked_for_once(alice: Member, simulator: SimulatorProcess) -> None:
    row = guessed(alice, answered(simulator))
    reconcile.step()
    asked = len(simulator.requests())
    reconcile.step()
    reconcile.correct(row.pk, {row.generation_id: generation(PAID, row.generation_id)})
    assert len(simulator.requests()) == asked + 1, "only the test itself has asked"
    row.refresh_from_db()
    assert row.before is not None
    assert row.before["cost"] == 7, "what is corrected is not corrected again"


def test_a_budget_counts_what_it_really_cost(alice: Member, simulator: SimulatorProcess) -> None:
    row = guessed(alice, answered(simulator))
    budget = Budget.objects.create(team=alice.team, membership=alice.membership, amount=10**14)
    count_anew(budget)
    assert BudgetCounter.objects.get().spent == 7
    reconcile.step()
    row.refresh_from_db()
    assert BudgetCounter.objects.get().spent == row.cost > 7


LONG_AGO = timezone.now() - timedelta(days=20)


@pytest.mark.parametrize(
    "fields",
    [
        {"cost_source": "upstream"},
        {"state": "open", "settled_at": None},
        {"generation_id": ""},
        {"generation_id": "msg_of_another_provider"},
        {"settled_at": timezone.now() + timedelta(minutes=10)},
        {"settled_at": LONG_AGO},
        {"times_asked": len(reconcile.WAITS)},
    ],
    ids=["charged", "open", "unnamed", "another provider's", "just ended", "long ago", "often asked"],
)
def test_nothing_else_is_asked_for(alice: Member, fields: dict[str, Any]) -> None:
    guessed(alice, "gen-1")
    assert reconcile.due(timezone.now()).count() == 1
    UsageRecord.objects.update(**fields)
    assert reconcile.due(timezone.now()).count() == 0


def test_what_is_not_known_yet_is_asked_for_less_and_less_often(alice: Member) -> None:
    row = guessed(alice, "gen-unknown")
    last = row.settled_at
    for wait in reconcile.WAITS:
        assert last is not None
        assert reconcile.due(last + wait - timedelta(seconds=1)).count() == 0
        assert reconcile.due(last + wait).count() == 1
        UsageRecord.objects.update(settled_at=timezone.now() - wait, asked_at=row.asked_at and timezone.now() - wait)
        reconcile.step()
        row.refresh_from_db()
        assert row.corrected_at is None
        last = row.asked_at
    assert reconcile.due(timezone.now() + timedelta(days=1)).count() == 0
    assert (row.cost, row.corrected_at) == (7, None)


def test_the_key_that_paid_is_found_among_the_teams(alice: Member, simulator: SimulatorProcess) -> None:
    alice.team.openrouter_key = cast.openrouter_key("new", "sk-or-v1-newer-0123456789abcdef")
    alice.team.save()
    paid = cast.openrouter_key("old", OTHER)
    paid.team = alice.team
    paid.save()
    row = guessed(alice, answered(simulator, OTHER))
    reconcile.step()
    row.refresh_from_db()
    assert row.corrected_at is not None


def test_each_attempt_is_corrected_for_itself(alice: Member, simulator: SimulatorProcess) -> None:
    names = [answered(simulator), answered(simulator)]
    attempts = [
        {"generation_id": names[0], "cost": 5, "cost_source": "catalogue", "tokens": [1, 1, 0, 0, 0, 0]},
        {"generation_id": "", "cost": 0, "cost_source": "", "tokens": [0, 0, 0, 0, 0, 0]},
        {"generation_id": names[1], "cost": 11, "cost_source": "upstream", "tokens": [2, 2, 0, 0, 0, 1]},
    ]
    row = guessed(alice, names[1], attempts=attempts, cost=16)
    reconcile.step()
    row.refresh_from_db()
    told = generation(PAID, names[0])
    assert (row.cost, row.cost_source) == (told.cost + 11, "upstream")
    assert (row.output_tokens, row.web_searches) == (told.completion_tokens + 2, 1)
    assert [attempt["cost"] for attempt in row.attempts] == [told.cost, 0, 11]


def test_a_server_that_is_away_is_asked_again_and_one_answer_keeps_no_other_waiting(
    alice: Member, settings: Any, simulator: SimulatorProcess
) -> None:
    first, second = guessed(alice, answered(simulator)), guessed(alice, answered(simulator))
    there, settings.OPENROUTER_BASE_URL = settings.OPENROUTER_BASE_URL, "http://127.0.0.1:9"
    assert reconcile.step() is False
    assert [row.pk for row in reconcile.due(timezone.now())] == [second.pk, first.pk]
    settings.OPENROUTER_BASE_URL = there
    reconcile.step()
    assert not UsageRecord.objects.filter(corrected_at=None).exists()


def test_a_lost_request_that_was_corrected_stays_so_when_its_line_turns_up(
    alice: Member, simulator: SimulatorProcess
) -> None:
    row = guessed(alice, answered(simulator), state="lost", cost=0, cost_source="")
    reconcile.step()
    line = {"request_id": row.request_id, "state": "aborted", "started_at": row.started_at.timestamp(), "cost": 7}
    line |= {
        "lease_expires_at": 0,
        "settled_at": 1,
        "team_id": alice.team.pk,
        "user_id": alice.user.pk,
        "api_key_id": 1,
    }
    write_lines([line])
    row.refresh_from_db()
    assert (row.state, row.cost_source) == ("lost", "upstream")


def test_the_command_asks_at_once_and_says_what_became_of_it(alice: Member, simulator: SimulatorProcess) -> None:
    guessed(alice, answered(simulator), settled_at=timezone.now())
    guessed(alice, "gen-unknown", times_asked=len(reconcile.WAITS))
    said = StringIO()
    call_command("reconcile", stdout=said)
    assert said.getvalue() == "1 corrected, 1 not known to OpenRouter yet.\n"
    assert UsageRecord.objects.get(corrected_at=None).times_asked == len(reconcile.WAITS)


def test_the_command_says_in_one_line_that_openrouter_is_away(alice: Member, settings: Any) -> None:
    guessed(alice, "gen-1")
    settings.OPENROUTER_BASE_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="could not be read"):
        call_command("reconcile")
