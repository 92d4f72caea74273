"""Percentiles come out of counted classes within the bounds that are promised."""

from collections import Counter
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing import cast
from usage.histogram import BOUNDS, bucket_of, percentile
from usage.models import UsageRecord
from usage.services.rollups import bucket_in_sql
from usage.tests.counted import record

WITHIN, SHORT = 0.065, 50


@given(st.lists(st.integers(0, BOUNDS[-1] - 1), min_size=1), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_percentile_is_within_its_bound(durations: list[int], share: float) -> None:
    exact = sorted(durations)[ceil(share * len(durations)) - 1]
    told = percentile(Counter(map(bucket_of, durations)), share)
    assert told is not None
    assert abs(told - exact) <= (25 if exact < SHORT else WITHIN * exact)


def test_nothing_has_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def test_what_takes_longer_than_all_classes_is_told_as_the_longest() -> None:
    assert percentile(Counter([bucket_of(10**9)]), 0.5) == BOUNDS[-1]


@pytest.mark.django_db
def test_the_database_finds_the_same_classes() -> None:
    durations = sorted({0, 49, 10**9, *BOUNDS, *(bound - 1 for bound in BOUNDS)})
    alice = cast.alice()
    for number, milliseconds in enumerate(durations):
        record(f"req_{number}", alice, latency_ms=milliseconds)
    found = UsageRecord.objects.annotate(bucket=bucket_in_sql("latency_ms")).values_list("latency_ms", "bucket")
    assert dict(found) == {milliseconds: bucket_of(milliseconds) for milliseconds in durations}
