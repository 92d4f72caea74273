"""Owns what makes a cell of a CSV file harmless: a spreadsheet must not take a name that somebody chose for a formula.

Pure.
"""

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe(cell: str) -> str:
    """`cell` as text, whatever opens it: with an apostrophe before what would begin a formula."""
    return f"'{cell}" if cell.startswith(DANGEROUS) else cell
