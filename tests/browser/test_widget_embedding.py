"""The widget on somebody else's website: another origin, a strict policy, hostile styles, a desk that is down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.browser.conftest import Widget
from tests.counselors import in_crisis, make
from tests.fakes import ThreadedServer, wait_until
from tests.stack import DeskThread, free_port

Visit = Callable[[], Widget]
CRAVING = "I have a strong craving right now"
HOSTILE = """* { display: none !important; font-size: 3px !important; color: red !important; pointer-events: none }
  html, body, script { display: block !important } html { font-size: 2px; visibility: hidden } div { zoom: 9 }
  body { transform: scale(0.5); overflow: hidden; height: 40px }"""


class Website:
    """A website that shows the widget with one script tag; `/neutral` is where quick exit leads."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.desk = self.attributes = self.style = ""
        self.requests: list[str] = []
        pages = [Route("/", self._home), Route("/neutral", lambda _: HTMLResponse("neutral"))]
        self.server = ThreadedServer(Starlette(routes=pages), self.port)

    async def _home(self, request: Request) -> HTMLResponse:
        self.requests.append(str(request.headers))
        policy = f"default-src 'none'; style-src 'nonce-x'; script-src {self.desk}; connect-src {self.desk}"
        style = f'<style nonce="x">{self.style}</style>' if self.style else ""
        html = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>A clinic</title>{style}
          <body><h1>A clinic</h1><a href="{self.desk}/help" data-handrail-open>Talk with us</a>
          <script src="{self.desk}/widget.js" data-exit="/neutral" {self.attributes} defer></script></body></html>"""
        return HTMLResponse(html, headers={"content-security-policy": policy})


@pytest.fixture
def website() -> Iterator[Website]:
    site = Website()
    yield site
    site.server.stop()


@pytest.fixture
def desk(website: Website, start_desk: Callable[..., DeskThread]) -> DeskThread:
    started = start_desk(allowed_origins=website.url)
    started.wait_for_record()
    website.desk = started.url
    return started


@pytest.fixture
def visit(browser: Browser, website: Website) -> Iterator[Callable[[], Widget]]:
    """Open the website in a profile whose HTTP cache works: Playwright turns it off where requests are routed."""
    profile = browser.new_context(viewport={"width": 390, "height": 844})
    yield lambda: Widget(profile.new_page(), website.url).visit()
    profile.close()


def test_a_conversation_from_another_origin_under_a_strict_policy(
    visit: Visit, website: Website, desk: DeskThread
) -> None:
    widget = visit()
    widget.page.get_by_role("link", name="Talk with us").click()  # the widget opens, the link is not followed
    widget.say(CRAVING)
    expect(widget.own).to_contain_text([widget.label("sent")])
    expect(widget.bot).to_have_count(2)
    assert widget.page.url == website.url + "/"
    assert widget.page.context.cookies() == []
    assert all("cookie" not in each for each in website.requests)
    assert widget.errors == []


def test_quick_exit_on_another_origin_reaches_the_counselor(visit: Visit, website: Website, desk: DeskThread) -> None:
    counselor, person = make(desk, "rivera").sign_in(), in_crisis(desk)
    counselor.act(person, "claim")
    widget = visit()
    kept = {"token": person.token, "begun": True, "open": True}
    widget.page.evaluate("kept => (sessionStorage.handrail = JSON.stringify(kept))", kept)
    widget.page.reload()
    expect(widget.log).to_contain_text("A counselor is here now")
    expect(widget.page.locator(".head p")).to_have_text(widget.label("counselor_here"))
    said = "the person left the chat with quick exit"
    assert said not in counselor.read(person).text.lower()
    widget.button("leave").click()
    expect(widget.page).to_have_url(website.url + "/neutral")
    wait_until(lambda: person.record()[-1]["author"] == "left", "the desk did not hear that the person left")
    assert said in counselor.read(person).text.lower()


def test_the_hotlines_come_from_the_cache_when_the_desk_is_down(
    visit: Visit, website: Website, desk: DeskThread
) -> None:
    widget = visit()
    expect(widget.bar.first).to_be_visible()
    desk.stop()
    again = visit()
    expect(again.bar.first).to_be_visible()
    again.open()
    assert {"tel:911", "tel:988", "sms:988", "https://988lifeline.org"} <= {
        link.get_attribute("href") for link in again.bar.all()
    }
    expect(again.card).to_be_visible()
    expect(again.log).to_contain_text(again.label("offline"))


@pytest.mark.parametrize("side", ["left", "right"])
def test_hostile_styles_change_nothing(visit: Visit, website: Website, desk: DeskThread, side: str) -> None:
    plain = visit()
    expected = plain.button("launcher").bounding_box()
    plain.open()
    panel = plain.page.locator(".panel").bounding_box()
    website.style, website.attributes = HOSTILE, f'data-position="{side}"'
    widget = visit()
    found = widget.button("launcher").bounding_box()
    assert expected
    assert found
    assert {found[size] for size in ("width", "height")} == {expected[size] for size in ("width", "height")}
    assert (found["x"] < 40) == (side == "left")
    widget.open()
    expect(widget.bot).to_have_count(1)
    assert widget.page.locator(".panel").bounding_box() == panel
    assert widget.errors == []


def test_right_to_left_mirrors_and_keeps_everything_in_sight(visit: Visit, website: Website, desk: DeskThread) -> None:
    widget = visit()
    left_to_right = widget.button("launcher").bounding_box()
    widget.page.add_init_script(
        "Object.defineProperty(window, 'HANDRAIL_CONFIG', { get: () => this.kept, set: (given) => {"
        " given.languages.en.direction = 'rtl'; this.kept = given } })"
    )
    widget.visit()
    box = widget.button("launcher").bounding_box()
    assert left_to_right
    assert box
    assert left_to_right["x"] > 200
    assert box["x"] < 40
    widget.open()
    expect(widget.bot).to_have_count(1)
    assert widget.page.locator(".root").evaluate("e => getComputedStyle(e).direction") == "rtl"
    widths = "e => [...e.querySelectorAll('*')].every(x => x.scrollWidth <= x.clientWidth + 1 || x.closest('.sr'))"
    assert widget.page.locator(".log").evaluate(widths)
