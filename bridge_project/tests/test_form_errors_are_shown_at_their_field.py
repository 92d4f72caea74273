"""What is wrong in a form is said at its field, and what was typed stays typed; secrets alone are typed again.

The forms are those of every page that adds or changes something: a new model's are among them from its first day.
"""

import re
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.db import models
from django.test import Client
from django.utils.html import escape

from accounts.admin_base import SecretField
from accounts.models import ApiKey, Membership, User
from testing import cast
from testing.admin_pages import MODELS, address
from testing.admin_rows import make_one_of_each
from testing.html_form import fields
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

TYPED = "typed-with-care"
#: Too long for any column, and right for no kind of field.
WRONG = TYPED * 40


@pytest.fixture
def keys() -> dict[str, str]:
    return make_one_of_each(cast.alice())


@pytest.fixture
def browser(keys: dict[str, str]) -> Client:
    return signed_in(cast.root())


def segment(page: str, name: str) -> str:
    """The part of a page that shows one field: from its label, or its widget, to the label of the next field."""
    place = re.search(rf'for="id_{name}(_\d)?"', page) or re.search(rf'name="{name}', page)
    assert place, f"the page has no field {name}"
    others = re.compile(rf'for="id_(?!{name}(_\d)?")')
    return others.split(page[place.start() :], maxsplit=1)[0]


def errors_of(response: Any) -> dict[str, list[str]]:
    form: forms.BaseForm = response.context["adminform"].form
    return {name: [str(message) for message in said] for name, said in form.errors.items()}


def assert_said_at_their_fields(response: Any) -> None:
    page = response.content.decode()
    for name, said in errors_of(response).items():
        assert name != "__all__", f"of no field: {said}"
        for message in said:
            assert escape(message) in segment(page, name), f"{name}: {message}"


@pytest.mark.parametrize("kind", ["add", "change"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_form(browser: Client, keys: dict[str, str], model: type[models.Model], kind: str) -> None:
    path = address(model, kind, *([keys[model._meta.label].replace("/", "_2F")] if kind == "change" else []))
    opened = browser.get(path)
    if opened.status_code == 403 or not opened.context["adminform"].form.fields:
        return
    form = opened.context["adminform"].form
    given = fields(opened.content.decode())
    for filled in (dict.fromkeys(form.fields, ""), dict.fromkeys(form.fields, WRONG)):
        sent = {**given, **{name: value for name, value in filled.items() if name in given}}
        sent |= {part: value for name, value in filled.items() for part in given if part.startswith(f"{name}_")}
        response = browser.post(path, sent)
        if response.status_code == 302:
            continue  # nothing in this form has to be filled in
        assert response.status_code == 200
        assert errors_of(response), path
        assert_said_at_their_fields(response)
        assert_kept(response, sent)


def assert_kept(response: Any, sent: dict[str, str]) -> None:
    page = response.content.decode()
    for name, field in response.context["adminform"].form.fields.items():
        is_secret = isinstance(field, SecretField) or isinstance(field.widget, forms.PasswordInput)
        if sent.get(name) != WRONG or field.disabled:
            continue
        if is_secret:
            assert WRONG not in segment(page, name), f"{name} is a secret"
        elif isinstance(field, forms.CharField):
            assert WRONG in page


def test_a_secret_is_never_repeated(browser: Client) -> None:
    for path, extra in (
        (address(models_named("accounts.OpenRouterKey"), "add"), {"name": "", "secret": "sk-or-v1-0123456789abcdef"}),
        (address(models_named("messages_api.Provider"), "add"), {"name": "", "secret": "sk-or-v1-0123456789abcdef"}),
        (address(User, "add"), {"email": "", "password1": "sk-or-v1-0123456789abcdef", "usable_password": "true"}),
        ("/admin/password_change/", {"old_password": "sk-or-v1-0123456789abcdef", "new_password1": "x"}),
        ("/admin/login/", {"username": "", "password": "sk-or-v1-0123456789abcdef"}),
    ):
        response = (Client() if "login" in path else browser).post(path, extra)
        assert response.status_code == 200
        assert "0123456789abcdef" not in response.content.decode(), path


def models_named(label: str) -> type[models.Model]:
    return next(model for model in admin.site._registry if model._meta.label == label)


def test_questions_show_their_errors_too(browser: Client, keys: dict[str, str]) -> None:
    rotate = browser.post(f"/admin/accounts/apikey/{keys['accounts.ApiKey']}/rotate/", {"grace": "forever"})
    assert "forever is not one of the available choices" in segment(rotate.content.decode(), "grace")
    assert ApiKey.objects.get(pk=keys["accounts.ApiKey"]).previous_prefix is None


def test_whom_nobody_may_make_an_owner_is_said_at_the_role(keys: dict[str, str]) -> None:
    admin_of_acme = cast.member("dave@acme.example", "Acme", Membership.Role.ADMIN)
    form = {"email": "new@acme.example", "team": str(admin_of_acme.team.pk), "role": "owner", "openrouter_key": ""}
    response = signed_in(admin_of_acme.user).post(address(Membership, "add"), form)
    assert list(errors_of(response)) == ["role"]
    assert_said_at_their_fields(response)
