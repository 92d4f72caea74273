"""Asks OpenRouter what its keys may still spend."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import OpenRouterKey
from accounts.services import refresh_openrouter_key


class Command(BaseCommand):
    help = "Ask OpenRouter what each of its keys may still spend, for the admin to show. Good for a timer, every hour."

    def handle(self, *args: Any, **options: Any) -> None:
        keys = OpenRouterKey.objects.all()
        failures = {key: failure for key in keys if (failure := refresh_openrouter_key(key))}
        for key, failure in failures.items():
            self.stderr.write(f"{key}: {failure}")
        self.stdout.write(f"{len(keys) - len(failures)} of {len(keys)} refreshed.")
        if failures:
            raise CommandError("Some could not be refreshed.")
