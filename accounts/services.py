"""Decides and writes: makes people, teams and keys, and revokes keys."""

import secrets
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from accounts.encryption import encrypt
from accounts.keys import new_key
from accounts.models import ApiKey, Membership, OpenRouterKey, Team, User

HINT_LENGTH = 4


class CreatedKey(NamedTuple):
    """A personal key's row, and its text at the only moment it exists."""

    row: ApiKey
    text: str


class Newcomer(NamedTuple):
    """A user, and the password if the user is new."""

    user: User
    password: str | None


def create_api_key(
    *,
    membership: Membership,
    name: str,
    openrouter_key: OpenRouterKey | None = None,
    expires_at: datetime | None = None,
) -> CreatedKey:
    key = new_key()
    row = ApiKey.objects.create(
        membership=membership,
        name=name,
        prefix=key.prefix,
        digest=key.digest,
        openrouter_key=openrouter_key,
        expires_at=expires_at,
    )
    return CreatedKey(row, key.text)


def revoke_api_key(key: ApiKey) -> None:
    """Refuse the key from now on. It cannot be undone; doing it twice changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])


def save_openrouter_key(row: OpenRouterKey, *, secret: str) -> OpenRouterKey:
    """Save `row` with `secret` encrypted and only its last characters in the clear."""
    row.ciphertext = encrypt(secret)
    row.hint = secret[-HINT_LENGTH:]
    row.save()
    return row


@transaction.atomic
def ensure_owner(*, team: str, email: str) -> tuple[Membership, Newcomer]:
    """`email` as owner of `team`. The very first user of an install is its superuser, with a new password."""
    newcomer = _ensure_user(email)
    row, _ = Team.objects.get_or_create(name=team)
    membership, _ = Membership.objects.get_or_create(
        user=newcomer.user, team=row, defaults={"role": Membership.Role.OWNER}
    )
    return membership, newcomer


def _ensure_user(email: str) -> Newcomer:
    known = User.objects.filter(email__iexact=email).first()
    if known is not None:
        return Newcomer(known, None)
    password = secrets.token_urlsafe(12)
    if User.objects.filter(is_superuser=True).exists():
        return Newcomer(User.objects.create_user(email, password), password)
    return Newcomer(User.objects.create_superuser(email, password), password)


@transaction.atomic
def set_team_openrouter_key(team: Team, *, secret: str) -> OpenRouterKey:
    """Have `secret` pay for `team`, under the team's name."""
    row = team.openrouter_key or OpenRouterKey(name=f"{team.name}'s key")
    save_openrouter_key(row, secret=secret)
    team.openrouter_key = row
    team.save()
    return row
