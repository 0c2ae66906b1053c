"""The widget when the desk cannot be reached: hotlines in sight, words kept, each message once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.conftest import API, MESSAGES, Widget, cut
from tests.fakes import FakeRasa
from tests.stack import DeskThread

CRAVING = "I have a strong craving right now"
Visit = Callable[..., Widget]


def expect_hotlines(widget: Widget) -> None:
    links = {link.get_attribute("href") for link in widget.bar.all()}
    assert {"tel:911", "tel:988"} <= links
    for link in widget.bar.all():
        expect(link).to_be_in_viewport()


def test_hotlines_are_in_sight_before_anything_connects(visit: Visit, context: BrowserContext) -> None:
    cut(context)
    widget = visit()
    expect_hotlines(widget)
    widget.open()
    expect_hotlines(widget)


def test_hotlines_and_the_card_stay_when_the_desk_is_dead(
    context: BrowserContext, start_desk: Callable[..., DeskThread]
) -> None:
    desk = start_desk()
    widget = Widget(context.new_page(), desk.url).visit()
    desk.stop()
    widget.open()
    expect(widget.card).to_have_count(1)
    expect(widget.card.locator("a[href^='tel:']").first).to_be_in_viewport()
    expect(widget.log).to_contain_text(widget.label("offline"))
    expect_hotlines(widget)
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("waiting")])
    assert widget.errors == []


def test_a_desk_that_never_answers_counts_as_away(visit: Visit, context: BrowserContext) -> None:
    held: list[Route] = []
    context.route(API, lambda route: held.append(route))
    widget = visit()
    widget.page.clock.install()
    widget.open()
    expect(widget.card).to_have_count(0)
    widget.page.clock.fast_forward(10_000)
    expect(widget.card).to_have_count(1)
    for route in held:
        route.abort()


def test_unsent_text_goes_when_the_desk_is_back(visit: Visit, context: BrowserContext) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    mend = cut(context)
    widget.say(CRAVING)
    widget.say("and I am tired")
    expect(widget.own).to_contain_text([widget.label("waiting"), widget.label("waiting")])
    expect(widget.card).to_have_count(1)
    mend()
    expect(widget.own).to_contain_text([CRAVING, "and I am tired"])
    expect(widget.own.last).to_contain_text(widget.label("sent"))
    expect(widget.log).to_contain_text(widget.label("back_online"))
    expect(widget.own).to_have_count(2)


@pytest.mark.parametrize("send", [True, False])
def test_text_older_than_ten_minutes_is_not_sent_without_asking(
    visit: Visit, context: BrowserContext, send: bool
) -> None:
    widget = visit()
    widget.page.clock.install()
    widget.open()
    expect(widget.bot).to_have_count(1)
    mend = cut(context)
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("waiting")])
    posted: list[Any] = []
    context.on("request", lambda request: posted.append(request.url) if request.url.endswith("/messages") else None)
    widget.page.clock.pause_at(widget.page.evaluate("Date.now() / 1000 + 11 * 60"))
    mend()
    widget.page.clock.resume()
    expect(widget.own).to_contain_text([widget.label("ask_send")])
    posted.clear()
    if send:
        widget.button("send_now").click()
        expect(widget.own).to_contain_text([widget.label("sent")])
        expect(widget.bot).to_have_count(2)
    else:
        widget.button("discard").click()
        expect(widget.own).to_have_count(0)
        assert posted == []


def lose_one_answer(context: BrowserContext) -> None:
    """Let the next message reach the desk, and its answer nobody."""

    def lose(route: Route) -> None:
        context.unroute(MESSAGES)
        route.fetch()
        route.abort()

    context.route(MESSAGES, lose)


def test_the_reply_to_a_first_message_whose_answer_is_lost_comes_however_late(
    start_desk: Callable[..., DeskThread], fake_rasa: FakeRasa, context: BrowserContext
) -> None:
    desk = start_desk(rasa_timeout_seconds=60)
    desk.wait_for_record()
    widget = Widget(context.new_page(), desk.url).visit().open()
    expect(widget.bot).to_have_count(1)

    lose_one_answer(context)
    fake_rasa.gate.clear()
    with context.expect_event("response", lambda response: response.url.endswith("/api/me")):
        widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("sent")])
    fake_rasa.gate.set()
    expect(widget.bot).to_have_count(2)


def test_a_lost_answer_doubles_nothing(visit: Visit, context: BrowserContext) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)

    lose_one_answer(context)
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("sent")])
    expect(widget.page.locator(".message.bot")).to_have_count(2)
    widget.page.reload()
    expect(widget.own).to_have_count(1)
    expect(widget.page.locator(".message.bot")).to_have_count(2)


def test_a_refusal_shows_its_reply_and_lets_the_person_try_again(visit: Visit, context: BrowserContext) -> None:
    reply = {"sequence": None, "author": "bot", "item": "system/slow-down", "text": "One at a time.", "choices": []}
    refusal = {"error": {"code": "slow_down", "message": "too many", "remedy": "wait"}, "replies": [reply]}
    context.route(MESSAGES, lambda route: route.fulfill(status=429, json=refusal))
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("failed")])
    expect(widget.bot.last).to_contain_text("One at a time.")
    context.unroute(MESSAGES)
    widget.button("retry").click()
    expect(widget.own).to_contain_text([widget.label("sent")])
