"""The pages on which people see who spent what, and say how much may be spent."""

from usage.admin.budgets import BudgetAdmin
from usage.admin.records import UsageRecordAdmin

__all__ = ["BudgetAdmin", "UsageRecordAdmin"]
