"""Conversations as people paste them."""

from __future__ import annotations

import pytest

from proxy.errors import InvalidMessages
from proxy.filtering.cli.transcripts import messages_in


def roles_and_words(text: str) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages_in(text)]


@pytest.mark.parametrize(
    "text",
    [
        "User: Tea?\nAssistant: Oolong.",
        "user: Tea?\n\nassistant: Oolong.\n",
        "**User:** Tea?\n**Assistant:** Oolong.",
        "**User**: Tea?\n**Assistant**: Oolong.",
        "## User\n\nTea?\n\n## Assistant\n\nOolong.",
        "You said: Tea?\nChatGPT said: Oolong.",
        "Human: Tea?\r\nAI: Oolong.\r\n",
        "Nutzer: Tea?\nAssistent: Oolong.",
    ],
)
def test_are_read_in_the_ways_that_people_write_them(text: str):
    assert roles_and_words(text) == [("user", "Tea?"), ("assistant", "Oolong.")]


def test_keep_the_lines_of_a_message_together():
    assert roles_and_words("System: Be brief.\nUser: One\n\n  two\nthree") == [
        ("system", "Be brief."),
        ("user", "One\n\n  two\nthree"),
    ]


def test_are_not_split_inside_a_block_of_code():
    text = "User: What is wrong?\n```yaml\nuser: postgres\n```\nAssistant: Nothing."

    assert roles_and_words(text) == [
        ("user", "What is wrong?\n```yaml\nuser: postgres\n```"),
        ("assistant", "Nothing."),
    ]


def test_that_begin_with_nobody_are_refused_with_a_word_on_how():
    with pytest.raises(InvalidMessages, match="Begin each message with 'User:'"):
        messages_in("Dear diary\nUser: Tea?")
