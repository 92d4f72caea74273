"""The record of every admitted request, what is kept of each day, and how much may be asked for and spent."""

from usage.models.budgets import Budget, BudgetCounter, Reservation
from usage.models.leases import Lease
from usage.models.limits import Limit
from usage.models.records import UsageRecord
from usage.models.rollups import DailyFigure, DailySession, DailyTiming, DailyUsage, RolledDay, RolledMonth, TouchedDay

__all__ = [
    "Budget",
    "BudgetCounter",
    "DailyFigure",
    "DailySession",
    "DailyTiming",
    "DailyUsage",
    "Lease",
    "Limit",
    "Reservation",
    "RolledDay",
    "RolledMonth",
    "TouchedDay",
    "UsageRecord",
]
