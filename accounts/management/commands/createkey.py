"""Makes a personal key for a member."""

from argparse import ArgumentParser
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Membership
from accounts.services import create_api_key


class Command(BaseCommand):
    help = "Make one more personal key for a member of a team, and show it this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--team", required=True, help="the team's name")
        parser.add_argument("--email", required=True, help="the member's email address")
        parser.add_argument("--name", default="command line", help="where the key is used")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, team: str, email: str, name: str, json: bool, **options: Any) -> None:
        membership = Membership.objects.filter(team__name=team, user__email__iexact=email).first()
        if membership is None:
            raise CommandError(f"{email} is not a member of {team}.")
        key = create_api_key(membership=membership, name=name).text
        shown = {"team": team, "email": membership.user.email, "api_key": key, "base_url": settings.BASE_URL}
        self.stdout.write(orjson.dumps(shown).decode() if json else key)
