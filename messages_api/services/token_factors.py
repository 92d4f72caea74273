"""Owns what is learned about models: how their own counts of input tokens compare to our estimate from sizes.

Learned from requests that were completed, and again from their records when a process starts.
"""

import logging
from collections import deque
from dataclasses import dataclass, field
from statistics import median

from cachetools import LRUCache
from django.db import DatabaseError, InterfaceError

from accounts.database import background
from usage.models import UsageRecord

logger = logging.getLogger("bridge.tokens")

LEAST, MOST = 0.5, 3.0
#: Of so many requests the median counts, so that images, searches and files that were sized wrongly do not move it.
REMEMBERED = 101
#: What stands in for requests that nobody has made yet, so that the first one alone does not decide.
FIRST_WEIGHT = 4
#: In a shorter prompt, what a chat has around it weighs too much.
SHORTEST = 500
READ_AT_START = 5_000
MOST_MODELS = 1_000

#: Before anything is learned. OpenAI's tokenizer is the one the estimate was measured with; Claude's gives 20 to 30 %
#: more tokens for English and code.
FIRST_FACTORS = {"openai": 1.0, "anthropic": 1.25}
OTHER_FIRST_FACTOR = 1.1


@dataclass(slots=True)
class Learned:
    """The latest ratios of one model, and their median."""

    factor: float
    ratios: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class TokenFactors:
    """By what the estimate for each model is to be multiplied. Models are named as records name them."""

    def __init__(self) -> None:
        self._learned: LRUCache[str, Learned] = LRUCache(MOST_MODELS)

    def factor(self, model: str) -> float:
        learned = self._learned.get(model)
        return first_factor(model) if learned is None else learned.factor

    def learn(self, model: str, estimated: int, true: int) -> None:
        """A request has been completed: its prompt had `true` tokens, cached ones included."""
        if estimated < SHORTEST or true <= 0:
            return
        learned = self._learned.get(model) or _nothing_learned(model)
        learned.ratios.append(min(max(true / estimated, LEAST), MOST))
        learned.factor = median(learned.ratios)
        self._learned[model] = learned

    async def load(self) -> None:
        """Learn from the latest records. Without a database it stays at what it was."""
        try:
            known = await background(recorded)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("What models count could not be read, estimates start afresh: %s", error)
            return
        for model, estimated, true in known:
            self.learn(model, estimated, true)


def first_factor(model: str) -> float:
    return FIRST_FACTORS.get(model.partition("/")[0], OTHER_FIRST_FACTOR)


def recorded() -> list[tuple[str, int, int]]:
    """Model, estimate and true count of the latest requests that were completed, the oldest first.

    Judged here and not by the database, which reads no more than this many rows that way, along an index.
    """
    latest = UsageRecord.objects.order_by("-started_at").only(
        "model", "state", "attempts", "estimated_tokens", "input_tokens", "cache_read_tokens", "cache_write_tokens"
    )[:READ_AT_START]
    return [
        (each.model, each.estimated_tokens, each.input_tokens + each.cache_read_tokens + each.cache_write_tokens)
        for each in reversed(latest)
        if each.state == UsageRecord.State.COMPLETED and not each.attempts
    ]


def _nothing_learned(model: str) -> Learned:
    first = first_factor(model)
    learned = Learned(first)
    learned.ratios.extend([first] * FIRST_WEIGHT)
    return learned
