"""Decides and writes: makes people, teams and keys, rotates and revokes keys, keeps what OpenRouter says of its own."""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit, openrouter
from accounts.encryption import Undecipherable, decrypt, encrypt
from accounts.keys import new_key
from accounts.models import ApiKey, Membership, OpenRouterKey, Team, User
from accounts.openrouter import Cap, KeyState, OpenRouterRefused

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
    allowed_models: str = "",
) -> CreatedKey:
    key = new_key()
    row = ApiKey.objects.create(
        membership=membership,
        name=name,
        prefix=key.prefix,
        digest=key.digest,
        openrouter_key=openrouter_key,
        expires_at=expires_at,
        allowed_models=allowed_models,
    )
    return CreatedKey(row, key.text)


def rotate_api_key(key: ApiKey, *, grace: timedelta) -> CreatedKey:
    """Give the key a new text. The present one is good for `grace`; one that was still good from before is not."""
    new = new_key()
    key.previous_prefix, key.previous_digest = (key.prefix, key.digest) if grace else (None, "")
    key.previous_until = timezone.now() + grace if grace else None
    key.prefix, key.digest = new.prefix, new.digest
    with audit.event(audit.ROTATED):
        key.save(update_fields=["prefix", "digest", "previous_prefix", "previous_digest", "previous_until"])
    return CreatedKey(key, new.text)


def revoke_api_key(key: ApiKey) -> None:
    """Refuse the key from now on. It cannot be undone; doing it twice changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        with audit.event(audit.REVOKED):
            key.save(update_fields=["revoked_at"])


def save_openrouter_key(row: OpenRouterKey, *, secret: str) -> OpenRouterKey:
    """Save `row` with `secret` encrypted and only its last characters in the clear."""
    row.ciphertext = encrypt(secret)
    row.hint = secret[-HINT_LENGTH:]
    row.save()
    return row


# --- what OpenRouter says of its keys --------------------------------------------------------------------------------


def refresh_openrouter_key(row: OpenRouterKey) -> str:
    """Ask OpenRouter what the key may spend. Returns why that could not be learned, or nothing."""
    try:
        state = openrouter.key_state(decrypt(row.ciphertext))
    except (OpenRouterRefused, Undecipherable) as error:
        _keep(row, check_error=str(error)[:300])
        return str(error)
    _keep_state(row, state)
    return ""


def make_managed_key(member: Membership, *, cap: Cap) -> OpenRouterKey:
    """Have OpenRouter make a key with a limit, and have it pay for `member`."""
    made = openrouter.create_key(f"Bridge: {member.user.email} in {member.team.name}", cap)
    try:
        with transaction.atomic():
            row = OpenRouterKey(name=_free_name(member), team=member.team, managed_id=made.managed_id)
            save_openrouter_key(row, secret=made.secret)
            member.openrouter_key = row
            member.save(update_fields=["openrouter_key"])
    except Exception:
        openrouter.delete_key(made.managed_id)  # else it could be spent with, and nobody here would know of it
        raise
    _keep_state(row, made.state)
    return row


def cap_managed_key(row: OpenRouterKey, *, cap: Cap) -> None:
    _keep_state(row, openrouter.cap_key(row.managed_id, cap))


def delete_openrouter_key(row: OpenRouterKey) -> None:
    """Delete the key here and, where it was made from here, at OpenRouter first: what is gone here cannot be found."""
    if row.managed_id:
        openrouter.delete_key(row.managed_id)
    row.delete()


def _free_name(member: Membership) -> str:
    base = f"{member.user.email} in {member.team.name}"[:90]
    taken = set(OpenRouterKey.objects.filter(name__startswith=base).values_list("name", flat=True))
    return next(name for name in (base, *(f"{base} {n}" for n in range(2, len(taken) + 3))) if name not in taken)


def _keep_state(row: OpenRouterKey, state: KeyState) -> None:
    _keep(
        row,
        limit=state.limit,
        limit_remaining=state.limit_remaining,
        limit_reset=state.limit_reset,
        usage=state.usage,
        expires_at=state.expires_at,
        check_error="",
    )


def _keep(row: OpenRouterKey, **fields: object) -> None:
    """Beside the configuration: no request is judged by this, so no process need forget anything for it."""
    fields["checked_at"] = timezone.now()
    QuerySet(OpenRouterKey).filter(pk=row.pk).update(**fields)
    for name, value in fields.items():
        setattr(row, name, value)


# --- people ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def ensure_owner(*, team: str, email: str) -> tuple[Membership, Newcomer]:
    """`email` as owner of `team`. The very first user of an install is its superuser, with a new password."""
    newcomer = _ensure_user(email)
    row, _ = Team.objects.get_or_create(name=team)
    membership, _ = Membership.objects.get_or_create(
        user=newcomer.user, team=row, defaults={"role": Membership.Role.OWNER}
    )
    return membership, newcomer


def ensure_user(email: str) -> User:
    """The user of this address; a new one has no password."""
    return User.objects.filter(email__iexact=email).first() or User.objects.create_user(email)


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
    row = team.openrouter_key or OpenRouterKey(name=f"{team.name}'s key", team=team)
    save_openrouter_key(row, secret=secret)
    team.openrouter_key = row
    team.save()
    return row
