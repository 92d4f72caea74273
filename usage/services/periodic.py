"""Owns work that is done again and again beside the requests, by one process at a time."""

import asyncio
import logging
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError

from accounts.database import background
from usage.services.lease import Taken, turn

logger = logging.getLogger("bridge.periodic")


async def periodically(name: str, step: Callable[[], bool], *, every: float, lease: float) -> None:
    """Call `step` under the lease called `name`, at once again while it says that there is more to do.

    One call is one short piece of work: a thread of the background's is given back after each.
    """
    while True:
        more = False
        try:
            more = await background(_one_step, name, step, lease)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("%s: the database does not answer: %s", name, error)
        except Exception:
            logger.exception("%s failed and is tried again", name)
        await asyncio.sleep(0 if more else every)


def _one_step(name: str, step: Callable[[], bool], lease: float) -> bool:
    try:
        with turn(name, lease):
            return step()
    except Taken:
        return False
