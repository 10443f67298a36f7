"""What the chats keep: conversations with their branches, answers with their event log."""

from __future__ import annotations

from chats.models.branch import Branch
from chats.models.chat import Chat
from chats.models.generation import Event, Generation
from chats.models.importing import ImportJob, ImportPart
from chats.models.message import Message
from chats.models.share import Share

__all__ = ["Branch", "Chat", "Event", "Generation", "ImportJob", "ImportPart", "Message", "Share"]
