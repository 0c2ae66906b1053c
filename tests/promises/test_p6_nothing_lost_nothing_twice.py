"""P6: acknowledged means durable; kills, retries and replays lose nothing and double nothing."""

from __future__ import annotations

import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta

import httpx
import pytest

from bot.store.engine import Database
from bot.store.record import Record
from tests.fakes import MovedClock, run_async, wait_until
from tests.stack import DeskThread, Person, Stack

PROGRAMS = ("desk", "rasa", "actions")
TEXTS = ("hello", "what happens in detox", "the cravings are bad", "thanks", "i want to kill myself", "asdf qwer")


class Writer(threading.Thread):
    """Somebody whose client sends each message until it is acknowledged, as the widget does."""

    def __init__(self, url: str, stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self.person, self._stop_event, self._chance = Person(url, timeout_seconds=8), stop, random.Random(seed)
        self.acknowledged: list[str] = []

    def run(self) -> None:
        while not self._stop_event.is_set():
            client_id, text = str(uuid.uuid4()), self._chance.choice(TEXTS)
            while True:
                try:
                    if self.person.post(text, client_id=client_id).status_code == 202:
                        self.acknowledged.append(client_id)
                        break
                except httpx.HTTPError:
                    if self._stop_event.is_set():
                        return
                time.sleep(0.05)  # the client's own pause between tries
            time.sleep(0.1)


def kill_under_load(stack: Stack, kills: int, writers: int) -> None:
    chance, stop = random.Random(6), threading.Event()
    people = [Writer(stack.url, stop, seed) for seed in range(writers)]
    for writer in people:
        writer.start()
    for _ in range(kills):
        program = chance.choices(PROGRAMS, weights=(4, 1, 1))[0]
        pid = stack.signal(program, signal.SIGKILL)
        wait_until(
            lambda program=program, pid=pid: stack.pid(program) not in (0, pid), f"{program} was not restarted", 90
        )
        if program == "desk":
            wait_until(stack.parts, "the desk did not come back", 90)
    stop.set()
    stack.wait_ready()
    expect_nothing_lost_or_doubled(people)
    assert sum(len(writer.acknowledged) for writer in people) > kills


def expect_nothing_lost_or_doubled(people: Sequence[Writer], timeout_seconds: float = 60.0) -> None:
    """Let writers that were told to stop end, and wait until each has everything that was acknowledged, once."""
    for writer in people:
        writer.join(30)
        wait_until(
            lambda writer=writer: lost_or_doubled(writer) == (0, 0, 0),
            lambda writer=writer: str(lost_or_doubled(writer)),
            timeout_seconds,
        )


def lost_or_doubled(writer: Writer) -> tuple[int, int, int]:
    """Return how many acknowledged messages are lost, unanswered, or answered twice."""
    record = writer.person.record()
    said = {message["client_id"]: message["sequence"] for message in record if message["author"] == "person"}
    closing = [message["in_reply_to"] for message in record if message["author"] == "bot" and message["last"]]
    lost = sum(client_id not in said for client_id in writer.acknowledged)
    assert len(said) == len([message for message in record if message["author"] == "person"])
    unanswered = sum(said[client_id] not in closing for client_id in writer.acknowledged if client_id in said)
    return lost, unanswered, len(closing) - len(set(closing))


@pytest.mark.stack
def test_kills_under_load_lose_and_double_nothing(sqlite_stack: Stack) -> None:
    kill_under_load(sqlite_stack, kills=3, writers=4)


@pytest.mark.stack
@pytest.mark.soak
def test_200_kills_under_load_on_sqlite(sqlite_stack: Stack) -> None:
    kill_under_load(sqlite_stack, kills=100, writers=6)


@pytest.mark.stack
@pytest.mark.soak
def test_200_kills_under_load_on_postgresql(postgres_stack: Stack) -> None:
    kill_under_load(postgres_stack, kills=100, writers=6)


def test_a_message_acknowledged_before_a_crash_is_answered_after_it(
    start_desk: Callable[..., DeskThread], fake_rasa, database_url: str
) -> None:
    fake_rasa.gate.clear()
    first = start_desk(database_url=database_url)
    first.wait_for_record()
    person = first.person()
    sequence = person.post("are you there").json()["sequence"]
    first.stop(crash=True)
    fake_rasa.gate.set()
    second = start_desk(database_url=database_url)
    person.client.base_url = second.url
    assert person.replies_to(sequence)


def test_a_reply_that_is_late_becomes_the_late_notice(
    start_desk: Callable[..., DeskThread], fake_rasa, clock: MovedClock, database_url: str
) -> None:
    fake_rasa.gate.clear()
    first = start_desk(database_url=database_url)
    first.wait_for_record()
    person = first.person()
    sequence = person.post("are you there").json()["sequence"]
    wait_until(fake_rasa.asked.is_set, "the turn did not begin")
    first.stop(crash=True)
    fake_rasa.gate.set()
    asked = len(fake_rasa.turns)
    clock.moved = timedelta(minutes=16)
    second = start_desk(database_url=database_url)
    person.client.base_url = second.url
    assert person.replies_to(sequence)[0]["item"] == "system/late"
    assert len(fake_rasa.turns) == asked


def test_a_desk_that_is_told_to_stop_lets_its_turns_end(
    start_desk: Callable[..., DeskThread], fake_rasa, database_url: str
) -> None:
    desk = start_desk(database_url=database_url)
    desk.wait_for_record()
    person = desk.person()
    fake_rasa.gate.clear()
    fake_rasa.asked.clear()
    sequence = person.post("are you there").json()["sequence"]
    wait_until(fake_rasa.asked.is_set, "the turn did not begin")
    stopping = threading.Thread(target=desk.stop)
    stopping.start()
    wait_until(lambda: not answers(desk.url), "the desk went on listening")
    fake_rasa.gate.set()
    stopping.join()
    after = Record(Database(database_url, 10.0), desk.parts.record._cipher)
    replies = run_async(after.messages_after(person.conversation, sequence))
    assert [each.in_reply_to for each in replies if each.last] == [sequence]


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_two_desks_on_one_record_answer_once(
    start_desk: Callable[..., DeskThread], fake_rasa, database_url: str
) -> None:
    fake_rasa.gate.clear()
    given = {"database_url": database_url, "rasa_timeout_seconds": 60}  # the second desk starts meanwhile
    one = start_desk(**given)
    one.wait_for_record()
    person = one.person()
    sequence = person.post("are you there").json()["sequence"]
    other = start_desk(**given)
    wait_until(lambda: len(fake_rasa.turns) >= 2, "the second desk did not take the turn too")
    fake_rasa.gate.set()
    wait_until(lambda: not one.parts.desk._tasks and not other.parts.desk._tasks, "a turn did not end")
    replies = [message for message in person.record() if message["in_reply_to"] == sequence]
    assert len([message for message in replies if message["last"]]) == 1
