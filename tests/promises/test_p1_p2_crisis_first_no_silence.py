"""P1: a recognised crisis gets the hotline card whatever is broken. P2: every message gets a reviewed reply in time."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.fakes import wait_until
from tests.promises import faults
from tests.stack import Person, Stack

pytestmark = pytest.mark.stack

CRISES = {"en": "i want to kill myself", "es": "me quiero morir, ya no aguanto"}
ORDINARY = {"en": "what happens in detox", "es": "¿qué pasa en la desintoxicación?"}
CARD_SECONDS = 4.0
REPLY_SECONDS = 8.0


@contextmanager
def postgres(mode: str, stack: Stack) -> Iterator[None]:
    stack.proxy.set(mode)
    try:
        yield
    finally:
        stack.proxy.set("pass")
    stack.wait_ready("store")


FAULTS = {
    "nothing": faults.nothing,
    "Rasa stopped": faults.rasa_killed,
    "Rasa hung": faults.rasa_hung,
    "actions gone": faults.actions_gone,
    "actions hung": faults.actions_hung,
}
SQLITE_FAULTS = FAULTS | {
    "database locked": faults.database_locked,
    "state folder read-only": faults.database_read_only,
    "disk full": faults.disk_full,
}
POSTGRES_FAULTS = FAULTS | {
    "PostgreSQL stopped": lambda stack: postgres("closed", stack),
    "PostgreSQL black-holed": lambda stack: postgres("black hole", stack),
}


def replies_in_time(person: Person, text: str, limit_seconds: float) -> tuple[list[dict], float]:
    """Send `text` and return its replies, from the answer or the stream, and the checked seconds it took."""
    start = time.monotonic()
    answer = person.post(text)
    assert answer.status_code in (202, 503), answer.text
    body = answer.json()
    replies = body["replies"]
    if not replies and body["sequence"]:
        replies = first_reply(person, body["sequence"])
    seconds = time.monotonic() - start
    assert replies, f"silence after {seconds:.1f} s"
    assert seconds < limit_seconds, f"{seconds:.1f} s"
    return replies, seconds


def first_reply(person: Person, sequence: int) -> list[dict]:
    """Return the first reply to a message from the stream, recorded or not."""
    for message in person.stream(after=sequence, timeout_seconds=REPLY_SECONDS + 2):
        if message["in_reply_to"] == sequence:
            return [message]
    return []


def check(stack: Stack, language: str) -> tuple[float, float]:
    """Check that a crisis gets the card and an ordinary message a reviewed reply; return the seconds of each."""
    card, card_seconds = replies_in_time(stack.person(language), CRISES[language], CARD_SECONDS)
    assert card[0]["card"]
    assert "988" in card[0]["text"]
    ordinary, ordinary_seconds = replies_in_time(stack.person(language), ORDINARY[language], REPLY_SECONDS)
    assert ordinary[0]["item"]
    assert ordinary[0]["author"] == "bot"
    return card_seconds, ordinary_seconds


@pytest.mark.parametrize("fault", SQLITE_FAULTS)
def test_on_sqlite(sqlite_stack: Stack, fault: str) -> None:
    with SQLITE_FAULTS[fault](sqlite_stack):
        for language in CRISES:
            check(sqlite_stack, language)
    check_recovered(sqlite_stack)


@pytest.mark.parametrize("fault", POSTGRES_FAULTS)
def test_on_postgresql(postgres_stack: Stack, fault: str) -> None:
    with POSTGRES_FAULTS[fault](postgres_stack):
        for language in CRISES:
            check(postgres_stack, language)
    check_recovered(postgres_stack)


def check_recovered(stack: Stack) -> None:
    stack.wait_ready()

    def spool_is_empty() -> bool:
        return "handrail_spooled 0.0" in httpx.get(f"{stack.url}/metrics", timeout=5, trust_env=False).text

    wait_until(spool_is_empty, "the spool was not recorded")


def test_a_conversation_begun_before_the_outage_keeps_its_card_and_its_place(sqlite_stack: Stack) -> None:
    person = sqlite_stack.person()
    person.say("hello")
    client_id = str(uuid.uuid4())
    with faults.database_locked(sqlite_stack):
        answer = person.post(CRISES["en"], client_id=client_id)
        assert answer.json()["sequence"] is None
        assert answer.json()["replies"][0]["card"]
    check_recovered(sqlite_stack)
    said = [message for message in person.record() if message["client_id"] == client_id]
    assert len(said) == 1
    assert said[0]["flagged"]
    cards = [message for message in person.record() if message["in_reply_to"] == said[0]["sequence"]]
    assert [card["key"] for card in cards] == [answer.json()["replies"][0]["key"]]


@pytest.mark.parametrize("token", ["bad", "missing", "too long", "over the rate limit"])
def test_a_refused_message_still_gets_the_card(sqlite_stack: Stack, token: str) -> None:
    person = sqlite_stack.person()
    if token in ("bad", "missing"):
        person.headers = {"authorization": "Bearer nonsense"} if token == "bad" else {}
    text = CRISES["en"] + " and more" * (9000 if token == "too long" else 0)
    answer = person.post(text)
    assert answer.json()["replies"][0]["card"]


def test_rasa_dying_is_restarted_and_the_desk_never_stops(sqlite_stack: Stack) -> None:
    desk, rasa = sqlite_stack.pid("desk"), sqlite_stack.signal("rasa", signal.SIGKILL)
    check(sqlite_stack, "en")
    sqlite_stack.wait_ready()
    assert sqlite_stack.pid("desk") == desk
    assert sqlite_stack.pid("rasa") not in (0, rasa)


def test_without_a_model_and_while_starting(tmp_path) -> None:
    """The desk protects within seconds of its start, long before Rasa, or without any."""
    stack = Stack(tmp_path / "home")
    (tmp_path / "home").mkdir()
    stack.start(with_model=False, wait=False)
    try:
        wait_until(lambda: bool(stack.parts()), "the desk did not start", 150)
        seconds = time.monotonic() - stack.started_at
        check(stack, "en")
        stack.wait_ready("store")
        ordinary, _ = replies_in_time(stack.person(), ORDINARY["en"], REPLY_SECONDS)
        assert ordinary[0]["item"] == "system/waking-up"
        print(f"\nfirst answer {seconds:.1f} s after `handrail serve`")
    finally:
        stack.stop()


def test_without_the_guards_classifier_the_rules_answer_and_readiness_says_so(tmp_path) -> None:
    stack = Stack(tmp_path / "home")
    (tmp_path / "home").mkdir()
    with faults.no_classifier(tmp_path):
        stack.start(with_model=False, wait=False)
        try:
            wait_until(lambda: bool(stack.parts()), "the desk did not start", 150)
            assert stack.parts()["guard_rules"] == "ok"
            assert stack.parts()["guard_classifier"].startswith("failed")
            check(stack, "en")
            check(stack, "es")
        finally:
            stack.stop()


def test_without_content_the_built_in_card_and_fallback_are_said(tmp_path) -> None:
    stack = Stack(tmp_path / "home", content_folder=str(tmp_path / "nothing"))
    (tmp_path / "home").mkdir()
    stack.start(with_model=False, wait=False)
    try:
        wait_until(lambda: bool(stack.parts()), "the desk did not start", 150)
        check(stack, "en")
        check(stack, "es")
        assert httpx.get(f"{stack.url}/help", trust_env=False).status_code == 200
        assert "988" in httpx.get(f"{stack.url}/help", trust_env=False).text
    finally:
        stack.stop()
