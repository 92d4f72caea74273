"""The record of every admitted request, and what is said of how much may be asked for and spent."""

from usage.models.budgets import Budget, BudgetCounter, Reservation
from usage.models.limits import Limit
from usage.models.records import UsageRecord

__all__ = ["Budget", "BudgetCounter", "Limit", "Reservation", "UsageRecord"]
