"""A few months of usage of two teams, the same each time, for whoever looks at reports: records and their rollups."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from testing import cast
from testing.cast import Member
from usage.models import UsageRecord
from usage.services.rollups import rebuild

MODELS = (
    # name, asked for as, provider, picodollars per token of input and output, share of requests
    ("anthropic/claude-sonnet-5", "claude-sonnet-5", "Anthropic", 3_000_000, 15_000_000, 55),
    ("anthropic/claude-haiku-4.5", "claude-haiku-4-5", "Amazon Bedrock", 1_000_000, 5_000_000, 25),
    ("openai/gpt-5", "fast", "OpenAI", 1_250_000, 10_000_000, 12),
    ("google/gemini-2.5-pro", "google/gemini-2.5-pro", "Google", 1_250_000, 10_000_000, 8),
)
ERRORS = ("overloaded_error", "rate_limit_error", "api_error", "invalid_request_error")
REQUESTS_A_DAY = 40


def seed(last: date, days: int) -> list[UsageRecord]:
    """Records of the `days` up to `last`, in the database with their rollups."""
    chance = random.Random(5)
    people = [cast.alice(), cast.bob(), cast.carol(), cast.member("dan@globex.example", "Globex", cast.Role.MEMBER)]
    wanted = [last - timedelta(days=days - 1 - number) for number in range(days)]
    records = UsageRecord.objects.bulk_create(
        record for day in wanted for record in _of_a_day(chance, day, people, weekend=day.weekday() > 4)
    )
    list(rebuild(wanted))
    return records


def _of_a_day(chance: random.Random, day: date, people: list[Member], *, weekend: bool) -> Iterator[UsageRecord]:
    for number in range(chance.randint(1, 4) if weekend else chance.randint(REQUESTS_A_DAY // 2, REQUESTS_A_DAY)):
        who = chance.choices(people, (5, 3, 4, 1))[0]
        second = chance.randint(7 * 3600, 18 * 3600)
        yield _record(chance, who, datetime.combine(day, datetime.min.time(), UTC) + timedelta(seconds=second), number)


def _record(chance: random.Random, who: Member, started: datetime, number: int) -> UsageRecord:
    model, asked, provider, input_price, output_price, _ = chance.choices(MODELS, [row[-1] for row in MODELS])[0]
    cached, fresh, out = chance.randint(5_000, 90_000), chance.randint(200, 6_000), chance.randint(50, 3_000)
    error = chance.choice(ERRORS) if chance.random() < 0.04 else ""
    first = int(chance.lognormvariate(6.6, 0.5))
    latency = first + int(out * chance.uniform(8, 16))
    name = who.user.email.partition("@")[0]
    return UsageRecord(
        request_id=f"req_{started:%y%m%d}_{number}_{chance.getrandbits(32):08x}",
        state="error" if error else "completed",
        server="seeded",
        lease_expires_at=started,
        started_at=started,
        settled_at=started + timedelta(milliseconds=latency),
        latency_ms=latency,
        first_byte_ms=None if error else first,
        team=who.team,
        user=who.user,
        team_name=who.team.name,
        email=who.user.email,
        key_name=f"{name}'s {chance.choice(('laptop', 'laptop', 'build server'))}",
        session_id=f"{started:%y%m%d}-{name}-{chance.randint(1, 3)}",
        requested_model=asked,
        model=model,
        provider=provider,
        streamed=True,
        input_tokens=fresh,
        output_tokens=0 if error else out,
        cache_read_tokens=0 if error else cached,
        cache_write_tokens=chance.randint(0, 4_000),
        cost=0 if error else fresh * input_price + out * output_price + cached * input_price // 10,
        cost_source="" if error else chance.choice(("upstream", "upstream", "upstream", "catalogue")),
        status=529 if error else 200,
        error_type=error,
    )
