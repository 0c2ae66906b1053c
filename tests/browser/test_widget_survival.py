"""What a phone at night does to a conversation: nothing of it is lost, and nothing comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import EVENTS, MESSAGES, Widget, cut
from tests.promises.faults import Proxy
from tests.stack import DeskThread

CRAVING = "I have a strong craving right now"
SECOND = "my moods are all over the place"
Visit = Callable[..., Widget]


@pytest.fixture
def proxy(desk_url: str) -> Iterator[Callable[..., Proxy]]:
    """Put a proxy before the running desk."""
    made: list[Proxy] = []

    def put(**settings: float) -> Proxy:
        made.append(Proxy("127.0.0.1", urlsplit(desk_url).port or 80, **settings))
        return made[-1]

    yield put
    for each in made:
        each.close()


def through(proxy: Proxy, page: Page) -> Widget:
    return Widget(page, f"http://127.0.0.1:{proxy.port}")


def record(url: str, token: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{url}/api/me", headers={"authorization": f"Bearer {token}"}, trust_env=False)
    return list(answer.json()["messages"])


def post(url: str, token: str, client_id: str, text: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    answer = httpx.post(f"{url}/api/messages", json={"id": client_id, "text": text}, headers=headers, trust_env=False)
    assert answer.status_code == 202


def expect_the_record(widget: Widget, url: str, *, own: int) -> None:
    """The screen shows the record: each message once, in its order; `own` of them are the person's."""
    expect(widget.own).to_have_count(own)
    expect(widget.bot).to_have_count(own + 1)
    there = record(url, widget.token())
    assert [message["author"] for message in there].count("person") == own
    shown = widget.page.locator(".message:not(.builtin)")
    expect(shown).to_have_class([f"message {message['author']}" for message in there])
    said = [message["text"] for message in there if message["author"] == "person"]
    assert [text.strip() for text in widget.own.locator(".body").all_inner_texts()] == said


def test_a_desk_that_is_killed_and_started_again(
    context: BrowserContext, start_desk: Callable[..., DeskThread]
) -> None:
    desk = start_desk()
    desk.wait_for_record()
    proxy = Proxy("127.0.0.1", desk.settings.port)
    widget = through(proxy, context.new_page()).visit().open()
    widget.say(CRAVING)
    expect(widget.bot).to_have_count(2)
    proxy.set("closed")
    desk.stop()
    widget.say(SECOND)
    expect(widget.own.last).to_contain_text(widget.label("waiting"))
    expect(widget.log).to_contain_text(widget.label("offline"))
    expect(widget.card.locator("a[href='tel:988']").first).to_be_visible()
    again = start_desk()
    again.wait_for_record()
    proxy.target = ("127.0.0.1", again.settings.port)
    proxy.set("pass")
    expect(widget.log).to_contain_text(widget.label("back_online"))
    expect(widget.own.last).to_contain_text(widget.label("sent"))
    expect_the_record(widget, again.url, own=2)
    assert widget.errors == []
    proxy.close()


def test_a_network_that_goes_and_comes(visit: Visit, context: BrowserContext, desk_url: str) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    context.set_offline(True)
    expect(widget.log).to_contain_text(widget.label("offline"))
    expect(widget.card).to_have_count(1)
    context.set_offline(False)
    expect(widget.log).to_contain_text(widget.label("back_online"))
    widget.say(CRAVING)
    expect(widget.bot).to_have_count(2)
    context.set_offline(True)
    widget.say(SECOND)
    expect(widget.own.last).to_contain_text(widget.label("waiting"))
    context.set_offline(False)
    expect(widget.own.last).to_contain_text(widget.label("sent"))
    expect_the_record(widget, desk_url, own=2)


def test_a_proxy_that_cuts_every_stream(proxy: Callable[..., Proxy], context: BrowserContext, desk_url: str) -> None:
    between = proxy()
    widget = through(between, context.new_page()).visit().open()
    expect(widget.bot).to_have_count(1)
    between.cut_after_seconds = 0.7
    between.set("closed")
    between.set("pass")
    said = [CRAVING, SECOND, "what is methadone", "thank you"]
    streams = 0

    def count(request: Any) -> None:
        nonlocal streams
        streams += request.url.endswith("/events")

    context.on("request", count)
    for number, text in enumerate(said, 1):
        widget.say(text)
        expect(widget.own).to_have_count(number)
        expect(widget.bot).to_have_count(number + 1)
    expect_the_record(widget, desk_url, own=len(said))
    while streams < 2:
        context.wait_for_event("request")


def test_a_proxy_that_holds_the_stream_back(visit: Visit, context: BrowserContext, desk_url: str) -> None:
    held: list[Route] = []
    context.route(EVENTS, lambda route: held.append(route))
    widget = visit()
    widget.page.clock.install()
    widget.open().say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("sent")])
    widget.page.clock.fast_forward(6_500)
    expect_the_record(widget, desk_url, own=1)


def test_a_proxys_own_error_page_is_no_refusal(visit: Visit, context: BrowserContext) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    context.route(MESSAGES, lambda route: route.fulfill(status=502, json={"message": "Bad gateway"}))
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("waiting")])
    context.unroute(MESSAGES)
    expect(widget.own).to_contain_text([widget.label("sent")])
    expect(widget.bot).to_have_count(2)


def test_a_machine_that_sleeps_catches_up(proxy: Callable[..., Proxy], context: BrowserContext, desk_url: str) -> None:
    between = proxy()
    widget = through(between, context.new_page()).visit()
    widget.page.clock.install()
    widget.open().say(CRAVING)
    expect(widget.bot).to_have_count(2)
    between.set("black hole")  # what a connection is after a night: nobody says that it is gone
    post(desk_url, widget.token(), "another-device", SECOND)
    widget.page.clock.fast_forward("08:00:00")
    between.set("closed")
    between.set("pass")
    widget.page.clock.fast_forward("00:20")
    expect_the_record(widget, desk_url, own=2)


def test_words_written_before_the_desks_first_ones(visit: Visit, context: BrowserContext, desk_url: str) -> None:
    held: list[Route] = []
    context.route("**/api/conversations", lambda route: held.append(route))
    widget = visit().open()
    widget.say(CRAVING)
    expect(widget.own).to_have_count(1)
    expect(widget.bot).to_have_count(0)
    while not held:
        widget.page.wait_for_timeout(10)
    held[0].continue_()
    expect_the_record(widget, desk_url, own=1)


def test_two_tabs_of_one_conversation(visit: Visit, context: BrowserContext, desk_url: str) -> None:
    first = visit().open()
    first.say(CRAVING)
    expect(first.bot).to_have_count(2)
    with context.expect_page() as opened:
        first.page.evaluate("window.open(location.href)")  # a tab made from another has a copy of what it remembers
    second = Widget(opened.value, desk_url)
    expect(second.bot).to_have_count(2)
    second.say(SECOND)
    expect(first.bot).to_have_count(3)
    first.say("thank you")
    expect(second.bot).to_have_count(4)
    for widget in (first, second):
        expect_the_record(widget, desk_url, own=3)
    second.choose_in_menu("erase", "erase_yes")
    expect(first.log).to_contain_text(first.label("ended"))
    expect(first.own).to_have_count(0)
    assert first.stored() == {}


def test_a_reload_keeps_what_could_not_be_sent(visit: Visit, context: BrowserContext, desk_url: str) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    mend = cut(context)
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("waiting")])
    widget.page.reload()
    expect(widget.own).to_contain_text([CRAVING])
    expect(widget.own).to_contain_text([widget.label("waiting")])
    mend()
    expect(widget.own).to_contain_text([widget.label("sent")])
    expect_the_record(widget, desk_url, own=1)


def test_a_reload_before_the_answer_sends_nothing_twice(visit: Visit, context: BrowserContext, desk_url: str) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    arrived: list[Route] = []

    def take(route: Route) -> None:
        if not arrived:
            arrived.append(route)
            route.fetch()  # the desk has it; the page is gone before it hears so

    context.route(MESSAGES, take)
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("sending")])
    while not arrived:
        widget.page.wait_for_timeout(20)
    context.unroute(MESSAGES)
    widget.page.reload()
    expect(widget.own).to_contain_text([widget.label("sent")])
    expect_the_record(widget, desk_url, own=1)
