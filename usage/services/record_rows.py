"""Owns the statement that brings lines of the spool into the table of records.

Through model instances a record costs the server 122 µs of CPU, most of it in Django's preparation of some forty
values, each by itself; so it costs 30. PostgreSQL is given all lines as one parameter and takes them apart. SQLite
would make a real number of an integer that is too large, where Python's driver refuses it: it is given values, row by
row.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from django.db import connection, models

from usage.models import UsageRecord
from usage.services.spool import Line

_COLUMNS = {field.attname: field for field in UsageRecord._meta.concrete_fields if not field.primary_key}
_DEFAULTS: dict[str, Any] = {name: field.get_default() for name, field in _COLUMNS.items()}
_TIMES = tuple(name for name, field in _COLUMNS.items() if isinstance(field, models.DateTimeField))
_JSON = tuple(name for name, field in _COLUMNS.items() if isinstance(field, models.JSONField))
KEY = "request_id"

_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_INSERT = f"INSERT INTO {UsageRecord._meta.db_table} ({_NAMES})"
_INSERT_VALUES = f"{_INSERT} VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
_REPLACE = "DO UPDATE SET " + ", ".join(f'"{name}" = excluded."{name}"' for name in _COLUMNS if name != KEY)


def insert_missing(lines: Iterable[Line]) -> None:
    """Write the records that are not there yet."""
    _execute("DO NOTHING", lines)


def insert_or_replace(lines: Iterable[Line]) -> None:
    """Write the records, over what is there. No two lines may be of one request."""
    _execute(_REPLACE, lines)


def _execute(on_conflict: str, lines: Iterable[Line]) -> None:
    rows = [_row(line) for line in lines]
    if not rows:
        return
    is_postgresql = connection.vendor == "postgresql"
    statement = f"{_from_json() if is_postgresql else _INSERT_VALUES} ON CONFLICT ({KEY}) {on_conflict}"
    with connection.cursor() as cursor:
        if is_postgresql:
            cursor.execute(statement, [orjson.dumps(rows).decode()])
        else:
            cursor.executemany(statement, [_values(row) for row in rows])


def _row(line: Line) -> dict[str, Any]:
    """A value for every column; times as the database reads them. Raises ValueError for what has no column."""
    if unknown := line.keys() - _COLUMNS.keys():
        raise ValueError(f"records have no {', '.join(sorted(unknown))}")
    row = _DEFAULTS | line
    for name in _TIMES:
        if row[name] is not None:
            row[name] = connection.ops.adapt_datetimefield_value(datetime.fromtimestamp(row[name], UTC))
    return row


def _values(row: dict[str, Any]) -> list[Any]:
    """The values in the order of the columns, with JSON as text."""
    written = {name: orjson.dumps(row[name]).decode() for name in _JSON if row[name] is not None}
    return [written.get(name, row[name]) for name in _COLUMNS]


@cache
def _from_json() -> str:
    """PostgreSQL's columns have the types that Django gave them."""
    typed = ", ".join(f'"{name}" {field.db_type(connection)}' for name, field in _COLUMNS.items())
    return f"{_INSERT} SELECT {_NAMES} FROM json_to_recordset(%s::json) AS line({typed})"  # noqa: S608  # names and types of columns
