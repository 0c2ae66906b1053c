"""The widget on a page: keyboard, small and hostile pages, weight; and the page of hotlines without any script."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, expect

from bot.settings import ROOT
from tests.browser.conftest import Widget

MAX_GZIP_BYTES = 20 * 1024
WIDGET = ROOT / "bot" / "channels" / "widget"
Visit = Callable[..., Widget]


@pytest.mark.parametrize("name", ["widget.md", "widget.es.md"])
def test_every_word_the_widget_shows_is_in_the_reviewed_labels(name: str) -> None:
    listed = re.search(r"LABELS = \[(.*?)\]", (WIDGET / "10-config.js").read_text(), re.DOTALL)
    assert listed
    wanted = set(re.findall(r'"(\w+)"', listed[1]))
    item = (ROOT / "content" / "items" / "ui" / name).read_text().split("---\n")[1]
    assert wanted - set(yaml.safe_load(item)["labels"]) == set()
    code = "".join(path.read_text() for path in WIDGET.glob("[2-9]*.js"))
    used = re.findall(r'(?:say|sayLabel): "(\w+)"|label\("(\w+)"|notice\("(\w+)"|menuAction\("(\w+)"', code)
    assert {key for keys in used for key in keys if key} <= wanted


def test_it_weighs_little_and_is_not_sent_twice(desk_url: str) -> None:
    answer = httpx.get(f"{desk_url}/widget.js", headers={"accept-encoding": "gzip"}, trust_env=False)
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) <= MAX_GZIP_BYTES
    kept = {"if-none-match": answer.headers["etag"]}
    assert httpx.get(f"{desk_url}/widget.js", headers=kept, trust_env=False).status_code == 304


def test_keyboard_alone_opens_writes_and_returns(visit: Visit) -> None:
    widget = visit()
    widget.button("launcher").focus()
    widget.page.keyboard.press("Enter")
    expect(widget.input).to_be_focused()
    expect(widget.bot).to_have_count(1)
    widget.page.keyboard.type("hello")
    widget.page.keyboard.press("Enter")
    expect(widget.own).to_have_count(1)
    expect(widget.input).to_be_focused()
    expect(widget.bot).to_have_count(2)
    widget.button("close").press("Enter")
    expect(widget.button("launcher")).to_be_focused()


def test_every_control_has_a_name_and_room_for_a_finger(visit: Visit) -> None:
    widget = visit().open()
    expect(widget.bot).to_have_count(1)
    widget.button("menu").click()
    for control in widget.page.locator("handrail-widget").locator("button:visible, .lines a:visible, textarea").all():
        box = control.bounding_box()
        assert box, "a visible control has a box"
        assert min(box["width"], box["height"]) >= 24
        assert control.evaluate("e => (e.getAttribute('aria-label') || e.innerText || e.labels?.[0]?.innerText).trim()")


def test_zoomed_to_400_percent_nothing_scrolls_sideways(browser: Browser, desk_url: str) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 256})
    widget = Widget(context.new_page(), desk_url).visit().open()
    expect(widget.bot).to_have_count(1)
    expect(widget.bar.first).to_be_in_viewport()
    expect(widget.button("leave")).to_be_in_viewport()
    panel = widget.page.locator(".panel")
    assert panel.evaluate("e => e.scrollWidth <= e.clientWidth")
    widget.input.scroll_into_view_if_needed()
    expect(widget.bar.first).to_be_in_viewport()
    context.close()


def test_the_hotline_page_needs_no_script(browser: Browser, desk_url: str) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 640})
    page = context.new_page()
    for language in ("en", "es"):
        page.goto(f"{desk_url}/help?language={language}")
        for number in ("911", "988"):
            expect(page.locator(f"a[href='tel:{number}']").first).to_contain_text(number)
        assert page.locator("html").get_attribute("lang") == language
        assert page.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
    context.close()


def test_the_demo_page_without_script_shows_the_hotlines(browser: Browser, desk_url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(desk_url)
    ways = {link.get_attribute("href") for link in page.locator(".notice a").all()}
    assert {"tel:911", "tel:988", "sms:988", "https://988lifeline.org", "/help?language=en"} <= ways
    context.close()


def test_the_hotline_page_prints_dark_on_white_from_a_dark_screen(browser: Browser, desk_url: str) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{desk_url}/help")
    page.emulate_media(media="print")
    colors = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
    assert page.locator(".lines > li").first.evaluate(colors) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    context.close()
