"""Every address of the whole URLconf, as a stranger, as a member without a role, and by following links only."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.db import models
from django.test import Client

from testing import cast
from testing.admin_pages import MODELS, addresses_of_row, addresses_of_site
from testing.admin_rows import make_one_of_each
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

#: What has no secret, and is there for programs and people without a session.
FOR_EVERYBODY = {"/", "/healthz", "/readyz", "/api/hello", "/api/event_logging/1"}
OF_THE_ADMIN = sorted(set(addresses_of_site()) - FOR_EVERYBODY)
LOGIN = "/admin/login/"


def leads_to_the_login(response: Any) -> bool:
    return bool(response.status_code == 302 and response.headers["Location"].startswith(LOGIN))


def test_the_whole_site_is_known() -> None:
    assert len(OF_THE_ADMIN) > 5 * len(MODELS)
    assert all(path.startswith("/admin/") for path in OF_THE_ADMIN), "a page outside the admin needs a test of its own"


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_sees_the_login_alone(method: str) -> None:
    make_one_of_each(cast.alice())
    for path in OF_THE_ADMIN:
        response = getattr(Client(), method)(path)
        assert leads_to_the_login(response) or path in {LOGIN, "/admin/logout/", "/admin/jsi18n/"}, path
        assert b"acme" not in response.content.lower()


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_member_without_a_role_is_refused_everywhere(method: str) -> None:
    make_one_of_each(cast.alice())
    browser = signed_in(cast.bob().user)
    for path in OF_THE_ADMIN:
        if path != "/admin/logout/":
            response = getattr(browser, method)(path)
            assert leads_to_the_login(response) or path in {LOGIN, "/admin/jsi18n/"}, path
            assert b"alice" not in response.content.lower()


def test_a_member_without_a_role_cannot_sign_in() -> None:
    cast.bob()
    response = Client().post(LOGIN, {"username": "bob@acme.example", "password": cast.PASSWORD})
    assert response.status_code == 200
    assert "_auth_user_id" not in response.wsgi_request.session


def everything() -> dict[str, list[dict[str, Any]]]:
    shown: list[type[models.Model]] = [model for model in MODELS if model is not Session]
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in shown}


@pytest.mark.parametrize("is_owner", [False, True], ids=["superuser", "owner"])
def test_following_a_link_changes_nothing(is_owner: bool) -> None:
    """A link may stand in any page or mail: what it does, it would do in the name of whoever clicks on it."""
    alice = cast.alice()
    keys = make_one_of_each(alice)
    browser = signed_in(alice.user if is_owner else cast.root())
    before = everything()
    paths = {path for path in OF_THE_ADMIN if "/1/" not in path}
    paths |= {path for model in MODELS for path in addresses_of_row(model, keys[model._meta.label])}
    for path in sorted(paths):
        for query in ("", "?post=yes&action=delete_selected&_selected_action=1", "?_popup=1&_saveasnew=1"):
            assert browser.get(path + query).status_code < 500, path
        assert everything() == before, path


def test_every_address_of_a_row_belongs_to_a_page_of_ours() -> None:
    for model in MODELS:
        assert len(list(addresses_of_row(model, 1))) >= 3, admin.site._registry[model]
