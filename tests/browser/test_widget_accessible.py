"""The widget by keyboard alone and by axe-core, in every state: WCAG 2.2 AA."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.axe import assert_accessible
from tests.browser.conftest import MESSAGES, RECORD, Widget, cut, stream

Visit = Callable[..., Widget]
JOINED = {"text": "A counselor is here now.", "item": "people/counselor-joined"}
WROTE = {"author": "counselor", "text": "I have read what you wrote."}
STEP = {"text": "Breathe slowly.", "timer_seconds": 60, "choices": [{"id": "102:0", "label": "Next"}]}
PLAN = {"text": "Here is your plan.", "item": "plan/done", "choices": [{"id": "103:0", "label": "Something else"}]}
FOCUSED = """() => { const e = document.querySelector('handrail-widget').shadowRoot.activeElement;
  return e && (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent).trim() }"""


@pytest.mark.parametrize("look", ["light", "dark", "light strong", "dark strong"])
def test_axe_finds_nothing_in_any_state(browser: Browser, desk_url: str, look: str) -> None:
    scheme, *strong = look.split()
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
        contrast="more" if strong else "no-preference",
    )
    stream(context, JOINED, WROTE, STEP, PLAN)
    cut(context, RECORD)
    widget = Widget(context.new_page(), desk_url).visit()
    assert_accessible(widget.page)
    widget.open()
    expect(widget.bot).to_have_count(1)
    assert_accessible(widget.page)
    widget.button("menu").click()
    assert_accessible(widget.page)
    widget.button("erase").click()
    assert_accessible(widget.page)
    widget.button("cancel").click()
    widget.button("menu").click()
    widget.say("I want to end my life tonight")
    expect(widget.page.locator(".bot.card")).to_be_visible()
    expect(widget.button("plan_print")).to_be_visible()
    widget.button("timer_start", seconds=60).click()
    assert_accessible(widget.page)
    mend = cut(context)
    widget.say("are you there")
    expect(widget.own.last).to_contain_text(widget.label("waiting"))
    assert_accessible(widget.page)
    refusal = {"error": {}, "replies": []}
    mend()
    context.route(MESSAGES, lambda route: route.fulfill(status=429, json=refusal))
    expect(widget.button("retry").first).to_be_visible(timeout=30_000)
    assert_accessible(widget.page)
    context.close()


@pytest.mark.parametrize("path", ["/", "/help", "/help?language=es"])
def test_axe_finds_nothing_on_the_pages(context: BrowserContext, desk_url: str, path: str) -> None:
    page = context.new_page()
    page.goto(desk_url + path)
    assert_accessible(page)


def tab(page: Page, times: int, key: str = "Tab") -> list[str]:
    """Press a key so often and return what each press puts the focus on."""
    seen = []
    for _ in range(times):
        page.keyboard.press(key)
        seen.append(page.evaluate(FOCUSED))
    return seen


def test_the_keyboard_meets_everything_in_reading_order(visit: Visit) -> None:
    widget = visit()
    lines = widget.bar.all_inner_texts()
    widget.button("launcher").focus()
    assert tab(widget.page, len(lines), "Shift+Tab") == lines[::-1], "the hotlines come before the button"
    widget.button("launcher").press("Enter")
    expect(widget.bot).to_have_count(1)
    expect(widget.input).to_be_focused()
    choices = widget.choices.all_inner_texts()
    head = [widget.label(key) for key in ("leave", "menu", "close")]
    lines = widget.bar.all_inner_texts()
    middle = [widget.label("log"), *widget.page.locator(".log .body a").all_inner_texts(), *choices]
    before = [*head, *lines, *middle, widget.label("new_message")]
    expect(widget.button("new_message")).to_be_visible()
    assert tab(widget.page, len(before), "Shift+Tab") == before[::-1]
    widget.input.focus()
    assert tab(widget.page, 1) == [widget.label("send")]


def test_the_focus_stays_on_the_panel_that_covers_everything_and_returns(visit: Visit) -> None:
    widget = visit()  # a phone: the panel covers the page
    page = widget.page
    page.locator("[data-handrail-open]").press("Enter")
    expect(widget.bot).to_have_count(1)
    for _ in range(30):
        page.keyboard.press("Tab")
        behind = page.evaluate("() => document.activeElement.matches('main *')")
        assert not behind
    widget.button("close").press("Enter")
    expect(page.locator("[data-handrail-open]")).to_be_focused()


def test_turning_or_zooming_keeps_the_words_and_the_focus(visit: Visit) -> None:
    widget = visit()
    widget.page.set_viewport_size({"width": 1280, "height": 900})
    widget.open()
    expect(widget.bot).to_have_count(1)
    modal = "e => e.matches(':modal')"
    panel = widget.page.locator(".panel")
    assert not panel.evaluate(modal), "beside a page the page stays usable"
    widget.input.fill("half a sentence")
    widget.page.set_viewport_size({"width": 320, "height": 256})  # 400 % zoom
    widget.page.wait_for_function("() => document.querySelector('handrail-widget').shadowRoot.querySelector(':modal')")
    expect(widget.input).to_be_focused()
    expect(widget.input).to_have_value("half a sentence")


def test_the_menu_opens_chooses_and_returns_by_keyboard(visit: Visit) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    menu = widget.button("menu")
    menu.press("Enter")
    expect(menu).to_have_attribute("aria-expanded", "true")
    root = widget.page.locator(".root")
    size = "e => parseFloat(getComputedStyle(e.querySelector('.panel')).fontSize)"
    before = root.evaluate(size)
    widget.button("text_larger").press("Enter")
    assert root.evaluate(size) > before
    dark = widget.button("dark")
    dark.press("Space")
    expect(dark).to_have_attribute("aria-pressed", "true")
    expect(dark).to_be_focused()
    widget.button("contrast").press("Space")
    widget.button("erase").press("Enter")
    expect(widget.button("cancel")).to_be_focused()
    widget.button("cancel").press("Enter")
    menu.press("Enter")
    expect(menu).to_have_attribute("aria-expanded", "false")
    widget.page.reload()
    expect(root).to_have_class(re.compile("dark contrast"))
    assert root.evaluate(size) > before


def test_what_happens_is_announced(visit: Visit, context: BrowserContext) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    expect(widget.log).to_have_attribute("aria-live", "polite")
    said = widget.page.locator(".sr[role=status]")
    mend = cut(context)
    widget.say("hello")
    expect(widget.log).to_contain_text(widget.label("offline"))
    mend()
    expect(said).to_have_text(widget.label("back_online"))
    expect(widget.bot).to_have_count(2)
    held: list[Route] = []
    widget.page.context.route(MESSAGES, lambda route: held.append(route))
    widget.say("I have a strong craving right now")
    widget.page.keyboard.press("Escape")
    while not held:
        widget.page.wait_for_timeout(10)
    held[0].continue_()
    expect(widget.page.locator(".dock [data-say=unread]")).to_be_visible()
    expect(said).to_have_text(widget.label("unread"))
    assert said.evaluate("e => !e.closest('dialog')"), "a closed panel announces nothing"
