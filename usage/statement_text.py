"""Owns how a statement is written: as a table for people, as CSV, as JSON. Amounts are exact in each."""

import csv
import io
from collections.abc import Callable
from decimal import Decimal

import orjson

from usage.csv_safety import safe
from usage.display import count, exact_dollars
from usage.pricing import usd
from usage.services.reports import Sums
from usage.services.statement import SECTIONS, TOTAL, Line, Statement

TITLES = {"member": "By member", "key": "By personal key", "model": "By model"}
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
HEADINGS = ("Requests", "Tokens in", "Tokens out", "Cost (USD)", "of it estimated")


def as_table(statement: Statement) -> str:
    parts = [f"{statement.team}, {statement.first} to {statement.last} (UTC)\n"]
    for section in SECTIONS:
        lines = [line for line in statement.lines if line.section == section]
        parts.append(_table(TITLES[section], [(" · ".join(line.names), line.sums) for line in lines]))
    parts.append(_table("Total", [(statement.team, statement.total)]))
    parts.append(_source(statement.total))
    return "\n".join(parts)


def _table(title: str, lines: list[tuple[str, Sums]]) -> str:
    rows = [(title, *HEADINGS), *((name or "(not told)", *_figures(sums)) for name, sums in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join(f"{_aligned(row, widths)}\n" for row in rows)


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])


def _figures(sums: Sums) -> tuple[str, ...]:
    tokens = (count(sums.requests), count(sums.prompt_tokens), count(sums.output_tokens))
    return (*tokens, exact_dollars(sums.cost), exact_dollars(sums.estimated_cost))


def _source(sums: Sums) -> str:
    charged = exact_dollars(sums.cost - sums.estimated_cost)
    told = f"{charged} was charged by providers, {exact_dollars(sums.estimated_cost)} is estimated from the catalogue"
    return f"{told}; the cost of {count(sums.unpriced)} requests is not known.\n"


def as_csv(statement: Statement) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("team", "from", "to", "section", "member", "key", "model", *_columns(Sums())))
    for line in statement.lines:
        names = dict(zip(SECTIONS.get(line.section, ()), line.names, strict=False))
        who = (names.get("email", ""), names.get("key_name", ""), names.get("model", ""))
        head = (statement.team, f"{statement.first}", f"{statement.last}", line.section, *who)
        writer.writerow((*map(safe, head), *_columns(line.sums).values()))
    return text.getvalue()


def as_json(statement: Statement) -> str:
    document = {
        "team": statement.team,
        "from": statement.first,
        "to": statement.last,
        TOTAL: _columns(statement.total),
        **{
            f"by_{section}": [_as_object(line) for line in statement.lines if line.section == section]
            for section in SECTIONS
        },
    }
    return f"{orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()}\n"


def _as_object(line: Line) -> dict[str, str | int]:
    return {**dict(zip(SECTIONS[line.section], line.names, strict=True)), **_columns(line.sums)}


def _columns(sums: Sums) -> dict[str, str | int]:
    """Amounts are decimal numbers as text: a float would not hold them."""
    return {
        "requests": sums.requests,
        **{name: getattr(sums, name) for name in TOKENS},
        "web_searches": sums.web_searches,
        "cost_usd": _plain(usd(sums.cost)),
        "charged_usd": _plain(usd(sums.cost - sums.estimated_cost)),
        "estimated_usd": _plain(usd(sums.estimated_cost)),
        "requests_without_a_cost": sums.unpriced,
    }


def _plain(amount: Decimal) -> str:
    return f"{amount:.12f}"


FORMATS: dict[str, Callable[[Statement], str]] = {"table": as_table, "csv": as_csv, "json": as_json}
