"""Joins: a proper conversation again after something was dropped."""

from __future__ import annotations

from proxy.relevance.merge_turns import BETWEEN, joined, joins

from .conversations import assistant, chat, system, user


def test_neighbours_of_one_role_become_one():
    conversation = [user("a"), user("b"), assistant("c"), user("d"), assistant("e"), user("now")]

    assert joins(conversation, [0, 3, 4, 5]) == [[0, 3], [4], [5]]


def test_where_nothing_was_dropped_nothing_is_joined():
    conversation = [user("a"), user("b"), assistant("c"), user("now")]

    assert joins(conversation, [0, 1, 2, 3]) == [[0], [1], [2], [3]]


def test_the_current_question_stands_by_itself():
    conversation = [*chat("a", "b"), user("c"), user("now")]

    assert joins(conversation, [2, 3]) == [[2], [3]]


def test_only_plain_messages_are_joined():
    conversation = [user("a", name="Ann", is_plain=False), user("b"), user("c"), user("now")]

    assert joins(conversation, [0, 2, 3]) == [[0], [2], [3]]


def test_a_system_message_parts_its_neighbours():
    conversation = [user("a"), system("s"), user("b"), assistant("c"), user("now"), assistant("d")]

    assert joins(conversation, [0, 1, 2, 4, 5]) == [[0], [1], [2], [4], [5]]


def test_the_joined_message_has_both_texts():
    both = joined([user("a"), user("b")])

    assert (both.role, both.text) == ("user", f"a{BETWEEN}b")
