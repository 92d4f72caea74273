"""Owns the step from a table of members (email, team, role) to memberships: judged whole before a row is written."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from accounts.models import Membership, Team, User
from accounts.services import ensure_user

COLUMNS = ("email", "team", "role")
ADD, CHANGE, KEEP = "add", "change", "keep"


class Row(NamedTuple):
    """One line of the table."""

    line: int
    email: str
    team: str
    role: str


class Step(NamedTuple):
    """What one line comes to."""

    what: str
    row: Row
    team: Team
    is_new_user: bool
    present_role: str = ""


class WrongTable(Exception):
    """What is wrong with a table, by line: nothing of it is imported."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def plan(text: str) -> list[Step]:
    """What importing `text` would do. Raises WrongTable with everything that is wrong."""
    rows = list(_rows(text))
    teams = {team.name: team for team in Team.objects.all()}
    errors = [f"line {row.line}: {reason}" for row in rows for reason in _faults(row, teams)]
    errors += _repeated(rows)
    if errors:
        raise WrongTable(errors)
    return [_step(row, teams[row.team]) for row in rows]


@transaction.atomic
def carry_out(steps: list[Step]) -> None:
    for step in steps:
        if step.what == ADD:
            Membership.objects.create(user=ensure_user(step.row.email), team=step.team, role=step.row.role)
        elif step.what == CHANGE:
            member = Membership.objects.get(user__email__iexact=step.row.email, team=step.team)
            member.role = step.row.role
            member.save(update_fields=["role"])


def _rows(text: str) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        heading = tuple(cell.strip().lower() for cell in next(lines, []))
        if heading != COLUMNS:
            raise WrongTable([f"line 1: the columns must be {','.join(COLUMNS)}, not {','.join(heading)[:200]!r}"])
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield _row(lines.line_num, cells)
    except csv.Error as error:
        raise WrongTable([f"line {lines.line_num}: {error}"]) from None


def _row(line: int, cells: list[str]) -> Row:
    if len(cells) != len(COLUMNS):
        raise WrongTable([f"line {line}: {len(cells)} cells, not {len(COLUMNS)}"])
    email, team, role = (cell.strip() for cell in cells)
    return Row(line, email, team, role.lower())


def _faults(row: Row, teams: dict[str, Team]) -> Iterator[str]:
    try:
        validate_email(row.email)
    except ValidationError:
        yield f"not an email address: {row.email!r}"
    if row.team not in teams:
        yield f"there is no team named {row.team!r}: make it in the admin first"
    if row.role not in Membership.Role.values:
        yield f"not a role: {row.role!r}; one of {', '.join(Membership.Role.values)}"


def _repeated(rows: list[Row]) -> Iterator[str]:
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        first = seen.setdefault((row.email.lower(), row.team), row.line)
        if first != row.line:
            yield f"line {row.line}: {row.email} in {row.team} stands in line {first} already"


def _step(row: Row, team: Team) -> Step:
    member = Membership.objects.filter(user__email__iexact=row.email, team=team).first()
    if member is None:
        return Step(ADD, row, team, is_new_user=not User.objects.filter(email__iexact=row.email).exists())
    return Step(KEEP if member.role == row.role else CHANGE, row, team, is_new_user=False, present_role=member.role)
