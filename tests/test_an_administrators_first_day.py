"""Ten minutes of an administrator: a team, a member, a key, what they may use and spend, and how each refusal reads.

Every change is made in the real admin with a real browser; the real Claude Code is the member at the other end.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from testing.browser import PASSWORD, choose, chromium, picture, save, sign_in
from testing.claude_code import Answer, ask
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, post_messages

SECONDS_TO_TAKE_EFFECT = 5.0
DAVE = "dave@delta.example"
KEY = re.compile(r"sk-brg-[\w-]+")


@pytest.fixture
def server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    with ServerProcess(simulator.base_url, DJANGO_SUPERUSER_PASSWORD=PASSWORD) as running:
        running.manage("createsuperuser", "--noinput", "--email", "root@example.com")
        yield running


@pytest.fixture
def page(server: ServerProcess) -> Iterator[Page]:
    with sync_playwright() as playwright, chromium(playwright) as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=server.base_url)
        page = context.new_page()
        sign_in(page)
        yield page


@dataclass
class Day:
    """The administrator's page, the server behind it, and where pictures go."""

    page: Page
    server: ServerProcess
    folder: Path
    key: str = ""

    # --- the administrator ---

    def make_the_team(self) -> None:
        self.page.goto("/admin/accounts/team/add/")
        self.page.fill("#id_name", "Delta")
        self.show("team.png")
        self.saved()

    def invite_dave(self) -> None:
        self.page.goto("/admin/accounts/membership/add/")
        self.page.fill("#id_email", DAVE)
        choose(self.page, "team", "Delta")
        self.show("member.png")
        self.saved()

    def make_his_key(self) -> None:
        """The key is on the page once, and never again."""
        self.page.goto("/admin/accounts/apikey/add/")
        choose(self.page, "membership", DAVE)
        self.page.fill("#id_name", "laptop")
        save(self.page)
        found = KEY.search(self.page.locator("#new-key").inner_text())
        assert found, "the new key is not shown"
        self.key = found.group()
        shown = self.page.locator("#new-key").inner_html()
        self.page.locator("#new-key").evaluate(
            "(place, key) => { place.innerHTML = place.innerHTML.replaceAll(key, 'sk-brg-Example0-...'); }", self.key
        )
        self.show("key-shown-once.png")
        assert self.key in shown
        self.page.goto("/admin/accounts/apikey/")
        assert "laptop" in self.page.content()
        assert self.key not in self.page.content()
        self.show("keys.png")

    def deny_a_model(self) -> None:
        self.page.goto("/admin/accounts/policy/add/")
        choose(self.page, "team", "Delta")
        self.page.fill("#id_denied_models", "openai/gpt-5")
        self.show("policy.png")
        self.saved()

    def limit_his_requests(self) -> None:
        self.page.goto("/admin/usage/limit/add/")
        choose(self.page, "team", "Delta")
        self.page.get_by_label("each member of the team").check()
        self.page.fill("#id_requests_per_minute", "1")
        self.show("limit.png")
        self.saved()

    def lift_the_limit(self) -> None:
        self.page.goto("/admin/usage/limit/")
        self.page.locator("#result_list tbody a").first.click()
        self.page.fill("#id_requests_per_minute", "1000")
        self.saved()

    def give_him_a_budget(self, usd: str) -> None:
        self.page.goto("/admin/usage/budget/add/")
        choose(self.page, "team", "Delta")
        choose(self.page, "membership", DAVE)
        self.page.fill("#id_amount", usd)
        self.show("budget.png")
        self.saved()

    def raise_it(self, usd: str) -> None:
        self.page.goto("/admin/usage/budget/")
        self.show("budgets.png")
        self.page.locator("#result_list tbody a").first.click()
        self.page.fill("#id_amount", usd)
        self.saved()

    def saved(self) -> None:
        save(self.page)
        self.page.locator("text=successfully").first.wait_for()

    def show(self, name: str) -> None:
        self.page.screenshot(path=picture(name, self.folder))

    def look_around(self) -> None:
        """The pages that this day needs no form of."""
        for path, name in (
            ("/admin/messages_api/modelalias/", "aliases.png"),
            ("/admin/accounts/openrouterkey/add/", "openrouter-key.png"),
            ("/admin/accounts/auditentry/", "audit-log.png"),
        ):
            self.page.goto(path)
            self.show(name)
        log = self.page.locator("#result_list").inner_text()
        assert all(word in log for word in ("Delta", "laptop"))
        assert self.key not in self.page.content()

    # --- the member ---

    def claude(self, model: str = "haiku") -> Answer:
        """Claude Code, which would wait a minute for its turn, told to take no for an answer."""
        once = {"CLAUDE_CODE_MAX_RETRIES": "0"}
        to = {"ANTHROPIC_BASE_URL": self.server.base_url, "ANTHROPIC_API_KEY": self.key}
        return ask("[[say good morning]]", "--model", model, **to, **once)

    def until(self, status: int, words: str = "", model: str = "haiku") -> None:
        """Requests are answered so within the seconds that are promised."""
        began = time.monotonic()
        while not self.is_answered(post_messages(self.server.base_url, self.key, model=model), status, words):
            assert time.monotonic() - began < SECONDS_TO_TAKE_EFFECT, f"not {status} {words} within five seconds"
            time.sleep(0.1)

    @staticmethod
    def is_answered(reply: Reply, status: int, words: str) -> bool:
        return reply.status == status and words in reply.body.decode()


def refused(answer: Answer, words: str) -> None:
    assert answer.is_error
    assert answer.exit_code == 1
    assert words in answer.text


def test_from_an_empty_admin_to_a_member_who_is_held_and_let_go(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    day = Day(page, server, tmp_path)
    day.make_the_team()
    day.invite_dave()
    day.make_his_key()
    assert day.claude("sonnet").text == "good morning"

    day.deny_a_model()
    day.until(400, "openai/gpt-5", model="sonnet")
    refused(day.claude("sonnet"), "leads to 'openai/gpt-5', which is denied by your team's policy")
    assert day.claude("haiku").text == "good morning"

    day.limit_his_requests()
    day.until(429, "rate_limit_error")
    refused(day.claude(), "at most 1 request a minute. Try again in")
    day.lift_the_limit()
    day.until(200)

    day.give_him_a_budget("0.001")
    day.until(429, "billing_error")
    refused(day.claude(), f"The monthly budget of {DAVE} in Delta has not enough left")
    day.raise_it("100")
    day.until(200)
    assert day.claude().text == "good morning"
    day.look_around()
