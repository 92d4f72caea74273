"""Makes the daily rollups anew from the records."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from usage.days import BadDay, parse_day
from usage.progress import shown
from usage.services.lease import Taken
from usage.services.rollups import days_to_rebuild, rebuild

WRONG = 2


class Command(BaseCommand):
    help = (
        "Make the daily rollups, which reports read, anew from the records. The server keeps them up to date by "
        "itself; this is for a doubt. It can be run at any time, also while requests are served, and run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="first", help="the first day (UTC), such as 2026-11-01; else the first there is"
        )
        parser.add_argument("--to", dest="last", help="the last day; else the last there is")

    def handle(self, *args: Any, first: str | None, last: str | None, **options: Any) -> None:
        try:
            begin = parse_day(first, "--from") if first else None
            stop = parse_day(last, "--to") if last else None
            if begin and stop and begin > stop:
                raise BadDay(f"--from: {begin} is after --to, {stop}.")
            days = days_to_rebuild(begin, stop)
            for _ in shown(rebuild(days), len(days), "Days", self.stderr):
                pass
        except BadDay as error:
            raise CommandError(str(error), returncode=WRONG) from None
        except Taken as error:
            raise CommandError(f"{error} Try again in a minute.") from None
        self.stdout.write(f"{len(days)} days made." if days else "There are no records.")
