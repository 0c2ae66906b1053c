"""What the record's transactions may rely on, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from bot.errors import StoreAway
from bot.store.engine import Database
from tests.fakes import wait_until

BEGUN = "insert into counters (day, channel, name, category, value) values ('2026-11-22', 'web', 'messages', '', 1)"
LOOK = text("select sum(value) from counters")


def add_one(session: Session) -> None:
    session.execute(text("update counters set value = value + 1"))


def prepared(url: str, timeout_seconds: float) -> Database:
    patient = Database(url, 30.0)
    patient.migrate()
    patient.call(lambda session: session.execute(text(BEGUN)))
    patient.close()
    return Database(url, timeout_seconds)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = prepared(database_url, 0.3)
    yield database
    database.close()


def test_work_that_only_reads_sees_one_moment(database: Database) -> None:
    def look_twice(session: Session) -> list[int]:
        before = session.scalar(LOOK)
        database.call(add_one)
        return [before, session.scalar(LOOK)]

    assert database.call(look_twice, writes=False) == [1, 1]
    assert database.call(lambda session: session.scalar(LOOK)) == 2


def test_a_machine_that_vanishes_in_a_transaction_holds_nobody_up_for_long(postgres_url: str) -> None:
    database, vanished = prepared(postgres_url, 0.3), Database(postgres_url, 1.0)
    held = vanished.engine.connect()
    held.execute(text("update counters set value = 7"))

    def goes_on() -> bool:
        try:
            database.call(add_one)
        except StoreAway:
            return False
        return True

    assert not goes_on(), "the row is held"
    wait_until(goes_on, "the row is held for ever", 10)
    assert database.call(lambda session: session.scalar(LOOK)) == 2
    held.invalidate()
    for each in (database, vanished):
        each.close()


def test_a_connection_that_was_opened_while_the_disk_could_only_be_read_is_dropped(tmp_path: Path) -> None:
    database = prepared(f"sqlite:///{tmp_path / 'handrail.db'}", 10.0)
    database.call(lambda session: session.execute(text("pragma query_only = on")))  # refuses writes in the same words
    with pytest.raises(StoreAway):
        database.call(add_one)
    database.call(add_one)
    assert database.call(lambda session: session.scalar(LOOK)) == 2
    database.close()
