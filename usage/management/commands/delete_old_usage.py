"""Deletes records, or rollups, that are older than they are kept."""

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from usage.days import BadDay, parse_day, today
from usage.progress import shown
from usage.services import retention
from usage.services.lease import Taken
from usage.services.retention import NotYet

WRONG = 2
TABLES = {
    "records": (retention.records_before, retention.check, retention.delete_records),
    "rollups": (retention.rollups_before, retention.check_rollups, retention.delete_rollups),
}


class Command(BaseCommand):
    help = (
        "Delete the records of old days; what they came to stays in the daily rollups, which reports read. A day goes "
        "only when its rollup is made. With --table rollups: delete the rollups of days whose records are gone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--before", help="delete the days (UTC) before this one, such as 2026-01-01")
        parser.add_argument("--keep-days", help="keep today and so many days before it")
        parser.add_argument("--table", default="records", help=f"{' or '.join(TABLES)}; records by default")
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")

    def handle(
        self, *args: Any, before: str | None, keep_days: str | None, table: str, dry_run: bool, **options: Any
    ) -> None:
        if table not in TABLES:
            raise CommandError(f"--table: {table[:40]!r} is none of {', '.join(TABLES)}.", returncode=WRONG)
        find, check, delete = TABLES[table]
        days = find(_before(before, keep_days))
        rows = sum(found.rows for found in days)
        told = f"{rows:,} {table} of {len(days)} days"
        try:
            check(days)
            if dry_run:
                self._tell(days, f"{told} would be deleted. Nothing was: this was a dry run.")
                return
            for _ in shown(delete(days), len(days), "Days deleted", self.stderr):
                pass
        except (NotYet, Taken) as error:
            raise CommandError(f"{error} Of what is older, nothing more was deleted.") from None
        self.stdout.write(f"{told} deleted.")

    def _tell(self, days: list[retention.Day], summary: str) -> None:
        for found in days:
            self.stdout.write(f"{found.day}: {found.rows:,}")
        self.stdout.write(summary)


def _before(before: str | None, keep_days: str | None) -> date:
    """The first day that is kept."""
    try:
        if (before is None) == (keep_days is None):
            raise BadDay("Say either --before or --keep-days.")
        first = parse_day(before, "--before") if before is not None else _kept(keep_days or "")
        if first > today():
            raise BadDay(f"--before: {first} has not begun yet.")
    except BadDay as error:
        raise CommandError(str(error), returncode=WRONG) from None
    return first


def _kept(days: str) -> date:
    if not (days.isascii() and days.isdigit() and len(days) <= 5):
        raise BadDay(f"--keep-days: {days[:40]!r} is not a number of days.")
    return today() - timedelta(days=int(days))
