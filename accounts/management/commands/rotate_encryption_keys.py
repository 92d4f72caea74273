"""Re-encrypts what rests in the database under the first of FIELD_ENCRYPTION_KEYS."""

from collections import Counter
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import models

from accounts.encryption import Undecipherable, is_current, reencrypt

#: A model keeps what it encrypts in a field whose name ends so.
ENDING = "ciphertext"
CHUNK = 200
DONE, CURRENT, LOST = "re-encrypted", "current already", "lost"


class Command(BaseCommand):
    help = (
        "Re-encrypt provider keys and addresses of webhooks under the first of FIELD_ENCRYPTION_KEYS. Put a new key in "
        "front of the old one, restart, run this, then take the old one away. It can be run again, and while requests "
        "are served."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        counts = Counter[str]()
        for model, field in encrypted_fields():
            here = self._rotate(model, field)
            self.stdout.write(f"{model._meta.verbose_name_plural}: " + _told(here))
            counts += here
        if counts[LOST]:
            raise CommandError(
                f"{counts[LOST]} could not be decrypted: no key in FIELD_ENCRYPTION_KEYS opens them. "
                "Add the key they were kept under, or fill them in anew."
            )

    def _rotate(self, model: type[models.Model], field: str) -> Counter[str]:
        counts = Counter[str]()
        rows: Any = models.QuerySet(model).exclude(**{field: ""}).order_by("pk").values_list("pk", field)
        last = None
        while chunk := list((rows if last is None else rows.filter(pk__gt=last))[:CHUNK]):
            for key, ciphertext in chunk:
                outcome = _rotate_row(model, field, key, ciphertext)
                counts[outcome] += 1
                if outcome == LOST:
                    self.stderr.write(f"{model._meta.verbose_name} {key}: cannot be decrypted")
            last = chunk[-1][0]
            if len(chunk) == CHUNK:
                self.stdout.write(f"{model._meta.verbose_name_plural}: {counts.total()} so far")
        return counts


def encrypted_fields() -> list[tuple[type[models.Model], str]]:
    """Every field that holds what is encrypted, with its model."""
    fields = ((model, field.name) for model in apps.get_models() for field in model._meta.concrete_fields)
    return [(model, name) for model, name in fields if name.endswith(ENDING)]


def _rotate_row(model: type[models.Model], field: str, key: Any, ciphertext: str) -> str:
    """Around the audit log and the caches: what is encrypted stays what it was."""
    if is_current(ciphertext):
        return CURRENT
    try:
        new = reencrypt(ciphertext)
    except Undecipherable:
        return LOST
    # Nothing is written over what somebody has filled in meanwhile: that is under the first key already.
    models.QuerySet(model).filter(pk=key, **{field: ciphertext}).update(**{field: new})
    return DONE


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in (DONE, CURRENT, LOST) if counts[outcome]) or "none"
