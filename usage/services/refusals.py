"""Owns why a request may not go out, as admission says it. What the client is told follows from it.

NotAdmitted
├── NotRecorded
├── LimitReached
├── BudgetSpent
├── BudgetReserved
└── BudgetUnknown
"""

from usage.services.limits.arithmetic import Standing


class NotAdmitted(Exception):
    """The request may not go out. The message says why, for the person who sent it."""


class NotRecorded(NotAdmitted):
    """The request could not be written down, so it may not go out."""


class LimitReached(NotAdmitted):
    """A limit keeps the request out for so many seconds, where anybody knows; and what is left of each."""

    def __init__(self, message: str, seconds: int | None, standing: Standing) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.standing = standing


class BudgetSpent(NotAdmitted):
    """A hard budget has not enough left for the request, and will not before `retry_after` seconds have passed."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BudgetReserved(NotAdmitted):
    """What is left of a hard budget is reserved for requests in progress: some of it may come back when they end."""


class BudgetUnknown(NotAdmitted):
    """There is a hard budget, and the database does not answer, so nobody can say what is left of it."""
