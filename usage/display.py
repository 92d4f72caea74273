"""Owns how money, counts and durations are written for people. Pure."""

from decimal import Decimal

from usage.pricing import usd

NONE = "-"
CENT, TENTH_OF_A_MILL = Decimal("0.01"), Decimal("0.0001")


def dollars(pico: int) -> str:
    """Short: $12.34, $0.0153, <$0.0001."""
    amount = usd(pico)
    if amount == 0:
        return "$0"
    if 0 < amount < TENTH_OF_A_MILL:
        return f"<${TENTH_OF_A_MILL}"
    return f"${amount.quantize(CENT if amount >= 1 else TENTH_OF_A_MILL):,}"


def cents(pico: int) -> str:
    """As in a column of amounts: $1,012.34, $0.05, <$0.01."""
    amount = usd(pico)
    return f"<${CENT}" if 0 < amount < CENT / 2 else f"${amount.quantize(CENT):,}"


def exact_dollars(pico: int) -> str:
    """To the last picodollar, with no fewer than two decimals: $0.015312."""
    whole, _, fraction = f"{usd(pico):,.12f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def compact(number: int) -> str:
    """Three digits or four and a unit: 950, 12.3 k, 4.56 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}" if number < 1000 * size else f"{number // size:,} {unit}"
    return str(number)


def percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def duration(milliseconds: int | None) -> str:
    """0.84 s, 12.3 s, 2 min 5 s."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
