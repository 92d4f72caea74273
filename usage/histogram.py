"""Owns how durations are counted so that their percentiles can be added up over days, and told afterwards. Pure.

Durations fall into classes, six to a doubling. A percentile is the middle of its class: from 50 ms to 27 minutes it is
within 6.5 % of the exact one, below 50 ms within 25 ms, and above 27 minutes it is told as 27 minutes.
"""

from bisect import bisect_right
from collections.abc import Mapping
from math import ceil, sqrt

PER_DOUBLING = 6
DOUBLINGS = 15
SHORTEST = 50  # ms
#: Class n holds what is at least BOUNDS[n - 1] and less than BOUNDS[n].
BOUNDS = tuple(round(SHORTEST * 2 ** (step / PER_DOUBLING)) for step in range(PER_DOUBLING * DOUBLINGS + 1))
LAST = len(BOUNDS)


def bucket_of(milliseconds: int) -> int:
    return bisect_right(BOUNDS, milliseconds)


def percentile(counts: Mapping[int, int], share: float) -> int | None:
    """Milliseconds that `share` of what was counted took at most; None of nothing."""
    rank = ceil(share * sum(counts.values()))
    for bucket in sorted(counts):
        rank -= counts[bucket]
        if rank <= 0:
            return _middle(bucket)
    return None


def _middle(bucket: int) -> int:
    if bucket == 0:
        return SHORTEST // 2
    return BOUNDS[-1] if bucket == LAST else round(sqrt(BOUNDS[bucket - 1] * BOUNDS[bucket]))
