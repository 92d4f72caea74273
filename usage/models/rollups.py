"""What is kept of the records of each day and each month."""

from django.conf import settings
from django.db import models

from accounts.models import ApiKey, Team


class TouchedDay(models.Model):
    """A mark that records of a day were written, which its rollup does not count yet.

    Marks are only added, in the transaction that writes the records, and removed by whoever has seen them: a mark that
    comes while its day is being rolled up stays.
    """

    day = models.DateField()

    def __str__(self) -> str:
        return f"{self.day}"


class RolledDay(models.Model):
    """A day that has a rollup. The row is locked while the rollup is made."""

    day = models.DateField(primary_key=True)
    made_at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField(default=0, help_text="How long it took to make.")

    def __str__(self) -> str:
        return f"{self.day}"


class RolledMonth(models.Model):
    """A month, so that whatever makes or drops its sums locks one row."""

    month = models.DateField(primary_key=True, help_text="Its first day.")
    made_at = models.DateTimeField(null=True, help_text="Empty: its days have changed since, or it is not over.")

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class DailyFigure(models.Model):
    """What a table of rollups has. A day is a day of UTC, whatever the zone of a team; a record belongs to the day on
    which it started. Months that are over are added up in rows of their own, for reports over a year.
    """

    day = models.DateField(help_text="The first of the month, where it stands for a month.")
    is_month = models.BooleanField(default=False)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, db_constraint=False, related_name="+")
    team_name = models.CharField("team", max_length=100)
    is_final = models.BooleanField(
        default=False, help_text="Its records have been deleted: it is never made again, and later ones add to it."
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.day} {self.team_name}"


class DailyUsage(DailyFigure):
    """What the records of a day come to, apart for each who asked, for what, what answered, and how it failed."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, db_constraint=False, related_name="+"
    )
    api_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, db_constraint=False, related_name="+")
    email = models.CharField("member", max_length=254)
    key_name = models.CharField("key", max_length=100)
    requested_model = models.CharField(max_length=200)
    model = models.CharField(max_length=200)
    provider = models.CharField(max_length=100, blank=True)
    error_type = models.CharField(max_length=40, blank=True)

    requests = models.PositiveBigIntegerField()
    open = models.PositiveBigIntegerField()
    completed = models.PositiveBigIntegerField()
    errors = models.PositiveBigIntegerField()
    aborted = models.PositiveBigIntegerField()
    lost = models.PositiveBigIntegerField()

    input_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    cache_read_tokens = models.PositiveBigIntegerField()
    cache_write_tokens = models.PositiveBigIntegerField()
    reasoning_tokens = models.PositiveBigIntegerField()
    web_searches = models.PositiveBigIntegerField()
    cost = models.BigIntegerField(help_text="In 10^-12 USD.")
    estimated_cost = models.BigIntegerField(help_text="The part of it that is estimated from the catalogue.")
    unpriced = models.PositiveBigIntegerField(help_text="Settled requests whose cost is not known.")

    class Meta:
        indexes = [models.Index(fields=["is_month", "day", "team"], name="usage_daily")]


class DailyTiming(DailyFigure):
    """How many requests of a day took about how long: one row for each class of `usage/histogram.py`."""

    class Measure(models.TextChoices):
        LATENCY = "latency", "latency"
        FIRST_TOKEN = "first", "first token"

    model = models.CharField(max_length=200)
    measure = models.CharField(max_length=10, choices=Measure.choices)
    bucket = models.PositiveSmallIntegerField()
    requests = models.PositiveBigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["is_month", "day", "team"], name="usage_daily_timing")]


class DailySession(DailyFigure):
    """What a session cost on a day."""

    session_id = models.CharField(max_length=128)
    email = models.CharField("member", max_length=254)
    requests = models.PositiveBigIntegerField()
    all_tokens = models.PositiveBigIntegerField("tokens", help_text="Of all kinds.")
    cost = models.BigIntegerField(help_text="In 10^-12 USD.")

    class Meta:
        indexes = [models.Index(fields=["is_month", "day", "team"], name="usage_daily_session")]
