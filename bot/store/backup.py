"""A backup: one zip file of every table, the spool and, when asked for, the keys. The same for SQLite and PostgreSQL.

The rows are read in one snapshot while desks run, through the schema as the database has it, and restored into the
schema they were written under, which is then brought up: an old backup opens in a new release, and one of SQLite in
PostgreSQL. Bodies stay sealed: without the keys nobody reads them.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from sqlalchemy import LargeBinary, MetaData, Table, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from bot.errors import SettingsError, StoreAway
from bot.store.cipher import ENCRYPTION_FILE, SECRETS, Cipher
from bot.store.engine import Database, known_revisions

FORMAT = 1
BATCH = 500  # rows read or written at once
# Who is signed in is nobody's to restore; the revision is in the manifest.
LEFT_OUT = frozenset({"sessions", "alembic_version"})
MADE_BY_MIGRATIONS = frozenset({"audit_head"})
SEALED = (("messages", "body"), ("conversations", "state"), ("contacts", "address"), ("counselors", "totp_secret"))
RESTORED = "restored"  # in outbox.error: queued when the backup was made; nobody knows what became of it
MANIFEST, KEYS, SPOOL = "manifest.json", "keys/", "spool/"


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. `tables` counts rows."""

    revision: str
    made_at_utc: str
    tables: dict[str, int]
    spooled: int
    has_keys: bool


def write_backup(database: Database, home: Path, target: Path, now: datetime, *, with_keys: bool) -> Manifest:
    """Write a backup to `target` (0600), whole or not at all. Raises StoreAway, SettingsError."""
    half = target.with_name(f".{target.name}.half")
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with ZipFile(file, "w", ZIP_DEFLATED) as archive:
                manifest = _write(database, home, archive, now, with_keys=with_keys)
            file.flush()
            os.fsync(file.fileno())
        half.replace(target)
    except OSError as error:
        raise SettingsError(f"the backup cannot be written ({error.strerror}); nothing was kept of it") from None
    finally:
        half.unlink(missing_ok=True)
    return manifest


def _write(database: Database, home: Path, archive: ZipFile, now: datetime, *, with_keys: bool) -> Manifest:
    # The spool first: an entry that is recorded meanwhile is then in both, and is adopted once.
    spooled = 0
    for path in sorted((home / "spool").glob("[!.]*")):
        try:
            archive.writestr(SPOOL + path.name, path.read_bytes())
        except FileNotFoundError:
            continue  # recorded since
        spooled += 1
    counts = {}
    try:
        with database.snapshot() as connection:
            revision = connection.execute(text("select version_num from alembic_version")).scalar_one()
            for table in _tables(connection):
                with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as lines:
                    counts[table.name] = 0
                    lines.write(json.dumps([column.name for column in table.c]).encode() + b"\n")
                    rows = connection.execution_options(yield_per=BATCH).execute(select(table))
                    for row in rows:
                        lines.write(json.dumps([_plain(value) for value in row]).encode() + b"\n")
                        counts[table.name] += 1
    except DBAPIError as error:
        raise StoreAway(f"the record does not answer ({type(error.orig).__name__}); no backup was made") from None
    except SQLAlchemyError as error:
        raise StoreAway(f"the record has no schema yet ({type(error).__name__}); no backup was made") from None
    if with_keys:
        for name in (ENCRYPTION_FILE, *SECRETS):
            archive.write(home / "keys" / name, KEYS + name)
    manifest = Manifest(revision, now.isoformat(), counts, spooled, with_keys)
    archive.writestr(MANIFEST, json.dumps({"format": FORMAT, **manifest.__dict__}, indent=1))
    return manifest


class Backup:
    """A backup file to be looked at or restored. Raises SettingsError when it is none, or damaged."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = ZipFile(path)
            fields = json.loads(self._archive.read(MANIFEST))
            self._damaged = self._archive.testzip()
        except (OSError, BadZipFile, KeyError, ValueError):
            raise SettingsError("this is not a backup of Handrail, or it was cut short") from None
        if self._damaged:
            raise SettingsError(f"the backup is damaged ({self._damaged}); take an earlier one")
        if fields.pop("format", None) != FORMAT:
            raise SettingsError("the backup was made by a newer release; restore it with that one")
        self.manifest = Manifest(**fields)

    def keys(self) -> dict[str, bytes]:
        """Return the key files in the backup by name; none unless it was made with them."""
        return {name: self._archive.read(KEYS + name) for name in (ENCRYPTION_FILE, *SECRETS) if self.manifest.has_keys}

    def encryption_keys(self) -> list[str]:
        """Return the encryption keys in the backup, newest first."""
        return self.keys()[ENCRYPTION_FILE].decode().split()

    def check(self, cipher: Cipher) -> int:
        """Open everything that is sealed with these keys; return how many. Raises UnreadableBody, SettingsError."""
        opened = 0
        for table, count in self.manifest.tables.items():
            sealed = [at for at, column in enumerate(self._columns(table)) if (table, column) in SEALED]
            lines = 0
            for row in self._rows(table):
                lines += 1
                for value in [row[at] for at in sealed if row[at] is not None]:
                    cipher.open(base64.b64decode(value["bytes"]))
                    opened += 1
            if lines != count:
                raise SettingsError(f"the backup is damaged ({table} has {lines} rows of {count})")
        for name in self._spooled():
            cipher.open(self._archive.read(name))
            opened += 1
        return opened

    def restore(self, database: Database, home: Path) -> None:
        """Fill an empty database, bring its schema up, and put the spool back.

        Raises SettingsError when the database holds anything, StoreAway when it does not answer.
        """
        if self.manifest.revision not in known_revisions():
            raise SettingsError("the backup was made by a newer release; restore it with that one")
        database.migrate(self.manifest.revision)
        database.call(self._fill)
        database.migrate()
        spool = home / "spool"
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in self._spooled():
            path = spool / name.removeprefix(SPOOL)
            path.touch(0o600)
            path.write_bytes(self._archive.read(name))

    def _fill(self, session: Session) -> None:
        connection = session.connection()
        tables = {table.name: table for table in _tables(connection)}
        if strange := sorted(set(self.manifest.tables) - set(tables)):
            raise SettingsError(f"the backup has tables this release does not know: {', '.join(strange)}")
        for name, table in tables.items():
            if name not in MADE_BY_MIGRATIONS and session.execute(select(table).limit(1)).first():
                raise SettingsError(
                    "the database is not empty; restore into an empty one: stop the desks, then move handrail.db away "
                    "or name a fresh database in HANDRAIL_DATABASE_URL"
                )
        for name, table in tables.items():
            if name in MADE_BY_MIGRATIONS:
                connection.execute(table.delete())
            names = self._columns(name) if name in self.manifest.tables else []
            rows: list[dict[str, Any]] = []
            for row in self._rows(name):
                rows.append({key: _typed(value, table.c[key]) for key, value in zip(names, row, strict=True)})
                if len(rows) == BATCH:
                    connection.execute(insert(table), rows)
                    rows = []
            if rows:
                connection.execute(insert(table), rows)
            _continue_numbers(session, table)
        if "outbox" in tables:  # sent again, a text might come twice
            postings = tables["outbox"]
            waits = update(postings).where(postings.c.state.in_(("queued", "sending")))
            connection.execute(waits.values(state="unknown", error=RESTORED))

    def _rows(self, table: str) -> Iterator[list[Any]]:
        if table not in self.manifest.tables:
            return
        with self._archive.open(f"{table}.jsonl") as lines:
            next(lines)
            for line in lines:
                yield json.loads(line)

    def _columns(self, table: str) -> list[str]:
        with self._archive.open(f"{table}.jsonl") as lines:
            return list(json.loads(lines.readline()))

    def _spooled(self) -> list[str]:
        return [name for name in self._archive.namelist() if name.startswith(SPOOL)]


def put_keys(files: dict[str, bytes], home: Path) -> None:
    """Write key files (0600) into an installation that has none."""
    folder = home / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _tables(connection: Any) -> list[Table]:
    """Return the tables as this database has them, those others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name not in LEFT_OUT]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"bytes": base64.b64encode(value).decode()}
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date


def _typed(value: Any, column: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, LargeBinary):
        return base64.b64decode(value["bytes"])
    kind = column.type.python_type
    return kind.fromisoformat(value) if kind in (datetime, date) else value


def _continue_numbers(session: Session, table: Table) -> None:
    """Let PostgreSQL's counters go on after the numbers restored."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for column in table.primary_key:
        sequence = session.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
        newest = session.scalar(select(func.max(column))) if sequence else None
        if newest is not None:
            session.execute(select(func.setval(sequence, newest)))
