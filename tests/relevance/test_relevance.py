"""Relevance: what an answer needs stays, and what it does not need goes."""

from __future__ import annotations

import pytest

from .conversations import BREAD, CAPITAL, CHESS, JAZZ, assistant, chat, reasons, stays, user

MODES = ("very_strict", "strict", "lax")


@pytest.mark.parametrize("mode", MODES)
class TestFollowUps:
    def test_a_bare_follow_up_keeps_the_last_exchange(self, mode):
        conversation = chat(*CAPITAL, *BREAD)

        assert {2, 3} <= stays(conversation, "Can you say that more simply?", mode)

    def test_a_follow_up_keeps_what_its_topic_began_with(self, mode):
        conversation = chat(
            *CAPITAL,
            "Tell me about the mountain gorilla.",
            "The mountain gorilla lives in the cloud forests of central Africa.",
            "What does it eat?",
            "It eats leaves, shoots and stems, and a few ants.",
            "How heavy does it get?",
            "A male weighs up to 200 kilograms.",
        )

        assert {2, 3} <= stays(conversation, "And how long does it live?", mode)


class TestReturns:
    def test_a_return_to_an_older_topic_finds_it(self):
        conversation = chat(*BREAD, *CHESS, *JAZZ, *CAPITAL)

        kept = stays(conversation, "How hot should the oven be for the rye bread?")

        assert {0, 1} <= kept
        assert not {4, 5} & kept

    def test_the_answer_of_a_kept_question_stays_though_it_shares_no_word(self):
        conversation = chat("How do I bake rye bread?", "Mix and wait overnight.", *CHESS, *CAPITAL)

        assert 1 in stays(conversation, "Which oven is best for rye bread?")

    def test_modes_keep_more_the_laxer_they_are(self):
        conversation = chat(*BREAD, *CHESS, *JAZZ, *CAPITAL)
        kept = [stays(conversation, "Which flour suits the bread?", mode) for mode in MODES]

        assert kept[0] <= kept[1] <= kept[2]


class TestInstructions:
    @pytest.mark.parametrize(
        "rule",
        [
            "From now on answer in French.",
            "Always end your answers with a question.",
            "Never use bullet points, please.",
            "My name is Ada and I teach physics.",
            "I'm allergic to nuts, keep that in mind.",
            "Pretend to be a pirate.",
            "Ab jetzt antworte bitte nur noch auf Deutsch.",
            "A partir de ahora responde en verso.",
            "从现在开始请用英文回答",
        ],
    )
    def test_a_standing_instruction_stays(self, rule):
        conversation = chat(rule, "All right.", *BREAD, *CHESS, *JAZZ, *CAPITAL)

        question = "How hot should the oven be for the rye bread?"
        assert 0 in stays(conversation, question)
        assert reasons(conversation, question)[0] == "standing instruction"

    def test_the_request_that_each_new_item_answers_stays(self):
        conversation = chat(
            *BREAD,
            "I need the opposite of a word.",
            "Sure, which word would you like the opposite of?",
            "Generous.",
            "Stingy.",
            "Transparent.",
            "Opaque.",
        )

        assert {2, 3} <= stays(conversation, "Ancient.")


class TestCorrections:
    def test_a_correction_stays_with_what_it_corrects(self):
        conversation = chat(
            "Which engine has the Vela car of 2015?",
            "The Vela of 2015 has a petrol engine with 90 kW.",
            "No, I meant the model of 2019.",
            "That one is electric and has 150 kW.",
            *CHESS,
            *JAZZ,
            *CAPITAL,
        )

        assert {0, 1, 2, 3} <= stays(conversation, "How much does the Vela car weigh?")

    def test_the_latest_version_stays_where_an_earlier_one_does(self):
        def draft(sum: str) -> str:
            return f"Dear Mrs Hale, the invoice for the garden shed says {sum} euros. Regards, Ben"

        conversation = chat(
            "Write a letter about the invoice for the garden shed to Mrs Hale.",
            draft("400"),
            *CHESS,
            "Write the letter about the invoice for the garden shed with 450.",
            draft("450"),
            *JAZZ,
            *CAPITAL,
        )

        for mode in MODES:
            kept = stays(conversation, "Shorten the letter to Mrs Hale about the invoice.", mode)
            assert {4, 5} <= kept


class TestCode:
    def test_code_is_found_by_an_identifier(self):
        conversation = chat(
            "Write a function load_settings that reads YAML.",
            "```python\ndef load_settings(path):\n    return yaml.safe_load(open(path))\n```",
            *BREAD,
            *CAPITAL,
        )

        assert {0, 1} <= stays(conversation, "load_settings fails if the file is empty")

    def test_the_spellings_of_an_identifier_meet(self):
        conversation = chat(
            "The maxIdleSeconds option does nothing.",
            "Put max_idle_seconds into the pool section.",
            *JAZZ,
            *CAPITAL,
        )

        assert {0, 1} <= stays(conversation, "what was the option for max idle seconds called?")

    def test_an_error_code_is_found(self):
        conversation = chat(
            "The printer shows E-4711.",
            "Open the rear tray and pull the paper out.",
            *BREAD,
            *CAPITAL,
        )

        assert {0, 1} <= stays(conversation, "E-4711 is back")


class TestOtherThanText:
    def test_an_image_without_a_word_stays(self):
        picture = user("", is_plain=False)
        conversation = [
            picture,
            assistant("A tabby cat on a wall."),
            *chat(*BREAD, *CHESS, *CAPITAL),
        ]

        assert {0, 1} <= stays(conversation, "How hot should the oven be for the rye bread?")

    def test_a_pasted_log_does_not_push_the_rest_out(self):
        log = "\n".join(
            f"10:{n % 60:02d} worker {n} finished without a result" for n in range(20_000)
        )
        conversation = chat(*BREAD, log, "I see nothing unusual.", *CAPITAL)

        assert {0, 1} <= stays(conversation, "How long does the rye dough rise overnight?")


@pytest.mark.parametrize(
    ("topic", "other", "question"),
    [
        pytest.param(
            ("如何给阳台上的番茄浇水？", "番茄每天早上浇水一次。"),
            ("世界上最高的山是哪座？", "珠穆朗玛峰。"),
            "阳台的番茄夏天要浇多少水？",
            id="Chinese",
        ),
        pytest.param(
            ("ギターの弦はどう交換しますか？", "古い弦を外してから新しい弦を張ります。"),
            ("一番高い山は何ですか？", "エベレスト山です。"),
            "ギターの弦が切れたら？",
            id="Japanese",
        ),
        pytest.param(
            ("김치찌개는 어떻게 끓이나요?", "김치찌개는 돼지고기와 김치를 볶고 물을 부으세요."),
            ("가장 높은 산은 무엇인가요?", "에베레스트산입니다."),
            "김치찌개에 두부를 넣어도 되나요?",
            id="Korean",
        ),
        pytest.param(
            ("วิธีทำต้มยำกุ้งเป็นอย่างไร", "ต้มยำกุ้งใส่กุ้ง ตะไคร้ และมะนาว"),
            ("ภูเขาที่สูงที่สุดคืออะไร", "เอเวอเรสต์"),
            "ต้มยำกุ้งใส่นมได้ไหม",
            id="Thai",
        ),
        pytest.param(
            ("Как вырастить рассаду помидоров?", "Рассаду помидоров сеют в марте в тепле."),
            ("Кто открыл Америку?", "Колумб в 1492 году."),
            "Когда рассада помидоров переезжает в теплицу?",
            id="Russian",
        ),
        pytest.param(
            ("كيف أعتني بنبات الصبار؟", "ضع الصبار في الشمس واسقه قليلا."),
            ("ما هو أعلى جبل؟", "جبل إيفرست."),
            "لماذا يصفر الصبار؟",
            id="Arabic",
        ),
        pytest.param(
            ("चाय में अदरक कैसे डालें?", "अदरक को कूटकर चाय में उबालें।"),
            ("सबसे ऊँचा पर्वत कौन सा है?", "माउंट एवरेस्ट।"),
            "अदरक वाली चाय में दूध कितना डालें?",
            id="Hindi",
        ),
        pytest.param(
            ("Wie pflege ich einen Apfelbaum?", "Den Apfelbaum schneidet man im Februar."),
            ("Wer malte die Seerosen?", "Claude Monet."),
            "Wann blühen Apfelbäume?",
            id="German",
        ),
        pytest.param(
            (
                "Comment réparer une chaîne de vélo ?",
                "Ouvrez la chaîne de vélo avec un dérive-chaîne.",
            ),
            ("Qui a peint les Nymphéas ?", "Claude Monet."),
            "Mes chaînes de vélos rouillent, que faire ?",
            id="French",
        ),
    ],
)
def test_a_topic_is_found_again_in_any_language(topic, other, question):
    conversation = chat(*topic, *other, *CAPITAL)

    for mode in MODES:
        assert {0, 1} <= stays(conversation, question, mode)
    assert stays(conversation, question) < set(range(6))
