"""What pages of figures are made of: tables with their cells, and the figures on top."""

from dataclasses import dataclass
from typing import NamedTuple

from usage.charts import Svg

NOTHING_DRAWN = Svg()


class Cell(NamedTuple):
    """One cell of a table: what it says, where it leads, a bar under it."""

    text: str
    url: str = ""
    hint: str = ""
    bar: Svg = NOTHING_DRAWN


class Tile(NamedTuple):
    """One of the figures on top."""

    title: str
    value: str
    note: str
    url: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page. The first column names, the others are figures."""

    id: str
    title: str
    headers: tuple[str, ...]
    rows: list[list[Cell]]
    note: str = ""
    chart: Svg = NOTHING_DRAWN
    legend: tuple[str, ...] = ()
