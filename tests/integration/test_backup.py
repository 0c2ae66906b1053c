"""Backup and restore into a fresh place, across both databases, and migrations from every released schema."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import LargeBinary, MetaData, insert, text
from typer.testing import CliRunner

from bot.cli import app
from bot.errors import SettingsError
from bot.store.audit import Audit
from bot.store.backup import SEALED, Backup
from bot.store.cipher import Cipher, make_keys, read_keys
from bot.store.engine import Database, known_revisions, newest_revision
from bot.store.models import Base
from bot.store.record import Record
from bot.store.spool import Spool
from bot.store.values import FlagRaised, Inbound
from tests import counselors
from tests.conftest import fresh_postgres
from tests.fakes import run_async
from tests.stack import DeskThread

WORDS = "my sister and the marmalade evenings"
TURN = datetime(2026, 11, 20, 10)


def run(home: Path, url: str, *command: str) -> Result:
    """Run a command in a thread of its own: the browser tests leave an event loop in this one."""
    environment = {"HANDRAIL_HOME": str(home), "HANDRAIL_DATABASE_URL": url}
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(CliRunner().invoke, app, list(command), env=environment).result()


def count(database: Database, table: str) -> int:
    return int(database.call(lambda session: session.execute(text(f"select count(*) from {table}")).scalar_one()))


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    """An empty database of the other kind."""
    with ExitStack() as stack:
        if database_url.startswith("sqlite"):
            yield stack.enter_context(fresh_postgres(request.getfixturevalue("postgres_server")))
        else:
            yield f"sqlite:///{tmp_path / 'elsewhere' / 'handrail.db'}"


def test_a_backup_restored_elsewhere_is_readable_again(
    start_desk: Callable[..., DeskThread], database_url: str, other_url: str, tmp_path: Path
) -> None:
    desk = start_desk(database_url=database_url)
    desk.wait_for_record()
    person = desk.person()
    person.say(WORDS)
    mia = counselors.make(desk, "mia").sign_in()
    in_crisis = counselors.in_crisis(desk)
    mia.act(in_crisis, "claim")
    Spool(desk.settings.home / "spool", desk.parts.record._cipher).add({"inbound": {"conversation": "x"}}, 7)
    kept = tmp_path / "kept"
    kept.mkdir()
    made = run(desk.settings.home, database_url, "backup", str(kept))
    assert made.exit_code == 0, made.output
    (file,) = kept.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    desk.stop()

    fresh = tmp_path / "fresh"
    without = run(fresh, other_url, "restore", str(file))
    assert "there are no keys" in str(without.exception)
    (fresh / "keys").mkdir(parents=True, mode=0o700)
    for path in (desk.settings.home / "keys").iterdir():
        (fresh / "keys" / path.name).touch(0o600)
        (fresh / "keys" / path.name).write_bytes(path.read_bytes())
    checked = run(fresh, other_url, "restore", str(file), "--check")
    assert "the keys open all" in checked.output
    restored = run(fresh, other_url, "restore", str(file))
    assert restored.exit_code == 0, restored.output

    database = Database(other_url, 10.0)
    cipher = Cipher(read_keys(fresh / "keys").encryption)
    messages = run_async(Record(database, cipher).messages_after(person.conversation, 0))
    assert [each.body["text"] for each in messages if each.author == "person"] == [WORDS]
    assert Audit(read_keys(fresh / "keys").lookup).verify(database)[1] is None
    assert (count(database, "counselors"), count(database, "sessions")) == (1, 0)
    assert [path.name for path in (fresh / "spool").iterdir()] == Backup(file)._spooled()[0].split("/")[1:]
    again = run(fresh, other_url, "restore", str(file))
    assert "not empty" in str(again.exception)

    record = Record(database, cipher)
    later = Inbound(person.conversation, "web", "en", "later", "still here", datetime.now(UTC))
    run_async(record.adopt(later, [], None))  # the numbers go on after those restored
    messages = run_async(record.messages_after(person.conversation, 0))
    assert [each.body["text"] for each in messages if each.author == "person"] == [WORDS, "still here"]
    database.close()


def test_a_backup_holds_the_keys_only_when_asked_and_says_so(database_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_keys(home / "keys")
    database = Database(database_url, 10.0)
    database.migrate()
    database.close()
    secrets = [path.read_bytes().strip() for path in (home / "keys").iterdir()]
    plain, whole = tmp_path / "plain.zip", tmp_path / "whole.zip"
    assert "keys are not in it" in run(home, database_url, "backup", str(plain)).output
    assert "THE KEYS ARE IN IT" in run(home, database_url, "backup", str(whole), "--with-keys").output
    held = {
        path: b"".join(zipfile.ZipFile(path).read(n) for n in zipfile.ZipFile(path).namelist())
        for path in (plain, whole)
    }
    assert not any(secret in held[plain] for secret in secrets)
    assert all(secret in held[whole] for secret in secrets)
    fresh = tmp_path / "fresh"
    restored = run(fresh, f"sqlite:///{fresh / 'handrail.db'}", "restore", str(whole))
    assert restored.exit_code == 0, restored.output
    assert read_keys(fresh / "keys") == read_keys(home / "keys")
    assert "already" in str(run(home, database_url, "backup", str(plain)).exception)


def test_keys_that_do_not_open_a_backup_stop_the_restore(start_desk: Callable[..., DeskThread], tmp_path: Path) -> None:
    desk = start_desk()
    desk.wait_for_record()
    desk.person().say(WORDS)
    file, fresh = tmp_path / "it.zip", tmp_path / "fresh"
    run(desk.settings.home, "", "backup", str(file))
    make_keys(fresh / "keys")
    refused = run(fresh, "", "restore", str(file))
    assert "do not open this backup" in str(refused.exception)
    assert not (fresh / "handrail.db").exists()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(SettingsError, match="not a backup"):
        Backup(damaged)


def test_every_sealed_column_is_opened_before_a_restore() -> None:
    columns = {(table.name, column) for table in Base.metadata.tables.values() for column in table.columns}
    assert {(table, column.name) for table, column in columns if isinstance(column.type, LargeBinary)} == set(SEALED)


def test_old_backups_go_when_their_days_are_over(tmp_path: Path) -> None:
    home, kept = tmp_path / "home", tmp_path / "kept"
    make_keys(home / "keys")
    database = Database(f"sqlite:///{home / 'handrail.db'}", 10.0)
    database.migrate()
    database.close()
    kept.mkdir()
    for name in ("handrail-20200101T000000Z.zip", "notes.zip"):
        (kept / name).touch()
    assert "1 older backups deleted" in run(home, "", "backup", str(kept), "--keep-days", "7").output
    assert (kept / "notes.zip").exists()
    assert len(list(kept.iterdir())) == 2


def rows_of_release(revision: str, sealed: bytes) -> list[tuple[str, dict[str, object]]]:
    """Return rows as the code of a revision wrote them: those of 0001, and of each later one what it brought."""
    here = {"conversation_id": "c" * 36}
    rows: list[tuple[str, dict[str, object]]] = [
        (
            "conversations",
            {"id": "c" * 36, "channel": "web", "language": "en", "voice": "bot", "voice_epoch": 0, "next_sequence": 3}
            | {"state": sealed, "created_at_utc": TURN, "last_at_utc": TURN},
        ),
        (
            "messages",
            here
            | {"sequence": 1, "author": "person", "client_id": "m", "body": sealed, "last": False}
            | {"flagged": True, "answered": True, "created_at_utc": TURN},
        ),
        (
            "flags",
            here
            | {"kind": "crisis", "category": "suicide", "about": "self", "heard_by": "guard", "state": "open"}
            | {"message_sequence": 1, "opened_at_utc": TURN, "last_heard_at_utc": TURN},
        ),
        ("sightings", here | {"item": "coping/step-away", "times": 1, "last_at_utc": TURN}),
        ("counters", {"day": TURN.date(), "channel": "web", "name": "messages", "category": "", "value": 4}),
    ]
    if revision >= "0002":
        rows += [
            ("contacts", here | {"address": sealed, "created_at_utc": TURN}),
            ("consents", here | {"kind": "start", "source": "keyword", "at_utc": TURN}),
            (
                "outbox",
                here
                | {"id": "o" * 36, "sequence": 2, "card": True, "state": "queued", "attempts": 0}
                | {"not_before_utc": TURN, "changed_at_utc": TURN},
            ),
        ]
    if revision >= "0003":
        rows.append(
            (
                "counselors",
                {"name": "mia", "display_name": "Mia", "password_hash": "x", "totp_secret": sealed, "role": "lead"}
                | {"totp_last_step": 0, "failed_count": 0, "created_at_utc": TURN},
            )
        )
    return rows


@pytest.mark.parametrize("revision", sorted(known_revisions()))
def test_every_released_schema_with_rows_comes_up_and_goes_on(revision: str, database_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_keys(home / "keys")
    sealed = Cipher(read_keys(home / "keys").encryption).seal({"text": WORDS})
    database = Database(database_url, 10.0)
    database.migrate(revision)
    written = rows_of_release(revision, sealed)
    tables = MetaData()
    tables.reflect(database.engine)
    for table, row in written:
        to = insert(tables.tables[table])
        database.call(lambda session, to=to, row=row: session.execute(to, row) and None)
    old = tmp_path / "old.zip"
    assert run(home, database_url, "backup", str(old)).exit_code == 0

    database.migrate()
    assert database.is_current()
    for table, _ in written:
        assert count(database, table) == 1, table
    record = Record(database, Cipher(read_keys(home / "keys").encryption))
    later = Inbound("c" * 36, "web", "en", "later", "still here", datetime.now(UTC))
    run_async(record.adopt(later, [], FlagRaised("crisis", "overdose", "self")))
    messages = run_async(record.messages_after("c" * 36, 0))
    assert [each.body["text"] for each in messages] == [WORDS, "still here"]
    assert run_async(record.waiting_flags(datetime.now(UTC)))["crisis"][0] == 1
    database.close()

    fresh = tmp_path / "fresh" / "handrail.db"
    restored = run(home, f"sqlite:///{fresh}", "restore", str(old))
    assert restored.exit_code == 0, restored.output
    elsewhere = Database(f"sqlite:///{fresh}", 10.0)
    assert elsewhere.is_current()
    assert count(elsewhere, "messages") == 1
    if revision >= "0002":
        states = elsewhere.call(lambda session: session.execute(text("select state, error from outbox")).all())
        assert [tuple(each) for each in states] == [("unknown", "restored")]
    elsewhere.close()


def test_a_schema_of_the_next_release_is_left_as_it_is_and_served(database_url: str) -> None:
    database = Database(database_url, 10.0)
    database.migrate()
    newer = text("update alembic_version set version_num = '9999'")
    database.call(lambda session: session.execute(newer) and None)
    database.migrate()
    assert database.is_current()
    database.call(lambda session: session.execute(text("update alembic_version set version_num = '0001'")) and None)
    assert not database.is_current()
    assert newest_revision() in known_revisions()
    database.close()


def test_desks_that_start_at_once_on_an_empty_database_make_one_schema(database_url: str) -> None:
    desks = [Database(database_url, 10.0) for _ in range(4)]
    with ThreadPoolExecutor(len(desks)) as pool:
        for done in [pool.submit(desk.migrate) for desk in desks]:
            done.result()
    assert all(desk.is_current() for desk in desks)
    for desk in desks:
        desk.close()
