"""The pages on which people, teams and their keys are kept, and what was changed by whom is read."""

from django.contrib import admin
from django.contrib.auth.models import Group

from accounts.admin.api_keys import ApiKeyAdmin
from accounts.admin.audit_log import AuditEntryAdmin
from accounts.admin.openrouter_keys import OpenRouterKeyAdmin
from accounts.admin.people import UserAdmin
from accounts.admin.policies import PolicyAdmin
from accounts.admin.sign_ins import AccessAttemptAdmin
from accounts.admin.teams import MembershipAdmin, TeamAdmin

__all__ = [
    "AccessAttemptAdmin",
    "ApiKeyAdmin",
    "AuditEntryAdmin",
    "MembershipAdmin",
    "OpenRouterKeyAdmin",
    "PolicyAdmin",
    "TeamAdmin",
    "UserAdmin",
]

admin.site.unregister(Group)
