"""Asks OpenRouter what requests cost that ended before it said so."""

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.openrouter import OpenRouterRefused
from usage.progress import shown
from usage.services.lease import Taken
from usage.services.reconcile import guessed, reconcile_now, summary


class Command(BaseCommand):
    help = (
        "Ask OpenRouter what it charged for answers that broke off, were left, or died with a server process, and "
        "correct their records. The server does so by itself; this asks at once, and can be run at any time."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        results: Counter[str] = Counter()
        try:
            results.update(shown(reconcile_now(), guessed().count(), "Requests", self.stderr))
        except OpenRouterRefused as error:
            raise CommandError(f"{error} What was corrected before stays so.") from None
        except Taken as error:
            raise CommandError(f"{error} Try again in a minute.") from None
        self.stdout.write(summary(results))
