"""The owner of one team goes through every page of the admin for rows of another, and finds and changes none.

The tests go over whatever is registered: a page of a new model is in them from its first day.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import models
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

from accounts.admin_base import BridgeAdmin
from accounts.audit import SECRET_FIELDS, AuditEntry
from accounts.models import Membership, User
from accounts.scope import SHARED, Scope, crosses_many
from testing import cast
from testing.admin_pages import addresses_of_site
from testing.admin_rows import ROWS
from testing.html_form import fields
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
OF_TEAMS = [model for model in MODELS if getattr(admin.site._registry[model], "scope", SHARED) != SHARED]
MARK = "globex"
REFUSED = {302, 400, 403, 404, 405}


def page_of(model: type[models.Model]) -> BridgeAdmin:
    page = admin.site._registry[model]
    assert isinstance(page, BridgeAdmin)
    return page


def address(model: type[models.Model], name: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


class World:
    """Acme with Alice, who looks around; Globex with Carol, whose rows she is after; Eve is in both."""

    def __init__(self) -> None:
        self.alice, carol = cast.alice(), cast.carol()
        eve = cast.member("eve@both.example", "Acme", Membership.Role.MEMBER)
        Membership.objects.create(user=eve.user, team=carol.team)
        self.mine: dict[Any, models.Model] = {model: ROWS[model](self.alice) for model in MODELS}
        self.others: dict[Any, models.Model] = {model: ROWS[model](carol) for model in MODELS}
        self.browser = signed_in(self.alice.user)
        self.before = self.rows_of_others()

    def rows_of_others(self) -> dict[str, list[dict[str, Any]]]:
        """Everything there is but what is Alice's, and the log of what she does: it must be the same afterwards."""
        teams = [self.alice.team.pk]
        return {
            model._meta.label: list(
                model._base_manager.exclude(
                    pk__in=page_of(model).scope.narrowed(model._base_manager.all(), teams).values("pk")
                )
                .order_by("pk")
                .values()
            )
            for model in OF_TEAMS
            if model is not AuditEntry
        }

    def is_as_it_was(self) -> bool:
        return self.rows_of_others() == self.before


@pytest.fixture
def world() -> World:
    return World()


def tells_nothing(response: Any) -> bool:
    """Streamed answers, an export for instance, are read to their end."""
    return MARK not in response.getvalue().decode().lower()


def of_each(models_: list[type[models.Model]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models_, ids=lambda model: model._meta.label)


# --- what every page says of itself ----------------------------------------------------------------------------------


@of_each(MODELS)
def test_every_page_declares_whose_rows_it_shows(model: type[models.Model]) -> None:
    page = page_of(model)
    assert isinstance(getattr(page, "scope", None), Scope), f"{type(page).__name__} declares no scope"
    assert model in ROWS, f"testing/admin_rows.py makes no {model._meta.label}"
    inlines = (page.inlines, page.get_inlines(RequestFactory().get("/"), ROWS.get(model)))
    for inline in (inline for some in inlines for inline in some):
        assert inline.model in MODELS, "what an inline shows follows from its model's own page"


# --- reading ---------------------------------------------------------------------------------------------------------


@of_each(OF_TEAMS)
def test_its_list_holds_ones_own_rows_alone(world: World, model: type[models.Model]) -> None:
    response = world.browser.get(address(model, "changelist"))
    if page_of(model).scope == Scope():
        assert response.status_code == 403
        return
    found = set(response.context["cl"].result_list)
    assert world.mine[model] in found
    assert world.others[model] not in found
    assert tells_nothing(response)
    assert tells_nothing(world.browser.get(address(model, "changelist"), {"_facets": "True"}))


@of_each(OF_TEAMS)
def test_a_search_finds_nothing(world: World, model: type[models.Model]) -> None:
    response = world.browser.get(address(model, "changelist"), {"q": "carol@globex.example"})
    assert response.status_code == 403 or not response.context["cl"].result_list


@of_each(OF_TEAMS)
def test_no_filter_and_no_lookup_tells_of_another_team(world: World, model: type[models.Model]) -> None:
    """Also for Eve, whom Alice sees: that she is in Globex too is none of Alice's business."""
    for lookup, value in lookups(model, world.others[model]):
        response = world.browser.get(address(model, "changelist"), {lookup: value})
        assert response.status_code in {200, *REFUSED}
        if response.status_code == 200:
            assert not SECRET_FIELDS.intersection(lookup.split("__")), lookup
            assert not crosses_many(model, lookup), lookup
            assert world.others[model] not in set(response.context["cl"].result_list)
            assert MARK in value.lower() or tells_nothing(response), lookup


def lookups(model: type[models.Model], row: models.Model) -> Iterator[tuple[str, str]]:
    """Ways to ask about the fields of a row and of those it is related to, with what is so for `row`."""
    for field in model._meta.get_fields():
        related: Any = field.related_model if field.is_relation else None
        if related is None:
            yield field.name, str(getattr(row, field.name))[:40]
            yield f"{field.name}__startswith", str(getattr(row, field.name))[:1]
            continue
        for key in related._base_manager.values_list("pk", flat=True)[:4]:
            yield f"{field.name}__{related._meta.pk.name}__exact", str(key)
        for far in related._meta.concrete_fields:
            end = "name" if far.is_relation else "startswith"
            yield f"{field.name}__{far.name}__{end}", "Glob"


@of_each(MODELS)
def test_completing_a_name_while_typing_offers_nothing(world: World, model: type[models.Model]) -> None:
    for field in model._meta.get_fields():
        if field.is_relation and not field.auto_created:
            asked: dict[str, Any] = {
                "app_label": model._meta.app_label,
                "model_name": model._meta.model_name,
                "field_name": field.name,
            }
            for term in ("", "globex"):
                response = world.browser.get(reverse("admin:autocomplete"), {**asked, "term": term})
                assert response.status_code in {200, *REFUSED}
                assert tells_nothing(response)


@pytest.mark.parametrize("name", ["change", "history"])
def test_the_pages_of_somebody_who_is_in_both_teams_name_ones_own_alone(world: World, name: str) -> None:
    response = world.browser.get(address(User, name, User.objects.get(email="eve@both.example").pk))
    assert response.status_code == 200
    assert tells_nothing(response)
    assert name == "history" or "Acme" in response.content.decode()


# --- a guessed address -----------------------------------------------------------------------------------------------


def addresses_of(model: type[models.Model], row: models.Model) -> Iterator[str]:
    """Every address of the model's page that is about one row."""
    for pattern in page_of(model).get_urls():
        name = getattr(pattern, "name", None)
        if name:
            for arguments in ({"object_id": quote(row.pk)}, {"id": quote(row.pk)}):
                try:
                    yield reverse(f"admin:{name}", kwargs=arguments)
                except NoReverseMatch:
                    continue


@of_each(OF_TEAMS)
def test_no_address_of_a_row_opens_and_no_form_sent_to_it_does_anything(
    world: World, model: type[models.Model]
) -> None:
    paths = list(addresses_of(model, world.others[model]))
    assert len(paths) >= 3
    forms: list[dict[str, str]] = [{}, {"post": "yes"}, {"_saveasnew": "1", "name": "mine"}, {"_popup": "1"}]
    if page_of(model).has_change_permission(request_of(world)):
        forms.append(fields(world.browser.get(address(model, "change", quote(world.mine[model].pk))).content.decode()))
    for path in paths:
        for query in ("", "?_popup=1&_to_field=id"):
            response = world.browser.get(path + query)
            assert response.status_code in REFUSED, path
            assert tells_nothing(response)
        for form in forms:
            assert world.browser.post(path, {**form, "grace": "0", "limit": "1", "password1": "x"}).status_code in {
                200,  # a form that shows its errors
                *REFUSED,
            }
    assert world.is_as_it_was()


def request_of(world: World) -> Any:
    request = RequestFactory().get("/")
    request.user = world.alice.user
    return request


# --- writing ---------------------------------------------------------------------------------------------------------


@of_each(OF_TEAMS)
def test_no_action_reaches_a_row(world: World, model: type[models.Model]) -> None:
    page, other = page_of(model), world.others[model]
    for action in ("delete_selected", *page.get_actions(request_of(world))):
        for chosen in ({"select_across": "0"}, {"select_across": "1"}):
            form = {"action": action, "_selected_action": [other.pk], "post": "yes", "index": "0", **chosen}
            if action == "delete_selected" and chosen["select_across"] == "1":
                continue  # that would be Alice's own rows, which are hers to delete
            world.browser.post(address(model, "changelist"), form)
            assert world.is_as_it_was(), action


@of_each(OF_TEAMS)
def test_no_form_leads_to_a_row_or_takes_one_in(world: World, model: type[models.Model]) -> None:
    """Each choice of each form, on the page of one's own row and on that of a new one, set to the other team's row."""
    request = request_of(world)
    page = page_of(model)
    paths = [address(model, "change", quote(world.mine[model].pk))] if page.has_change_permission(request) else []
    paths += [address(model, "add")] if page.has_add_permission(request) else []
    for path in paths:
        opened = world.browser.get(path)
        assert opened.status_code == 200
        assert tells_nothing(opened)
        for field in (field for field in model._meta.concrete_fields if field.is_relation):
            form = fields(opened.content.decode()) | {field.name: str(world.others[field.related_model].pk)}
            form |= {name: "x" for name in ("name", "target") if name in form and not form[name]}
            world.browser.post(path, {**form, "email": "new@acme.example", "secret": "0123456789abcdef"})
            world.browser.post(path, {**form, "_saveasnew": "1", "name": "another"})
            assert world.is_as_it_was(), f"{path} with another team's {field.name}"
            mine = model._base_manager.filter(pk=world.mine[model].pk).values_list(field.attname, flat=True)
            assert world.others[field.related_model].pk not in mine


@of_each(OF_TEAMS)
def test_a_choice_that_stands_in_the_address_is_not_shown(world: World, model: type[models.Model]) -> None:
    if page_of(model).has_add_permission(request_of(world)):
        chosen = {f.name: str(world.others[f.related_model].pk) for f in model._meta.concrete_fields if f.is_relation}
        assert tells_nothing(world.browser.get(address(model, "add"), chosen))


# --- around them -----------------------------------------------------------------------------------------------------


def test_the_pages_around_them_tell_nothing(world: World) -> None:
    for path in (
        reverse("admin:index"),
        reverse("admin:app_list", args=["accounts"]),
        f"{reverse('admin:index')}r/1/1/",
    ):
        assert tells_nothing(world.browser.get(path))
    assert tells_nothing(world.browser.get(reverse("admin:search"), {"s": "globex"}))


@of_each(OF_TEAMS)
def test_no_address_of_the_whole_site_tells_of_a_row(world: World, model: type[models.Model]) -> None:
    for path in addresses_of_site(quote(world.others[model].pk)):
        if "logout" not in path:
            response = world.browser.get(path)
            assert response.status_code in {200, 204, *REFUSED}, path
            assert tells_nothing(response), path


def test_a_member_who_keeps_no_team_does_not_get_in() -> None:
    browser = signed_in(cast.bob().user)
    for model in MODELS:
        response = browser.get(address(model, "changelist"))
        assert response.status_code == 302
        assert "login" in response.headers["Location"]


def test_who_is_no_longer_an_administrator_is_out_at_once(world: World) -> None:
    Membership.objects.filter(pk=world.alice.membership.pk).update(role=Membership.Role.MEMBER)
    assert world.browser.get(address(Membership, "changelist")).status_code == 302


def test_a_superuser_sees_the_rows_of_all(world: World) -> None:
    browser: Client = signed_in(cast.root())
    for model in OF_TEAMS:
        found = set(browser.get(address(model, "changelist")).context["cl"].result_list)
        assert {world.mine[model], world.others[model]} <= found
