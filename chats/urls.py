"""The chats' API. Answers are asked for elsewhere."""

from __future__ import annotations

from django.urls import path

from chats.views import chat, export, history, importing

VIEWS = {
    "chat/history": history.HistoryView,
    "chat/fetch/<uuid:chat_id>": chat.FetchView,
    "chat/new": chat.NewView,
    "chat/fork": chat.ForkView,
    "chat/export": export.ExportView,
    "chat/import": importing.ImportsView,
    "chat/import/<uuid:job_id>": importing.ImportView,
    "chat/import/<uuid:job_id>/stop": importing.StopImportView,
    "chat/trash": history.TrashView,
    "chat/trash/<uuid:chat_id>": history.TrashedView,
    "chat/<uuid:chat_id>": chat.ChatView,
    "chat/<uuid:chat_id>/pin": chat.PinView,
    "chat/<uuid:chat_id>/restore": chat.RestoreView,
    "chat/<uuid:chat_id>/messages/<uuid:message_id>": chat.MessageView,
}

urlpatterns = [path(route, view.as_view()) for route, view in VIEWS.items()]
urlpatterns += [path(f"{route}/", view.as_view(schema=None)) for route, view in VIEWS.items()]
