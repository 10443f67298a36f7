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
    shown: Branch


def rows(
    chat: Chat, conversation: Conversation, personas: dict[str, PersonaVersion | None]
) -> Rows:
    """Return the branches and messages of a conversation. Raises Unreadable if there are none.

    What is no message is left out, and its answers stand after what it answered. A parent that is
    not there is none; what goes round in a circle is left out.
    """
    children, shown = _kept(conversation)
    path = _path_to(shown, children)
    when = conversation.created or chat.created
    trunk = Branch(chat=chat)
    branches, messages = [trunk], []
    last_branch = trunk
    waiting: list[tuple[ImportedMessage, Message | None, Branch]] = []

    def follow(after: str | None, parent: Message | None, branch: Branch) -> None:
        """What comes next on this branch, and each other that stands in its place on its own."""
        heirs = children.get(after, [])
        heir = next((said for said in heirs if said.key in path), heirs[-1] if heirs else None)
        for said in reversed(heirs):
            own = branch
            if said is not heir:
                own = Branch(
                    chat=chat, parent=branch, position=parent.position + 1 if parent else 0
                )
            waiting.append((said, parent, own))

    follow(None, None, trunk)
    while waiting:
        said, parent, branch = waiting.pop()
        if branch is not trunk and branch is not (parent and parent.branch):
            branches.append(branch)
        when = said.created or when
        message = _message(chat, said, parent, branch, when, personas)
        messages.append(message)
        if said.key == shown:
            last_branch = branch
        follow(said.key, message, branch)
    if not messages:
        raise Unreadable("It has no messages that could be imported.")
    return Rows(branches, messages, last_branch)


def _message(
    chat: Chat,
    said: ImportedMessage,
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
        role=said.role,
        content=said.content,
        created=when,
        persona_version=personas.get(said.persona),
        model=said.model,
        fate=said.fate,
        metadata=said.metadata,
    )


def _kept(conversation: Conversation) -> tuple[Children, str | None]:
    """Return the messages by what they answer, and the key of the last one that is shown."""
    all_said = {said.key: said for said in conversation.messages}
    answered = _Answered(all_said)
    children: Children = defaultdict(list)
    for said in all_said.values():
        if said.role:
            children[answered.by(said)].append(said)
    shown = all_said.get(conversation.shown or "")
    if shown and not shown.role:
        shown = all_said.get(answered.by(shown) or "")
    if shown is None:
        shown = next((said for said in reversed(all_said.values()) if said.role), None)
    return children, shown.key if shown else None


class _Answered:
    """Finds the message that another one answers, past all that is none; each way is gone once."""

    def __init__(self, all_said: dict[str, ImportedMessage]) -> None:
        self._all = all_said
        self._found: dict[str, str | None] = {}

    def by(self, said: ImportedMessage) -> str | None:
        """Return its key; None at the beginning, and where the way goes round in a circle."""
        passed: list[str] = []
        parent = self._all.get(said.parent or "")
        while parent is not None and not parent.role and parent.key not in self._found:
            self._found[parent.key] = None
            passed.append(parent.key)
            parent = self._all.get(parent.parent or "")
        found = None
        if parent is not None:
            found = parent.key if parent.role else self._found[parent.key]
        self._found.update(dict.fromkeys(passed, found))
        return found


def _path_to(shown: str | None, children: Children) -> set[str]:
    """Return the keys from the beginning to `shown`."""
    parents = {said.key: parent for parent, answers in children.items() for said in answers}
    path: set[str] = set()
    while shown is not None and shown not in path:
        path.add(shown)
        shown = parents.get(shown)
    return path
