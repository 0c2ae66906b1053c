"""A conversation in the widget: it discloses, answers, offers choices, survives a reload, shows the card at once."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import EVENTS, RECORD, Widget, cut, stream

CRAVING = "I have a strong craving right now"
CRISIS = "I want to end my life tonight"
Visit = Callable[..., Widget]


SUBJECTS = {
    "do i have to see a doctor before detox": "treatment/medical-assessment",
    "what happens in a supervised detox": "treatment/supervised-detox",
    "what is buprenorphine": "treatment/medications",
    "is there therapy or a support group": "treatment/emotional-support",
    "how do i keep from relapsing": "treatment/relapse-prevention",
    "how can my family support me": "treatment/family-support",
    "is detox enough or what comes after it": "treatment/after-detox",
    "where can i find professional help": "treatment/find-help-us",
    "the cravings are bad tonight": "coping/",
    "my mood keeps swinging up and down": "coping/",
    "how much methadone should i take": "clinical/",
    "can i talk to a real counselor": "people/",
}


def test_it_says_what_it_is_before_anything_is_written(visit: Visit) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    for words in ("program", "not a person", "not a clinician", "not an emergency service"):
        expect(widget.bot).to_contain_text(words)
    expect(widget.log).to_contain_text(widget.label("demo_notice"))


def test_every_seed_subject_is_answered_in_one_conversation(visit: Visit, desk_url: str) -> None:
    widget = visit().open()
    for number, text in enumerate(SUBJECTS, 1):
        widget.say(text)
        expect(widget.own).to_have_count(number)
        expect(widget.bot).to_have_count(number + 1)
    headers = {"authorization": f"Bearer {widget.token()}"}
    record = httpx.get(f"{desk_url}/api/me", headers=headers, trust_env=False).json()["messages"]
    said = {message["sequence"]: message["text"] for message in record if message["author"] == "person"}
    answers = {said[m["in_reply_to"]]: m["item"] for m in record if m["author"] == "bot" and m["in_reply_to"]}
    assert {text: item for text, item in answers.items() if not item.startswith(SUBJECTS[text])} == {}
    assert len(answers) == len(SUBJECTS)


def test_a_message_is_answered_and_marked_sent(visit: Visit) -> None:
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.own).to_have_text([f"{widget.label('you')}{CRAVING}{widget.label('sent')}"])
    expect(widget.bot).to_have_count(2)
    expect(widget.page.locator(".typing")).to_be_hidden()


def test_choices_are_buttons_and_old_ones_go(visit: Visit) -> None:
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.bot).to_have_count(2)
    chosen = widget.bot.last.get_by_role("button").filter(has_not_text="seconds").first
    label = chosen.inner_text()
    chosen.click()
    expect(widget.own.last).to_contain_text(label)
    expect(widget.bot).to_have_count(3)
    expect(widget.bot.nth(1).locator(".choices")).to_have_count(0)


def test_a_reload_keeps_the_conversation_once(visit: Visit) -> None:
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.bot).to_have_count(2)
    before = widget.log.locator(".body").all_inner_texts()
    widget.page.reload()
    expect(widget.log.locator(".body")).to_have_text(before)
    widget.say("thank you")
    expect(widget.bot).to_have_count(3)
    expect(widget.own).to_have_count(2)
    widget.page.reload()
    expect(widget.own).to_have_count(2)
    expect(widget.bot).to_have_count(3)


def test_the_hotline_card_comes_with_the_answer(visit: Visit, context: BrowserContext) -> None:
    held = []
    context.route(EVENTS, lambda route: held.append(route))  # no stream
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    widget.say(CRISIS)
    card = widget.page.locator(".bot.card")  # the desk's, not the one built in
    expect(card.locator("a[href='tel:988']").first).to_be_in_viewport(timeout=5_000)
    expect(card.locator("a[href='tel:911']").first).to_be_in_viewport()


def test_replies_arrive_where_streams_are_refused(visit: Visit, context: BrowserContext) -> None:
    cut(context, EVENTS)
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.bot).to_have_count(2)
    expect(widget.own).to_have_count(1)
    expect(widget.card).to_have_count(0)


def test_the_card_shows_once_when_the_stream_brings_it_too(visit: Visit) -> None:
    widget = visit().open()
    widget.say(CRISIS)
    expect(widget.card).to_have_count(1)
    widget.say("what medicines are there")  # its reply comes by the stream, after the card's own place in it
    expect(widget.bot.last).to_be_visible()
    expect(widget.page.locator(".message.bot:not(.card)").nth(1)).to_be_visible()
    expect(widget.card).to_have_count(1)


def test_a_counselors_message_looks_and_reads_differently(visit: Visit, context: BrowserContext) -> None:
    stream(context, {"author": "counselor", "text": "I have read what you wrote."})
    widget = visit().open()
    widget.say(CRAVING)
    told = widget.page.locator(".message.counselor")
    expect(told).to_contain_text(widget.label("counselor"))
    expect(told).to_contain_text("I have read what you wrote.")
    background = "e => getComputedStyle(e).backgroundColor"
    ours = widget.bot.first.locator(".body").evaluate(background)
    assert told.locator(".body").evaluate(background) != ours


def test_markup_from_the_desk_passes_an_allow_list(visit: Visit, context: BrowserContext) -> None:
    html = (
        '<p onclick="x()" style="color:red">kept <strong>strong</strong><script>x()</script><img src=x onerror=x()></p>'
        '<a href="javascript:x()">no link</a> <a href="tel:988">a link</a> <iframe src="/"></iframe>'
    )
    stream(context, {"text": "plain", "html": html})
    widget = visit().open()
    widget.say(CRAVING)
    body = widget.bot.last.locator(".body")
    expect(body).to_have_text("kept strongno link a link ")
    assert body.inner_html() == '<p>kept <strong>strong</strong></p>no link <a href="tel:988">a link</a> '
    assert all("Content Security Policy" in error for error in widget.errors)
    widget.errors.clear()  # the browser reporting what it blocked while the markup was only parsed


def test_a_guided_step_has_a_timer_nobody_has_to_use(visit: Visit, context: BrowserContext) -> None:
    step = {"text": "Breathe slowly.", "timer_seconds": 60, "choices": [{"id": "100:0", "label": "Next"}]}
    stream(context, step)
    cut(context, RECORD)
    widget = visit()
    widget.page.clock.install()
    widget.open().say(CRAVING)
    expect(widget.page.get_by_role("button", name="Next")).to_be_visible()
    widget.page.clock.pause_at(widget.page.evaluate("Date.now() / 1000 + 1"))  # from here on time is the test's
    widget.button("timer_start", seconds=60).click()
    widget.page.clock.fast_forward(30_000)
    expect(widget.page.get_by_role("timer")).to_have_text(widget.label("timer_left", seconds=30))
    widget.page.clock.fast_forward(31_000)
    expect(widget.page.get_by_role("timer")).to_have_text(widget.label("timer_done"))
    expect(widget.page.get_by_role("button", name="Next")).to_be_visible()


def test_a_new_conversation_shows_nothing_of_the_old_one(visit: Visit) -> None:
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.bot).to_have_count(2)
    token = widget.token()
    widget.choose_in_menu("new_conversation", "new_yes")
    expect(widget.bot).to_have_count(1)
    expect(widget.own).to_have_count(0)
    assert CRAVING not in str(widget.stored())
    assert widget.token() != token


def test_erasing_erases_at_the_desk_and_here(visit: Visit, desk_url: str) -> None:
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.bot).to_have_count(2)
    token = widget.token()
    widget.choose_in_menu("erase", "erase_yes")
    expect(widget.own).to_have_count(0)
    expect(widget.bot).to_have_count(1)
    assert widget.stored() == {}
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{desk_url}/api/me", headers=headers, trust_env=False).status_code == 401
    widget.say("hello again")
    expect(widget.own).to_have_count(1)
    expect(widget.bot).to_have_count(2)


def test_a_token_the_desk_refuses_ends_the_conversation_and_the_text_can_go_into_a_new_one(visit: Visit) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    widget.page.evaluate(
        "sessionStorage.handrail = JSON.stringify({...JSON.parse(sessionStorage.handrail), token: 'refused'})"
    )
    widget.page.reload()
    widget.say(CRAVING)
    expect(widget.log).to_contain_text(widget.label("ended"))
    widget.button("retry").click()
    expect(widget.own).to_contain_text([CRAVING])
    expect(widget.own).to_contain_text([widget.label("sent")])
    expect(widget.bot).to_have_count(2)


def test_spanish_from_the_page_and_from_the_menu(visit: Visit) -> None:
    widget = visit("/?language=es").open("es")
    expect(widget.bot).to_contain_text("programa")
    assert widget.page.locator(".root").get_attribute("lang") == "es"
    other = visit().open()
    expect(other.bot).to_contain_text("program")
    other.button("menu").click()
    other.page.get_by_role("button", name="Español").click()
    expect(other.bot).to_contain_text("No soy una persona")
    expect(other.button("send", "es")).to_be_visible()
