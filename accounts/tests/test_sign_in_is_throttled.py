"""Wrong passwords lock one user out from one address for a while, and nobody else."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.test import Client
from django.urls import reverse

from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

LOGIN = reverse("admin:login")


def sign_in(password: str, email: str = "root@example.com", **headers: Any) -> Any:
    return Client().post(LOGIN, {"username": email, "password": password}, **headers)


def is_in(response: Any) -> bool:
    return bool(response.status_code == 302)


@pytest.fixture
def locked_out() -> None:
    cast.root()
    for _ in range(settings.AXES_FAILURE_LIMIT):
        sign_in("wrong")


def test_a_wrong_password_or_two_are_forgiven() -> None:
    cast.root()
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        assert sign_in("wrong").status_code == 200
    assert is_in(sign_in(cast.PASSWORD))
    assert not AccessAttempt.objects.exists()


@pytest.mark.usefixtures("locked_out")
def test_after_too_many_the_right_one_does_not_help_and_a_page_says_so() -> None:
    response = sign_in(cast.PASSWORD)
    assert response.status_code == 429
    assert "quarter of an hour" in response.content.decode()


@pytest.mark.usefixtures("locked_out")
@pytest.mark.parametrize("spelling", ["ROOT@example.com", " root@example.com "])
def test_another_spelling_is_the_same_user(spelling: str) -> None:
    assert sign_in(cast.PASSWORD, spelling).status_code == 429


@pytest.mark.usefixtures("locked_out")
def test_another_program_is_the_same_address() -> None:
    assert sign_in(cast.PASSWORD, HTTP_USER_AGENT="another").status_code == 429


@pytest.mark.usefixtures("locked_out")
def test_an_address_that_somebody_claims_to_have_changes_nothing() -> None:
    assert sign_in(cast.PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.99").status_code == 429
    assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {"127.0.0.1"}


@pytest.mark.usefixtures("locked_out")
def test_others_and_other_addresses_still_get_in() -> None:
    assert is_in(sign_in(cast.PASSWORD, cast.alice().user.email))
    assert is_in(sign_in(cast.PASSWORD, REMOTE_ADDR="192.0.2.7"))


@pytest.mark.usefixtures("locked_out")
def test_a_superuser_sees_who_is_locked_out_and_lets_them_in() -> None:
    admin = signed_in(cast.root())
    page = admin.get(reverse("admin:axes_accessattempt_changelist"))
    assert "root@example.com" in page.content.decode()
    for attempt in AccessAttempt.objects.all():
        admin.post(reverse("admin:axes_accessattempt_delete", args=[attempt.pk]), {"post": "yes"})
    assert is_in(sign_in(cast.PASSWORD))


def test_neither_a_password_nor_a_token_is_kept() -> None:
    cast.root()
    form = {"username": "root@example.com", "password": "wrong-horse-staple", "csrfmiddlewaretoken": "some-token"}
    for _ in range(2):
        Client().post(LOGIN, form)
    (kept,) = AccessAttempt.objects.values()
    assert kept["failures_since_start"] == 2
    assert "wrong-horse-staple" not in str(kept)
    assert "some-token" not in str(kept)


def test_all_addresses_of_an_ipv6_network_are_one() -> None:
    cast.root()
    for number in range(settings.AXES_FAILURE_LIMIT):
        sign_in("wrong", REMOTE_ADDR=f"2001:db8:1:2::{number + 1}")
    assert sign_in(cast.PASSWORD, REMOTE_ADDR="2001:db8:1:2:ffff::1").status_code == 429
    assert is_in(sign_in(cast.PASSWORD, REMOTE_ADDR="2001:db8:1:3::1"))
