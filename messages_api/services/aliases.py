"""Owns the aliases that a new team starts with."""

from accounts.models import Team
from messages_api.models import ModelAlias

TEAM_FAMILIES = ("haiku", "sonnet", "opus")
EVERYONES_FAMILIES = (*TEAM_FAMILIES, "claude")


def ensure_default_aliases(team: Team) -> None:
    """A row for each Claude family that has none yet, for everyone and for the team; they follow the settings."""
    for family in EVERYONES_FAMILIES:
        ModelAlias.objects.get_or_create(team=None, name=family, defaults={"kind": ModelAlias.Kind.FAMILY})
    for family in TEAM_FAMILIES:
        ModelAlias.objects.get_or_create(team=team, name=family, defaults={"kind": ModelAlias.Kind.FAMILY})
