"""Encrypts the addresses of webhooks, which were kept in the clear."""

from typing import Any

from django.db import migrations, models

from accounts.encryption import decrypt, encrypt


def encrypt_addresses(apps: Any, editor: Any) -> None:
    teams = apps.get_model("accounts", "Team").objects
    for pk, url in teams.exclude(webhook_url="").values_list("pk", "webhook_url"):
        teams.filter(pk=pk).update(webhook_ciphertext=encrypt(url))


def decrypt_addresses(apps: Any, editor: Any) -> None:
    teams = apps.get_model("accounts", "Team").objects
    for pk, ciphertext in teams.exclude(webhook_ciphertext="").values_list("pk", "webhook_ciphertext"):
        teams.filter(pk=pk).update(webhook_url=decrypt(ciphertext))


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_team_time_zone")]

    operations = [
        migrations.AddField(
            model_name="team",
            name="webhook_ciphertext",
            field=models.TextField(
                blank=True,
                default="",
                editable=False,
                help_text="Encrypted: such an address often is a secret.",
                verbose_name="webhook",
            ),
            preserve_default=False,
        ),
        migrations.RunPython(encrypt_addresses, decrypt_addresses),
        migrations.RemoveField(model_name="team", name="webhook_url"),
    ]
