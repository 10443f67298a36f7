"""The chat as it is used in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from alchemyst.accounts.models import User
from chats.models import Chat, Generation, Message
from personas.models import Persona
from tests.chats.answers import persona
from tests.fakes import FakeProvider
from tests.web.writing import Writing, behave_as, words

ONE_CHAT = re.compile(r"/chat/[0-9a-f-]{36}$")


@pytest.fixture
def writing(alice: User, provider: FakeProvider, shipped: None) -> Writing:
    """Maya's model."""
    made = behave_as(Writing(), provider)
    persona(alice, provider, "writing")
    return made


def field(page: Page) -> Locator:
    return page.locator("#composer textarea")


def ask(page: Page, text: str) -> None:
    """Ask, and see the question in the thread."""
    questions = page.locator("article.question")
    before = questions.count()
    field(page).fill(text)
    field(page).press("Enter")
    expect(questions).to_have_count(before + 1)


def answered(page: Page) -> Locator:
    """The last answer, once it is whole."""
    expect(page.locator("#send")).to_be_visible()
    return page.locator("article.answer").last


@pytest.fixture
def tea(signed_in: Page, alice: User, writing: Writing) -> Page:
    """Alice's chat about tea, open: two exchanges."""
    chat = Chat.objects.create(
        owner=alice, title="Tea", persona_version=Persona.objects.get(slug="maya").current
    )
    for place, text in enumerate(("Which tea?", "Oolong.", "How hot?", "Ninety degrees.")):
        chat.append(("user", "assistant")[place % 2], text)
    signed_in.goto(f"/chat/{chat.pk}")
    return signed_in


class TestAsking:
    def test_a_first_question_makes_a_chat_whose_answer_comes_as_it_is_written(
        self, signed_in: Page, writing: Writing
    ):
        writing.says("# Bread\n\nIt ", "rises", " slowly.", held=1)
        signed_in.goto("/chat")

        ask(signed_in, "How long does bread rise?")

        expect(signed_in).to_have_url(ONE_CHAT)
        expect(signed_in.locator(".blocks h1")).to_have_text("Bread")
        expect(signed_in.locator(".tail")).to_contain_text("It rises")
        expect(signed_in.locator("#stop")).to_be_visible()
        writing.let_go()
        expect(answered(signed_in)).to_contain_text("It rises slowly.")

    def test_a_starter_asks_at_once_and_the_chosen_persona_answers(
        self, signed_in: Page, alice: User, provider: FakeProvider, writing: Writing
    ):
        persona(alice, provider, "writing", slug="ada", starters=["Why is SQL slow?"])
        signed_in.goto("/chat")

        signed_in.get_by_text("Ada", exact=True).click()
        expect(field(signed_in)).to_have_attribute("placeholder", "Ask Ada")
        signed_in.get_by_role("button", name="Why is SQL slow?").click()

        expect(answered(signed_in)).to_contain_text("Sourdough rises slowly.")
        assert Chat.objects.get().persona_version.persona.slug == "ada"

    def test_enter_sends_and_shift_enter_breaks_the_line(self, tea: Page):
        field(tea).press_sequentially("one")
        field(tea).press("Shift+Enter")
        field(tea).press_sequentially("two")

        field(tea).press("Enter")

        answered(tea)
        expect(tea.locator("article.question .bubble").last).to_have_text("one\ntwo")
        expect(field(tea)).to_have_value("")

    def test_enter_that_ends_a_composition_does_not_send(self, tea: Page):
        field(tea).fill("にほん")

        field(tea).dispatch_event(
            "keydown", {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
        )

        expect(field(tea)).to_have_value("にほん")
        assert Message.objects.count() == 4

    def test_a_draft_is_kept_for_each_chat(self, tea: Page):
        field(tea).fill("half a thought")

        tea.goto("/chat")
        expect(field(tea)).to_have_value("")
        tea.go_back()

        expect(field(tea)).to_have_value("half a thought")

    def test_what_could_not_be_sent_stays_and_is_asked_once(
        self, tea: Page, context: BrowserContext
    ):
        context.set_offline(True)
        field(tea).fill("And then?")
        tea.locator("#send").click()
        expect(tea.locator("#offline")).to_contain_text("Not sent")
        expect(field(tea)).to_have_value("And then?")

        context.set_offline(False)
        tea.locator("#send").click()

        expect(answered(tea)).to_contain_text("Sourdough")
        assert Message.objects.filter(content="And then?").count() == 1


class TestWhileItIsWritten:
    def test_stop_keeps_what_there_is(self, tea: Page, writing: Writing):
        writing.says("One.\n\n", "Two.", " Three.", held=1)
        ask(tea, "Count.")
        expect(tea.locator(".tail").last).to_contain_text("Two.")

        tea.keyboard.press("Escape")

        expect(answered(tea)).to_contain_text("Two.")
        assert Generation.objects.get().state == "stopped"
        expect(answered(tea).get_by_role("button", name="Continue")).to_be_visible()

    def test_a_reload_in_the_middle_goes_on(self, tea: Page, writing: Writing):
        writing.says("One.\n\n", "Two.", " Three.", held=1)
        ask(tea, "Count.")
        expect(tea.locator(".tail").last).to_contain_text("Two.")

        tea.reload()

        expect(tea.locator(".is-live")).to_contain_text("Two.")
        writing.let_go()
        expect(answered(tea)).to_contain_text("Three.")

    def test_a_second_tab_sees_the_same(self, tea: Page, context: BrowserContext, writing: Writing):
        other = context.new_page()
        other.goto(tea.url)
        writing.says("One.\n\n", "Two.", " Three.", held=1)

        ask(tea, "Count.")

        expect(other.locator("article.question .bubble").last).to_have_text("Count.")
        expect(other.locator(".tail").last).to_contain_text("Two.")
        writing.let_go()
        expect(answered(other)).to_contain_text("Three.")

    def test_finished_blocks_are_never_drawn_again(self, tea: Page, writing: Writing):
        writing.says("First block.\n\n", "Second block.\n\n", "Tail", " grows.", held=2)
        ask(tea, "Write.")
        first = tea.locator(".is-live .blocks > p").first
        expect(first).to_have_text("First block.")
        first.evaluate("(element) => (element.marked = true)")

        writing.let_go(1)
        expect(tea.locator(".is-live .tail")).to_contain_text("Tail")

        assert first.evaluate("(element) => element.marked")

    def test_it_is_followed_at_the_end_only(self, tea: Page, writing: Writing):
        writing.says(*[f"Line {n}.\n\n" for n in range(60)], "Last line.", held=1)
        ask(tea, "Write much.")
        expect(tea.locator(".is-live .blocks > p")).to_have_count(59)
        box = tea.locator("#scroll")
        box.evaluate("(box) => (box.scrollTop = 0)")
        expect(tea.get_by_role("button", name="Jump to the end")).to_be_visible()

        writing.let_go()
        answered(tea)

        assert box.evaluate("(box) => box.scrollTop") == 0
        tea.get_by_role("button", name="Jump to the end").click()
        expect(tea.get_by_text("Last line.", exact=True)).to_be_in_viewport()

    def test_a_connection_that_comes_back_brings_what_was_missed(
        self, tea: Page, context: BrowserContext, writing: Writing
    ):
        writing.says("One.\n\n", "Two.", " Three.", held=1)
        ask(tea, "Count.")
        expect(tea.locator(".tail").last).to_contain_text("Two.")

        context.set_offline(True)
        tea.evaluate("() => dispatchEvent(new Event('offline'))")
        expect(tea.locator("#offline")).to_contain_text("No connection")
        writing.let_go()
        context.set_offline(False)

        expect(answered(tea)).to_contain_text("Three.")


class TestBranches:
    def test_regenerate_keeps_the_old_answer_beside_the_new_one(self, tea: Page, writing: Writing):
        tea.get_by_role("button", name="Regenerate").last.click()
        expect(answered(tea)).to_contain_text("Sourdough")
        expect(answered(tea).locator(".branches")).to_contain_text("2 / 2")

        answered(tea).get_by_role("button", name="The one before").click()

        expect(answered(tea)).to_contain_text("Ninety degrees.")
        expect(answered(tea).locator(".branches")).to_contain_text("1 / 2")

    def test_an_edited_question_is_asked_again_beside_the_old_one(self, tea: Page):
        question = tea.locator("article.question").last
        question.hover()
        question.locator("summary").click()
        colours = "(button) => getComputedStyle(button).color"
        again = question.get_by_role("button", name="Ask again")
        assert again.evaluate(colours) == tea.locator("#send").evaluate(colours)
        question.locator("textarea").fill("How cold?")
        question.get_by_role("button", name="Ask again").click()

        expect(tea.locator("article.question .bubble").last).to_have_text("How cold?")
        expect(answered(tea)).to_contain_text("Sourdough")
        expect(tea.locator("article.question").last.locator(".branches")).to_contain_text("2 / 2")
        assert Message.objects.filter(content="How hot?").exists()

    def test_a_fork_holds_the_messages_up_to_the_one_chosen(self, tea: Page):
        tea.get_by_role("button", name="Fork from here").nth(1).click()

        expect(tea.get_by_text("This is a copy.")).to_be_visible()
        expect(tea.locator("article.message")).to_have_count(2)
        assert Chat.objects.count() == 2


class TestInspector:
    def test_shows_each_message_with_its_fate_and_lets_it_be_pinned(
        self, tea: Page, writing: Writing
    ):
        for text in ("My cat is called Ada, and she is black.", "What rises slowly?"):
            ask(tea, text)
            expect(tea.locator("article.question .bubble").last).to_have_text(text)
            answered(tea)
        pane = tea.locator("#inspector")

        expect(pane.locator(".inspector-message")).to_have_count(8)
        expect(pane.locator(".inspector-message").first).to_contain_text("Maya's instructions")
        dropped = pane.locator(".is-dropped").first
        expect(dropped).to_contain_text("Which tea?")
        dropped.get_by_role("button", name="Pin").click()

        expect(pane.get_by_role("button", name="Pinned")).to_be_visible()
        assert Message.objects.get(content="Which tea?").fate == "pinned"


class TestManaging:
    def test_a_chat_is_renamed_where_its_title_stands(self, tea: Page):
        tea.locator(".chat-title summary").click()
        tea.get_by_label("Title").fill("Hot water")
        tea.get_by_label("Title").press("Enter")

        expect(tea.locator("#chats [aria-current]")).to_have_text("Hot water")
        assert Chat.objects.get().has_own_title

    def test_a_deleted_chat_comes_back_by_undo(self, tea: Page):
        tea.locator("#chat-head .menu summary").last.click()
        tea.locator("#chat-head").get_by_role("button", name="Delete").click()
        expect(tea.locator("#chats .nav-link")).to_have_count(0)

        tea.get_by_role("button", name="Undo").click()

        expect(tea.locator("#chats [aria-current]")).to_have_text("Tea")

    def test_a_pinned_chat_stands_first(self, tea: Page, alice: User):
        Chat.objects.create(owner=alice, title="Newer")
        tea.locator("#chat-head .menu summary").last.click()
        tea.locator("#chat-head").get_by_role("button", name="Pin").click()

        expect(tea.locator("#chats h2").first).to_have_text("Pinned")
        expect(tea.locator("#chats .nav-link").first).to_have_text("Tea")

    def test_search_finds_as_one_types(self, tea: Page):
        tea.keyboard.press("Control+k")
        tea.keyboard.type("oolo")

        hit = tea.locator("#found a")
        expect(hit).to_contain_text("Tea")
        expect(hit.locator("mark")).to_have_text("Oolong")
        tea.keyboard.press("ArrowDown")
        expect(hit).to_be_focused()

    def test_more_chats_come_as_one_scrolls(self, signed_in: Page, alice: User, writing: Writing):
        Chat.objects.bulk_create(Chat(owner=alice, title=f"Chat {n}") for n in range(90))
        signed_in.goto("/chat")
        rows = signed_in.locator("#chats .chat-row")
        expect(rows).to_have_count(40)

        signed_in.locator("#chats").evaluate("(list) => (list.scrollTop = list.scrollHeight)")

        expect(rows).to_have_count(80)

    def test_earlier_messages_come_as_one_scrolls_up(
        self, signed_in: Page, alice: User, writing: Writing
    ):
        chat = Chat.objects.create(owner=alice, title="Long")
        chat.bulk_append(Message(role="system", content=f"Message {n}") for n in range(100))
        signed_in.goto(f"/chat/{chat.pk}")
        expect(signed_in.get_by_text("Message 99", exact=True)).to_be_in_viewport()

        signed_in.locator("#scroll").evaluate("(box) => (box.scrollTop = 0)")

        expect(signed_in.get_by_text("Message 45", exact=True)).to_be_attached()

    def test_what_was_put_away_is_found_from_the_menu(self, tea: Page, alice: User):
        Chat.objects.create(owner=alice, title="Put away", is_archived=True)
        tea.locator(".sidebar-foot summary").click()
        tea.locator(".sidebar-foot").get_by_role("link", name="All chats").click()
        tea.get_by_role("link", name="Archive").click()

        expect(tea.get_by_role("link", name="Put away")).to_be_visible()
        expect(tea.locator(".sidebar [aria-current]")).to_have_text("All chats")
        for name in ("Shared", "Trash"):
            tea.get_by_role("link", name=name, exact=True).click()
            expect(tea.get_by_role("heading", name=name, exact=True)).to_be_visible()


class TestSharing:
    def test_a_stranger_reads_the_copy_until_it_is_revoked(
        self, tea: Page, new_context: Callable[..., BrowserContext]
    ):
        tea.locator("#chat-head .menu summary").last.click()
        tea.locator("#chat-head").get_by_role("button", name="Share a copy").click()
        tea.get_by_role("dialog").get_by_role("button", name="Share", exact=True).click()
        address = tea.locator(".code code").inner_text()

        stranger = new_context().new_page()
        response = stranger.goto(address)
        assert response is not None
        assert "noindex" in response.headers["x-robots-tag"]
        expect(stranger.get_by_text("Ninety degrees.")).to_be_visible()
        expect(stranger.get_by_role("button")).to_have_count(0)

        tea.get_by_role("button", name="Revoke").click()
        revoked = stranger.goto(address)
        assert revoked is not None
        assert revoked.status == 404


class TestWithoutAScript:
    @pytest.fixture
    def page(
        self,
        new_context: Callable[..., BrowserContext],
        alice: User,
        sign_in: Callable[[BrowserContext, User], None],
    ) -> Page:
        context = new_context(java_script_enabled=False)
        sign_in(context, alice)
        return context.new_page()

    def test_one_can_ask_and_read(self, page: Page, writing: Writing):
        page.goto("/chat")
        field(page).fill("How long does bread rise?")
        page.get_by_role("button", name="Send").click()

        expect(page.locator("article.answer")).to_contain_text("Sourdough rises slowly.")

    def test_one_can_search(self, page: Page, alice: User):
        Chat.objects.create(owner=alice, title="Tea").append("user", "Which oolong?")

        page.goto("/search?q=oolong")

        expect(page.locator(".found mark")).to_have_text("oolong")


HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


class TestHostileText:
    def test_in_titles_questions_answers_and_personas_stays_text(
        self, signed_in: Page, writing: Writing
    ):
        writing.says(*words(f"{HOSTILE}\n\n```html\n{HOSTILE}\n```\n\n{HOSTILE}"))
        maya = Persona.objects.get(slug="maya")
        maya.revise(name=HOSTILE[:80], description=HOSTILE, starters=[HOSTILE])
        signed_in.goto("/chat")
        ask(signed_in, HOSTILE)
        answered(signed_in)
        Chat.objects.update(title=HOSTILE, has_own_title=True)

        for path in (signed_in.url, "/chat", "/chats", "/search?q=img", "/personas"):
            signed_in.goto(path)
            expect(signed_in.locator("body")).to_be_visible()
            assert signed_in.title() != "hacked"
            expect(signed_in.locator("img")).to_have_count(0)


class TestAccess:
    def test_a_strangers_chat_is_not_there(
        self,
        tea: Page,
        bob: User,
        new_context: Callable[..., BrowserContext],
        sign_in: Callable[[BrowserContext, User], None],
    ):
        context = new_context()
        sign_in(context, bob)
        page = context.new_page()

        response = page.goto(tea.url)

        assert response is not None
        assert response.status == 404

    @pytest.mark.parametrize("width", [360, 768, 1440])
    def test_nothing_is_wider_than_the_page(self, tea: Page, writing: Writing, width: int):
        writing.says(
            "| a | b |\n|---|---|\n| " + "wide " * 60 + "| x |\n\n```\n" + "y" * 300 + "\n```"
        )
        tea.set_viewport_size({"width": width, "height": 740})
        ask(tea, "x" * 300)
        answered(tea)

        wider = "() => [...document.querySelectorAll('main, .chat, .chat > *, article')].filter("
        wider += "(each) => each.getBoundingClientRect().right > innerWidth).length"
        assert tea.evaluate(wider) == 0
        expect(field(tea)).to_be_in_viewport()

    def test_every_page_is_accessible(
        self, tea: Page, writing: Writing, accessible: Callable[[Page], None]
    ):
        writing.says("# A\n\n- b\n\n```python\nx = 1  # c\n```\n\n| a |\n|---|\n| 1 |\n\n$$x^2$$")
        ask(tea, "Show everything.")
        answered(tea)
        accessible(tea)
        tea.locator("article.question").last.hover()
        tea.locator("article.question summary").last.click()
        accessible(tea)
        for path in (
            "/chat",
            "/chats",
            "/trash",
            "/search?q=tea",
            "/personas",
            "/personas/new",
            "/shared",
        ):
            tea.goto(path)
            accessible(tea)

    def test_by_the_keyboard_alone(self, tea: Page):
        tea.keyboard.press("Control+Shift+o")
        expect(tea).to_have_url(re.compile(r"/chat$"))
        expect(field(tea)).to_be_focused()
        tea.keyboard.type("Hello")
        tea.keyboard.press("Enter")
        expect(answered(tea)).to_contain_text("Sourdough")

        tea.locator("h1").first.focus()
        tea.locator("#scroll").focus()
        tea.keyboard.press("?")
        expect(tea.get_by_role("heading", name="Keys")).to_be_visible()
