"""Owns leases: work that one process at a time may do, whichever machine it runs on.

A lease is a row with a holder and an expiry. It is taken by one conditional statement and told by the database's clock,
so two takers never both hold it; a holder that died is in the way until the expiry and no longer.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

from django.db.models import Q
from django.db.models.functions import Now

from usage.models import Lease

LOOK_SECONDS = 0.2
LONG_AGO = "2000-01-01T00:00:00Z"


class Taken(Exception):
    """Another process holds the lease."""


class Turn:
    """A lease that is held. Long work renews it between its steps."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self._holder = uuid4().hex
        self._seconds = seconds

    def renew(self) -> None:
        """Hold it for its seconds from now. Raises Taken: it had run out, and another has it."""
        if not (self._take() or (self._is_new() and self._take())):
            raise Taken(f"Another process is at it: {self.name}.")

    def give_back(self) -> None:
        Lease.objects.filter(name=self.name, holder=self._holder).update(expires_at=Now())

    def _take(self) -> bool:
        """The one statement. Of two at once the second waits for the first, and finds its condition gone."""
        free = Q(holder=self._holder) | Q(expires_at__lte=Now())
        until = Now() + timedelta(seconds=self._seconds)
        return Lease.objects.filter(free, name=self.name).update(holder=self._holder, expires_at=until) == 1

    def _is_new(self) -> bool:
        """Whether nobody has ever held a lease of this name; there is a row for it now."""
        if Lease.objects.filter(name=self.name).exists():
            return False
        Lease.objects.bulk_create([Lease(name=self.name, expires_at=LONG_AGO)], ignore_conflicts=True)
        return True


@contextmanager
def turn(name: str, seconds: float, patience: float = 0.0) -> Iterator[Turn]:
    """The lease called `name`, for the block. Raises Taken, after having waited for it for `patience` seconds.

    `seconds` is how long others wait for a holder that died: several times the longest step between two `renew`.
    """
    held = Turn(name, seconds)
    _wait_for(held, patience)
    try:
        yield held
    finally:
        held.give_back()


def _wait_for(turn_: Turn, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return turn_.renew()
        except Taken:
            if time.monotonic() >= deadline:
                raise
        time.sleep(LOOK_SECONDS)
