"""A real Chromium for the widget's tests, and short ways to say what a person does in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect, sync_playwright

from tests.conftest import absent

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
API = "**/api/**"
EVENTS = "**/api/events"
MESSAGES = "**/api/messages"
RECORD = "**/api/me"
NEUTRAL_PAGE = "https://www.wikipedia.org/"

expect.set_options(timeout=15_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "desk_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not shutil.which(CHROMIUM):
        absent("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile on a small phone; the neutral page is answered here, nothing leaves the machine."""
    opened = browser.new_context(viewport={"width": 390, "height": 844})
    opened.route(NEUTRAL_PAGE, lambda route: route.fulfill(content_type="text/html", body="a neutral page"))
    yield opened
    opened.close()


class Widget:
    """The widget on one page, as a person uses it. Words are read from the configuration it was served with."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def visit(self, path: str = "/") -> Widget:
        self.page.goto(self.url + path)
        return self

    def label(self, key: str, language: str = "en", **values: object) -> str:
        text = self.page.evaluate("([l, k]) => HANDRAIL_CONFIG.languages[l].labels[k]", [language, key])
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return str(text)

    def button(self, key: str, language: str = "en", **values: object) -> Locator:
        root = self.page.locator("handrail-widget")
        return root.get_by_role("button", name=self.label(key, language, **values), exact=True)

    def open(self, language: str = "en") -> Widget:
        self.button("launcher", language).click()
        return self

    def choose_in_menu(self, *keys: str) -> None:
        self.button("menu").click()
        for key in keys:
            self.button(key).click()

    def say(self, text: str) -> None:
        self.input.fill(text)
        self.input.press("Enter")

    @property
    def input(self) -> Locator:
        return self.page.locator("#input")

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log")

    @property
    def own(self) -> Locator:
        return self.page.locator(".message.person")

    @property
    def bot(self) -> Locator:
        return self.page.locator(".message.bot")

    @property
    def choices(self) -> Locator:
        return self.page.locator(".choices button")

    @property
    def card(self) -> Locator:
        return self.page.locator(".message.card")

    @property
    def bar(self) -> Locator:
        """The hotline links in sight, in the dock or in the panel."""
        return self.page.locator(".lines a:visible")

    def stored(self) -> dict[str, str]:
        return dict(self.page.evaluate("() => ({...sessionStorage, ...localStorage})"))

    def token(self) -> str:
        return str(json.loads(self.stored()["handrail"])["token"])


@pytest.fixture
def visit(context: BrowserContext, desk_url: str) -> Iterator[Callable[..., Widget]]:
    """Open a page of the whole running Handrail; the test fails when its scripts or its CSP complained."""
    visited: list[Widget] = []

    def go(path: str = "/") -> Widget:
        visited.append(Widget(context.new_page(), desk_url))
        return visited[-1].visit(path)

    yield go
    for widget in visited:
        assert widget.errors == []


def cut(context: BrowserContext, pattern: str = API) -> Callable[[], None]:
    """Let no request reach the desk, as when it is down; returns the mending."""
    context.route(pattern, lambda route: route.abort())
    return lambda: context.unroute(pattern)


def stream(context: BrowserContext, *messages: dict[str, Any]) -> None:
    """Let the stream say these messages, in order, and end."""
    plain = {"author": "bot", "text": "", "html": None, "choices": [], "in_reply_to": None, "last": True, "card": False}
    written = [plain | {"sequence": 100 + n} | message for n, message in enumerate(messages)]
    body = "".join(f"event: message\nid: {m['sequence']}\ndata: {json.dumps(m)}\n\n" for m in written)

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/event-stream", body=body)

    context.route(EVENTS, answer)
