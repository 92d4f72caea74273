"""Owns what the admin pages of every app have in common: who may do what there, secrets going in, links as actions."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AutocompleteSelect
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.core.validators import MinLengthValidator, RegexValidator
from django.db import DataError, models
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter
from unfold.decorators import action
from unfold.widgets import UnfoldAdminPasswordWidget

from accounts.audit import AuditEntry
from accounts.scope import Scope, crosses_many, is_superuser, scope_of, teams_of, visible

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm  # Django's takes its model from Meta and no type argument

F = TypeVar("F", bound=Callable[..., Any])
SHORTEST_SECRET = 16
LONGEST_HISTORY = 200
LONGEST_NUMBER = 18  # digits: what is longer fits into no column
KEEPS_THE_OLD_ONE = "Stored encrypted and never shown again. Leave it empty to keep the present one."


class Decorator(Protocol):
    """Unfold's `action`, as it is: it declares that it returns something that cannot be called."""

    def __call__(self, **options: Any) -> Callable[[F], F]: ...


page_action = cast(Decorator, action)


class ChosenByTyping(AutocompleteSelect):
    """A choice that is completed while typing. Django's fails over a value that is no key before it says the error."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        return super().optgroups(name, [key for key in value if _is_key(key)], attr)


#: What a field for several lines shows at first: Unfold's ten push the rest of a form out of sight.
LINES_OF_A_TEXT = 4


class BridgeAdmin(ModelAdmin):
    """A page of ours. It shows everybody what is theirs, and above every list what it holds.

    A superuser may do everything. An administrator of teams may do what `team_admins_may` names ("view", "add",
    "change", "delete"), with the rows that `scope` gives to his teams. Django's permissions play no part.
    """

    scope: Scope  # every page declares its own: a test looks
    team_admins_may: frozenset[str] = frozenset()
    is_audited = True

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

    # --- what may be done ---

    def may(self, request: HttpRequest, what: str, obj: Any = None) -> bool:
        """Whether whoever sent this may do so with `obj`; without one, whether at all."""
        if is_superuser(request):
            return True
        teams = teams_of(request)
        if what not in self.team_admins_may or not teams:
            return False
        if obj is not None and not isinstance(obj, models.Model):  # Unfold hands over what stands in the address
            obj = self.get_object(request, unquote(str(obj)))
            return obj is not None and self.may(request, what, obj)
        return obj is None or self.scope.holds(obj, teams)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "view")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "delete", obj)

    def has_superuser_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For actions: `permissions=["superuser"]`."""
        return is_superuser(request)

    # --- what can be seen and chosen ---

    def row_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """The row that an action's address names: an address may hold anything."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        return row

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list that the address asks for. What no database could compare is nothing that a filter offers."""
        if any(str(value).isdecimal() and len(str(value)) > LONGEST_NUMBER for value in request.GET.values()):
            raise IncorrectLookupParameters
        try:
            return super().get_changelist_instance(request)
        except (OverflowError, DataError) as error:
            raise IncorrectLookupParameters from error

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """What lists, pages of a row, actions and autocompletion find."""
        rows = super().get_queryset(request)
        return rows if is_superuser(request) else self.scope.narrowed(rows, teams_of(request))

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """PostgreSQL fails over a NUL, which no text of its holds."""
        return super().get_search_results(request, queryset, search_term.replace("\x00", ""))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the address of a new row's form fills in, as far as a field could hold it."""
        initial: dict[str, Any] = {}
        for name, value in super().get_changeform_initial_data(request).items():
            with contextlib.suppress(ValidationError, FieldDoesNotExist, OverflowError):
                initial[name] = _fitting(self.model._meta.get_field(name), value)
        return initial

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, models.JSONField):
            kwargs["decoder"] = BoundedDecoder
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and "rows" in field.widget.attrs:
            field.widget.attrs["rows"] = LINES_OF_A_TEXT
        return field

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """An address asks for what the page's filters offer: no secret letter by letter, nothing of another team."""
        if request is None:
            return False
        offered = any(_begins(lookup, path) for path in self._filtered_paths(request))
        if _is_of_a_field(self.model, lookup) and not offered:
            return False
        if not is_superuser(request) and crosses_many(self.model, lookup):
            return False
        return bool(super().lookup_allowed(lookup, value, request))

    def _filtered_paths(self, request: HttpRequest) -> Iterator[str]:
        if self.date_hierarchy:
            yield self.date_hierarchy
        for offered in self.get_list_filter(request):
            path: Any = offered[0] if isinstance(offered, tuple) else offered
            yield path if isinstance(path, str) else path.parameter_name

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Whoever is not a superuser chooses among what he sees, and leaves nothing without a team."""
        _complete(self, db_field, request, kwargs)
        if is_superuser(request):
            return super().formfield_for_foreignkey(db_field, request, **kwargs)
        field = super().formfield_for_foreignkey(
            db_field, request, **{**kwargs, "queryset": visible(request, db_field.remote_field.model)}
        )
        if field is not None and db_field.name == self.scope.path.partition("__")[0]:
            field.required, field.help_text = True, ""
        if field is not None and db_field.name == self.scope.path and len(teams_of(request)) == 1:
            (field.initial,) = teams_of(request)
        return field

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if not is_superuser(request):
            kwargs["queryset"] = visible(request, db_field.remote_field.model)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What a row points to and its administrator cannot see stays as it is: no choice of his would hold it."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj is None or is_superuser(request):
            return fields
        return (*fields, *(name for name in _out_of_sight(request, obj) if name not in fields))

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """The last look before anything is written: however the form was filled in, the row stays in his teams."""
        obj = super().save_form(request, form, change)
        if not is_superuser(request) and not self.scope.holds(obj, teams_of(request)):
            raise PermissionDenied
        return obj

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What the audit log says of one row, to whom that row's team is no secret."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return super().history_view(request, object_id)  # Django's words for what is not there
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        entries = visible(request, AuditEntry).filter(
            content_type=ContentType.objects.get_for_model(obj), object_pk=str(obj.pk)
        )
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {obj}",
            "opts": self.opts,
            "object": obj,
            "headings": ("Time (UTC)", "Who", "Event", "Changes"),
            "entries": entries[:LONGEST_HISTORY],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/audit_history.html", context)


class ReadOnlyAdmin(BridgeAdmin):
    """Rows that something else keeps: here they are only looked at."""

    team_admins_may = frozenset({"view"})
    is_audited = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BridgeInline(TabularInline):
    """Rows in the page of another. Superusers write there; others see theirs, and change them on their own page."""

    extra = 0
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if is_superuser(request) else scope_of(self.model).narrowed(rows, teams_of(request))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        _complete(self, db_field, request, kwargs)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.admin_site.get_model_admin(self.model).has_view_permission(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


def _is_of_a_field(model: Any, lookup: str) -> bool:
    """Other names are those of a filter's own parameters, or nothing at all, which Django says."""
    first = lookup.partition("__")[0]
    return any(first in {field.name, getattr(field, "attname", "")} for field in model._meta.get_fields())


def _fitting(field: Any, value: Any) -> Any:
    """`value`, out of an address, as `field` holds it. Raises ValidationError for what it cannot."""
    if not field.is_relation:
        return field.to_python(value)
    keys = value if isinstance(value, list) else [value]
    if not all(_is_key(key) for key in keys):
        raise ValidationError("not a key")
    return value


def _is_key(text: object) -> bool:
    return str(text).isdecimal() and len(str(text)) <= LONGEST_NUMBER


def _complete(page: Any, db_field: Any, request: HttpRequest, kwargs: dict[str, Any]) -> None:
    """Have a choice that `page` completes be one of ours."""
    if db_field.name in page.get_autocomplete_fields(request):
        kwargs.setdefault("widget", ChosenByTyping(db_field, page.admin_site, using=kwargs.get("using")))


def _begins(lookup: str, path: str) -> bool:
    return f"{lookup}__".startswith(f"{path}__")


def _out_of_sight(request: HttpRequest, obj: models.Model) -> Iterator[str]:
    """The fields of `obj` that point to rows which whoever sent this may not know of."""
    for field in obj._meta.concrete_fields:
        key = getattr(obj, field.attname)
        if field.is_relation and key is not None and not _sees(request, field.related_model, key):
            yield field.name


def _sees(request: HttpRequest, model: Any, key: Any) -> bool:
    return visible(request, model).filter(pk=key).exists()


class BoundedDecoder(json.JSONDecoder):
    """Has an object that is nested without end refused at its field, like any other that cannot be read."""

    def decode(self, s: str, *args: Any) -> Any:
        try:
            return super().decode(s, *args)
        except RecursionError:
            raise json.JSONDecodeError("Nested too deeply", s[:1], 0) from None


class RelatedFilter(RelatedDropdownFilter):
    """Filters by a row of another model, out of those that may be seen."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        rows = visible(request, field.related_model).order_by(*self.field_admin_ordering(field, request, model_admin))
        return [(row.pk, str(row)) for row in rows]


class RelatedSearchFilter(AutocompleteSelectFilter):
    """The same for a model with many rows: by typing."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Unfold would name the row of any key that stands in the address."""
        for choice in super().choices(changelist):
            model: Any = self.field.related_model
            choice["form"].fields[self.lookup_kwarg].queryset = visible(self.request, model)
            yield choice


class RowForm(ModelForm):
    """A row in the page of another. Django leaves out the constraints that involve that other: here they count too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # the heading of a column is no label of what stands under it
            widget: Any = getattr(
                field.widget, "widget", field.widget
            )  # what Django wraps to put its buttons beside it
            widget.attrs["aria-label"] = str(field.label)

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


def in_one_line(text: str) -> str:
    """`text` in a cell that does not break it."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text)
