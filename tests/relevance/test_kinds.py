"""Kinds of turns: what a question needs although the words do not tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.relevance import modes
from proxy.relevance.filter import decide
from proxy.relevance.text import embeddings

from .conversations import assistant, calling, chat, reasons, result, stays, system, user

MODES = ("very_strict", "strict", "lax")
DEFAULT = ("strict", "lax")

HOUSEHOLD = chat(
    "How long should I proof rye dough?",
    "About eight hours in the fridge.",
    "Which hammer for roof slates?",
    "A slater's hammer with a spike.",
    "Is the Baltic salty?",
    "Barely, under one percent.",
    "Good name for a grey cat?",
    "Ashby.",
    "Who invented the zip?",
    "Whitcomb Judson, later Sundback.",
    "Convert 3 stone to kilos",
    "19.05 kg",
)


class TestQuestionsAboutTheConversation:
    @pytest.mark.parametrize("mode", DEFAULT)
    @pytest.mark.parametrize(
        "question",
        [
            "Summarise everything we have talked about so far.",
            "Write meeting minutes of this conversation.",
            "List all questions I asked in this chat.",
            "Make a table of my questions and your answers.",
            "Fasse unser Gespräch zusammen.",
            "Welche Fragen habe ich dir bisher gestellt?",
            "Résume notre conversation depuis le début.",
            "Haz una lista de todas mis preguntas y tus respuestas.",
            "请总结一下我们刚才的对话。",
        ],
    )
    def test_keep_all_of_it(self, question, mode):
        assert stays(HOUSEHOLD, question, mode) == set(range(12))

    def test_the_reason_says_so(self):
        question = "Summarise everything we have talked about so far."

        assert reasons(HOUSEHOLD, question, "strict")[0] == "about the conversation"

    @pytest.mark.parametrize("mode", DEFAULT)
    def test_the_first_thing_keeps_the_first_exchange(self, mode):
        assert {0, 1} <= stays(HOUSEHOLD, "What was the first thing I asked you?", mode)


@pytest.mark.parametrize("mode", MODES)
class TestTasksOfTextAgents:
    STEPS = (
        ("<list_files><path>.</path></list_files>", "[list_files for '.'] Result:\nsetup.cfg\nsrc"),
        (
            "<read_file><path>setup.cfg</path></read_file>",
            "[read_file for 'setup.cfg'] Result:\n[metadata]\nname = ledger\n[options]\nzip = no",
        ),
        (
            "<execute_command><command>ls src</command></execute_command>",
            "[execute_command for 'ls src'] Result:\nCommand executed. Output:\napp.py\nutil.py",
        ),
        (
            "<read_file><path>src/util.py</path></read_file>",
            "[read_file for 'src/util.py'] Result:\ndef clean(value):\n    return value.strip()",
        ),
        (
            "<read_file><path>src/app.py</path></read_file>",
            "[read_file for 'src/app.py'] Result:\nfrom util import clean\nprint(clean(' 7 '))",
        ),
        (
            "<execute_command><command>python -m pytest</command></execute_command>",
            "[execute_command for 'python -m pytest'] Result:\nOutput:\n14 passed in 0.31s",
        ),
    )

    @pytest.mark.parametrize("steps", [3, 4, 5, 6])
    def test_the_task_stays_at_every_step(self, steps, mode):
        task = "<task>Rename the invoice number column to billing_ref everywhere.</task>"
        conversation = [system("You use one tool a message, written as XML."), user(task)]
        for call, answer in self.STEPS[:steps]:
            conversation += [assistant(call), user(answer)]
        *past, last = conversation

        assert 1 in stays(past, last.text, mode)

    def test_the_task_of_observations_stays(self, mode):
        conversation = chat(
            "Finde heraus, welche Brücke in Riga die älteste ist, und wann sie gebaut wurde.",
            "Thought: Ich suche zuerst.\nAction: search[Brücken Riga]",
            "Observation: Vanšu, Akmens, Dzelzceļa, Salu",
            "Thought: Die Eisenbahnbrücke sieht alt aus.\nAction: lookup[Dzelzceļa tilts]",
            "Observation: Dzelzceļa tilts, 1914, Stahl",
            "Thought: Und die Steinbrücke?\nAction: lookup[Akmens tilts]",
        )

        assert 0 in stays(conversation, "Observation: Akmens tilts, 1957, Beton", mode)


class TestMaterial:
    LEASE = (
        "Here is our rental contract, I'll ask you about it. §1 The flat in Birch Lane 4 is let "
        "from 1 May. §2 Rent is 900 due on the third of the month. §5 Pets need consent. §7 "
        "Subletting needs written consent. §9 Notice is three months to the end of a quarter. "
        "§11 Repairs up to 80 are the tenant's."
    )

    @pytest.mark.parametrize("mode", DEFAULT)
    @pytest.mark.parametrize(
        "question",
        ["How early must I tell them that I move out?", "The tap drips. Who pays the plumber?"],
    )
    def test_a_contract_given_once_stays(self, question, mode):
        conversation = chat(
            self.LEASE,
            "Thanks, go ahead.",
            "What does it cost me each month?",
            "900.",
            "By when do I have to transfer it?",
            "By the third.",
            "May my cousin live there while I travel?",
            "Only with consent in writing.",
        )

        assert 0 in stays(conversation, question, mode)

    @pytest.mark.parametrize("mode", DEFAULT)
    @pytest.mark.parametrize(
        "question", ["Now the average length of a visit, please", "Give me the busiest weekday."]
    )
    def test_a_schema_stays(self, question, mode):
        conversation = chat(
            "Schema: CREATE TABLE guests(id int, nm text, arr date); CREATE TABLE stays(gid int, "
            "room int, eur numeric, dep date); I'll ask for queries.",
            "Ready.",
            "Guests without a stay",
            "SELECT nm FROM guests LEFT JOIN stays ON gid = id WHERE gid IS NULL;",
            "What's the difference between INNER and LEFT?",
            "INNER keeps matches alone, LEFT keeps all rows of the left table.",
            "And a VIEW, what is that?",
            "A stored query that is read like a table.",
        )

        assert 0 in stays(conversation, question, mode)

    @pytest.mark.parametrize("mode", DEFAULT)
    def test_a_script_stays_past_asides(self, mode):
        conversation = chat(
            "Voici mon script :\n```python\nimport csv\nfor r in csv.reader(open('prix.csv')):\n"
            "    print(r[0], float(r[3]) * 1.19)\n```",
            "Il affiche le prix net plus la taxe.",
            "Python est-il plus lent que Go ?",
            "Souvent, pour le calcul pur.",
            "Un bon éditeur sur un Chromebook ?",
            "VS Code dans le conteneur Linux.",
        )

        assert 0 in stays(conversation, "Ça plante quand une cellule est vide, corrige", mode)


@pytest.mark.parametrize("mode", DEFAULT)
class TestFacts:
    @pytest.mark.parametrize(
        ("fact", "answer", "others", "question"),
        [
            (
                "My daughter has coeliac disease.",
                "I'll keep that in mind.",
                (
                    "Which bike size for a seven year old?",
                    "20 inches.",
                    "And a helmet?",
                    "Measure her head, 52 cm is usual.",
                    "Nice park in Leeds?",
                    "Roundhay, with the lake.",
                ),
                "Plan her birthday menu",
            ),
            (
                "Wir haben für das ganze Fest nur 40 Euro.",
                "Notiert.",
                (
                    "Welche Spiele für draußen?",
                    "Sackhüpfen und Topfschlagen.",
                    "Eine Musikliste?",
                    "Kinderlieder, eine halbe Stunde.",
                    "Wie befestige ich Luftballons?",
                    "Mit Schnur am Zaun.",
                ),
                "Was soll ich zu essen anbieten?",
            ),
            (
                "Je conduis un break diesel de 2009.",
                "C'est noté.",
                (
                    "Quelle route pour Lyon ?",
                    "L'A6 est la plus courte.",
                    "Il va pleuvoir ?",
                    "Un peu, dans l'après-midi.",
                    "Une bonne boulangerie à Beaune ?",
                    "Celle de la place Carnot.",
                ),
                "Ai-je le droit d'entrer dans la zone à faibles émissions ?",
            ),
            (
                "我丈夫对海鲜过敏。",
                "好的,记住了。",
                (
                    "周末去哪里玩?",
                    "可以去西湖走走。",
                    "停车方便吗?",
                    "早点去就有位子。",
                    "带什么外套?",
                    "薄的就够了。",
                ),
                "帮我们点一桌晚饭的菜",
            ),
        ],
    )
    def test_a_plain_statement_that_binds_stays(self, fact, answer, others, question, mode):
        assert 0 in stays(chat(fact, answer, *others), question, mode)


THANKS = {
    "en": "Thank you, that helps a lot. I will take it into account in everything I suggest. ",
    "de": "Danke, das hilft mir sehr weiter, und ich werde es bei allem berücksichtigen. ",
    "fr": "Merci de me le dire, j'en tiendrai compte dans tout ce que je vous proposerai. ",
    "es": "Gracias por decírmelo, lo tendré en cuenta en todo lo que te proponga. ",
    "zh": "谢谢你告诉我,以后我给出的每一个建议都会考虑到这一点。",
}
ASIDES = {
    "en": (
        ("Nice park in Leeds?", "Roundhay has a lake, wide lawns and a tropical house. "),
        ("How do I patch a tyre?", "Roughen the rubber and press the patch on for a minute. "),
        ("What lights does the law want?", "White in front and red behind, and reflectors. "),
        ("Which bike for a child of seven?", "Twenty inches, if both feet reach the ground. "),
    ),
    "de": (
        ("Eine Musikliste?", "Kinderlieder für eine halbe Stunde, danach ruhige Stücke. "),
        ("Wie befestige ich Luftballons?", "Mit Schnur am Zaun, immer drei zusammen. "),
        ("Wann wird es im Juni dunkel?", "Gegen zehn Uhr abends, im Norden etwas später. "),
        ("Welche Spiele für draußen?", "Sackhüpfen und Topfschlagen gehen auf jeder Wiese. "),
    ),
    "fr": (
        ("Quelle route pour Lyon ?", "L'autoroute A6 est la plus courte, mais chère. "),
        ("Il va pleuvoir ?", "Un peu dans l'après-midi, surtout sur les hauteurs. "),
        ("Une boulangerie à Beaune ?", "Celle de la place Carnot ouvre à six heures. "),
        ("Que voir à Cluny ?", "L'abbaye, le haras et une tour que l'on peut monter. "),
    ),
    "es": (
        ("¿Qué museo abre el lunes?", "El Thyssen abre por la tarde, hasta las cuatro. "),
        ("¿Cómo llego desde Atocha?", "Andando son quince minutos por el paseo. "),
        ("¿Hay taquillas?", "Sí, junto a la entrada, con una moneda que se devuelve. "),
        ("¿Qué tiempo hará?", "Sol por la mañana y nubes después, sin lluvia. "),
    ),
    "zh": (
        ("停车方便吗?", "早点去就有位子,过了九点就要排队。"),
        ("带什么外套?", "薄的就够了,早晚有点凉,中午会很暖和。"),
        ("坐地铁怎么走?", "坐一号线到龙翔桥站,出口出来往西走五分钟。"),
        ("有什么好看的展览?", "博物馆里有瓷器展,一直开到月底。"),
    ),
}


@pytest.mark.parametrize(("mode", "times"), [("strict", 3), ("strict", 6), ("lax", 12)])
class TestFactsAmongLongAnswers:
    """Models answer at length, also what only tells them something."""

    @pytest.mark.parametrize(
        ("language", "fact", "question"),
        [
            ("en", "My daughter has coeliac disease.", "Plan her birthday menu"),
            ("en", "By the way, I can't have peanuts.", "Suggest a snack for the train"),
            ("en", "We've got 60 pounds for the whole weekend.", "Where should we have dinner?"),
            ("en", "My name is Oriel Vance and I run a bakery.", "Write to my landlord"),
            ("en", "I'm in a wheelchair, just so you know.", "Which route to the castle?"),
            ("de", "Mein Sohn verträgt keine Milch.", "Schlag einen Nachtisch vor"),
            ("de", "Wir haben für das ganze Fest nur 40 Euro.", "Was soll ich zu essen anbieten?"),
            ("de", "Ich heiße Mareike und arbeite bei Lindholz.", "Schreib eine Absage"),
            ("fr", "Ma femme est allergique aux noix.", "Propose un dessert pour dimanche"),
            ("fr", "Je conduis un diesel de 2009.", "Puis-je entrer dans la zone écologique ?"),
            ("es", "Soy intolerante a la lactosa.", "¿Qué desayuno me recomiendas?"),
            ("es", "Viajo con dos niños y un perro.", "Busca un sitio para dormir"),
            ("zh", "我丈夫对海鲜过敏。", "帮我们点一桌晚饭的菜"),
            ("zh", "我的预算只有三百块。", "给我推荐一双鞋"),
        ],
    )
    def test_stay(self, language: str, fact: str, question: str, times: int, mode: str):
        thanks = THANKS[language] * (times // 3)
        asides = [text for ask, answer in ASIDES[language] for text in (ask, answer * times)]

        assert 0 in stays(chat(fact, thanks, *asides), question, mode)
        assert 2 in stays(chat(*asides[:2], fact, thanks, *asides[2:]), question, mode)


@pytest.mark.parametrize("mode", DEFAULT)
class TestExamples:
    def test_worked_pairs_stay_together(self, mode):
        conversation = [
            system("Classify the sentiment. Answer with one code."),
            *chat(
                "The soup was cold and the waiter rude.",
                "NEG-3",
                "Lovely staff, we'll be back!",
                "POS-2",
                "It was fine, nothing special.",
                "NEU-1",
                "My laptop arrived with a cracked hinge.",
                "NEG-2",
            ),
        ]

        assert stays(conversation, "Great battery life on this phone.", mode) == set(range(9))

    def test_pairs_of_one_json_shape_stay_together(self, mode):
        conversation = chat(
            "Anna Berg, 34, aus Kiel",
            '{"name": "Berg", "alter": 34, "ort": "KI"}',
            "der Peter Holm, fünfzig, wohnt in Köln",
            '{"name": "Holm", "alter": 50, "ort": "K"}',
            "Frau Ito aus München (29)",
            '{"name": "Ito", "alter": 29, "ort": "M"}',
            "Tom Lind, Bremen, 61",
            '{"name": "Lind", "alter": 61, "ort": "HB"}',
        )

        assert stays(conversation, "Eva Noll, 45, Leipzig", mode) == set(range(8))


@pytest.mark.parametrize("mode", DEFAULT)
class TestWorkOfToolSessions:
    SESSION = (
        system("You are a coding agent."),
        user("Add a dark theme to the settings page. Keep the old colours reachable by a switch."),
        calling("a", text='read {"path": "settings.tsx"}'),
        result("a", "export function Settings() { return <Panel/> }"),
        calling("b", text='write {"path": "theme.css", "text": ".dark { color: #777 }"}'),
        result("b", "ok"),
        assistant("Done: theme.css and a switch."),
        user("run the linter"),
        calling("c", text='bash {"command": "npm run lint"}'),
        result("c", "2 warnings in cart.ts"),
        assistant("Two warnings in cart.ts, not ours."),
        user("ignore those. commit"),
        calling("d", text='bash {"command": "git commit -am theme"}'),
        result("d", "[main 3f2a] theme"),
        assistant("Committed."),
        user("what's our node version"),
        calling("e", text='bash {"command": "node -v"}'),
        result("e", "v22.3.0"),
        assistant("22.3."),
    )

    @pytest.mark.parametrize(
        "question",
        [
            "the contrast is too low, raise it",
            "undo your last change to the stylesheet",
            "write the changelog entry for what you did today",
            "anything left to do from my first request?",
        ],
    )
    def test_stays_for_a_short_order_about_it(self, question, mode):
        assert set(range(1, 7)) <= stays(self.SESSION, question, mode)


@pytest.mark.parametrize("mode", DEFAULT)
class TestPointingPastAnAside:
    def test_an_ordinal_keeps_the_list_that_it_points_into(self, mode):
        conversation = chat(
            "Suggest three names for my bakery.",
            "1. Crumb & Co\n2. The Proofing Room\n3. Oven Street",
            "What does a used oven cost?",
            "About 4000 euros.",
            "Do I need a permit?",
            "Yes, from the food office.",
        )

        assert {0, 1} <= stays(conversation, "I'll take the second one, make a slogan", mode)

    def test_an_order_to_change_code_keeps_the_code(self, mode):
        conversation = chat(
            "I have *added these files to the chat* so you can go ahead and edit them.\n\ncart.py\n"
            "```\nclass Basket:\n    def __init__(self):\n        self.lines = []\n"
            "    def add(self, line):\n        self.lines.append(line)\n```",
            "Ok, any changes I propose will be to those files.",
            "why is the sky blue",
            "Rayleigh scattering.",
        )

        assert {0, 1} <= stays(conversation, "make it thread safe please", mode)


class TestCorrections:
    @pytest.mark.parametrize("mode", MODES)
    def test_a_stale_value_never_stays_where_its_correction_goes(self, mode):
        conversation = chat(
            "Our flight to Porto leaves at 7:40 on Friday.",
            "Noted, 7:40.",
            "Is the tram to the beach slow?",
            "Half an hour.",
            "The airline moved it, we now leave at 11:15.",
            "Then 11:15.",
            "What's a francesinha?",
            "A sandwich drowned in sauce.",
            "Are sardines in season?",
            "From June to September.",
        )

        for question in (
            "When do we leave home?",
            "Book a taxi to the flight",
            "How long till Friday?",
        ):
            kept = stays(conversation, question, mode)
            assert 4 in kept or 0 not in kept


class TestDoubt:
    @pytest.mark.parametrize("mode", MODES)
    def test_confidence_is_a_probability(self, mode):
        verdicts = decide([*HOUSEHOLD, user("Which flour suits rye dough best?")], mode)

        assert 0 <= verdicts.confidence <= 1

    def test_nothing_dropped_is_sure(self):
        verdicts = decide([*HOUSEHOLD, user("Summarise all we have talked about.")], "strict")

        assert verdicts.confidence == 1

    def test_what_stays_for_the_risk_alone_says_so(self, monkeypatch):
        monkeypatch.setitem(modes.MOST_RISK, "strict", 0.0)

        why = reasons(HOUSEHOLD, "Which flour suits rye dough best?", "strict")

        assert any(reason.startswith("not sure; ") for reason in why)
        assert stays(HOUSEHOLD, "Which flour suits rye dough best?", "strict") == set(range(12))


class TestTheLastExchange:
    PAST = HOUSEHOLD[:4] + chat("Is the Baltic salty?", "Barely, under one percent.")
    QUESTION = "How long does rye dough have to proof at room temperature?"

    @pytest.mark.parametrize("mode", DEFAULT)
    def test_stays_in_milder_modes(self, mode):
        assert {4, 5} <= stays(self.PAST, self.QUESTION, mode)

    def test_may_go_in_the_strictest_where_the_question_stands_alone(self):
        assert not {4, 5} & stays(self.PAST, self.QUESTION, "very_strict")

    def test_stays_in_the_strictest_where_the_question_goes_on_with_it(self):
        assert {4, 5} <= stays(self.PAST, "And why is that?", "very_strict")

    def test_stays_in_the_strictest_where_its_meaning_is_not_known_yet(self):
        known, unknown = embeddings.packed([1.0, 0.0]), embeddings.nothing(2)
        conversation = [
            replace(message, vector=unknown if place in (4, 5) else known)
            for place, message in enumerate([*self.PAST, user(self.QUESTION)])
        ]

        fates = [verdict.fate for verdict in decide(conversation, "very_strict")]

        assert fates[4:6] == ["protected", "protected"]
