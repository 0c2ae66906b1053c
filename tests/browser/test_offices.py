"""The pages behind the queue in a real Chromium: wide and on a phone, light and dark, without errors or overflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from bot.store.counters import count
from tests.counselors import in_crisis, make
from tests.fakes import FakeRasa, MovedClock
from tests.stack import DeskThread, free_port

PAGES = ("reports", "audit", "flags", "follow-ups", "misses")
SHAPES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
SHOWN = {"suicide": 31, "self_harm": 12, "overdose": 22, "withdrawal": 6, "violence": 3, "reality_distress": 8}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskThread]:
    """A desk with a month of numbers, a flag nobody has taken, and a follow-up."""
    rasa = FakeRasa(free_port())
    desk = DeskThread(MovedClock(), home=tmp_path_factory.mktemp("offices"), rasa_url=rasa.url)
    desk.wait_for_record()
    now = desk.parts.desk.now()

    def fill(session) -> None:  # type: ignore[no-untyped-def]
        for category, number in SHOWN.items():
            count(session, now, "web", "flag_crisis", category, number)
            count(session, now, "sms", "referral", category, number)
        for back, number in enumerate((7, 12, 3, 9, 22, 14, 6)):
            count(session, now.replace(day=1) + timedelta(days=3 * back), "sms", "flag_request", "", number)
        for outcome, number in (("reached", 40), ("hotline", 21), ("not_a_crisis", 9), ("no_answer", 2)):
            count(session, now, "web", "outcome", outcome, number)
        for item, number in (("coping/urge-surfing", 61), ("coping/paced-breathing", 40), ("treatment/cost", 12)):
            count(session, now, "web", "shown", item, number)

    desk.parts.database.call(fill)
    yield desk
    desk.stop()
    rasa.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_pages_fit_and_have_no_errors(browser: Browser, desk: DeskThread, shape: str, scheme: str) -> None:
    lead = make(desk, f"lead-{shape}-{scheme}", "lead").sign_in()
    waiting, held = in_crisis(desk), in_crisis(desk)
    lead.act(held, "claim")
    soon = (desk.parts.desk.now() + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    lead.act(held, "follow-up", at=soon, agreed="yes")
    context = browser.new_context(viewport=SHAPES[shape], color_scheme=scheme)
    context.add_cookies([{"name": "handrail_console", "value": lead.cookie, "url": f"{desk.url}/console"}])
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    for name in PAGES:
        page.goto(f"{desk.url}/console/{name}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if folder := os.environ.get("HANDRAIL_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{name}-{shape}-{scheme}.png", full_page=True)
        assert overflow <= 0, f"{name} is {overflow} px too wide"
    page.goto(f"{desk.url}/console/reports")
    expect(page.get_by_role("img", name="Flags by day")).to_be_visible()
    expect(page.get_by_role("row", name="Self-harm 12").first).to_be_visible()
    page.goto(f"{desk.url}/console/flags")
    page.locator(".sheetlike", has=page.locator(f'a[href$="{waiting.conversation}"]')).get_by_role(
        "button", name="Acknowledge"
    ).click()
    expect(page.get_by_text(f"Acknowledged by {lead.name.title()}")).to_be_visible()
    context.close()
    assert errors == []
