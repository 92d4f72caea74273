"""Owns the decision what follows a failed attempt: the same target again, the next one, or the error. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from messages_api import errors
from messages_api.errors import ApiError
from messages_api.services.translation.chat import AnswerError

#: May pass by itself: a connection that failed, 408, 429, 5xx, an answer that broke before it said anything.
TRANSIENT = (
    errors.UpstreamFailed,
    errors.Internal,
    errors.Unavailable,
    errors.TimedOut,
    errors.Overloaded,
    errors.RateLimited,
    AnswerError,
)
#: Would be the same again from this target, but not from another one: no such model there, no more credit there.
ELSEWHERE = (errors.NotFound, errors.PaymentRequired)
#: Told by a target that is busy: another one, if there is one, is asked before it.
BUSY = (errors.RateLimited, errors.Overloaded)

TRIES = 2
TRIES_OF_THE_LAST = 3
FIRST_WAIT_SECONDS = 0.5
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Situation:
    """Where an answer stands after a failed attempt. `seconds_left` is what remains for starting another one, `now` the
    time of day in seconds since 1970, for an upstream that names an hour to come back at."""

    error: ApiError | AnswerError
    tries: int  # of the target that failed, this one included
    is_last_target: bool
    seconds_left: float
    now: float


@dataclass(frozen=True, slots=True)
class Another:
    """Another attempt: whether at the next target, and after how many seconds."""

    is_next_target: bool
    seconds: float


def another_attempt(situation: Situation, chance: float) -> Another | None:
    """What follows; None where the error is to be told. `chance` (0 to 1) spreads those who wait for the same."""
    error = situation.error
    if situation.seconds_left <= 0 or not isinstance(error, TRANSIENT + ELSEWHERE):
        return None
    wait = _wait(situation, chance)
    if _is_worth_repeating(situation) and wait < situation.seconds_left:
        return Another(is_next_target=False, seconds=wait)
    return None if situation.is_last_target else Another(is_next_target=True, seconds=0)


def _is_worth_repeating(situation: Situation) -> bool:
    if not isinstance(situation.error, TRANSIENT):
        return False
    if situation.is_last_target:
        return situation.tries < TRIES_OF_THE_LAST
    return situation.tries < TRIES and not isinstance(situation.error, BUSY)


def _wait(situation: Situation, chance: float) -> float:
    """What the upstream asked for; else twice as long each time, less up to a half."""
    error = situation.error
    asked = _seconds(error.retry_after, situation.now) if isinstance(error, ApiError) and error.retry_after else None
    return FIRST_WAIT_SECONDS * 2.0 ** (situation.tries - 1) * (1 - chance / 2) if asked is None else asked


def _seconds(retry_after: str, now: float) -> float | None:
    """The wait that a Retry-After means: seconds, or a date. None for what is neither, and for a date that is past."""
    if _SECONDS.fullmatch(retry_after):
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.fromtimestamp(now, UTC)
    return seconds.total_seconds() if seconds.total_seconds() > 0 else None
