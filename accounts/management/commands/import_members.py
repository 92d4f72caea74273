"""Puts the people of a CSV file into teams."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.member_import import ADD, CHANGE, KEEP, Step, WrongTable, carry_out, plan


class Command(BaseCommand):
    help = (
        "Put the people of a CSV file with the columns email,team,role into teams. Unknown people become users "
        "without a password; nobody is removed. Either the whole file is imported or nothing of it, and importing "
        "it again changes nothing. See first what it would do: --dry-run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file; the role is owner, admin or member")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    @transaction.atomic
    def handle(self, *args: Any, file: Path, dry_run: bool, **options: Any) -> None:
        try:
            steps = plan(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CommandError(f"{file}: not UTF-8") from None
        except WrongTable as error:
            wrong = "\n".join(f"{file}, {reason}" for reason in error.errors)
            raise CommandError(f"{wrong}\nNothing was imported.") from None
        for step in steps:
            self.stdout.write(_told(step))
        if not dry_run:
            carry_out(steps)
        self.stdout.write(_summary(steps) + (" Nothing was changed: this was a dry run." if dry_run else ""))


def _told(step: Step) -> str:
    person = f"line {step.row.line}: {step.row.email}"
    if step.what == ADD:
        return f"{person}: {'a new user, ' if step.is_new_user else ''}into {step.team} as {step.row.role}"
    if step.what == CHANGE:
        return f"{person}: in {step.team}, from {step.present_role} to {step.row.role}"
    return f"{person}: in {step.team} as {step.row.role} already"


def _summary(steps: list[Step]) -> str:
    counts = {what: sum(step.what == what for step in steps) for what in (ADD, CHANGE, KEEP)}
    return f"{counts[ADD]} to add, {counts[CHANGE]} to change, {counts[KEEP]} as they were."
