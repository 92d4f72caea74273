"""Owns the decision what follows a failed attempt: the same target again, the next one, or the error. Pure."""

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Situation:
    """Where an answer stands after a failed attempt. `seconds_left` is what remains for starting another one."""

    error: ApiError | AnswerError
    tries: int  # of the target that failed, this one included
    is_last_target: bool
    seconds_left: float


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
    wait = _wait(error, situation.tries, chance)
    if _is_worth_repeating(situation) and wait < situation.seconds_left:
        return Another(is_next_target=False, seconds=wait)
    return None if situation.is_last_target else Another(is_next_target=True, seconds=0)


def _is_worth_repeating(situation: Situation) -> bool:
    if not isinstance(situation.error, TRANSIENT):
        return False
    if situation.is_last_target:
        return situation.tries < TRIES_OF_THE_LAST
    return situation.tries < TRIES and not isinstance(situation.error, BUSY)


def _wait(error: ApiError | AnswerError, tries: int, chance: float) -> float:
    """What the upstream asked for; else twice as long each time, less up to a half."""
    asked = error.retry_after if isinstance(error, ApiError) else None
    if asked is not None and asked.isdecimal():
        return float(asked)
    return FIRST_WAIT_SECONDS * 2.0 ** (tries - 1) * (1 - chance / 2)
