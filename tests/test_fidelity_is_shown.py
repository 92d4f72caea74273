"""docs/fidelity.md keeps its word: every pitfall has a row, every row its tests, every test a bug that it sees."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.bugs import BUGS, Bug

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows() -> list[tuple[int, str]]:
    """The number and the last cell of each row."""
    page = (ROOT / "docs" / "fidelity.md").read_text()
    return [(int(number), tests) for number, tests in ROW.findall(page)]


def named_in(cell: str) -> set[str]:
    return {f"{path}::{name}" for path, name in TEST.findall(cell)}


@cache
def functions_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_pitfall_has_one_row() -> None:
    assert [number for number, _ in rows()] == list(range(1, 51))


def test_every_test_that_is_named_exists() -> None:
    named = {test for _, cell in rows() for test in named_in(cell)}
    missing = [test for test in sorted(named) if test.partition("::")[2] not in functions_in(test.partition("::")[0])]
    assert missing == []


@pytest.mark.parametrize(("number", "cell"), rows())
def test_a_bug_shows_that_a_test_sees_the_pitfall(number: int, cell: str) -> None:
    seen_by = {bug.test for bug in BUGS if bug.pitfall == number}
    assert seen_by
    assert seen_by <= named_in(cell)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.pitfall}-{bug.file}")
def test_a_bug_has_one_place_to_be_put(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text().count(bug.healthy) == 1
    assert bug.sick != bug.healthy
