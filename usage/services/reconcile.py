"""Owns what is learned later of requests that ended before OpenRouter said what they cost: `GET /generation`.

A client that leaves, a stream that breaks and a process that dies leave an estimate, or nothing. OpenRouter knows a
moment later what it charged. That takes the estimate's place in the record, in its day's rollup and in the budgets, in
one transaction; the record keeps what stood there before, and why.
"""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import openrouter
from accounts.openrouter import Generation, KeyRefused, OpenRouterRefused, UnknownToOpenRouter
from usage.models import UsageRecord
from usage.models.records import COST_IS_GUESSED
from usage.parts import COLUMNS, UPSTREAM, Part, part_of_attempt, total
from usage.pricing import Tokens
from usage.services.budgets import counting
from usage.services.lease import turn
from usage.services.paying_keys import keys_that_may_have_paid
from usage.services.periodic import periodically
from usage.services.rollups import touch

logger = logging.getLogger("bridge.ledger")

State = UsageRecord.State
LEASE = "reconcile"
LEASE_SECONDS = 600.0
EVERY_SECONDS = 15.0
PATIENCE_SECONDS = 90.0
AT_ONCE = 200
STEP_SECONDS = 60.0
#: OpenRouter knows an answer some seconds after its end. What it does not know then is asked for less and less often.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (20, 120, 600, 3600, 6 * 3600))
LONGEST_AGO = timedelta(days=14)

CORRECTED, UNKNOWN, IMPOSSIBLE = "corrected", "unknown", "impossible"


# --- what is to be asked ---------------------------------------------------------------------------------------------


def guessed() -> QuerySet[UsageRecord]:
    """The records whose cost OpenRouter can still be asked for."""
    since = timezone.now() - LONGEST_AGO
    mine = UsageRecord.objects.filter(COST_IS_GUESSED, generation_id__startswith="gen-", settled_at__gte=since)
    return mine.order_by(F("asked_at").asc(nulls_first=True), "settled_at")


def due(now: datetime) -> QuerySet[UsageRecord]:
    """Those whose time to be asked has come; none that was asked in vain as often as there are waits."""
    first = Q(times_asked=0, settled_at__lte=now - WAITS[0])
    again = (Q(times_asked=times, asked_at__lte=now - wait) for times, wait in enumerate(WAITS[1:], start=1))
    come = first
    for each in again:
        come |= each
    return guessed().filter(come)


def step() -> bool:
    """Ask for some of those that are due. Never more at once, whatever is left: the command would not get its turn."""
    deadline = time.monotonic() + STEP_SECONDS
    for record in due(timezone.now())[:AT_ONCE]:
        if time.monotonic() > deadline:
            break
        try:
            _ask(record)
        except OpenRouterRefused as error:
            logger.warning("What %s cost cannot be asked for now: %s", record.request_id, error)
            UsageRecord.objects.filter(pk=record.pk).update(asked_at=timezone.now())  # the others come first now
            break
    return False


def _ask(record: UsageRecord) -> None:
    """Reconcile `record`, or note that it was asked for in vain."""
    if reconcile(record) == UNKNOWN:
        asked = {"times_asked": record.times_asked + 1, "asked_at": timezone.now()}
        UsageRecord.objects.filter(pk=record.pk).update(**asked)


async def keep() -> None:
    """Ask for what is due, for as long as the server runs."""
    await periodically(LEASE, step, every=EVERY_SECONDS, lease=LEASE_SECONDS)


def reconcile_now() -> Iterator[str]:
    """Ask for all that is guessed, due or not: what became of each. Raises Taken, OpenRouterRefused.

    What is asked for in vain here does not count: the server asks for it as often as ever.
    """
    with turn(LEASE, LEASE_SECONDS, patience=PATIENCE_SECONDS) as held:
        for key in list(guessed().values_list("pk", flat=True)):
            held.renew()
            yield reconcile(UsageRecord.objects.get(pk=key))


# --- one record ------------------------------------------------------------------------------------------------------


def reconcile(record: UsageRecord) -> str:
    """Ask OpenRouter for each guessed part of `record`, and correct it; what became of it. Raises OpenRouterRefused."""
    try:
        parts = parts_of(record)
    except KeyError:
        UsageRecord.objects.filter(pk=record.pk).update(times_asked=len(WAITS))
        return IMPOSSIBLE
    told = {part.generation_id: _asked(record, part.generation_id) for part in parts if part.is_guessed}
    known = {name: generation for name, generation in told.items() if generation is not None}
    if not known or len(known) < len(told):
        return UNKNOWN
    correct(record.pk, known)
    return CORRECTED


def parts_of(record: UsageRecord) -> list[Part]:
    """What each attempt used. Raises KeyError for a record from before the ledger kept that."""
    if record.attempts:
        return [part_of_attempt(attempt) for attempt in record.attempts]
    return [Part(record.generation_id, record.cost, record.cost_source, _tokens(record))]


def _tokens(record: UsageRecord) -> Tokens:
    return Tokens(**{name: getattr(record, column) for name, column in COLUMNS.items()})


def _asked(record: UsageRecord, generation_id: str) -> Generation | None:
    """What OpenRouter says, asked with each key that may have paid; None where none of them is told."""
    for secret in keys_that_may_have_paid(record):
        with contextlib.suppress(UnknownToOpenRouter, KeyRefused):
            return openrouter.generation(secret, generation_id)
    return None


@transaction.atomic
def correct(key: int, told: dict[str, Generation]) -> None:
    """Put what OpenRouter told in the place of what was guessed, unless somebody was quicker."""
    record = UsageRecord.objects.select_for_update().get(pk=key)
    if record.corrected_at is not None or record.state == State.OPEN:
        return
    parts = [_corrected(part, told.get(part.generation_id)) for part in parts_of(record)]
    sum_, cost_before = total(parts), record.cost
    record.before = _before(record)
    record.corrected_at = record.asked_at = timezone.now()
    for name, column in COLUMNS.items():
        setattr(record, column, getattr(sum_.tokens, name))
    record.cost, record.cost_source = sum_.cost, sum_.cost_source
    record.provider = record.provider or next((each.provider for each in told.values()), "")
    for attempt, part in zip(record.attempts, parts, strict=False):
        attempt.update(cost=part.cost, cost_source=part.cost_source, tokens=part.tokens.as_list)
    record.save()
    touch([record.started_at])
    counting.settle([_difference(record, record.cost - cost_before)])


def _corrected(part: Part, told: Generation | None) -> Part:
    """`/generation` does not say what was written to a cache, nor what was searched: that stays as it was told."""
    if told is None or not part.is_guessed:
        return part
    written = min(part.tokens.cache_write, max(0, told.prompt_tokens - told.cached_tokens))
    tokens = replace(
        part.tokens,
        input=max(0, told.prompt_tokens - told.cached_tokens - written),
        output=told.completion_tokens,
        cache_read=min(told.cached_tokens, told.prompt_tokens),
        cache_write=written,
        reasoning=min(told.reasoning_tokens, told.completion_tokens),
    )
    return replace(part, cost=told.cost, cost_source=UPSTREAM, tokens=tokens)


def _before(record: UsageRecord) -> dict[str, Any]:
    figures = {column: getattr(record, column) for column in (*COLUMNS.values(), "cost", "cost_source")}
    return {"why": _why(record), **figures}


def _why(record: UsageRecord) -> str:
    """Why OpenRouter had not said what it charged."""
    reasons: dict[str, str] = {
        State.ABORTED: "the client left before the end",
        State.LOST: "the server process died",
        State.ERROR: "the answer broke off",
    }
    return reasons.get(record.state, "the answer ended without it")


def _difference(record: UsageRecord, cost: int) -> dict[str, Any]:
    """The line that budgets count: as if the ledger had brought the rest of the cost."""
    return {
        "request_id": record.request_id,
        "started_at": record.started_at.timestamp(),
        "team_id": record.team_id,
        "user_id": record.user_id or 0,
        "api_key_id": record.api_key_id or 0,
        "cost": cost,
    }


def summary(results: Counter[str]) -> str:
    """What became of all that were asked for, in words."""
    if not results.total():
        return "Nothing is guessed."
    told = f"{results[CORRECTED]} corrected, {results[UNKNOWN]} not known to OpenRouter yet"
    return f"{told}, {results[IMPOSSIBLE]} too old to be corrected." if results[IMPOSSIBLE] else f"{told}."
