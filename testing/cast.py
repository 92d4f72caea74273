"""The cast of every test: the same teams and members everywhere, made by one call each.

Acme: Alice owns it, Bob is a member. Globex: Carol owns it and may see nothing of Acme. Root is the superuser.
"""

from dataclasses import dataclass

from accounts.authentication import Caller
from accounts.models import Membership, OpenRouterKey, Team, User
from accounts.services import create_api_key, save_openrouter_key
from messages_api.services.aliases import ensure_default_aliases
from messages_api.services.catalog import load_snapshot

PASSWORD = "correct-horse-battery"
Role = Membership.Role


@dataclass(frozen=True)
class Member:
    """Somebody in a team, with a personal key whose text is known."""

    user: User
    team: Team
    membership: Membership
    api_key: str

    def caller(self) -> Caller:
        """Who they are to a request that has come with their key."""
        return Caller(
            key_id=1,
            key_name="laptop",
            user_id=self.user.pk,
            email=self.user.email,
            team_id=self.team.pk,
            team=self.team.name,
            team_slug=self.team.slug,
            team_is_active=True,
            expires_at=None,
            digest="",
            openrouter_key=None,
        )


def root() -> User:
    return User.objects.filter(email="root@example.com").first() or User.objects.create_superuser(
        "root@example.com", PASSWORD
    )


def alice() -> Member:
    return member("alice@acme.example", "Acme", Role.OWNER)


def bob() -> Member:
    return member("bob@acme.example", "Acme", Role.MEMBER)


def carol() -> Member:
    return member("carol@globex.example", "Globex", Role.OWNER)


def member(email: str, team_name: str, role: Role) -> Member:
    load_snapshot()
    team, _ = Team.objects.get_or_create(name=team_name)
    ensure_default_aliases(team)
    user = User.objects.filter(email=email).first() or User.objects.create_user(email, PASSWORD)
    membership, _ = Membership.objects.get_or_create(user=user, team=team, defaults={"role": role})
    key = create_api_key(membership=membership, name=f"{email.partition('@')[0]}'s laptop")
    return Member(user, team, membership, key.text)


def openrouter_key(name: str = "Acme's key", secret: str = "sk-or-v1-acme-0123456789abcdef") -> OpenRouterKey:
    return save_openrouter_key(OpenRouterKey(name=name), secret=secret)
