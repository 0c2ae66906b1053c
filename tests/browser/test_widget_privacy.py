"""Nothing is stored or asked before the person opens the widget; leaving leaves nothing; nobody else is called."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import NEUTRAL_PAGE, Widget

Visit = Callable[..., Widget]


def test_nothing_is_stored_or_asked_before_opening(context: BrowserContext, visit: Visit) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(urlsplit(request.url).path))
    widget = visit()
    expect(widget.button("launcher")).to_be_visible()
    widget.page.wait_for_load_state("networkidle")
    widget.page.keyboard.press("Escape")
    assert widget.stored() == {}
    assert context.cookies() == []
    assert set(asked) == {"/", "/pages.css", "/widget.js", "/phone.js"}
    widget.open()
    expect(widget.bot).to_have_count(1)
    assert list(widget.stored()) == ["handrail"]
    assert context.cookies() == []


def test_a_whole_conversation_asks_nobody_but_the_desk(context: BrowserContext, visit: Visit, desk_url: str) -> None:
    hosts: set[str] = set()
    context.on(
        "request", lambda request: hosts.add(urlsplit(request.url).netloc) if request.url[:5] != "data:" else None
    )
    widget = visit().open()
    widget.say("I have a strong craving right now")
    expect(widget.bot).to_have_count(2)
    widget.say("I want to end my life tonight")
    expect(widget.card).to_have_count(1)
    widget.page.reload()
    expect(widget.card).to_have_count(1)
    assert hosts == {urlsplit(desk_url).netloc}


def test_leaving_wipes_this_tab_and_back_does_not_return(visit: Visit, desk_url: str) -> None:
    widget = visit("/help")
    widget.visit().open()
    widget.say("I have a strong craving right now")
    expect(widget.bot).to_have_count(2)
    widget.button("leave").click()
    expect(widget.page).to_have_url(NEUTRAL_PAGE)
    widget.page.go_back()
    expect(widget.page).to_have_url(desk_url + "/help")
    widget.visit()
    expect(widget.button("launcher")).to_be_visible()
    assert widget.stored() == {}


def test_leaving_one_tab_empties_the_others(visit: Visit, context: BrowserContext, desk_url: str) -> None:
    widget = visit().open()
    widget.say("I have a strong craving right now")
    expect(widget.bot).to_have_count(2)
    with context.expect_page() as opened:
        widget.page.evaluate("window.open(location.href)")
    other = Widget(opened.value, desk_url)
    expect(other.bot).to_have_count(2)
    widget.button("leave").click()
    expect(widget.page).to_have_url(NEUTRAL_PAGE)
    expect(other.button("launcher")).to_be_visible()
    expect(other.page.locator(".message")).to_have_count(0)
    assert other.stored() == {}
    other.open()
    expect(other.bot).to_have_count(1)


@pytest.mark.parametrize("meanwhile", ["nothing", "another page was left"])
def test_a_page_out_of_the_browsers_cache_shows_only_what_is_still_so(visit: Visit, meanwhile: str) -> None:
    widget = visit().open()  # Playwright cannot drive a browser that keeps pages, so its two events are sent here
    widget.say("I have a strong craving right now")
    expect(widget.bot).to_have_count(2)
    widget.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    expect(widget.page.locator(".message")).to_have_count(0)
    if meanwhile != "nothing":
        widget.page.evaluate("sessionStorage.clear()")
    widget.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    if meanwhile == "nothing":
        expect(widget.bot).to_have_count(2)
        expect(widget.own).to_have_count(1)
        widget.say("thank you")
        expect(widget.bot).to_have_count(3)
    else:
        expect(widget.button("launcher")).to_be_visible()
        expect(widget.page.locator(".message")).to_have_count(0)
        assert widget.stored() == {}


def test_escape_hides_and_escape_twice_leaves(visit: Visit) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    widget.page.keyboard.press("Escape")
    expect(widget.input).to_be_hidden()
    expect(widget.button("launcher")).to_be_focused()
    widget.page.keyboard.press("Enter")
    expect(widget.input).to_be_visible()
    widget.page.wait_for_function("t => performance.timeOrigin + performance.now() > t", arg=_later(widget))
    widget.page.keyboard.press("Escape")
    widget.page.keyboard.press("Escape")
    expect(widget.page).to_have_url(NEUTRAL_PAGE)


def _later(widget: Widget) -> float:
    """The moment after which a further Escape is a first one again."""
    return float(widget.page.evaluate("() => performance.timeOrigin + performance.now() + HANDRAIL.DOUBLE_ESCAPE_MS"))
