"""The disclosure clock, with a moved clock: at the start, on question, after three hours, a day, seven days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from bot.desk.disclosure import RULES, due
from bot.store.values import Context
from tests.counselors import CRISIS, make
from tests.fakes import FakeRasa, FakeTwilio, MovedClock
from tests.phone import Phone, settings_for
from tests.stack import DeskThread, Person, free_port

AGAIN, WHOLE = "system/disclosure-again", "system/disclosure"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("jurisdiction", "disclosed_hours_ago", "idle_hours", "said"),
    [
        ("strictest", 2.9, 0.1, None),
        ("strictest", 3.1, 0.1, "disclosure_again"),
        ("strictest", 5, 4, None),  # a new interaction on the same day
        ("strictest", 25, 20, "disclosure_again"),
        ("strictest", 200, 167, "disclosure_again"),
        ("strictest", 200, 169, "disclosure"),
        ("US-NY", 3.1, 0.1, "disclosure_again"),
        ("US-NY", 200, 169, "disclosure_again"),
        ("US-UT", 3.1, 0.1, None),
        ("US-UT", 200, 20, None),
        ("US-UT", 200, 169, "disclosure"),
        ("US-CA", 3.1, 0.1, "disclosure_again"),
        ("US-CA", 200, 20, None),
    ],
)
def test_each_jurisdiction_has_its_clock(
    jurisdiction: str, disclosed_hours_ago: float, idle_hours: float, said: str | None
) -> None:
    began, heard = START - timedelta(hours=disclosed_hours_ago), START - timedelta(hours=idle_hours)
    context = Context("en", "bot", (), {}, (), (), 5, began_at_utc=began, heard_at_utc=heard)
    assert due(context, "web", START, RULES[jurisdiction]) == said
    just_now = Context("en", "bot", (), {AGAIN: START}, (), (), 5, began_at_utc=began, heard_at_utc=START)
    assert due(just_now, "web", START + timedelta(hours=2), RULES[jurisdiction]) is None


@pytest.fixture
def desk(start_desk: Callable[..., DeskThread]) -> DeskThread:
    desk = start_desk(late_after_seconds=10**8)
    desk.wait_for_record()
    return desk


def items(person: Person, text: str) -> list[str]:
    return [reply["item"] for reply in person.say(text)]


def test_a_long_chat_and_a_return_after_a_week(desk: DeskThread, clock: MovedClock, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    assert person.opening[0]["item"] == WHOLE
    assert AGAIN not in items(person, "cravings again")
    for minutes in (100, 170):
        clock.moved = timedelta(minutes=minutes)
        assert AGAIN not in items(person, "and again")
    clock.moved = timedelta(minutes=190)
    said = items(person, "still here")
    assert said[0] == AGAIN
    assert said.count(AGAIN) == 1
    assert len(said) > 1, "the answer itself comes too"
    clock.moved = timedelta(minutes=200)
    assert AGAIN not in items(person, "and now")
    fake_rasa.answer = {"references": ["bot_challenge"], "intent": "bot_challenge"}
    clock.moved = timedelta(minutes=360)
    assert "conversation/bot-challenge" in items(person, "are you a real person")
    fake_rasa.answer = {}
    clock.moved = timedelta(minutes=400)
    assert AGAIN not in items(person, "thanks"), "they have just asked"
    clock.moved = timedelta(days=8)
    assert items(person, "i am back")[0] == WHOLE
    clock.moved += timedelta(minutes=5)
    assert not {WHOLE, AGAIN} & set(items(person, "the cravings are bad"))


def test_never_before_a_card_nor_while_a_counselor_speaks(desk: DeskThread, clock: MovedClock) -> None:
    person, counselor = desk.person(), make(desk, "sam").sign_in()
    person.say("hello there")
    clock.moved = timedelta(hours=2)
    person.say("hello again")
    clock.moved = timedelta(hours=4)
    replies = person.say(CRISIS)
    assert replies[0]["card"]
    assert AGAIN not in [reply["item"] for reply in replies]
    counselor.sign_in()
    counselor.act(person, "claim")
    person.post("are you there")
    assert AGAIN not in [message["item"] for message in person.record()]
    counselor.act(person, "close", outcome="reached")
    assert items(person, "and now the program again")[0] == AGAIN


def test_by_sms_after_a_week_the_first_text_comes_again(
    start_desk: Callable[..., DeskThread], clock: MovedClock
) -> None:
    twilio = FakeTwilio(free_port())
    desk = start_desk(**settings_for(twilio))
    desk.wait_for_record()
    phone = Phone(desk)
    first = phone.text("hello, cravings today")
    assert "STOP" in first[0]
    clock.moved = timedelta(days=8)
    again = phone.text("hello, cravings again")
    assert again[0] == first[0]
    clock.moved += timedelta(minutes=1)
    assert first[0] not in phone.text("hello, cravings still")
    twilio.stop()
