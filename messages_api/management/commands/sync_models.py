"""Brings the catalogue up to date with OpenRouter's `/models`."""

from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from accounts.openrouter import OpenRouterRefused, list_models
from messages_api.services.catalog import SNAPSHOT, save_models


class Command(BaseCommand):
    help = "Refresh the catalogue of models from OpenRouter (or, with --offline, from the snapshot that ships here)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--offline", action="store_true", help="use the snapshot that ships with the project")

    def handle(self, *args: Any, offline: bool, **options: Any) -> None:
        try:
            described = orjson.loads(SNAPSHOT.read_bytes())["models"] if offline else list_models()
        except OpenRouterRefused as error:
            raise CommandError(f"{error} The catalogue is as it was; --offline loads the snapshot.") from error
        self.stdout.write(f"{save_models(described)} models in the catalogue.")
