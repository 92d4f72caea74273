"""Owns how money, counts and durations are written for people. Pure."""

from decimal import Decimal

from usage.pricing import usd

CENT, TENTH_OF_A_MILL = Decimal("0.01"), Decimal("0.0001")


def dollars(pico: int) -> str:
    """Short: $12.34, $0.0153, <$0.0001."""
    amount = usd(pico)
    if amount == 0:
        return "$0"
    if 0 < amount < TENTH_OF_A_MILL:
        return f"<${TENTH_OF_A_MILL}"
    return f"${amount.quantize(CENT if amount >= 1 else TENTH_OF_A_MILL):,}"


def exact_dollars(pico: int) -> str:
    """To the last picodollar, with no fewer than two decimals: $0.015312."""
    whole, _, fraction = f"{usd(pico):,.12f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def duration(milliseconds: int | None) -> str:
    """0.84 s, 12.3 s, 2 min 5 s."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
