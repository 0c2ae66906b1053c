"""Every page and state of the console under axe-core, by day and by night, wide and on a phone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import assert_accessible
from tests.counselors import CRISIS, Counselor, in_crisis, make
from tests.fakes import FakeRasa, MovedClock
from tests.stack import DeskThread, free_port


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskThread]:
    rasa = FakeRasa(free_port())
    desk = DeskThread(MovedClock(), home=tmp_path_factory.mktemp("console"), rasa_url=rasa.url)
    desk.rasa = rasa
    desk.wait_for_record()
    yield desk
    desk.stop()
    rasa.stop()


Open = Callable[..., Page]
SETTINGS = [{}, {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}]


@pytest.fixture(params=SETTINGS, ids=["wide by day", "phone by night"])
def open_page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Open]:
    """Open a page for a counselor who is signed in already, without motion: axe sees the settled page."""
    contexts = []

    def open_(counselor: Counselor, path: str) -> Page:
        context = browser.new_context(reduced_motion="reduce", **request.param)
        contexts.append(context)
        if "handrail_console" in counselor.client.cookies:
            url = counselor.desk.url + "/console"
            context.add_cookies([{"name": "handrail_console", "value": counselor.cookie, "url": url}])
        page = context.new_page()
        page.goto(counselor.desk.url + "/console" + path)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def staff(desk: DeskThread) -> dict[str, Counselor]:
    return {role: make(desk, f"axe-{role}", role).sign_in() for role in ("counselor", "lead", "auditor")}


def live(page: Page) -> Page:
    expect(page.locator("#line")).to_have_text("Live")
    return page


def test_signing_in(open_page: Open, desk: DeskThread) -> None:
    nobody = Counselor(desk, "nobody", make(desk, f"n{uuid.uuid4().hex[:8]}").given)
    page = open_page(nobody, "/sign-in")
    assert_accessible(page)
    page.get_by_label("Name").fill("nobody-here")
    page.get_by_label("Password").fill("not a password")
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)
    desk.app.state.console.state.door._auth._addresses._failures.clear()


def test_the_offices(open_page: Open, staff: dict[str, Counselor]) -> None:
    for role, path in (("counselor", "/account"), ("lead", "/accounts"), ("auditor", "/audit"), ("auditor", "/events")):
        page = open_page(staff[role], path)
        assert_accessible(page)
    page.goto(page.url.replace("/events", "/audit"))
    page.locator(".menu summary").click()
    assert_accessible(page)


def test_the_queue_empty_full_and_cut_off(open_page: Open, desk: DeskThread, staff: dict[str, Counselor]) -> None:
    close_all(desk)
    page = live(open_page(staff["counselor"], "/"))
    expect(page.get_by_text("Nobody is waiting.")).to_be_visible()
    assert_accessible(page)
    fill(desk, staff)
    expect(page.locator(".row")).to_have_count(6)
    expect(page.locator(".clock.red")).to_have_count(1)
    expect(page.locator(".clock.amber")).to_have_count(1)
    assert_accessible(page)
    page.locator("#filters select").first.select_option("mine")
    expect(page.locator("#filtered")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.locator("#main").focus()
    page.keyboard.press("?")
    assert_accessible(page, "#help")
    page.keyboard.press("Escape")
    page.route("**/events", lambda route: route.abort())
    page.reload()
    expect(page.locator("#offline")).to_contain_text("Not connected")
    assert_accessible(page)


def test_a_conversation_in_every_part_one_can_play(
    open_page: Open, desk: DeskThread, staff: dict[str, Counselor]
) -> None:
    person, lead = in_crisis(desk), staff["lead"]
    page = live(open_page(lead, f"/conversations/{person.conversation}"))
    expect(page.locator("mark")).to_be_visible()
    assert_accessible(page)
    staff["counselor"].act(person, "claim")
    expect(page.get_by_text("is speaking. You can read along.")).to_be_visible()
    assert_accessible(page)
    mine = live(open_page(staff["counselor"], f"/conversations/{person.conversation}"))
    desk.parts.desk._clock.moved += timedelta(seconds=5)
    person.post(CRISIS)
    expect(mine.get_by_text("New crisis language since you last wrote.")).to_be_visible()
    for summary in mine.locator("#actions summary, .quick > summary, .quick li summary").all()[:6]:
        summary.click()
    assert_accessible(mine)
    staff["counselor"].act(person, "hand-back", handover="line_given", check_back="1_hour")
    expect(mine.get_by_text("Handed over: The person has a line to call")).to_be_visible()
    assert_accessible(mine)
    person.client.delete("/api/me", headers=person.headers)
    expect(mine.get_by_text("The person has erased this conversation.")).to_be_visible()
    assert_accessible(mine)
    staff["counselor"].act(person, "close", outcome="no_answer")
    expect(mine.get_by_text("The flags of this conversation are closed.")).to_be_visible()
    assert_accessible(mine)


def fill(desk: DeskThread, staff: dict[str, Counselor]) -> None:
    """Six conversations: red, amber, fresh, with a colleague, one's own, to be checked back; one of them a request."""
    clock = desk.parts.desk._clock
    in_crisis(desk)
    clock.moved += timedelta(seconds=200)
    in_crisis(desk)
    clock.moved += timedelta(seconds=130)
    held, own, later = in_crisis(desk), in_crisis(desk), in_crisis(desk)
    staff["lead"].act(held, "claim")
    for each in (own, later):
        staff["counselor"].act(each, "claim")
    staff["counselor"].act(later, "hand-back", check_back="1_hour", handover="with_somebody")
    desk.rasa.answer = {"references": ["counselor_requested"], "effects": [{"name": "request_counselor"}]}
    desk.person("es").say("una persona por favor")
    desk.rasa.reset()


def close_all(desk: DeskThread) -> None:
    for statement in ("update flags set state = 'closed'", "update conversations set voice = 'bot', claimed_by = null"):
        desk.parts.database.call(lambda session, each=statement: session.connection().exec_driver_sql(each))


def test_single_letters_can_be_switched_off(browser: Browser, desk: DeskThread, staff: dict[str, Counselor]) -> None:
    in_crisis(desk)
    context = browser.new_context()
    context.add_cookies(
        [{"name": "handrail_console", "value": staff["counselor"].cookie, "url": desk.url + "/console"}]
    )
    page = context.new_page()
    page.goto(desk.url + "/console/")
    live(page)
    page.keyboard.press("?")
    page.get_by_label("Single letters act").uncheck()
    page.get_by_role("button", name="Close").click()
    for _ in range(2):
        page.locator("#main").focus()
        page.keyboard.press("?")
        page.keyboard.press("j")
        assert page.evaluate("() => document.activeElement.id") == "main"
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.reload()
    page.get_by_role("button", name="Help with keys").click()
    page.get_by_label("Single letters act").check()
    page.get_by_role("button", name="Close").click()
    page.locator("#main").focus()
    page.keyboard.press("j")
    assert page.evaluate("() => document.activeElement.className") == "open"
    context.close()
