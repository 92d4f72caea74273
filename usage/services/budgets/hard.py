"""Owns the step that holds a request to hard budgets: it reserves what it may cost, or is refused with the reason.

A caller without a hard budget asks the database nothing; one who has some asks with one statement. What an admission
that came to nothing had reserved is given back beside requests, and so is what a cancelled one may have.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Q
from django.utils import timezone

from accounts.authentication import Caller
from accounts.database import background, query
from usage.display import dollars
from usage.services.budgets.counting import give_back
from usage.services.budgets.directory import Directory, HardBudget, hard_budgets
from usage.services.budgets.reservations import Decision, Share, Standing, Wish, reserve
from usage.services.ledger import LEASE_SECONDS, Entry
from usage.services.refusals import BudgetReserved, BudgetSpent, BudgetUnknown

logger = logging.getLogger("bridge.budgets")
#: A database that takes the question and never answers is one that does not answer.
ANSWER_SECONDS = 10.0
#: A budget may have been changed since this process last looked: then it looks again.
LOOKS = 3
GIVE_BACK_SECONDS = 1.0
MOST_AT_ONCE = 500
PERIODS = {"day": "daily", "week": "weekly", "month": "monthly"}
ALLOW = "allow"


class HardBudgets:
    """The reservations of one server process."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._ended: set[str] = set()  # requests whose reservations are to be given back

    async def reserve(self, entry: Entry) -> None:
        """Reserve what `entry` may cost of every hard budget that applies. Raises BudgetSpent, BudgetReserved or
        BudgetUnknown."""
        try:
            for _ in range(LOOKS):
                budgets = await _applying_to(entry.caller)
                if not budgets:
                    return
                decision = await self._decide(entry, budgets)
                if len(decision.standings) == len(budgets):
                    break
                hard_budgets.forget()
            else:
                raise BudgetUnknown("The budget is being changed just now. Try again shortly.")
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            self.give_back(entry)  # it may have been taken before the answer was lost
            _without_database(entry, error)
            return
        if not decision.is_granted:
            raise _refusal(entry, budgets, decision.standings)

    def give_back(self, entry: Entry) -> None:
        """`entry` does not go out after all."""
        self._ended.add(entry.request_id)

    async def keep(self) -> None:
        """Give back once a second what is to be given back, and a last time when cancelled."""
        try:
            while True:
                await asyncio.sleep(GIVE_BACK_SECONDS)
                await self._give_back()
        finally:
            await self._give_back()

    async def _decide(self, entry: Entry, budgets: Sequence[HardBudget]) -> Decision:
        """The statement runs in a thread that nobody can stop: what it takes for a request that is gone goes back."""
        asked = asyncio.ensure_future(query(reserve, self._wish(entry, budgets)))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(asked)
        except (asyncio.CancelledError, TimeoutError):
            asked.add_done_callback(lambda done: self._came_to_nothing(entry, done))
            raise

    def _came_to_nothing(self, entry: Entry, done: "asyncio.Future[Decision]") -> None:
        if done.cancelled() or done.exception() is not None or done.result().is_granted:
            self.give_back(entry)

    def _wish(self, entry: Entry, budgets: Sequence[HardBudget]) -> Wish:
        now = timezone.now()
        shares = [Share(budget.id, str(budget.calendar), budget.calendar.start(now)) for budget in budgets]
        lease = now + timedelta(seconds=LEASE_SECONDS)
        return Wish(entry.request_id, entry.estimated_cost, self._server, lease, shares)

    async def _give_back(self) -> None:
        ended = list(self._ended)[:MOST_AT_ONCE]
        if not ended:
            return
        try:
            await background(give_back, Q(request_id__in=ended))
        except (DatabaseError, InterfaceError):
            logger.warning("Budgets: the database does not answer; reservations are given back later")
        else:
            self._ended.difference_update(ended)


async def _applying_to(caller: Caller) -> tuple[HardBudget, ...]:
    """In the order of their ids."""
    known = hard_budgets.known
    if known is None:
        known = await _looked_up()
    return tuple(budget for budget in known.get(caller.team_id, ()) if budget.applies_to(caller))


async def _looked_up() -> Directory:
    """While the database is away, what was known last."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await hard_budgets.current()
    except (DatabaseError, InterfaceError, TimeoutError):
        if hard_budgets.last is None:
            raise
        return hard_budgets.last


def _without_database(entry: Entry, error: Exception) -> None:
    logger.warning("Budgets: the database does not answer: %s", error, extra={"request_id": entry.request_id})
    if settings.BUDGET_WITHOUT_DATABASE != ALLOW:
        raise BudgetUnknown(
            "There is a budget, and the gateway cannot see just now what is left of it. Try again shortly."
        ) from error


# --- the words -------------------------------------------------------------------------------------------------------


def _refusal(
    entry: Entry, budgets: Sequence[HardBudget], standings: Sequence[Standing]
) -> BudgetSpent | BudgetReserved:
    """Of several budgets that are spent, the one that stays so for longest is named. Where none is, what others have
    reserved keeps the request out, and that may pass at any moment: nobody knows when."""
    now, wanted = timezone.now(), entry.estimated_cost
    lacking = {standing.budget_id: standing for standing in standings if standing.lacks(wanted)}
    spent = {name: standing for name, standing in lacking.items() if standing.is_spent(wanted)}
    named = spent or lacking
    budget = max((each for each in budgets if each.id in named), key=lambda each: each.calendar.end(now))
    figures = _figures(named[budget.id], wanted)
    if not spent:
        return BudgetReserved(
            f"What is left of the {PERIODS[budget.calendar.period]} budget of {budget.whose} is reserved for requests "
            f"in progress: {figures}. Try again when one has ended."
        )
    end = budget.calendar.end(now)
    return BudgetSpent(_words(budget, figures, end), math.ceil((end - now).total_seconds()))


def _figures(standing: Standing, wanted: int) -> str:
    reserved = f", {dollars(standing.reserved)} more is reserved for requests in progress" if standing.reserved else ""
    return (
        f"{dollars(standing.spent)} of {dollars(standing.cap)} is spent{reserved}, and this request may take "
        f"{dollars(wanted)}"
    )


def _words(budget: HardBudget, figures: str, end: datetime) -> str:
    local = end.astimezone(ZoneInfo(budget.calendar.time_zone))
    return (
        f"The {PERIODS[budget.calendar.period]} budget of {budget.whose} has not enough left: {figures}. "
        f"It begins anew on {local:%A, {local.day} %B %Y at %H:%M} ({budget.calendar.time_zone}). "
        f"{_who_raises(budget)} can raise it."
    )


def _who_raises(budget: HardBudget) -> str:
    is_the_teams = budget.user_id is None and budget.key_id is None
    return "Whoever keeps this server" if is_the_teams else "An administrator of the team"
