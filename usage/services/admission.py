"""Owns the step before the upstream call: may this request go out, and the record that it has; and the way back."""

from usage.services.ledger import Entry, Ledger, Outcome


class NotAdmitted(Exception):
    """The request may not go out. The message says why, for the person who sent it."""


class NotRecorded(NotAdmitted):
    """The request could not be written down, so it may not go out."""


class Admission:
    """Admits the requests of one server process, and settles each of them once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def admit(self, entry: Entry) -> None:
        """Let `entry` go upstream. Raises NotAdmitted.

        The open record is in the spool before the first byte leaves, so whatever happens later is accounted for.
        """
        try:
            self._ledger.open(entry)
        except OSError as error:
            raise NotRecorded("The request could not be recorded, so it was not sent. Try again shortly.") from error

    def is_in_flight(self, entry: Entry) -> bool:
        return entry.request_id in self._ledger.in_flight

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Record how `entry` ended. Only the first call for an entry counts."""
        self._ledger.settle(entry, outcome)
