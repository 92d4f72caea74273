"""Makes a team, a user, the default aliases and a personal key, from nothing or from what is there."""

import os
import sys
from argparse import ArgumentParser
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction

from accounts.models import User
from accounts.services import Newcomer, create_api_key, ensure_owner, set_team_openrouter_key
from messages_api.services.aliases import ensure_default_aliases
from messages_api.services.catalog import load_snapshot

FIRST_TEAM, FIRST_EMAIL = "My team", "admin@localhost"


class Made(NamedTuple):
    """What was made: the key's text exists only here."""

    team: str
    newcomer: Newcomer
    api_key: str


class Command(BaseCommand):
    help = (
        "Make a team, a user and the default aliases where they are missing, and one new personal key. "
        "The first user of an install becomes its superuser."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--team", help="the team's name")
        parser.add_argument("--email", help="the member's email address")
        parser.add_argument("--openrouter-key", help="the OpenRouter key that pays for the team")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        parser.add_argument(
            "--first-start", action="store_true", help="do it only where there is no user yet, with names to begin with"
        )

    def handle(self, *args: Any, first_start: bool, json: bool, **options: Any) -> None:
        if first_start and User.objects.exists():
            load_snapshot()
            return
        team = options["team"] or (FIRST_TEAM if first_start else None)
        email = options["email"] or (FIRST_EMAIL if first_start else None)
        made = _make(_required("--team", team), _email(_required("--email", email)), options["openrouter_key"])
        if json:
            self.stdout.write(orjson.dumps(_as_json(made)).decode())
            if made.newcomer.password:
                self.stderr.write(f"{made.newcomer.user} signs in to the admin with {made.newcomer.password}")
        else:
            self._show(_as_text(made), keep_private=first_start)

    def _show(self, text: str, *, keep_private: bool) -> None:
        """Secrets go to a terminal, or into a file that only its owner reads, but not into a log."""
        if not keep_private or sys.stdout.isatty():
            self.stdout.write(text)
            return
        path = settings.VAR_DIR / "first-start.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        self.stdout.write(f"The admin login and a personal key are in {path}")


@transaction.atomic
def _make(team: str, email: str, openrouter_key: str | None) -> Made:
    load_snapshot()
    membership, newcomer = ensure_owner(team=team, email=email)
    if openrouter_key:
        set_team_openrouter_key(membership.team, secret=openrouter_key)
    ensure_default_aliases(membership.team)
    return Made(team, newcomer, create_api_key(membership=membership, name="bootstrap").text)


def _required(option: str, value: str | None) -> str:
    if not value:
        raise CommandError(f"{option} is required.")
    return value


def _email(email: str) -> str:
    try:
        validate_email(email)
    except ValidationError:
        raise CommandError(f"--email: {email!r} is not an email address.") from None
    return email


def _as_json(made: Made) -> dict[str, str]:
    return {
        "team": made.team,
        "email": made.newcomer.user.email,
        "api_key": made.api_key,
        "base_url": settings.BASE_URL,
    }


def _as_text(made: Made) -> str:
    user, password = made.newcomer
    login = f"password  {password}" if password else "with the password this user has already"
    return f"""
  Admin     {settings.BASE_URL}/admin/
            {user.email}
            {login}

  Connect Claude Code ({made.team}, {user.email}). The key is shown this once:

    export ANTHROPIC_BASE_URL={settings.BASE_URL}
    export ANTHROPIC_API_KEY={made.api_key}
    claude
"""
