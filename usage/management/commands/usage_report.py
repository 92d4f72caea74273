"""Writes the statement of a team for a month."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Team
from usage.days import BadDay, parse_month
from usage.progress import shown
from usage.services.lease import Taken
from usage.services.rollups import make_days
from usage.services.statement import days_to_make, statement_of, team_called
from usage.statement_text import FORMATS
from usage.whole_file import whole_file

WRONG = 2


class Command(BaseCommand):
    help = (
        "Write what a team spent in a month, by member, by personal key and by model. Days are days of UTC. Costs are "
        "exact; what of them is charged by providers and what is estimated is told apart."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--month", help="such as 2026-11")
        parser.add_argument("--team", help="the team's short name, or its name")
        parser.add_argument("--format", default="table", help=f"{', '.join(FORMATS)}; table by default")
        parser.add_argument("--output", type=Path, help="a file, which is there only once it is whole")

    def handle(self, *args: Any, month: str, team: str, format: str, output: Path | None, **options: Any) -> None:
        whose, (first, last) = _asked(month, team, format)
        days = days_to_make(first, last)
        try:
            for _ in shown(make_days(days) if days else (), len(days), "Days to count", self.stderr):
                pass
        except Taken as error:
            raise CommandError(f"{error} Try again in a minute.") from None
        text = FORMATS[format](statement_of(whose, first, last))
        if output is None:
            self.stdout.write(text, ending="")
            return
        try:
            with whole_file(output) as file:
                file.write(text)
        except OSError as error:
            raise CommandError(f"--output: {output}: {error.strerror}", returncode=WRONG) from None


def _asked(month: str | None, team: str | None, form: str) -> tuple[Team, tuple[date, date]]:
    try:
        days = parse_month(month or "", "--month")
    except BadDay as error:
        raise CommandError(str(error), returncode=WRONG) from None
    if form not in FORMATS:
        raise CommandError(f"--format: {form[:40]!r} is none of {', '.join(FORMATS)}.", returncode=WRONG)
    whose = team_called(team or "")
    if whose is None:
        raise CommandError(f"--team: there is no team {(team or '')[:100]!r}.", returncode=WRONG)
    return whose, days
