"""Exchanges: what stays or goes as one."""

from __future__ import annotations

from proxy.relevance.exchanges import split_exchanges

from .conversations import assistant, calling, chat, result, system, user


def test_a_question_and_its_answers_are_an_exchange():
    conversation = split_exchanges([*chat("a", "b", "c"), assistant("d"), user("now")])

    assert conversation.exchanges == ((0, 1), (2, 3))
    assert conversation.query == 4
    assert conversation.last == 1


def test_all_that_follows_the_last_question_is_the_current_turn():
    conversation = split_exchanges([*chat("a", "b", "now"), calling("x"), result("x")])

    assert conversation.current == {2, 3, 4}


def test_sixty_results_belong_to_the_one_question():
    work = [m for n in range(30) for m in (calling(f"c{n}"), result(f"c{n}"))]

    conversation = split_exchanges([user("Tidy up."), *work, *chat("a", "b", "now")])

    assert conversation.exchanges[0] == tuple(range(61))


def test_what_stands_before_the_first_question_is_an_exchange():
    conversation = split_exchanges(
        [assistant("Hello!"), assistant("How can I help?"), *chat("a", "b", "now")]
    )

    assert conversation.exchanges == ((0, 1), (2, 3))


def test_system_messages_belong_to_none():
    conversation = split_exchanges(
        [system("Be brief."), user("a"), system("Be kind."), assistant("b"), user("now")]
    )

    assert conversation.exchanges == ((1, 3),)


def test_a_late_result_ties_its_exchange_to_that_of_the_call():
    conversation = split_exchanges(
        [user("a"), calling("x"), user("b"), result("x"), *chat("c", "d", "now")]
    )

    assert conversation.exchanges == ((0, 1, 2, 3), (4, 5))


def test_a_result_in_the_current_turn_ties_its_call_to_it():
    conversation = split_exchanges(
        [*chat("a", "b"), user("c"), calling("x"), user("now"), result("x")]
    )

    assert conversation.current == {2, 3, 4, 5}
    assert conversation.exchanges == ((0, 1),)


def test_a_reused_id_means_its_latest_call():
    conversation = split_exchanges(
        [user("a"), calling("x"), result("x"), user("b"), calling("x"), result("x"), user("now")]
    )

    assert conversation.exchanges == ((0, 1, 2), (3, 4, 5))


def test_an_orphan_result_belongs_to_the_exchange_that_it_stands_in():
    conversation = split_exchanges([user("a"), result("lost"), *chat("b", "c", "now")])

    assert conversation.exchanges == ((0, 1), (2, 3))


def test_each_of_several_questions_in_a_row_is_an_exchange():
    conversation = split_exchanges([user("a"), user("b"), assistant("c"), user("now")])

    assert conversation.exchanges == ((0,), (1, 2))
