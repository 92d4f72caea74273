"""Registers the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and keys"

    def ready(self) -> None:
        """Whatever a page of the admin can change is written down: the pages are registered by now."""
        from django.contrib import admin

        from accounts import audit

        for model, page in admin.site._registry.items():
            if getattr(page, "is_audited", False):
                audit.watch(model)
