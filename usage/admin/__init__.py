"""The pages on which people see who spent what, and say how much may be spent and asked for."""

from usage.admin.budgets import BudgetAdmin
from usage.admin.limits import LimitAdmin
from usage.admin.records import UsageRecordAdmin

__all__ = ["BudgetAdmin", "LimitAdmin", "UsageRecordAdmin"]
