"""Owns the names of time zones: which are known, and what is said of one that is not."""

import difflib
from functools import lru_cache
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError

DEFAULT_TIME_ZONE = "UTC"
SUGGESTIONS = 3


def check_time_zone(name: str) -> None:
    """Raise ValidationError unless `name` is an IANA time zone, with the nearest ones."""
    known = _known()
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=SUGGESTIONS, cutoff=0.5)
    hint = f" The nearest are: {', '.join(near)}." if near else " Write it like Europe/Berlin."
    raise ValidationError(f"{name!r} is not a time zone.{hint}")


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
