"""Retention and key rotation on a running desk, on both kinds of database: nothing lost, nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bot import upkeep_commands
from bot.cli import app
from bot.store.cipher import add_encryption_key, keep_newest_encryption_key, read_keys
from tests.fakes import MovedClock
from tests.stack import DeskThread, Person

CRISIS = "i don't want to be alive anymore"


@pytest.fixture
def desk(start_desk: Callable[..., DeskThread], database_url: str) -> DeskThread:
    desk = start_desk(database_url=database_url, conversations_per_minute=10_000, messages_per_minute=10_000)
    desk.wait_for_record()
    return desk


def rows(desk: DeskThread, table: str, conversation: str) -> int:
    column = "id" if table == "conversations" else "conversation_id"
    query = f"select count(*) from {table} where {column} = '{conversation}'"
    return int(desk.parts.database.call(lambda session: session.connection().exec_driver_sql(query).scalar_one()))


def run(*command: str) -> Result:
    """Run a command in a thread of its own: the browser tests leave an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(CliRunner().invoke, app, list(command)).result()


def expire(desk: DeskThread, clock: MovedClock) -> int:
    return desk.parts.upkeep.expire(clock.now(), keep_days=30, keep_flagged_days=180)


def test_retention_deletes_whole_conversations_when_their_time_is_over(desk: DeskThread, clock: MovedClock) -> None:
    plain = desk.person()
    plain.say("the evenings are long")
    clock.moved = timedelta(days=29)
    later = desk.person()
    later.say("me too")
    assert expire(desk, clock) == 0
    clock.moved = timedelta(days=31)
    assert expire(desk, clock) == 1
    assert [rows(desk, table, plain.conversation) for table in ("messages", "sightings", "conversations")] == [0, 0, 0]
    assert rows(desk, "messages", later.conversation) > 0
    assert expire(desk, clock) == 0


def test_a_flagged_conversation_stays_longer_and_an_open_flag_until_it_is_closed(
    desk: DeskThread, clock: MovedClock
) -> None:
    person = desk.person()
    person.say(CRISIS)
    clock.moved = timedelta(days=179)
    assert expire(desk, clock) == 0
    clock.moved = timedelta(days=181)
    assert expire(desk, clock) == 1
    assert (rows(desk, "messages", person.conversation), rows(desk, "flags", person.conversation)) == (0, 1)
    assert expire(desk, clock) == 0
    close = f"update flags set state = 'closed' where conversation_id = '{person.conversation}'"
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(close) and None)
    clock.moved = timedelta(days=181 + 32)
    expire(desk, clock)
    assert (rows(desk, "flags", person.conversation), rows(desk, "conversations", person.conversation)) == (0, 0)


def test_an_erased_conversation_leaves_nothing_once_its_token_is_over(desk: DeskThread, clock: MovedClock) -> None:
    person = desk.person()
    person.say("forget me please")
    person.client.delete("/api/me", headers=person.headers)
    assert rows(desk, "conversations", person.conversation) == 1
    clock.moved = timedelta(days=32)
    assert expire(desk, clock) == 1
    assert rows(desk, "conversations", person.conversation) == 0


def test_an_erased_row_outlives_its_token_however_short_the_retention(desk: DeskThread, clock: MovedClock) -> None:
    person = desk.person()
    person.say("forget me please")
    person.client.delete("/api/me", headers=person.headers)
    clock.moved = timedelta(days=5)
    assert desk.parts.upkeep.expire(clock.now(), keep_days=1, keep_flagged_days=1) == 0
    assert person.post("am i still here").status_code == 401


def test_more_than_one_batch_goes(desk: DeskThread, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.upkeep.BATCH", 2)
    for number in range(5):
        desk.person().say(f"night number {number}")
    clock.moved = timedelta(days=31)
    assert expire(desk, clock) == 5


def test_rotation_under_load_loses_nothing_and_leaves_nothing_that_needs_the_old_key(desk: DeskThread) -> None:
    keys = desk.settings.home / "keys"
    people = [desk.person() for _ in range(6)]
    for person in people:
        person.say("before the new key")
    stop = threading.Event()
    said: dict[str, int] = {}

    def write(person: Person) -> None:
        count = 0
        while not stop.is_set():
            person.say(f"during it, {count}")
            count += 1
        said[person.conversation] = count

    with ThreadPoolExecutor(len(people)) as pool:
        work = [pool.submit(write, person) for person in people]
        add_encryption_key(keys)
        first = desk.parts.upkeep  # another process's view: the desk itself has not read the new key yet
        other = upkeep_commands._open(desk.settings)
        changed, strange = other[2].reseal()
        assert changed >= len(people)
        assert strange == 0
        assert desk.parts.record._cipher.refresh() or len(desk.parts.record._cipher._keys) == 2
        while first.reseal()[0]:
            pass
        stop.set()
        for each in work:
            each.result()
        other[0].close()
    assert keep_newest_encryption_key(keys) == 1
    assert len(read_keys(keys).encryption) == 1
    desk.parts.record._cipher.refresh()
    for person in people:
        texts = [message["text"] for message in person.record() if message["author"] == "person"]
        assert texts == ["before the new key", *(f"during it, {n}" for n in range(said[person.conversation]))]


def test_retention_under_load_takes_only_what_is_due(desk: DeskThread, clock: MovedClock) -> None:
    old = [desk.person() for _ in range(6)]
    for person in old:
        person.say("a long time ago")
    clock.moved = timedelta(days=31)
    people = [desk.person() for _ in range(4)]

    def write(person: Person) -> None:
        for number in range(8):
            person.say(f"while it runs, {number}")

    with ThreadPoolExecutor(len(people)) as pool:
        work = [pool.submit(write, person) for person in people]
        gone = 0
        while not all(each.done() for each in work):
            gone += expire(desk, clock)
        for each in work:
            each.result()
    assert gone + expire(desk, clock) == len(old)
    for person in people:
        texts = [message["text"] for message in person.record() if message["author"] == "person"]
        assert texts == [f"while it runs, {number}" for number in range(8)]


def test_a_body_sealed_with_a_key_the_desk_has_not_read_yet_opens(desk: DeskThread) -> None:
    person = desk.person()
    person.say("hello there")
    add_encryption_key(desk.settings.home / "keys")
    database, _, upkeep = upkeep_commands._open(desk.settings)
    assert upkeep.reseal()[0] > 0
    database.close()
    assert any(message["text"] == "hello there" for message in person.record())


def test_the_commands_rotate_expire_and_erase(
    desk: DeskThread, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDRAIL_HOME", str(desk.settings.home))
    monkeypatch.setenv("HANDRAIL_DATABASE_URL", database_url)
    monkeypatch.setattr(upkeep_commands, "NOTICED_SECONDS", 0.0)
    person = desk.person()
    person.say("a few words")
    rotated = run("keys", "rotate", "--drop-old")
    assert rotated.exit_code == 0, rotated.output
    assert "1 old keys removed" in rotated.output
    assert any(message["text"] == "a few words" for message in person.record())
    assert run("retention", "run").output == "0 conversations deleted\n"
    assert run("erase", person.conversation).output == "erased\n"
    assert rows(desk, "messages", person.conversation) == 0
    again = run("erase", person.conversation)
    assert "no such conversation" in str(again.exception)
