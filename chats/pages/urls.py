"""The pages of the chats."""

from __future__ import annotations

from django.urls import path

from chats.pages import chat, chat_actions, imports, lists, search, share

# The forms that have a model asked.
ASKING = frozenset({"chat", "chat-open", "chat-regenerate", "chat-edit", "chat-continue"})

urlpatterns = [
    path("chat", chat.new_chat, name="chat"),
    path("chat/<uuid:chat_id>", chat.one_chat, name="chat-open"),
    path("chat/<uuid:chat_id>/thread", chat.thread, name="chat-thread"),
    path("chat/<uuid:chat_id>/given/<uuid:message_id>", chat.inspector, name="chat-given"),
    path("chat/<uuid:chat_id>/fate", chat.fate, name="chat-fate"),
    path("chat/<uuid:chat_id>/stop", chat.stop, name="chat-stop"),
    path("chat/<uuid:chat_id>/again/<uuid:message_id>", chat.regenerate, name="chat-regenerate"),
    path("chat/<uuid:chat_id>/edit/<uuid:message_id>", chat.edit, name="chat-edit"),
    path(
        "chat/<uuid:chat_id>/continue/<uuid:message_id>", chat.continue_answer, name="chat-continue"
    ),
    path("chat/<uuid:chat_id>/show/<uuid:message_id>", chat.show, name="chat-show"),
    path("chat/<uuid:chat_id>/rename", chat_actions.rename, name="chat-rename"),
    path("chat/<uuid:chat_id>/pin", chat_actions.pin, name="chat-pin"),
    path("chat/<uuid:chat_id>/archive", chat_actions.archive, name="chat-archive"),
    path("chat/<uuid:chat_id>/relevance", chat_actions.relevance, name="chat-relevance"),
    path("chat/<uuid:chat_id>/fork", chat_actions.fork, name="chat-fork"),
    path("chat/<uuid:chat_id>/delete", chat_actions.delete, name="chat-delete"),
    path("chat/<uuid:chat_id>/restore", chat_actions.restore, name="chat-restore"),
    path("chat/<uuid:chat_id>/share", share.share, name="chat-share"),
    path("chats", lists.everything, name="chats"),
    path("chats/more", lists.more, name="chats-more"),
    path("shared", share.shares, name="shares"),
    path("shared/<uuid:share_id>/revoke", share.revoke, name="share-revoke"),
    path("s/<str:token>", share.shared, name="shared"),
    path("search", search.search, name="search"),
    path("imports", imports.imports, name="imports"),
    path("imports/<uuid:job_id>/stop", imports.stop_import, name="import-stop"),
    path("trash", lists.trash, name="trash"),
    path("trash/empty", lists.empty_trash, name="trash-empty"),
]
