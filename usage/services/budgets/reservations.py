"""Owns what requests reserve of hard budgets: taken before the call by one statement, from all that apply or from none.

On PostgreSQL that statement decides by the rows that its own `SELECT ... ORDER BY ... FOR UPDATE` has returned. A plain
`UPDATE ... WHERE used + wanted <= cap` on several rows locks them in any order and deadlocks, and a part of the
statement that looks into the table again sees what was there before the lock was waited for, and runs over the cap.
SQLite has no such statement, and one writer at a time: there it is a short transaction with the same decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, transaction

from usage.models import BudgetCounter, Reservation

_RESERVE = """
WITH wanted AS (
    SELECT * FROM unnest(%(budgets)s::bigint[], %(starts)s::timestamptz[], %(calendars)s::text[])
        AS wanted (budget_id, starts, calendar)
), locked AS MATERIALIZED (
    SELECT counter.budget_id, counter.period_start, counter.spent, counter.reserved, counter.noticed,
        budget.amount AS cap, wanted.starts
    FROM usage_budgetcounter AS counter
    JOIN wanted ON wanted.budget_id = counter.budget_id AND wanted.calendar = counter.calendar
    JOIN usage_budget AS budget ON budget.id = counter.budget_id AND budget.is_hard
    ORDER BY counter.budget_id
    FOR UPDATE OF counter
), present AS MATERIALIZED (
    SELECT budget_id, cap, GREATEST(period_start, starts) AS period_start,
        CASE WHEN period_start < starts THEN 0 ELSE spent END AS spent,
        CASE WHEN period_start < starts THEN 0 ELSE reserved END AS reserved,
        CASE WHEN period_start < starts THEN 0 ELSE noticed END AS noticed
    FROM locked
), decision AS MATERIALIZED (
    SELECT count(*) = cardinality(%(budgets)s::bigint[])
        AND COALESCE(bool_and(spent + reserved + %(amount)s <= cap), false) AS is_granted
    FROM present
), counted AS (
    UPDATE usage_budgetcounter AS counter
    SET period_start = present.period_start, spent = present.spent, noticed = present.noticed,
        reserved = present.reserved + %(amount)s
    FROM present, decision
    WHERE decision.is_granted AND counter.budget_id = present.budget_id
), kept AS (
    INSERT INTO usage_reservation (request_id, budget_id, period_start, amount, server, lease_expires_at)
    SELECT %(request_id)s, budget_id, period_start, %(amount)s, %(server)s, %(lease)s FROM present, decision
    WHERE decision.is_granted
)
SELECT budget_id, cap, spent, reserved, is_granted FROM present, decision ORDER BY budget_id
"""


@dataclass(frozen=True, slots=True)
class Share:
    """A budget of which something is wanted, and its period as the process that asks sees it."""

    budget_id: int
    calendar: str
    period_start: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request wants to reserve: the same amount of every budget that applies to it."""

    request_id: str
    amount: int
    server: str
    lease_expires_at: datetime
    shares: Sequence[Share]


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget as it stood when it was decided on, before anything was taken. Amounts are picodollars."""

    budget_id: int
    cap: int
    spent: int
    reserved: int

    def lacks(self, amount: int) -> bool:
        return self.spent + self.reserved + amount > self.cap

    def is_spent(self, amount: int) -> bool:
        """Whether it lacks so much even once everything reserved has come back."""
        return self.spent + amount > self.cap


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the wish was granted. Of a budget that is not what the process takes it for there is no standing."""

    is_granted: bool
    standings: tuple[Standing, ...]


def reserve(wish: Wish) -> Decision:
    """Take `wish.amount` from every budget, or from none where one has not so much left."""
    # Else Django would ask the server for a sign of life first, each time.
    connection.health_check_done = True  # type: ignore[attr-defined]  # the stubs do not have it
    decide = _reserve_in_one_statement if connection.vendor == "postgresql" else _reserve_in_a_transaction
    try:
        return decide(wish)
    except (DatabaseError, InterfaceError):
        if connection.is_usable():
            raise
        connection.close()  # it was dropped since it was used last: on a new one
        return decide(wish)


def _reserve_in_one_statement(wish: Wish) -> Decision:
    parameters: dict[str, Any] = {
        "budgets": [share.budget_id for share in wish.shares],
        "starts": [share.period_start for share in wish.shares],
        "calendars": [share.calendar for share in wish.shares],
        "amount": wish.amount,
        "request_id": wish.request_id,
        "server": wish.server,
        "lease": wish.lease_expires_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, parameters)
        rows = cursor.fetchall()
    return Decision(bool(rows) and rows[0][4], tuple(Standing(*row[:4]) for row in rows))


@transaction.atomic
def _reserve_in_a_transaction(wish: Wish) -> Decision:
    shares = {share.budget_id: share for share in wish.shares}
    rows = BudgetCounter.objects.filter(budget__in=shares, budget__is_hard=True).select_related("budget")
    counters = [row for row in rows.order_by("budget_id") if row.calendar == shares[row.pk].calendar]
    for counter in counters:
        counter.roll(shares[counter.pk].period_start)
    standings = tuple(Standing(each.pk, each.budget.amount, each.spent, each.reserved) for each in counters)
    if len(counters) < len(shares) or any(standing.lacks(wish.amount) for standing in standings):
        return Decision(False, standings)
    for counter in counters:
        counter.reserved += wish.amount
    BudgetCounter.objects.bulk_update(counters, ["period_start", "spent", "reserved", "noticed"])
    Reservation.objects.bulk_create(_reservation(wish, counter) for counter in counters)
    return Decision(True, standings)


def _reservation(wish: Wish, counter: BudgetCounter) -> Reservation:
    return Reservation(
        request_id=wish.request_id,
        budget_id=counter.pk,
        period_start=counter.period_start,
        amount=wish.amount,
        server=wish.server,
        lease_expires_at=wish.lease_expires_at,
    )


def renew(server: str, lease_expires_at: datetime) -> int:
    """Keep what a living process has reserved. What is locked is being given back just now."""
    with transaction.atomic():
        held = Reservation.objects.filter(server=server).select_for_update(skip_locked=True)
        return Reservation.objects.filter(pk__in=held.values("pk")).update(lease_expires_at=lease_expires_at)
