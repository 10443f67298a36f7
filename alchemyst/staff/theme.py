"""How the admin looks: the theme's settings, in the palette and the words of the other pages."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def theme(request: HttpRequest) -> str | None:
    """Return the theme that the account has chosen; None lets the person switch."""
    chosen = getattr(getattr(request, "user", None), "theme", "")
    return chosen if chosen in ("light", "dark") else None


def _sheet(name: str) -> Any:
    return lambda request: static(f"css/{name}.css")


def _link(title: str, icon: str, model: str) -> dict[str, Any]:
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
    }


NAVIGATION = [
    {
        "items": [
            {"title": "Overview", "icon": "monitoring", "link": reverse_lazy("admin:index")},
            {
                "title": "Filter",
                "icon": "toggle_on",
                "link": reverse_lazy("admin:switch"),
                "permission": lambda request: request.user.has_perm("proxy.change_filterswitch"),
            },
            {
                "title": "Configuration",
                "icon": "settings",
                "link": reverse_lazy("admin:configuration"),
                "permission": lambda request: request.user.is_superuser,
            },
        ]
    },
    {
        "title": "People",
        "separator": True,
        "items": [
            _link("Users", "person", "accounts.user"),
            _link("API keys", "key", "accounts.apikey"),
            _link("Limits", "speed", "accounts.limit"),
            _link("Budgets", "savings", "proxy.budget"),
            _link("Groups", "group", "auth.group"),
            _link("Audit log", "history", "accounts.auditentry"),
        ],
    },
    {
        "title": "Chats",
        "separator": True,
        "items": [
            _link("Chats", "forum", "chats.chat"),
            _link("Answers", "bolt", "chats.generation"),
            _link("Shares", "share", "chats.share"),
            _link("Personas", "theater_comedy", "personas.persona"),
            _link("Versions", "difference", "personas.personaversion"),
        ],
    },
    {
        "title": "Proxy",
        "separator": True,
        "items": [
            _link("Usage by day", "bar_chart", "proxy.usagerollup"),
            _link("Calls", "receipt_long", "proxy.usagerecord"),
            _link("Decisions", "filter_alt", "proxy.decisionrecord"),
            _link("Providers", "dns", "proxy.provider"),
            _link("Prices", "payments", "proxy.price"),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Alchemyst",
    "SITE_HEADER": "Alchemyst",
    "SITE_URL": "/",
    "SITE_ICON": lambda request: static("mark.svg"),
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "THEME": theme,
    "STYLES": [_sheet("tokens"), _sheet("inspector"), _sheet("staff")],
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": NAVIGATION,
    },
    # The palette of static/css/tokens.css, in the steps that the theme asks for.
    "COLORS": {
        "base": {
            "50": "#fafbfa",
            "100": "#f0f3f2",
            "200": "#dce2e0",
            "300": "#c3ccc9",
            "400": "#a9b5b1",
            "500": "#626c69",
            "600": "#4d5755",
            "700": "#37413e",
            "800": "#26302d",
            "900": "#151c1a",
            "950": "#0f1413",
        },
        "primary": {
            "50": "#f0f8f6",
            "100": "#e0f0ec",
            "200": "#b9ddd4",
            "300": "#8fcfbf",
            "400": "#74d3bf",
            "500": "#5ac7b0",
            "600": "#0b6e5f",
            "700": "#095a4e",
            "800": "#0a4a41",
            "900": "#15302b",
            "950": "#0b1f1b",
        },
        "font": {
            "subtle-light": "var(--color-base-500)",
            "subtle-dark": "var(--color-base-400)",
            "default-light": "var(--color-base-600)",
            "default-dark": "var(--color-base-300)",
            "important-light": "#161a19",
            "important-dark": "#e6ecea",
        },
    },
}
