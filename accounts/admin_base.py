"""Owns what the admin pages of every app have in common: their base class, fields for secrets, and links as actions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MinLengthValidator, RegexValidator
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminPasswordWidget

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm  # Django's takes its model from Meta and no type argument

F = TypeVar("F", bound=Callable[..., Any])
SHORTEST_SECRET = 16
KEEPS_THE_OLD_ONE = "Stored encrypted and never shown again. Leave it empty to keep the present one."


class Decorator(Protocol):
    """Unfold's `action`, as it is: it declares that it returns something that cannot be called."""

    def __call__(self, **options: Any) -> Callable[[F], F]: ...


page_action = cast(Decorator, action)


class BridgeAdmin(ModelAdmin):
    """A page of ours: above every list stands what it holds, and in an empty one what to do first."""

    intro = ""
    empty_hint = ""
    list_before_template: str | None = "admin/list_intro.html"  # type: ignore[assignment]  # declared as None
    change_form_after_template: str | None = None  # type: ignore[assignment]  # declared as None
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False
    warn_unsaved_form = True
    compressed_fields = True
    # Unfold declares these as tuples that stay empty.
    actions_row: tuple[str, ...] = ()  # type: ignore[assignment]  # see above
    actions_detail: tuple[str, ...] = ()  # type: ignore[assignment]  # see above
    add_fieldsets: tuple[Any, ...] = ()


class ReadOnlyAdmin(BridgeAdmin):
    """Rows that something else keeps: here they are only looked at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RowForm(ModelForm):
    """A row in the page of another. Django leaves out the constraints that involve that other: here they count too."""

    def validate_unique(self) -> None:
        super().validate_unique()
        try:
            self.instance.validate_constraints(exclude=set(self.errors))
        except ValidationError as error:
            self.add_error(None, error)


class SecretField(forms.CharField):
    """A secret that goes in and never comes out: a page with errors does not repeat it either."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}))
        super().__init__(**kwargs)
        self.validators += [
            MinLengthValidator(SHORTEST_SECRET, f"A key has at least {SHORTEST_SECRET} characters."),
            RegexValidator(r"^[!-~]+\Z", "A key has no spaces and only plain characters: was it copied whole?"),
        ]


def is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def in_one_line(text: str) -> str:
    """`text` in a cell that does not break it."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text)
