"""What failed is asked again, or elsewhere, or told: by what went wrong, how often, and how much time is left."""

from datetime import UTC, datetime

import pytest

from messages_api import errors
from messages_api.services.attempts.retry import Another, Situation, another_attempt
from messages_api.services.translation.chat import AnswerError

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()
SAME, NEXT = False, True
LATER = errors.RateLimited("Slow down.", retry_after="7")
BUSY = errors.Overloaded("Busy.")
BROKEN = errors.UpstreamFailed("The connection broke.")
EMPTY = AnswerError("The model gave an empty answer.")
WRONG = errors.InvalidRequest("max_tokens: too many")
GONE = errors.NotFound("No endpoints found.")


def follows(error: Exception, *, tries: int = 1, is_last: bool = True, left: float = 30.0) -> Another | None:
    assert isinstance(error, errors.ApiError | AnswerError)
    return another_attempt(Situation(error, tries, is_last, left, NOW), chance=0)


@pytest.mark.parametrize(
    "error", [BROKEN, EMPTY, BUSY, errors.TimedOut(""), errors.Unavailable(""), errors.Internal("")]
)
def test_what_may_pass_is_tried_again_twice_with_growing_waits(error: Exception) -> None:
    assert follows(error) == Another(SAME, 0.5)
    assert follows(error, tries=2) == Another(SAME, 1.0)
    assert follows(error, tries=3) is None


@pytest.mark.parametrize("error", [WRONG, errors.Forbidden(""), errors.TooLarge(""), errors.NotAuthenticated("")])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_refusal_that_would_repeat_is_told_at_once(error: Exception, is_last: bool) -> None:
    assert follows(error, is_last=is_last) is None


@pytest.mark.parametrize("error", [GONE, errors.PaymentRequired("No credit.")])
def test_what_is_missing_here_may_be_found_at_the_next_target(error: Exception) -> None:
    assert follows(error, is_last=False) == Another(NEXT, 0)
    assert follows(error) is None


def test_a_broken_connection_is_tried_again_before_the_next_target_is() -> None:
    assert follows(BROKEN, is_last=False) == Another(SAME, 0.5)
    assert follows(BROKEN, tries=2, is_last=False) == Another(NEXT, 0)


@pytest.mark.parametrize("error", [LATER, BUSY])
def test_a_busy_target_is_left_for_the_next_one_at_once(error: Exception) -> None:
    assert follows(error, is_last=False) == Another(NEXT, 0)


def test_the_wait_that_was_asked_for_is_kept() -> None:
    assert follows(LATER) == Another(SAME, 7.0)


def test_a_wait_beyond_the_time_that_is_left_is_not_begun() -> None:
    assert follows(LATER, left=6.0) is None


@pytest.mark.parametrize("is_last", [True, False])
def test_nothing_follows_when_no_time_is_left(is_last: bool) -> None:
    assert follows(BROKEN, left=0, is_last=is_last) is None


def test_waits_differ_so_that_those_who_failed_together_do_not_come_back_together() -> None:
    waits = {another_attempt(Situation(BROKEN, 1, True, 30, NOW), chance=part / 10) for part in range(10)}
    assert len(waits) == 10
    assert all(another is not None and 0.25 <= another.seconds <= 0.5 for another in waits)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("Wed, 21 Oct 2026 07:28:05 GMT", 5.0),
        ("Wednesday, 21-Oct-26 07:28:05 GMT", 5.0),  # an older form that HTTP still has
        ("Wed, 21 Oct 2026 09:28:05 +0200", 5.0),
        ("2.5", 2.5),
        ("0", 0.0),
    ],
)
def test_the_wait_is_kept_however_it_is_written(retry_after: str, seconds: float) -> None:
    assert follows(errors.Unavailable("Busy.", retry_after=retry_after)) == Another(SAME, seconds)


def test_a_date_beyond_the_time_that_is_left_is_not_waited_for() -> None:
    assert follows(errors.Unavailable("Busy.", retry_after="Wed, 21 Oct 2026 07:29:00 GMT"), left=30) is None


@pytest.mark.parametrize("retry_after", ["Wed, 21 Oct 2026 07:00:00 GMT", "soon", "-3", "1e9", "nan", "²", ""])
def test_what_says_no_time_to_come_is_no_wait_that_was_asked_for(retry_after: str) -> None:
    """A date that is past as well: clocks differ, and those who failed together would come back together."""
    assert follows(errors.Unavailable("Busy.", retry_after=retry_after)) == Another(SAME, 0.5)
