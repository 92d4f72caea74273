"""Money and durations are short in a list and exact where it matters."""

import pytest

from usage.display import dollars, duration, exact_dollars


@pytest.mark.parametrize(
    ("pico", "short", "exact"),
    [
        (0, "$0", "$0.00"),
        (1, "<$0.0001", "$0.000000000001"),
        (15_312_000_000, "$0.0153", "$0.015312"),
        (999_999_000_000, "$1.0000", "$0.999999"),
        (12_345_678_900_000, "$12.35", "$12.3456789"),
        (1_234_000 * 10**12, "$1,234,000.00", "$1,234,000.00"),
    ],
)
def test_money_is_short_or_exact(pico: int, short: str, exact: str) -> None:
    assert dollars(pico) == short
    assert exact_dollars(pico) == exact


def test_the_largest_sum_the_database_holds_is_exact() -> None:
    assert exact_dollars(2**63 - 1) == "$9,223,372.036854775807"


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, ""), (0, "0.00 s"), (840, "0.84 s"), (12_300, "12.3 s"), (125_400, "2 min 5 s")]
)
def test_a_duration_has_the_precision_of_its_size(milliseconds: int | None, text: str) -> None:
    assert duration(milliseconds) == text
