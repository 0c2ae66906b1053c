"""Two counselors and a person, each in a real Chromium: the crisis appears, is claimed, answered and handed back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from bot.app import create_app
from tests.browser.conftest import Widget
from tests.counselors import CRISIS, Counselor, in_crisis, make
from tests.fakes import FakeRasa, MovedClock, ThreadedServer, wait_until
from tests.stack import DeskThread, free_port


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskThread]:
    rasa = FakeRasa(free_port())
    desk = DeskThread(MovedClock(), home=tmp_path_factory.mktemp("console"), rasa_url=rasa.url, staffed_hours="24/7")
    desk.rasa = rasa
    desk.wait_for_record()
    yield desk
    desk.stop()
    rasa.stop()


class Console:
    """A counselor at the console. The page's own errors and refusals of its policy fail the test."""

    def __init__(self, context: BrowserContext, counselor: Counselor) -> None:
        self.counselor, self.page, self.errors = counselor, context.new_page(), []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", self._watch)

    def _hear(self, message) -> None:  # type: ignore[no-untyped-def]
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def _watch(self, request) -> None:  # type: ignore[no-untyped-def]
        if not request.url.startswith((self.counselor.desk.url, "data:")):
            self.errors.append(f"asked elsewhere: {request.url}")

    def sign_in(self) -> Console:
        self.page.goto(self.counselor.desk.url + "/console/")
        self.page.get_by_label("Name").fill(self.counselor.name)
        self.page.get_by_label("Password").fill(self.counselor.given.password)
        self.page.get_by_label("Code").fill(self.counselor.code())
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Queue")).to_be_visible()
        expect(self.page.locator("#line")).to_have_text("Live")
        return self

    def row(self, conversation: str):  # type: ignore[no-untyped-def]
        return self.page.locator(f'.row[data-id="{conversation}"]')


@pytest.fixture
def console(browser: Browser, desk: DeskThread) -> Iterator[object]:
    """Sign a counselor in, in a browser profile of their own."""
    opened: list[tuple[BrowserContext, Console]] = []

    def sign_in(name: str, role: str = "counselor", **options: object) -> Console:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        opened.append((context, Console(context, make(desk, name, role))))
        return opened[-1][1].sign_in()

    yield sign_in
    for context, console in opened:
        context.close()
        assert console.errors == []


@pytest.fixture
def person(browser: Browser, desk: DeskThread) -> Iterator[Widget]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    widget = Widget(context.new_page(), desk.url)
    widget.visit().open()
    yield widget
    context.close()
    assert widget.errors == []


def test_a_crisis_is_seen_claimed_answered_and_handed_back(console, person: Widget) -> None:  # type: ignore[no-untyped-def]
    sam, kim = console("sam"), console("kim")
    sam.page.get_by_role("heading", name="Queue").click()  # a browser allows sound after the first click
    expect(sam.page.locator("#sound")).to_have_text("Sound on")
    person.say(CRISIS)
    row = sam.page.locator(".row.crisis.waiting")
    expect(row).to_have_count(1)
    expect(sam.page.locator("body")).to_have_attribute("data-sounded", "1")
    expect(sam.page).to_have_title("(1) Queue · Handrail console")
    row.get_by_role("button", name="Claim").click()
    expect(sam.page.get_by_text("You are speaking. The program is quiet.")).to_be_visible()
    expect(sam.page.locator("#line")).to_have_text("Live")
    expect(sam.page.locator(".message.flagged .text")).to_have_text(CRISIS)
    expect(kim.page.get_by_text("With Sam")).to_be_visible()
    expect(kim.page.get_by_text("Sam looking")).to_be_visible()
    expect(person.log.get_by_text("A counselor is here now.")).to_be_visible()
    sam.page.keyboard.press("r")
    sam.page.keyboard.type("I am Sam, a counselor. <b>I am glad you wrote.</b>")
    sam.page.keyboard.press("Control+Enter")
    expect(person.page.locator(".message.counselor .body")).to_have_text(
        "I am Sam, a counselor. <b>I am glad you wrote.</b>"
    )
    expect(sam.page.locator(".message.counselor")).to_have_count(1)
    expect(sam.page.locator("#text")).to_have_value("")
    person.say("thank you")
    expect(sam.page.locator(".message.person").last.locator(".text")).to_have_text("thank you")
    sam.page.get_by_text("Hand back to the program").click()
    sam.page.get_by_role("button", name="Hand back", exact=True).click()
    expect(person.log.get_by_text("The counselor has left this chat.")).to_be_visible()
    expect(sam.row(sam.page.locator(".row").first.get_attribute("data-id")).locator(".clock")).to_be_visible()
    person.say("and now")
    expect(person.bot.last).to_be_visible()


def test_the_loser_of_a_claim_is_told_who_and_a_draft_survives_losing_the_voice(console, desk: DeskThread) -> None:  # type: ignore[no-untyped-def]
    ann, lee = console("ann"), console("lee", "lead")
    someone = in_crisis(desk)
    url = f"{desk.url}/console/conversations/{someone.conversation}"
    for each in (ann, lee):
        each.page.goto(url)
        expect(each.page.locator("#line")).to_have_text("Live")
    ann.page.keyboard.press("c")
    expect(ann.page.get_by_text("You are speaking.")).to_be_visible()
    expect(lee.page.get_by_text("Ann is speaking. You can read along.")).to_be_visible()
    expect(lee.page.locator("#text")).to_have_count(0)
    expect(ann.page.locator("#line")).to_have_text("Live")
    ann.page.locator("#text").fill("half a sentence")
    lee.page.locator("summary", has_text="Transfer").click()
    lee.page.get_by_label("To").select_option(label="Lee")
    lee.page.get_by_role("button", name="Transfer").click()
    expect(ann.page.get_by_text("You had written: half a sentence")).to_be_visible()
    expect(lee.page.get_by_text("You are speaking.")).to_be_visible()


def test_what_comes_before_the_first_click_sounds_with_it(console, person: Widget) -> None:  # type: ignore[no-untyped-def]
    zoe = console("zoe-has-not-clicked")
    zoe.page.goto(zoe.page.url)
    expect(zoe.page.locator("#line")).to_have_text("Live")
    person.say(CRISIS)
    expect(zoe.page).to_have_title(re.compile(r"^\(\d+\) Queue"))
    expect(zoe.page.locator("#announce")).not_to_be_empty()
    assert zoe.page.locator("body").get_attribute("data-sounded") is None
    zoe.page.get_by_role("heading", name="Queue").click()
    expect(zoe.page.locator("body")).to_have_attribute("data-sounded", "1")


def test_who_asks_sees_a_place_a_name_and_that_somebody_writes(console, person: Widget, desk: DeskThread) -> None:  # type: ignore[no-untyped-def]
    desk.rasa.answer = {"references": ["counselor_requested"], "effects": [{"name": "request_counselor"}]}
    person.say("may I speak with a person")
    standing = person.page.locator(".standing")
    expect(standing).to_contain_text("list:")
    standing.get_by_role("button", name=person.label("cancel_request")).click()
    expect(standing).to_be_hidden()
    expect(person.bot.last).to_contain_text("taken back")
    person.say("I do want a counselor after all")
    expect(standing).to_contain_text("list:")
    desk.rasa.reset()
    max_ = console("max")
    max_.page.locator(".row.waiting:not(.crisis)").first.get_by_role("button", name="Claim").click()
    expect(standing).to_have_text(person.label("standing_counselor", name="Max"))
    expect(max_.page.locator("#line")).to_have_text("Live")
    person.input.press_sequentially("hello")
    expect(max_.page.get_by_text("The person is writing")).to_be_visible()
    max_.page.locator("#text").press_sequentially("I am")
    expect(person.page.locator(".typing")).to_have_text(person.label("counselor_typing", name="Max"))
    max_.page.keyboard.press("Control+Enter")
    expect(person.page.locator(".message.counselor .author")).to_have_text(person.label("counselor_named", name="Max"))
    expect(person.page.locator(".typing")).to_be_hidden()
    person.page.reload()
    expect(standing).to_have_text(person.label("standing_counselor", name="Max"))
    max_.page.get_by_text("Hand back to the program").click()
    max_.page.get_by_role("button", name="Hand back", exact=True).click()
    expect(standing).not_to_contain_text("Max")
    expect(person.log.get_by_text("The counselor has left this chat.")).to_be_visible()


def test_keys_walk_the_queue(console, desk: DeskThread) -> None:  # type: ignore[no-untyped-def]
    pat = console("pat")
    one, two = in_crisis(desk), in_crisis(desk)
    expect(pat.row(two.conversation)).to_be_visible()
    order = pat.page.locator(".row").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    assert {one.conversation, two.conversation} <= set(order)
    focused = "() => document.activeElement.closest('.row').dataset.id"
    pat.page.keyboard.press("j")
    pat.page.keyboard.press("j")
    assert pat.page.evaluate(focused) == order[1]
    three = in_crisis(desk)
    expect(pat.row(three.conversation)).to_be_visible()
    assert pat.page.evaluate(focused) == order[1], "a new row takes the focus from nobody"
    pat.page.keyboard.press("k")
    assert pat.page.evaluate(focused) == order[0]
    pat.page.keyboard.press("?")
    expect(pat.page.get_by_role("dialog")).to_be_visible()
    pat.page.keyboard.press("Escape")
    pat.page.keyboard.press("Enter")
    expect(pat.page.locator("#status h1")).to_have_text("Suicide")


def test_it_fits_a_phone_and_has_names_for_everything(console, desk: DeskThread) -> None:  # type: ignore[no-untyped-def]
    someone = in_crisis(desk)
    bo = console("bo-on-a-phone", viewport={"width": 390, "height": 844})
    for path in ("/console/", f"/console/conversations/{someone.conversation}", "/console/account"):
        bo.page.goto(desk.url + path)
        assert bo.page.evaluate("document.documentElement.scrollWidth") <= 390, path
        unnamed = bo.page.locator("button, a, input:not([type=hidden]), select, textarea").evaluate_all(
            "all => all.filter((e) => e.checkVisibility() && !(e.innerText || e.ariaLabel || e.labels?.length))"
            ".map((e) => e.outerHTML)"
        )
        assert unnamed == [], path
        small = bo.page.locator("button:visible, select:visible, input:visible").evaluate_all(
            "all => all.map((e) => e.getBoundingClientRect()).filter((r) => r.height < 24 || r.width < 24).length"
        )
        assert small == 0, path


def test_a_console_open_while_the_desk_restarts_misses_nothing(console, desk: DeskThread) -> None:  # type: ignore[no-untyped-def]
    kit = console("kit")
    before = in_crisis(desk)
    expect(kit.row(before.conversation)).to_be_visible()
    watched = kit.page.context.new_page()
    watched.goto(f"{desk.url}/console/conversations/{before.conversation}")
    expect(watched.locator("#line")).to_have_text("Live")
    desk.stop()
    expect(kit.page.locator("#offline")).to_contain_text("Not connected")
    again = ThreadedServer(create_app(desk.settings, clock=MovedClock()), desk.settings.port)
    try:
        wait_until(lambda: desk.ready()["store"] == "ok", "the desk did not come back")
        after = in_crisis(desk)
        before.post("still here")
        expect(kit.row(after.conversation)).to_be_visible()
        expect(kit.row(before.conversation)).to_be_visible()
        expect(kit.page.locator("#line")).to_have_text("Live")
        expect(watched.get_by_text("still here")).to_have_count(1)
        expect(watched.locator(".message.flagged")).to_have_count(1)
        kit.page.close()
        watched.close()
    finally:
        again.stop()
