"""The pages on which people see who spent what, and say how much may be asked for."""

from usage.admin.limits import LimitAdmin
from usage.admin.usage_records import UsageRecordAdmin

__all__ = ["LimitAdmin", "UsageRecordAdmin"]
