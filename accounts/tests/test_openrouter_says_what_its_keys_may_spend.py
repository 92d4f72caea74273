"""What is asked of OpenRouter about keys, against the simulator: their state, and keys that are made from here."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import openrouter, services
from accounts.encryption import decrypt
from accounts.models import AuditEntry, OpenRouterKey
from accounts.openrouter import Cap, OpenRouterRefused
from accounts.services import delete_openrouter_key, make_managed_key, refresh_openrouter_key
from testing import cast
from testing.signed_in import signed_in
from testing.simulator_process import SimulatorProcess
from testing.wire import send

pytestmark = pytest.mark.django_db

DOLLAR = 10**12
MANAGEMENT_KEY = "sk-or-management-0123456789abcdef"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        yield running


@pytest.fixture(autouse=True)
def it_is_openrouter(simulator: SimulatorProcess, settings: Any) -> None:
    settings.OPENROUTER_BASE_URL = simulator.base_url
    settings.OPENROUTER_MANAGEMENT_KEY = MANAGEMENT_KEY


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def address(name: str, key: OpenRouterKey) -> str:
    return reverse(f"admin:accounts_openrouterkey_{name}", args=[key.pk])


# --- what a key may spend --------------------------------------------------------------------------------------------


def test_a_key_without_a_limit_says_so_with_the_time(admin: Client) -> None:
    key = cast.openrouter_key()
    listed = reverse("admin:accounts_openrouterkey_changelist")
    assert "not known yet" in admin.get(listed).content.decode()
    admin.post(listed, {"action": "refresh_selected", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert key.checked_at is not None
    assert "no limit" in admin.get(listed).content.decode()


def test_a_limit_is_shown_with_what_is_left_of_it(admin: Client) -> None:
    key = make_managed_key(cast.alice().membership, cap=Cap(25 * DOLLAR, "monthly"))
    assert admin.get(address("refresh", key)).status_code == 200
    assert admin.post(address("refresh", key)).status_code == 302
    page = admin.get(reverse("admin:accounts_openrouterkey_changelist")).content.decode()
    assert "$25.00 of $25.00 monthly" in page


def test_a_key_that_openrouter_does_not_take_is_told_and_what_was_known_stays(settings: Any) -> None:
    key = cast.openrouter_key(secret="no-key-of-openrouters")
    assert "OpenRouter refused (401)" in refresh_openrouter_key(key)
    key.refresh_from_db()
    assert key.check_error
    assert "no-key-of-openrouters" not in key.check_error
    settings.OPENROUTER_BASE_URL = "http://127.0.0.1:9"
    assert "could not be read" in refresh_openrouter_key(key)


def test_the_command_refreshes_all_and_fails_where_one_failed(capsys: pytest.CaptureFixture[str]) -> None:
    cast.openrouter_key()
    call_command("refresh_openrouter_keys")
    cast.openrouter_key("wrong", "no-key-of-openrouters")
    with pytest.raises(CommandError):
        call_command("refresh_openrouter_keys")
    told = capsys.readouterr()
    assert "1 of 1 refreshed." in told.out
    assert "1 of 2 refreshed." in told.out
    assert "wrong" in told.err


def test_looking_at_a_key_is_no_change_of_it() -> None:
    key = cast.openrouter_key()
    before = AuditEntry.objects.count()
    refresh_openrouter_key(key)
    assert AuditEntry.objects.count() == before


# --- what one answer cost --------------------------------------------------------------------------------------------


def test_a_generation_is_found_by_its_id_and_an_unknown_one_is_said_to_be_so(simulator: SimulatorProcess) -> None:
    body = orjson.dumps({"model": "openai/gpt-5", "messages": [{"role": "user", "content": "Hello"}]})
    secret = "sk-or-v1-acme-0123456789abcdef"
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    reply = send(simulator.base_url, "POST", "/api/v1/chat/completions", body, headers)
    told = openrouter.generation(secret, reply.json["id"])
    assert told.cost > 0
    assert told.prompt_tokens > 0
    assert told.completion_tokens > 0
    with pytest.raises(openrouter.UnknownToOpenRouter):
        openrouter.generation(secret, "gen-none")


# --- keys that are made from here ------------------------------------------------------------------------------------


def test_a_superuser_makes_a_key_with_a_limit_for_a_member(admin: Client) -> None:
    member = cast.alice().membership
    path = reverse("admin:accounts_membership_make_openrouter_key", args=[member.pk])
    assert "limit" in admin.post(path, {"limit": "0", "reset": "monthly"}).context["form"].errors
    admin.post(path, {"limit": "25", "reset": "monthly"})
    member.refresh_from_db()
    key = member.openrouter_key
    assert key is not None
    assert (key.team, key.limit, key.limit_reset) == (member.team, 25 * DOLLAR, "monthly")
    assert openrouter.key_state(decrypt(key.ciphertext)).limit == 25 * DOLLAR


def test_its_limit_is_changed_at_openrouter(admin: Client) -> None:
    key = make_managed_key(cast.alice().membership, cap=Cap(25 * DOLLAR, "monthly"))
    admin.post(address("cap", key), {"limit": "12.5", "reset": ""})
    state = openrouter.key_state(decrypt(key.ciphertext))
    assert (state.limit, state.limit_reset) == (12_500_000_000_000, "")


def test_deleting_it_here_deletes_it_there(admin: Client) -> None:
    member = cast.alice().membership
    key = make_managed_key(member, cap=Cap(DOLLAR))
    secret = decrypt(key.ciphertext)
    admin.post(address("delete", key), {"post": "yes"})
    member.refresh_from_db()
    assert member.openrouter_key is None
    with pytest.raises(OpenRouterRefused):
        openrouter.key_state(secret)


def test_what_openrouter_does_not_delete_stays_here(admin: Client, settings: Any) -> None:
    key = make_managed_key(cast.alice().membership, cap=Cap(DOLLAR))
    settings.OPENROUTER_BASE_URL = "http://127.0.0.1:9"
    page = admin.post(address("delete", key), {"post": "yes"}, follow=True)
    assert "Not deleted." in page.content.decode()
    assert OpenRouterKey.objects.filter(pk=key.pk).exists()


def test_one_that_is_gone_there_already_can_be_deleted_here() -> None:
    key = make_managed_key(cast.alice().membership, cap=Cap(DOLLAR))
    openrouter.delete_key(key.managed_id)
    delete_openrouter_key(key)
    assert not OpenRouterKey.objects.exists()


def test_a_key_that_cannot_be_kept_here_is_deleted_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    made: list[openrouter.ManagedKey] = []
    create = openrouter.create_key

    def note(name: str, cap: Cap) -> openrouter.ManagedKey:
        made.append(create(name, cap))
        return made[0]

    monkeypatch.setattr(openrouter, "create_key", note)
    monkeypatch.setattr(services, "save_openrouter_key", full)
    with pytest.raises(OSError, match="disk full"):
        make_managed_key(cast.alice().membership, cap=Cap(DOLLAR))
    with pytest.raises(OpenRouterRefused):
        openrouter.key_state(made[0].secret)


def test_a_wrong_management_key_is_told_at_the_form(admin: Client, settings: Any) -> None:
    settings.OPENROUTER_MANAGEMENT_KEY = "sk-or-v1-no-management-key"
    path = reverse("admin:accounts_membership_make_openrouter_key", args=[cast.alice().membership.pk])
    page = admin.post(path, {"limit": "25", "reset": ""})
    assert "OpenRouter refused (401)" in page.content.decode()


def test_without_a_management_key_and_for_who_keeps_a_team_there_is_no_such_button(settings: Any) -> None:
    alice = cast.alice()
    key = make_managed_key(alice.membership, cap=Cap(DOLLAR))
    paths = [reverse("admin:accounts_membership_make_openrouter_key", args=[alice.membership.pk]), address("cap", key)]
    owner, superuser = signed_in(alice.user), signed_in(cast.root())
    assert [owner.get(path).status_code for path in paths] == [403, 403]
    settings.OPENROUTER_MANAGEMENT_KEY = ""
    assert [superuser.get(path).status_code for path in paths] == [403, 403]
