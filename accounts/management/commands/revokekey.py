"""Revokes a personal key."""

from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from accounts.keys import PREFIX_LENGTH, prefix_of
from accounts.models import ApiKey
from accounts.services import revoke_api_key


class Command(BaseCommand):
    help = "Refuse a personal key from now on. This cannot be undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("key", help=f"the key, or the {PREFIX_LENGTH} characters behind sk-brg-")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, key: str, json: bool, **options: Any) -> None:
        prefix = prefix_of(key) or key.removeprefix("sk-brg-")[:PREFIX_LENGTH]
        row = ApiKey.objects.with_owner().filter(prefix=prefix).first()
        if row is None:
            raise CommandError("There is no such key.")
        revoke_api_key(row)
        revoked = {"team": row.membership.team.name, "email": row.membership.user.email, "prefix": row.prefix}
        self.stdout.write(orjson.dumps(revoked).decode() if json else f"{row} of {row.membership.user} is revoked.")
