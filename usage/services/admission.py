"""Owns the step before the upstream call: may this request go out, and the record that it has; and the way back."""

from usage.services.budgets.hard import HardBudgets
from usage.services.ledger import Entry, Ledger, Outcome
from usage.services.limits.arithmetic import NO_STANDING, Standing
from usage.services.limits.limits import LimitExceeded, Limits, Taken
from usage.services.refusals import LimitReached, NotRecorded


class Admission:
    """Admits the requests of one server process, and settles each of them once."""

    def __init__(self, ledger: Ledger, limits: Limits | None = None) -> None:
        self.budgets = HardBudgets(ledger.server)
        self._ledger = ledger
        self._limits = limits or Limits()
        self._taken: dict[str, Taken] = {}

    async def admit(self, entry: Entry) -> Standing:
        """Let `entry` go upstream, and say what its limits leave. Raises NotAdmitted, and then holds nothing.

        The open record is in the spool before the first byte leaves, so whatever happens later is accounted for. With
        it the ledger answers for what is reserved: it is given back when the record is final, or its process dead.
        """
        taken = await self._within_limits(entry)
        try:
            await self.budgets.reserve(entry)
            self._record(entry)
        except BaseException:
            if taken is not None:
                self._limits.undo(taken)
            raise
        if taken is None:
            return NO_STANDING
        self._taken[entry.request_id] = taken
        return taken.standing

    async def _within_limits(self, entry: Entry) -> Taken | None:
        try:
            return await self._limits.take(entry.caller, entry.request_id, entry.estimated_tokens)
        except LimitExceeded as error:
            raise LimitReached(str(error.why), error.why.seconds, error.standing) from None

    def _record(self, entry: Entry) -> None:
        try:
            self._ledger.open(entry)
        except OSError as error:
            self.budgets.give_back(entry)
            raise NotRecorded("The request could not be recorded, so it was not sent. Try again shortly.") from error

    def is_in_flight(self, entry: Entry) -> bool:
        return entry.request_id in self._ledger.in_flight

    def name(self, entry: Entry) -> None:
        """Record what the upstream calls its answer to `entry`."""
        self._ledger.name(entry)

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Record how `entry` ended, and give back what it held. Only the first call for an entry counts."""
        taken = self._taken.pop(entry.request_id, None)
        if taken is not None:
            self._limits.settle(taken, entry.all_tokens.uncached)
        self._ledger.settle(entry, outcome)
