"""Leases on work that one process at a time may do."""

from django.db import models


class Lease(models.Model):
    """Whose turn it is to do work that one process at a time may do: `usage/services/lease.py`."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=40, blank=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
