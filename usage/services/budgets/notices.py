"""Owns who is told that a budget is nearly spent: once per threshold and period, by email and by the team's webhook.

Every process looks; the one whose UPDATE raises the counter's mark tells. It does so beside requests, a few times over
where it fails, and without a word in the log of where a webhook leads: such an address often is a secret.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from smtplib import SMTPException
from zoneinfo import ZoneInfo

import aiohttp
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import DatabaseError, InterfaceError
from django.db.models import F, Q

from accounts.addresses import refusal_of_url
from accounts.database import background
from accounts.encryption import Undecipherable
from accounts.models import ADMINISTERING, Team, User
from accounts.way_out import judged_socket
from usage.display import dollars
from usage.models import Budget, BudgetCounter
from usage.pricing import usd
from usage.services.budgets.counting import THRESHOLDS
from usage.services.budgets.directory import hard_budgets

logger = logging.getLogger("bridge.budgets")
LOOK_SECONDS = 2.0
#: Before each try.
WAITS = (0.0, 5.0, 30.0)
WEBHOOK_SECONDS = 10.0


class NotTold(Exception):
    """A webhook refused what it was told."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told, of what was so when it was decided."""

    percent: int
    budget: Budget
    spent: int
    period_start: datetime
    addresses: tuple[str, ...]

    @property
    def team(self) -> Team:
        return self.budget.team

    @property
    def period_end(self) -> datetime:
        return self.budget.calendar.end(self.period_start)

    @property
    def text(self) -> str:
        budget, end = self.budget, self.period_end.astimezone(ZoneInfo(self.team.time_zone))
        then = "Once it is spent, requests are refused." if budget.is_hard else "It is warn-only: nothing is refused."
        return (
            f"{dollars(self.spent)} of {dollars(budget.amount)} is spent, which is {self.percent} % or more of the "
            f"budget for a {budget.period} of {budget.whose}. It begins anew on {end:%A, {end.day} %B %Y at %H:%M} "
            f"({self.team.time_zone}). {then}"
        )

    def as_json(self) -> dict[str, object]:
        """The body that a webhook is sent; described in docs/budgets.md."""
        return {
            "type": "budget.notice",
            "text": self.text,
            "percent": self.percent,
            "team": {"name": self.team.name, "slug": self.team.slug},
            "budget": {
                "id": self.budget.pk,
                "of": self.budget.whose,
                "period": self.budget.period,
                "is_hard": self.budget.is_hard,
                "amount_usd": f"{usd(self.budget.amount):f}",
                "spent_usd": f"{usd(self.spent):f}",
            },
            "period_start": self.period_start.isoformat(),
            "period_end": self.period_end.isoformat(),
        }


async def keep() -> None:
    """Look for budgets to tell of, and tell. Runs until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await hard_budgets.current()  # after a change: a new budget is counted although nobody asks for anything
            due = await background(claim)
            await asyncio.gather(*(tell(notice) for notice in due))
        except (DatabaseError, InterfaceError):
            logger.warning("Budgets: the database does not answer; notices wait")
        except Exception:
            logger.exception("Budgets: a notice failed")


# --- what is due -----------------------------------------------------------------------------------------------------


def claim() -> list[Notice]:
    """The notices that are due, each for the one process that gets here first."""
    related = ("budget__team", "budget__membership__user", "budget__membership__team", "budget__api_key")
    wrong = Q()
    for percent in THRESHOLDS:
        reached = {"spent__gte": F("budget__amount") / 100 * percent}
        wrong |= Q(noticed__lt=percent, **reached) | Q(Q(noticed=percent) & ~Q(**reached))
    counters = BudgetCounter.objects.filter(wrong).select_related(*related)
    return [_notice(counter) for counter in counters if _is_ours(counter)]


def reached(spent: int, amount: int) -> int:
    """The highest threshold that is reached; 0 for none."""
    return max((percent for percent in THRESHOLDS if spent >= amount // 100 * percent), default=0)


def _is_ours(counter: BudgetCounter) -> bool:
    """Mark what is reached. A mark that falls, because the amount was raised, is nothing to tell of."""
    percent = reached(counter.spent, counter.budget.amount)
    same = BudgetCounter.objects.filter(
        pk=counter.pk, period_start=counter.period_start, calendar=counter.calendar, noticed=counter.noticed
    )
    return bool(same.update(noticed=percent)) and percent > counter.noticed


def _notice(counter: BudgetCounter) -> Notice:
    budget = counter.budget
    administering = Q(memberships__team=budget.team, memberships__role__in=ADMINISTERING)
    users = User.objects.filter(administering | Q(is_superuser=True), is_active=True).distinct()
    addresses = tuple(users.order_by("email").values_list("email", flat=True))
    percent = reached(counter.spent, budget.amount)
    return Notice(percent, budget, counter.spent, counter.period_start, addresses)


# --- telling ---------------------------------------------------------------------------------------------------------


async def tell(notice: Notice) -> None:
    logger.warning("Budgets: %s", notice.text, extra={"team": notice.team.slug})
    ways: list[Awaitable[None]] = [_try("an email", lambda: asyncio.to_thread(_email, notice))]
    if notice.team.webhook_ciphertext:
        ways.append(_try(f"the webhook of {notice.team.slug}", lambda: _call_webhook(notice)))
    await asyncio.gather(*ways)


async def _try(name: str, send: Callable[[], Awaitable[None]]) -> None:
    for wait in WAITS:
        await asyncio.sleep(wait)
        try:
            await send()
        except (NotTold, OSError, SMTPException, aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) if isinstance(error, NotTold) else type(error).__name__
            logger.warning("Budgets: %s failed: %s", name, reason)
        else:
            return
    logger.error("Budgets: %s failed %d times and is given up", name, len(WAITS))


def _email(notice: Notice) -> None:
    """One letter to each: they need not know of each other."""
    subject = " ".join(f"{notice.percent} % of a budget is spent: {notice.budget.whose}".split())
    body = f"{notice.text}\n\n{settings.BASE_URL}/admin/usage/budget/\n"
    letters = [EmailMessage(subject, body, to=[address]) for address in notice.addresses]
    get_connection().send_messages(letters)


async def _call_webhook(notice: Notice) -> None:
    try:
        url = notice.team.webhook_url
    except Undecipherable:
        raise NotTold("its address cannot be decrypted: no key in FIELD_ENCRYPTION_KEYS opens it") from None
    refusal = refusal_of_url(url, allow_private=settings.ALLOW_PRIVATE_ADDRESSES)
    if refusal is not None:
        raise NotTold("its address is not one that the server may be sent to")
    context = ssl.create_default_context(cafile=settings.SSL_CERT_FILE or None)
    connector = aiohttp.TCPConnector(ssl=context, socket_factory=judged_socket)
    timeout = aiohttp.ClientTimeout(total=WEBHOOK_SECONDS)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.post(url, json=notice.as_json(), allow_redirects=False) as response,
    ):
        if not 200 <= response.status < 300:
            raise NotTold(f"it answered {response.status}")
