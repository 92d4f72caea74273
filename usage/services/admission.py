"""Owns the step before the upstream call: may this request go out, and the record that it has."""

from usage.services.ledger import Entry, Ledger


class NotRecorded(Exception):
    """The request could not be written down, so it may not go out."""


def admit(ledger: Ledger, entry: Entry) -> None:
    """Let `entry` go upstream. Raises NotRecorded.

    The open record is in the spool before the first byte leaves, so whatever happens later is accounted for.
    """
    try:
        ledger.open(entry)
    except OSError as error:
        raise NotRecorded(str(error)) from error
