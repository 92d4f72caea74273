"""Every way of changing what requests are judged by raises the one number that other processes look at."""

import asyncio
from collections.abc import Callable

import pytest

from accounts import configuration
from accounts.configuration import current_version
from accounts.database import query
from accounts.models import ApiKey, Membership, OpenRouterKey, Team
from messages_api.models import ModelAlias
from testing import cast

pytestmark = pytest.mark.django_db(transaction=True)

CHANGES: dict[str, Callable[[], object]] = {
    "save": lambda: Team.objects.get().save(),
    "delete": lambda: Membership.objects.get().delete(),
    "create": lambda: Team.objects.create(name="Initech"),
    "update in bulk": lambda: ApiKey.objects.update(name="renamed"),
    "delete in bulk": lambda: ModelAlias.objects.filter(team=None).delete(),
    "create in bulk": lambda: OpenRouterKey.objects.bulk_create([OpenRouterKey(name="k")]),
    "update rows in bulk": lambda: ModelAlias.objects.bulk_update(ModelAlias.objects.all(), ["note"]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_noticed(change: Callable[[], object]) -> None:
    cast.alice()
    version, forgotten = current_version(), configuration.seen_changes()
    change()
    assert current_version() > version
    assert configuration.seen_changes() > forgotten


def test_reading_changes_nothing() -> None:
    cast.alice()
    version = current_version()
    list(ApiKey.objects.with_owner())
    assert current_version() == version


def test_a_process_forgets_when_another_has_changed_something(monkeypatch: pytest.MonkeyPatch) -> None:
    async def watched() -> int:
        monkeypatch.setattr(configuration, "POLL_SECONDS", 0.05)
        watcher = asyncio.create_task(configuration.watch())
        await asyncio.sleep(0.2)
        seen = configuration.seen_changes()
        await query(_change_as_another_process_would)
        await asyncio.sleep(0.3)
        watcher.cancel()
        return configuration.seen_changes() - seen

    cast.alice()
    assert asyncio.run(watched()) == 1


def _change_as_another_process_would() -> None:
    """The number alone: what the other process forgets is its own affair."""
    configuration.ConfigurationVersion.objects.update(number=current_version() + 1)
