"""Budgets, requests that may cost something, and what the database says of both, for the tests of budgets."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import current_thread
from typing import Any

import pytest
from django.db import connections
from django.db.backends.utils import CursorWrapper

from accounts.models import ApiKey
from testing.cast import Member
from usage.models import Budget, BudgetCounter, UsageRecord
from usage.services.admission import Admission
from usage.services.ledger import Entry, Ledger, Origin, Outcome, State

DOLLAR = 10**12
CENT = 10**10
COMPLETED = Outcome(State.COMPLETED, 200)
#: The threads that requests wait for; what is done beside them runs in others.
ON_THE_PATH = "orm_"


def budget(member: Member, amount: int = DOLLAR, **fields: Any) -> Budget:
    """Of the whole team, by the month and hard, unless `fields` say otherwise."""
    return Budget.objects.create(team=member.team, amount=amount, **fields)


def key_of(member: Member) -> ApiKey:
    return ApiKey.objects.filter(membership=member.membership)[0]


def record(member: Member, name: str, cost: int, started_at: datetime) -> None:
    """What a request of some time ago has cost."""
    UsageRecord.objects.create(
        request_id=name,
        state="completed",
        started_at=started_at,
        settled_at=started_at,
        lease_expires_at=started_at,
        team=member.team,
        user=member.user,
        api_key=key_of(member),
        cost=cost,
    )


def request(name: str, member: Member, may_cost: int = CENT, **fields: Any) -> Entry:
    caller = member.caller()
    given = {"requested_model": "sonnet", "model": "openai/gpt-5", "streamed": True, "prices": None, **fields}
    return Entry(request_id=name, caller=caller, origin=Origin(), estimated_cost=may_cost, **given)


def server(folder: Path) -> tuple[Ledger, Admission]:
    """What a server process has of both."""
    ledger = Ledger(folder)
    return ledger, Admission(ledger)


def settle(admission: Admission, entry: Entry, cost: int) -> None:
    entry.charged = cost
    admission.settle(entry, COMPLETED)


def counted(row: Budget) -> tuple[int, int]:
    """What is spent and what is reserved."""
    counter = BudgetCounter.objects.get(budget=row)
    return counter.spent, counter.reserved


@contextmanager
def statements_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement of a thread that a request waits for, as it is where connections stay open.

    Among them Django's question whether a connection is still alive, which it asks past its own cursors.
    """
    seen: list[str] = []
    backend = type(connections["default"])
    execute, is_usable = CursorWrapper.execute, backend.is_usable

    def noted(self: Any, sql: Any, params: Any = None) -> Any:
        _note(seen, str(sql))
        return execute(self, sql, params)

    def noted_question(self: Any) -> bool:
        _note(seen, "SELECT 1")
        return is_usable(self)

    with monkeypatch.context() as patch:
        patch.setattr(CursorWrapper, "execute", noted)
        patch.setattr(backend, "is_usable", noted_question)
        yield seen


def _note(seen: list[str], sql: str) -> None:
    if current_thread().name.startswith(ON_THE_PATH):
        seen.append(sql)
