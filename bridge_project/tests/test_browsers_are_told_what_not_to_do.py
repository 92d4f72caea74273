"""Every page carries the headers by which a browser holds back what an attacker would have it do."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from testing import cast
from testing.signed_in import signed_in

pytestmark = pytest.mark.django_db

PAGES = ("/", "/admin/login/", "/admin/", "/admin/accounts/apikey/", "/api/hello", "/nowhere", "/healthz")


def policy(response: Any) -> dict[str, list[str]]:
    """The Content-Security-Policy, by its directives."""
    parts = (part.split() for part in response.headers["Content-Security-Policy"].split(";"))
    return {name: values for name, *values in parts}


@pytest.mark.parametrize("path", PAGES)
def test_no_page_lets_anything_in_that_it_does_not_need(path: str) -> None:
    response = signed_in(cast.root()).get(path, headers={"accept": "text/html"})
    told = policy(response)
    assert told["default-src"] == told["frame-ancestors"] == told["base-uri"] == ["'none'"]
    assert told["form-action"] in (["'self'"], ["'none'"])
    assert "'unsafe-inline'" not in told.get("script-src", [])
    assert not any("http" in source or "*" in source for sources in told.values() for source in sources)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in response.headers["Permissions-Policy"]


def test_the_welcome_needs_one_style_sheet_and_nothing_else() -> None:
    pages = [Client().get("/", headers={"accept": "text/html"}) for _ in range(2)]
    nonces = [policy(page)["style-src"] for page in pages]
    assert nonces[0] != nonces[1]
    for page, (nonce,) in zip(pages, nonces, strict=True):
        assert nonce.strip("'").removeprefix("nonce-") in re.findall(r'<style nonce="([^"]+)"', page.content.decode())
        assert "script-src" not in policy(page)


def test_the_admins_pages_have_no_script_in_their_words() -> None:
    """Else the policy above would have to let it in. The browser's own tests see each page work."""
    content = signed_in(cast.root()).get("/admin/accounts/apikey/add/").content.decode()
    assert "<script" in content
    assert not re.search(r"<script(?![^>]*\bsrc=)", content)
    assert not re.search(r"\son(click|load|error|submit|change)=", content)


def test_cookies_are_for_https_alone_where_the_server_is_reached_so() -> None:
    with override_settings(SESSION_COOKIE_SECURE=True, CSRF_COOKIE_SECURE=True):
        cast.root()
        browser = Client()
        browser.get("/admin/login/", secure=True)
        browser.post("/admin/login/", {"username": "root@example.com", "password": cast.PASSWORD}, secure=True)
        session, token = browser.cookies["sessionid"], browser.cookies["csrftoken"]
    assert session["secure"] and session["httponly"] and session["samesite"] == "Lax"
    assert token["secure"] and token["samesite"] == "Lax"
    assert settings.SESSION_COOKIE_SECURE is settings.HTTPS


def test_signing_in_changes_the_session_and_leads_to_no_other_site() -> None:
    cast.root()
    browser = Client()
    for target in ("https://evil.example/", "//evil.example/", "\\\\evil.example", "javascript:alert(1)"):
        form = {"username": "root@example.com", "password": cast.PASSWORD, "next": target}
        before = browser.session.session_key
        response = browser.post(f"/admin/login/?next={target}", form)
        assert response.status_code == 302
        assert response.headers["Location"] == "/admin/"
        assert browser.session.session_key != before
        browser.logout()


def test_nobody_signs_out_or_changes_anything_by_following_a_link() -> None:
    browser = signed_in(cast.root())
    assert browser.get("/admin/logout/").status_code == 405


def test_a_form_from_elsewhere_is_refused() -> None:
    cast.root()
    browser = Client(enforce_csrf_checks=True)
    form = {"username": "root@example.com", "password": cast.PASSWORD}
    assert browser.post("/admin/login/", form).status_code == 403
