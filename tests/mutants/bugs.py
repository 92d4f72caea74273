"""Owns the bugs: for each pitfall of docs/fidelity.md, a small change that brings it back, and the test that sees it."""

from typing import NamedTuple


class Bug(NamedTuple):
    """`healthy` stands exactly once in `file`; with `sick` in its place, `test` must fail."""

    pitfall: int
    file: str
    healthy: str
    sick: str
    test: str


BUGS: tuple[Bug, ...] = ()
