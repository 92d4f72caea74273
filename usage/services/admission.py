"""Owns the step before the upstream call: may this request go out, and the record that it has; and the way back."""

from usage.services.budgets.hard import HardBudgets
from usage.services.ledger import Entry, Ledger, Outcome
from usage.services.refusals import NotAdmitted, NotRecorded

__all__ = ["Admission", "NotAdmitted", "NotRecorded"]


class Admission:
    """Admits the requests of one server process, and settles each of them once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.budgets = HardBudgets(ledger.server)

    async def admit(self, entry: Entry) -> None:
        """Let `entry` go upstream. Raises NotAdmitted; then nothing is held for it.

        The open record is in the spool before the first byte leaves, so whatever happens later is accounted for. With
        it the ledger answers for what is reserved: it is given back when the record is final, or its process dead.
        """
        await self.budgets.reserve(entry)
        try:
            self._ledger.open(entry)
        except OSError as error:
            self.budgets.give_back(entry)
            raise NotRecorded("The request could not be recorded, so it was not sent. Try again shortly.") from error

    def is_in_flight(self, entry: Entry) -> bool:
        return entry.request_id in self._ledger.in_flight

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Record how `entry` ended. Only the first call for an entry counts."""
        self._ledger.settle(entry, outcome)
