"""A provider's base URL is a superuser's to write, and leads into the internet or is refused at its field."""

import socket
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import Membership
from messages_api.models import Provider
from testing import cast
from testing.html_form import fields
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

ADD = reverse("admin:messages_api_provider_add")


@pytest.fixture
def root() -> Client:
    cast.alice()
    return signed_in(cast.root())


def errors(browser: Client, base_url: str) -> dict[str, str]:
    form = fields(browser.get(ADD).content.decode())
    said = browser.post(ADD, {**form, "name": "local", "litellm_provider": "openai", "base_url": base_url})
    if said.status_code == 302:
        return {}
    return {name: " ".join(texts) for name, texts in said.context["adminform"].form.errors.items()}


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:11434/v1", "http://169.254.169.254", "http://[::1]:80", "http://localhost:8000"]
)
def test_a_private_address_is_refused_at_its_field_unless_a_setting_allows_it(
    root: Client, settings: Settings, base_url: str
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    said = errors(root, base_url)
    assert set(said) == {"base_url"}
    assert "ALLOW_PRIVATE_ADDRESSES=true" in said["base_url"]
    settings.ALLOW_PRIVATE_ADDRESSES = True
    assert errors(root, base_url) == {}
    assert Provider.objects.get().base_url == base_url


@pytest.mark.parametrize(
    "base_url", ["http://2130706433/", "http://0177.0.0.1", "ftp://example.com", "http://a@b.example"]
)
def test_an_odd_spelling_is_refused_always(root: Client, settings: Settings, base_url: str) -> None:
    for settings.ALLOW_PRIVATE_ADDRESSES in (True, False):
        assert set(errors(root, base_url)) == {"base_url"}


def test_a_name_that_stands_for_a_private_address_is_refused(
    root: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", 0))]

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return found

    settings.ALLOW_PRIVATE_ADDRESSES = False
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert set(errors(root, "https://models.example/v1")) == {"base_url"}
    found[0] = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 0))
    assert errors(root, "https://models.example/v1") == {}


@pytest.mark.parametrize("role", [Membership.Role.OWNER, Membership.Role.ADMIN])
def test_who_keeps_a_team_neither_sees_nor_writes_one(role: Membership.Role) -> None:
    provider = Provider.objects.create(name="local", litellm_provider="openai", base_url="https://models.example")
    browser = signed_in(cast.member("dave@acme.example", "Acme", role).user)
    change = reverse("admin:messages_api_provider_change", args=[provider.pk])
    for path in (ADD, change, reverse("admin:messages_api_provider_changelist")):
        assert browser.get(path).status_code == 403
    assert browser.post(change, {"base_url": "https://elsewhere.example"}).status_code == 403
    provider.refresh_from_db()
    assert provider.base_url == "https://models.example"
