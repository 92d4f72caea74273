"""One of several processes that admit and settle many requests at once under the same budgets, and says what it saw.

    python -m testing.budget_load NUMBER REQUESTS SEED [die]

Run with a server's environment. It prints JSON: what was decided on, with the figures the decision was made by, and
what each admitted request had reserved and did cost. With `die` it kills itself while its requests are in flight.
"""

import asyncio
import os
import random
import signal
import sys
from typing import Any

import django
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bridge_project.settings")
django.setup()

from django.conf import settings  # the apps must be there first  # noqa: E402

from accounts.authentication import Caller  # noqa: E402
from accounts.models import ApiKey  # noqa: E402
from usage.services.admission import Admission  # noqa: E402
from usage.services.budgets import hard  # noqa: E402
from usage.services.budgets.reservations import Decision, Wish, reserve  # noqa: E402
from usage.services.ledger import Entry, Ledger, Origin, Outcome, State  # noqa: E402
from usage.services.refusals import BudgetReserved, BudgetSpent  # noqa: E402

CENT = 10**10
TURNS = 4


class Load:
    """The requests of this process."""

    def __init__(self, number: int, caller: Caller, seed: int) -> None:
        self.decisions: list[dict[str, Any]] = []
        self.admitted: list[tuple[int, int]] = []
        self._number = number
        self._caller = caller
        self._chance = random.Random(seed * 100 + number)
        self._ledger = Ledger(settings.SPOOL_DIR)
        self._admission = Admission(self._ledger)

    async def run(self, requests: int, *, die: bool) -> None:
        vars(hard)["reserve"] = self._noted  # looks on, and changes nothing
        self._ledger.start()
        await asyncio.gather(*(self._ask(request, die=die) for request in range(requests)))
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(1)  # for what a dead process has left
        await self._ledger.close()

    def _noted(self, wish: Wish) -> Decision:
        decision = reserve(wish)
        standings = [(standing.cap, standing.spent, standing.reserved) for standing in decision.standings]
        self.decisions.append({"granted": decision.is_granted, "amount": wish.amount, "standings": standings})
        return decision

    async def _ask(self, request: int, *, die: bool) -> None:
        """A few requests, one after the other, as a client makes them."""
        for turn in range(TURNS):
            entry = self._entry(f"req_{self._number}_{request}_{turn}", self._chance.randrange(CENT // 2, 2 * CENT))
            try:
                await self._admission.admit(entry)
            except (BudgetSpent, BudgetReserved):
                continue
            if die:
                return
            await asyncio.sleep(self._chance.random() / 2)
            entry.charged = round(entry.estimated_cost * self._chance.choice([0, 0.1, 0.5, 1, 1.5]))
            self.admitted.append((entry.estimated_cost, entry.charged))
            self._admission.settle(entry, Outcome(State.COMPLETED, 200))

    def _entry(self, name: str, may_cost: int) -> Entry:
        asked = {"requested_model": "sonnet", "model": "openai/gpt-5", "streamed": True, "prices": None}
        return Entry(name, self._caller, Origin(), estimated_cost=may_cost, **asked)  # type: ignore[arg-type]  # one dict


def caller() -> Caller:
    key = ApiKey.objects.with_owner()[0]
    user, team = key.membership.user, key.membership.team
    return Caller(key.pk, key.name, user.pk, user.email, team.pk, team.name, team.slug, True, None, "", None)


def main() -> None:
    number, requests, seed = (int(argument) for argument in sys.argv[1:4])
    load = Load(number, caller(), seed)
    asyncio.run(load.run(requests, die=sys.argv[4:] == ["die"]))
    sys.stdout.buffer.write(orjson.dumps({"decisions": load.decisions, "admitted": load.admitted}))


if __name__ == "__main__":
    main()
