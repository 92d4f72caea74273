"""Deleting a team, a user or a key in the admin loses no record, and every record keeps the names it had."""

import pytest
from django.urls import reverse

from accounts.models import ApiKey
from testing import cast
from testing.admin_rows import usage_record
from testing.signed_in import signed_in
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db

NAMES = ("team_name", "email", "key_name", "requested_model")


@pytest.mark.parametrize("name", ["team", "user", "membership", "apikey"])
def test_a_record_stays_with_its_names(name: str) -> None:
    alice = cast.alice()
    record = usage_record(alice)
    record.api_key = ApiKey.objects.get()
    record.save()
    before = {field: getattr(record, field) for field in NAMES}
    rows = {"team": alice.team, "user": alice.user, "membership": alice.membership, "apikey": record.api_key}
    path = reverse(f"admin:accounts_{name}_delete", args=[rows[name].pk])
    assert signed_in(cast.root()).post(path, {"post": "yes"}).status_code == 302
    after = UsageRecord.objects.get()
    assert {field: getattr(after, field) for field in NAMES} == before
    assert after.api_key is None
