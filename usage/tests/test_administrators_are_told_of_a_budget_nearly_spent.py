"""At 75 and 95 % of a budget its team's administrators are told: once each in a period, by email and by a webhook."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from django.core import mail
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts import configuration
from accounts.database import background
from accounts.models import Membership, User
from testing import cast
from testing.budgets import DOLLAR, budget, record
from testing.cast import Member
from usage.models import Budget, BudgetCounter
from usage.services.budgets import directory, notices
from usage.services.budgets.notices import claim, tell

pytestmark = pytest.mark.django_db(transaction=True)
SECRET_PATH = "/hook/T0123-secret-of-the-hook"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def alice() -> Member:
    return cast.alice()


def spend(row: Budget, spent: int) -> list[int]:
    """What is told, and by one process only, once so much is spent."""
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=spent)
    told = [notice.percent for notice in claim()]
    assert claim() == [], "another process tells nothing"
    return told


def test_each_threshold_is_told_of_once(alice: Member) -> None:
    row = budget(alice, DOLLAR, is_hard=False)
    percents = (0, 74, 75, 80, 94, 95, 99, 250)
    assert [spend(row, percent * DOLLAR // 100) for percent in percents] == [[], [], [75], [], [], [95], [], []]


def test_who_is_past_both_at_once_is_told_of_the_higher_one(alice: Member) -> None:
    assert spend(budget(alice), DOLLAR) == [95]


def test_a_new_period_is_told_of_again(alice: Member) -> None:
    row = budget(alice)
    assert spend(row, DOLLAR) == [95]
    counter = BudgetCounter.objects.get()
    counter.roll(timezone.now())
    counter.save()
    assert spend(row, DOLLAR) == [95]


def test_a_budget_that_is_raised_is_told_of_at_its_new_thresholds(alice: Member) -> None:
    row = budget(alice)
    assert spend(row, DOLLAR) == [95]
    Budget.objects.update(amount=2 * DOLLAR)
    assert spend(row, DOLLAR) == []
    assert spend(row, 2 * DOLLAR * 76 // 100) == [75]


def test_of_many_who_look_at_once_one_tells(alice: Member) -> None:
    async def eight() -> list[Any]:
        return await asyncio.gather(*(background(claim) for _ in range(8)))

    row = budget(alice)
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=DOLLAR)
    assert sum(map(len, asyncio.run(eight()))) == 1


def told(row: Budget, spent: int = DOLLAR) -> None:
    """Decide and tell, as the task beside requests does."""
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=spent)

    async def all_of_them() -> None:
        for notice in await background(claim):
            await tell(notice)

    asyncio.run(all_of_them())


# --- by email --------------------------------------------------------------------------------------------------------


def test_owners_and_administrators_of_the_team_and_superusers_get_a_letter_each(alice: Member) -> None:
    cast.root(), cast.bob(), cast.carol()
    cast.member("dora@acme.example", "Acme", Membership.Role.ADMIN)
    left = cast.member("left@acme.example", "Acme", Membership.Role.ADMIN).user
    User.objects.filter(pk=left.pk).update(is_active=False)
    told(budget(alice, membership=cast.bob().membership), DOLLAR * 80 // 100)
    assert [letter.to for letter in mail.outbox] == [
        ["alice@acme.example"],
        ["dora@acme.example"],
        ["root@example.com"],
    ]
    assert mail.outbox[0].subject == "75 % of a budget is spent: bob@acme.example in Acme"
    assert (
        "$0.8000 of $1.00 is spent, which is 75 % or more of the budget for a month of bob@acme.example in Acme."
        in (mail.outbox[0].body)
    )


def test_a_name_cannot_write_a_header(alice: Member) -> None:
    alice.team.name = "Acme\nBcc: everybody@example.com"
    alice.team.save()
    told(budget(alice))
    assert "\n" not in mail.outbox[0].subject


def test_a_mail_server_that_refuses_is_tried_three_times_and_then_given_up(
    alice: Member, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def refuse(self: EmailMessage, messages: Any) -> int:
        tries.append(1)
        raise ConnectionRefusedError("password=hunter2")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
    told(budget(alice))
    assert len(tries) == 3
    assert "an email failed 3 times and is given up" in caplog.text
    assert "hunter2" not in caplog.text


# --- by a webhook ----------------------------------------------------------------------------------------------------


class Hook:
    """Somebody's webhook on this machine."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.answers: list[Callable[[], web.StreamResponse]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.received.append(await request.json())
        return self.answers.pop(0)() if self.answers else web.Response(status=204)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
        try:
            yield f"{site.name}{SECRET_PATH}"
        finally:
            await runner.cleanup()


def hooked(member: Member, hook: Hook) -> None:
    async def all_of_it() -> None:
        async with hook.served() as url:
            await background(aim, url.replace("0.0.0.0", "127.0.0.1"))
            for notice in await background(claim):
                await tell(notice)

    def aim(url: str) -> None:
        member.team.webhook_url = url
        member.team.save()

    row = budget(member, period="day")
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=DOLLAR * 75 // 100)
    asyncio.run(all_of_it())


def test_the_webhook_is_sent_what_the_documentation_says(alice: Member) -> None:
    alice.team.time_zone = "Europe/Berlin"
    alice.team.save()
    hook = Hook()
    hooked(alice, hook)
    (body,) = hook.received
    calendar = Budget.objects.get().calendar
    assert body["text"].startswith(
        "$0.7500 of $1.00 is spent, which is 75 % or more of the budget for a day of the team"
    )
    assert body == {
        "type": "budget.notice",
        "text": body["text"],
        "percent": 75,
        "team": {"name": "Acme", "slug": "acme"},
        "budget": {
            "id": Budget.objects.get().pk,
            "of": "the team Acme",
            "period": "day",
            "is_hard": True,
            "amount_usd": "1",
            "spent_usd": "0.75",
        },
        "period_start": calendar.start(timezone.now()).isoformat(),
        "period_end": calendar.end(timezone.now()).isoformat(),
    }


def test_a_webhook_that_fails_is_tried_again(alice: Member, caplog: pytest.LogCaptureFixture) -> None:
    hook = Hook()
    hook.answers = [lambda: web.Response(status=500)]
    hooked(alice, hook)
    assert len(hook.received) == 2
    assert "given up" not in caplog.text


def test_a_webhook_is_not_followed_elsewhere_and_its_address_is_not_in_the_log(
    alice: Member, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Hook()
    hook.answers = [lambda: web.Response(status=307, headers={"location": "/elsewhere"})] * 3
    hooked(alice, hook)
    assert len(hook.received) == 3, "each answer was a redirection, and none was followed"
    assert "the webhook of acme failed: it answered 307" in caplog.text
    assert "secret-of-the-hook" not in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localtest.invalid"])
def test_a_webhook_in_a_private_network_is_not_called_unless_a_setting_allows_it(
    alice: Member, settings: Any, host: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where a public name stands for a private address: what counts is what the socket is made for."""
    settings.ALLOW_PRIVATE_ADDRESSES = False
    hook = Hook()

    async def aimed() -> None:
        async with hook.served() as url:
            port = url.split(":")[2].split("/")[0]
            if host.endswith(".invalid"):
                monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", resolved_to_loopback)
            notice = (await background(claim))[0]
            notice.team.webhook_url = f"http://{host}:{port}{SECRET_PATH}"
            await tell(notice)

    async def resolved_to_loopback(self: Any, name: str, port: int = 0, family: Any = 2) -> list[dict[str, Any]]:
        return [{"hostname": name, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    row = budget(alice)
    directory.load()
    BudgetCounter.objects.filter(budget=row).update(spent=DOLLAR)
    asyncio.run(aimed())
    assert hook.received == []
    assert "the webhook of acme failed 3 times" in caplog.text
    assert "secret-of-the-hook" not in caplog.text


# --- the task beside requests ----------------------------------------------------------------------------------------


def test_a_budget_is_counted_and_told_of_without_any_request(alice: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    async def a_moment() -> None:
        task = asyncio.create_task(notices.keep())
        for _ in range(50):
            await asyncio.sleep(0.05)
            if mail.outbox:
                break
        task.cancel()

    monkeypatch.setattr(notices, "LOOK_SECONDS", 0.05)
    record(alice, "earlier", DOLLAR, timezone.now())
    budget(alice)
    configuration.forget_caches()
    asyncio.run(a_moment())
    assert [letter.to for letter in mail.outbox] == [["alice@acme.example"]]
