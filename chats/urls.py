"""The chats' API. Answers are asked for elsewhere."""

from __future__ import annotations

from django.urls import path

from chats.views import export, history, importing, one

VIEWS = {
    "chat/history": history.HistoryView,
    "chat/fetch/<uuid:chat_id>": one.FetchView,
    "chat/new": one.NewView,
    "chat/fork": one.ForkView,
    "chat/export": export.ExportView,
    "chat/import": importing.ImportsView,
    "chat/import/<uuid:job_id>": importing.ImportView,
    "chat/trash": history.TrashView,
    "chat/trash/<uuid:chat_id>": history.TrashedView,
    "chat/<uuid:chat_id>": one.ChatView,
    "chat/<uuid:chat_id>/pin": one.PinView,
    "chat/<uuid:chat_id>/restore": one.RestoreView,
    "chat/<uuid:chat_id>/messages/<uuid:message_id>": one.MessageView,
}

urlpatterns = [path(route, view.as_view()) for route, view in VIEWS.items()]
urlpatterns += [path(f"{route}/", view.as_view(schema=None)) for route, view in VIEWS.items()]
