"""Somebody's browser, signed in to the admin."""

from django.conf import settings
from django.test import Client, override_settings

from accounts.models import User


def signed_in(user: User) -> Client:
    """A client of `user`'s, without WhiteNoise: it would look through every static file for each test."""
    client = Client()
    with override_settings(MIDDLEWARE=[name for name in settings.MIDDLEWARE if "whitenoise" not in name]):
        client.handler.load_middleware()
    client.force_login(user)
    return client
