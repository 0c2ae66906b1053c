"""P5: after a counselor's claim no bot message is sequenced; the database decides, however slow Rasa is."""

from __future__ import annotations

import random
import threading
import time

import pytest

from tests.fakes import MovedClock, run_async, wait_until
from tests.stack import DeskThread

CLAIMS = 20


@pytest.fixture
def desk(shared_desk: DeskThread) -> DeskThread:
    shared_desk.rasa.reset()
    return shared_desk


def race(desk: DeskThread, times: int) -> tuple[int, int]:
    """Claim while a turn is under way, `times` times; return how many turns came before the claim and after it."""
    chance, before, after = random.Random(5), 0, 0
    for _ in range(times):
        person = desk.person()
        sequence = person.post("are you there").json()["sequence"]
        threading.Timer(chance.random() * 0.03, desk.rasa.gate.set).start()
        time.sleep(chance.random() * 0.03)  # the race itself: either may win, nothing is waited for
        run_async(desk.parts.record.claim(person.conversation, MovedClock().now()))
        claimed_at = max(message["sequence"] for message in person.record())
        desk.rasa.gate.wait(5)
        settle(desk)
        messages = person.record()
        assert max(message["sequence"] for message in messages) == claimed_at, "a bot message came after the claim"
        answered = any(message["in_reply_to"] == sequence for message in messages)
        before, after = before + answered, after + (not answered)
        desk.rasa.gate.clear()
    return before, after


def settle(desk: DeskThread) -> None:
    """Wait until no turn is under way in the desk."""
    wait_until(lambda: not desk.parts.desk._tasks, "a turn did not end")


def test_no_bot_message_after_a_claim(desk: DeskThread) -> None:
    desk.rasa.gate.clear()
    race(desk, CLAIMS)


@pytest.mark.soak
def test_no_bot_message_after_a_claim_200_times(desk: DeskThread) -> None:
    desk.rasa.gate.clear()
    before, after = race(desk, 200)
    assert before + after == 200
    assert after > 20, "the race was never close"


def test_a_card_is_exempt_for_a_new_category(desk: DeskThread) -> None:
    person = desk.person()
    person.say("hello")
    run_async(desk.parts.record.claim(person.conversation, MovedClock().now()))
    answer = person.post("i want to kill myself").json()
    assert answer["flagged"]
    assert answer["replies"][0]["card"]
    assert person.post("i want to kill myself").json()["replies"] == []
