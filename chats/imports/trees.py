"""From a conversation to the rows of a chat: a tree of messages becomes branches."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from chats.imports.conversation import Conversation, ImportedMessage, Unreadable
from chats.models import Branch, Chat, Message
from personas.models import PersonaVersion

Children = dict[str | None, list[ImportedMessage]]


class Rows(NamedTuple):
    """Unsaved rows, in an order in which they can be written."""

    branches: list[Branch]
    messages: list[Message]
    shown_branch: Branch


def rows(
    chat: Chat, conversation: Conversation, personas: dict[str, PersonaVersion | None]
) -> Rows:
    """Return the branches and messages of a conversation. Raises Unreadable if there are none.

    A node that is no message is left out, and its answers stand after what it answered. A missing
    parent counts as none; cycles are left out.
    """
    children, shown_key = _children_of(conversation)
    path = _path_to(shown_key, children)
    when = conversation.created or chat.created
    trunk = Branch(chat=chat)
    branches, messages = [trunk], []
    last_branch = trunk
    pending: list[tuple[ImportedMessage, Message | None, Branch]] = []

    def follow(after: str | None, parent: Message | None, branch: Branch) -> None:
        """What comes next on this branch, and each other that stands in its place on its own."""
        heirs = children.get(after, [])
        heir = next(
            (imported for imported in heirs if imported.key in path), heirs[-1] if heirs else None
        )
        for imported in reversed(heirs):
            own = branch
            if imported is not heir:
                own = Branch(
                    chat=chat, parent=branch, position=parent.position + 1 if parent else 0
                )
            pending.append((imported, parent, own))

    follow(None, None, trunk)
    while pending:
        imported, parent, branch = pending.pop()
        if branch is not trunk and branch is not (parent and parent.branch):
            branches.append(branch)
        when = imported.created or when
        message = _message(chat, imported, parent, branch, when, personas)
        messages.append(message)
        if imported.key == shown_key:
            last_branch = branch
        follow(imported.key, message, branch)
    if not messages:
        raise Unreadable("It has no messages that could be imported.")
    return Rows(branches, messages, last_branch)


def _message(
    chat: Chat,
    imported: ImportedMessage,
    parent: Message | None,
    branch: Branch,
    when: datetime,
    personas: dict[str, PersonaVersion | None],
) -> Message:
    return Message(
        chat=chat,
        branch=branch,
        parent=parent,
        position=parent.position + 1 if parent else 0,
        role=imported.role,
        content=imported.content,
        created=when,
        persona_version=personas.get(imported.persona),
        model=imported.model,
        fate=imported.fate,
        metadata=imported.metadata,
    )


def _children_of(conversation: Conversation) -> tuple[Children, str | None]:
    """Return the messages by what they answer, and the key of the last one that is shown."""
    by_key = {message.key: message for message in conversation.messages}
    answered = _Answered(by_key)
    children: Children = defaultdict(list)
    for message in by_key.values():
        if message.role:
            children[answered.by(message)].append(message)
    last = by_key.get(conversation.shown_key or "")
    if last and not last.role:
        last = by_key.get(answered.by(last) or "")
    if last is None:
        last = next((message for message in reversed(by_key.values()) if message.role), None)
    return children, last.key if last else None


class _Answered:
    """Finds what a message answers, past nodes that are no messages; walks each path once."""

    def __init__(self, by_key: dict[str, ImportedMessage]) -> None:
        self._all = by_key
        self._keys: dict[str, str | None] = {}

    def by(self, message: ImportedMessage) -> str | None:
        """Return its key; None at the beginning, and where the parents form a cycle."""
        passed: list[str] = []
        parent = self._all.get(message.parent or "")
        while parent is not None and not parent.role and parent.key not in self._keys:
            self._keys[parent.key] = None
            passed.append(parent.key)
            parent = self._all.get(parent.parent or "")
        answered_key = None
        if parent is not None:
            answered_key = parent.key if parent.role else self._keys[parent.key]
        self._keys.update(dict.fromkeys(passed, answered_key))
        return answered_key


def _path_to(key: str | None, children: Children) -> set[str]:
    """Return the keys from the beginning to `key`."""
    parents = {message.key: parent for parent, answers in children.items() for message in answers}
    path: set[str] = set()
    while key is not None and key not in path:
        path.add(key)
        key = parents.get(key)
    return path
