"""Owns why a request may not go out, as admission says it. What the client is told follows from it."""


class NotAdmitted(Exception):
    """The request may not go out. The message says why, for the person who sent it."""


class NotRecorded(NotAdmitted):
    """The request could not be written down, so it may not go out."""


class BudgetSpent(NotAdmitted):
    """A hard budget has not enough left for the request, and will not before `retry_after` seconds have passed."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BudgetUnknown(NotAdmitted):
    """There is a hard budget, and the database does not answer, so nobody can say what is left of it."""
