"""Owns what a request will probably cost, so that it can be reserved of a budget before it is known.

The input is known by its size; how long an answer becomes is learned from the recent ones under the same name and from
the same target, and again from their records when a process starts. `max_tokens` says next to nothing about it:
64,000 tokens at 15 USD a million would refuse people who have money left.
"""

import logging
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from cachetools import LRUCache
from django.db import DatabaseError, InterfaceError

from accounts.database import background
from usage.models import UsageRecord
from usage.pricing import Prices, Tokens, estimate

logger = logging.getLogger("bridge.tokens")

#: Of so many answers the 95th percentile counts.
REMEMBERED = 100
PERCENTILE = 0.95
#: Fewer answers say nothing about the next one.
FEWEST = 5
FIRST_OUTPUT_TOKENS = 4_000
#: Where nobody knows a price and nothing was learned: a cent.
FIRST_COST = 10**10
READ_AT_START = 5_000
MOST_NAMES = 1_000


class Asking(NamedTuple):
    """A model as it was asked for, and the target that answers to it."""

    requested: str
    target: str


class Recent:
    """Figures of the latest answers."""

    def __init__(self) -> None:
        self._figures: deque[int] = deque(maxlen=REMEMBERED)

    def add(self, figure: int) -> None:
        self._figures.append(figure)

    def percentile(self, otherwise: int) -> int:
        count = len(self._figures)
        return sorted(self._figures)[math.ceil(PERCENTILE * count) - 1] if count >= FEWEST else otherwise


@dataclass(frozen=True, slots=True)
class Learned:
    """What the latest answers were like."""

    output_tokens: Recent = field(default_factory=Recent)
    cost: Recent = field(default_factory=Recent)


class CostEstimates:
    """What requests will probably cost, in picodollars."""

    def __init__(self) -> None:
        self._learned: LRUCache[Asking, Learned] = LRUCache(MOST_NAMES)

    def estimate(self, asking: Asking, prices: Prices | None, input_tokens: int, most: int | None) -> int:
        """At the price of input that no cache has; without a price, what the latest ones cost.

        `most` is the longest answer that there can be, where it is known.
        """
        learned = self._learned.get(asking) or Learned()
        if prices is None:
            return learned.cost.percentile(FIRST_COST)
        expected = learned.output_tokens.percentile(FIRST_OUTPUT_TOKENS)
        output_tokens = expected if most is None else min(most, expected)
        return estimate(Tokens(input=input_tokens, output=output_tokens), prices)

    def learn(self, asking: Asking, output_tokens: int, cost: int) -> None:
        """A request has been completed."""
        learned = self._learned.setdefault(asking, Learned())
        learned.output_tokens.add(output_tokens)
        learned.cost.add(cost)

    async def load(self) -> None:
        """Learn from the latest records. Without a database it stays at what it was."""
        try:
            known = await background(recorded)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("What answers cost could not be read, estimates start afresh: %s", error)
            return
        for asking, output_tokens, cost in known:
            self.learn(asking, output_tokens, cost)


def recorded() -> Iterable[tuple[Asking, int, int]]:
    """How long the latest answers were and what they cost, the oldest first.

    Judged here and not by the database, which reads no more than this many rows that way, along an index.
    """
    wanted = ("requested_model", "model", "state", "attempts", "output_tokens", "cost")
    latest = UsageRecord.objects.order_by("-started_at").only(*wanted)[:READ_AT_START]
    return [
        (Asking(each.requested_model, each.model), each.output_tokens, each.cost)
        for each in reversed(latest)
        if each.state == UsageRecord.State.COMPLETED and not each.attempts
    ]
