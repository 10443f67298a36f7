"""What every page is drawn with: icons, forms, and the theme that a person has chosen."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.forms.renderers import TemplatesSetting
from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, get_language_bidi

register = template.Library()

THEMES = ("light", "dark")
THEME_COOKIE = "theme"


class FormRenderer(TemplatesSetting):
    """Draws `{{ form }}` and each field with our components."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw an icon of `static/icons.svg`, unseen by those who listen."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("icons.svg"), name
    )


@register.filter
def begins(name: str | None, start: str) -> bool:
    """Whether the name of a URL is `start` or that of a page below it: `keys`, `keys-new`."""
    return bool(name) and (name == start or str(name).startswith(f"{start}-"))


@register.filter
def words(text: str) -> list[str]:
    """The words of a text, to loop over."""
    return text.split()


@register.filter
def money(dollars: Decimal | None) -> str:
    """An amount in dollars, small ones with their first digits; a dash where none is known."""
    if dollars is None:
        return "–"
    digits = 2 if not dollars or abs(dollars) >= 1 else 4
    sign = "−" if dollars < 0 else ""
    return f"{sign}${number_format(abs(dollars), digits, force_grouping=True)}"


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Give each page the theme and the language that it is shown in.

    The theme stands in the first byte of the page, so nothing flashes: the account's, else the
    cookie's, else the system's.
    """
    user = getattr(request, "user", None)
    theme = getattr(user, "theme", "") or request.COOKIES.get(THEME_COOKIE, "")
    return {
        "registration_is_open": settings.REGISTRATION_OPEN,
        "theme": theme if theme in THEMES else "system",
        "language": get_language(),
        "direction": "rtl" if get_language_bidi() else "ltr",
    }
