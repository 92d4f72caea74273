"""Owns the bugs: a small change that brings each pitfall of docs/fidelity.md back, and the test that sees it."""

from typing import NamedTuple


class Bug(NamedTuple):
    """`healthy` stands exactly once in `file`; with `sick` in its place, `test` must fail."""

    pitfall: int
    file: str
    healthy: str
    sick: str
    test: str


BUGS: tuple[Bug, ...] = ()
