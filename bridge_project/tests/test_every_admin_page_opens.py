"""Every page of every model in the admin opens for a superuser, and only pages that may be used are offered."""

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import models
from django.test import Client
from django.urls import reverse

from accounts.admin_base import BridgeAdmin
from accounts.models import Membership
from messages_api.models import Provider
from testing import cast
from testing.admin_rows import ROWS
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
NAMES = [model._meta.label for model in MODELS]
READ_ONLY = {"usage.UsageRecord", "messages_api.CatalogModel", "accounts.AuditEntry"}
NOT_ADDED = {*READ_ONLY, "axes.AccessAttempt"}


@pytest.fixture
def browser() -> Client:
    """The superuser's, with at least one row of everything."""
    alice = cast.alice()
    for model in MODELS:
        ROWS[model](alice)
    return signed_in(cast.root())


def page(model: type[models.Model], name: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_its_list_opens_and_says_what_it_holds(browser: Client, model: type[models.Model]) -> None:
    response = browser.get(page(model, "changelist"))
    assert response.status_code == 200
    model_admin = admin.site._registry[model]
    assert isinstance(model_admin, BridgeAdmin)
    assert model_admin.intro
    assert response.content.decode().count(model_admin.intro[:20].replace("'", "&#x27;")) == 1


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_its_list_is_searched(browser: Client, model: type[models.Model]) -> None:
    assert browser.get(page(model, "changelist"), {"q": "something"}).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_its_list_is_sorted_by_every_column_and_counts_by_every_filter(
    browser: Client, model: type[models.Model]
) -> None:
    for column in range(len(browser.get(page(model, "changelist")).context["cl"].list_display)):
        assert browser.get(page(model, "changelist"), {"o": column}).status_code == 200
    assert browser.get(page(model, "changelist"), {"_facets": "True"}).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_its_add_page_opens_unless_it_is_read_only(browser: Client, model: type[models.Model]) -> None:
    status = 403 if model._meta.label in NOT_ADDED else 200
    assert browser.get(page(model, "add")).status_code == status


@pytest.mark.parametrize("name", ["change", "history", "delete"])
@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_the_pages_of_a_row_open(browser: Client, model: type[models.Model], name: str) -> None:
    row = model._default_manager.all()[0]
    status = 403 if name == "delete" and model._meta.label in READ_ONLY else 200
    assert browser.get(page(model, name, quote(row.pk))).status_code == status


@pytest.mark.parametrize("path", ["index", "login", "password_change"])
def test_the_pages_around_them_open(browser: Client, path: str) -> None:
    assert browser.get(reverse(f"admin:{path}"), follow=True).status_code == 200


def test_the_sidebar_leads_to_every_list(browser: Client) -> None:
    shown = browser.get(reverse("admin:index")).context["sidebar_navigation"]
    links = {str(item["link"]) for group in shown for item in group["items"]}
    assert links == {reverse("admin:index"), *(page(model, "changelist") for model in MODELS)}


def test_who_keeps_no_team_sees_nothing() -> None:
    response = signed_in(cast.bob().user).get(reverse("admin:usage_usagerecord_changelist"))
    assert response.status_code == 302
    assert "login" in response.headers["Location"]


def test_providers_are_for_superusers_only() -> None:
    owner = signed_in(cast.alice().user)
    assert owner.get(page(Provider, "changelist")).status_code == 403
    shown = owner.get(reverse("admin:index")).context["sidebar_navigation"]
    links = {str(item["link"]) for group in shown for item in group["items"] if item["has_permission"]}
    assert page(Provider, "changelist") not in links
    assert page(Membership, "changelist") in links
