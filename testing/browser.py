"""The real Chromium, quiet, and a superuser signing in with it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, Playwright

PASSWORD = "correct-horse-battery"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is missing: `make tools` installs it"
    browser = playwright.chromium.launch(executable_path=program, args=QUIET)
    try:
        yield browser
    finally:
        browser.close()


def sign_in(page: Page, email: str = "root@example.com") -> None:
    page.goto("/admin/")
    page.fill("input[name=username]", email)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")
