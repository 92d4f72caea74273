"""Owns the export of records as CSV: any number of them, in the memory of one chunk.

Each chunk is a query of its own that goes on where the last one ended, so nothing is held open while a client reads,
and one that leaves costs nothing more. The last line says that the file is complete: one that breaks off has none, and
its HTTP answer is broken off as well, which browsers and curl tell.
"""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from accounts.database import query
from usage.csv_safety import safe
from usage.models import UsageRecord
from usage.pricing import usd

CHUNK = 2_000
WHEN = ("started_at", "settled_at")
WHO = ("team_name", "email", "key_name", "session_id", "agent_id", "parent_agent_id")
WHAT = ("requested_model", "model", "provider", "generation_id", "streamed", "state", "status", "stop_reason")
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
HOW = (
    "web_searches",
    "cost",
    "cost_source",
    "corrected_at",
    "latency_ms",
    "first_byte_ms",
    "error_type",
    "error_message",
)
COLUMNS = ("request_id", *WHEN, *WHO, *WHAT, *TOKENS, *HOW)
OTHER_NAMES = {
    "team_name": "team",
    "email": "member",
    "key_name": "key",
    "cost": "cost_usd",
    "first_byte_ms": "first_token_ms",
}


def as_csv(records: QuerySet[UsageRecord]) -> Iterator[str]:
    """The records, the oldest first, in pieces of text."""
    yield _lines([[OTHER_NAMES.get(name, name) for name in COLUMNS]])
    written = 0
    for chunk in _chunks(records):
        written += len(chunk)
        yield _lines([_text(name, value) for name, value in zip(COLUMNS, row, strict=True)] for row in chunk)
    yield f"# complete: {written} records\r\n"


async def beside(pieces: Iterator[str]) -> AsyncIterator[str]:
    """The same, made off the event loop, a piece at a time."""
    while (piece := await query(_next, pieces)) is not None:
        yield piece


def _next(pieces: Iterator[str]) -> str | None:
    return next(pieces, None)


def _chunks(records: QuerySet[UsageRecord]) -> Iterator[list[tuple[Any, ...]]]:
    rows = records.order_by("started_at", "pk").values_list("started_at", "pk", *COLUMNS)
    chunk = list(rows[:CHUNK])
    while chunk:
        yield [row[2:] for row in chunk]
        moment, key = chunk[-1][:2]
        behind = Q(started_at__gt=moment) | Q(started_at=moment, pk__gt=key)
        # The first condition is implied by the second; the index on time is found by it.
        chunk = list(rows.filter(started_at__gte=moment).filter(behind)[:CHUNK])


def _lines(rows: Iterable[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _text(name: str, value: Any) -> str:
    written: Callable[[Any], str] = _WRITTEN.get(type(value), safe)
    return f"{usd(value):.12f}" if name == "cost" else written(value)


_WRITTEN: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: "yes" if value else "no",
    int: str,
    datetime: datetime.isoformat,
}
