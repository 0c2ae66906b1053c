"""The database connection: one engine, calls in bounded threads, each with a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import count
from pathlib import Path
from queue import Empty, PriorityQueue
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from bot.errors import SettingsError, StoreAway

Result = TypeVar("Result")
THREADS = 8
MIGRATION_LOCK = 48219  # any number that nothing else in the database uses


class Database:
    """An engine whose every call ends within `timeout_seconds`, with a result or StoreAway."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        try:
            parsed = make_url(url)
        except SQLAlchemyError:
            raise SettingsError("HANDRAIL_DATABASE_URL is not a database URL; see deploy/env.example") from None
        self.backend = parsed.get_backend_name()
        self.timeout_seconds = timeout_seconds
        if self.backend == "sqlite":
            arguments: dict[str, Any] = {"timeout": timeout_seconds * 0.8, "check_same_thread": False}
        elif self.backend == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            limit = int(timeout_seconds * 800)
            arguments = {
                "connect_timeout": max(1, int(timeout_seconds)),
                "tcp_user_timeout": limit,
                # The last one: a machine that vanished in a transaction keeps its locks from the others no longer.
                "options": f"-c statement_timeout={limit} -c lock_timeout={limit} "
                f"-c idle_in_transaction_session_timeout={4 * limit}",
            }
        else:
            raise SettingsError("HANDRAIL_DATABASE_URL must be sqlite:/// or postgresql://")
        self.url = parsed
        self.engine: Engine = create_engine(
            parsed,
            connect_args=arguments,
            pool_size=THREADS,
            max_overflow=0,
            pool_timeout=timeout_seconds,
            pool_pre_ping=self.backend == "postgresql",
        )
        if self.backend == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        # Work that only reads sees one moment: in PostgreSQL each statement would otherwise see a later one.
        moment = {"isolation_level": "REPEATABLE READ"} if self.backend == "postgresql" else {}
        self._engines = {True: self.engine, False: self.engine.execution_options(reads_only=True, **moment)}
        self._threads = UrgentFirst(THREADS, "store")
        # SQLite takes one writer at a time and lets others poll for their turn; a queue is fair and costs nothing.
        self._writers = UrgentFirst(1, "store-writer") if self.backend == "sqlite" else self._threads

    def call(self, work: Callable[[Session], Result], *, writes: bool = True) -> Result:
        """Run `work` in one transaction and commit it; StoreAway when the database does not answer.

        For commands and for work in threads of its own; it waits for its turn among this process's writes.
        """
        if writes and self.backend == "sqlite":
            return self._writers.submit(partial(self._transact, work, writes)).result()
        return self._transact(work, writes)

    def _transact(self, work: Callable[[Session], Result], writes: bool) -> Result:
        try:
            with (
                Session(self._engines[writes], expire_on_commit=False, autoflush=False) as session,
                session.begin(),
            ):
                return work(session)
        except DBAPIError as error:
            if self.backend == "sqlite" and "readonly" in str(error.orig):
                self.engine.dispose()  # a connection opened while the disk could only be read stays as it was opened
            raise StoreAway(f"the record does not answer ({type(error.orig).__name__})") from None
        except SQLAlchemyError as error:
            raise StoreAway(f"the record does not answer ({type(error).__name__})") from None

    async def run(self, work: Callable[[Session], Result], *, writes: bool = True, urgent: bool = False) -> Result:
        """`call` in a thread, cut after the time limit: a database that hangs is a database that is away.

        `urgent` work goes before what waits for a thread.
        """
        threads = self._writers if writes else self._threads
        future = threads.submit(partial(self._transact, work, writes), urgent=urgent)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.timeout_seconds)
        except TimeoutError:
            raise StoreAway(f"the record took longer than {self.timeout_seconds} s") from None

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that sees the record as it is now, however long it reads; nobody waits for it."""
        with self._engines[False].connect() as connection, connection.begin():
            if self.backend == "postgresql":
                connection.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")
            yield connection

    def migrate(self, revision: str = "head") -> None:
        """Bring the schema up to `revision`, one process at a time; a schema newer than this code is left as it is.

        Safe while other desks run, of this release or the one before: migrations only add (docs/operations.md).
        """
        if self.backend == "sqlite" and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = _alembic_config()
        try:
            with self.engine.begin() as connection:
                if self.backend == "postgresql":  # a big table may take its time; waiting for a lock may not
                    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                if _is_newer(MigrationContext.configure(connection).get_current_revision()):
                    return
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
        except DBAPIError as error:
            raise StoreAway(
                f"the record cannot be prepared ({type(error.orig).__name__}); is it running and writable?"
            ) from None

    def checkpoint(self) -> None:
        """Fold SQLite's log into the database and empty it, as far as readers let it: old bytes do not stay there."""
        connection = self.engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()

    def is_current(self) -> bool:
        """Whether the schema is at this code's revision or a newer one; StoreAway when the database does not answer.

        Newer: another desk is of the next release already, and this one goes on until it is replaced.
        """
        revision = self.call(lambda s: MigrationContext.configure(s.connection()).get_current_revision(), writes=False)
        return revision == newest_revision() or _is_newer(revision)

    def close(self) -> None:
        self._threads.shutdown()
        self._writers.shutdown()
        self.engine.dispose()


class UrgentFirst:
    """Threads that take what is urgent before what waits, and else the oldest first."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._waiting: PriorityQueue[tuple[bool, int, Future[Any], Callable[[], Any]]] = PriorityQueue()
        self._numbers = count()

    def submit(self, work: Callable[[], Result], *, urgent: bool = False) -> Future[Result]:
        future: Future[Result] = Future()
        self._waiting.put((not urgent, next(self._numbers), future, work))
        self._pool.submit(self._run_next)
        return future

    def _run_next(self) -> None:
        _, _, future, work = self._waiting.get_nowait()  # there is one for every call of this
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    def shutdown(self) -> None:
        """Let what runs end, without waiting for it, and cancel what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()[2].cancel()


@cache
def newest_revision() -> str | None:
    """Return the revision this code needs."""
    return ScriptDirectory.from_config(_alembic_config()).get_current_head()


@cache
def known_revisions() -> frozenset[str]:
    """Return every revision this code can bring a schema to."""
    return frozenset(each.revision for each in ScriptDirectory.from_config(_alembic_config()).walk_revisions())


def _is_newer(revision: str | None) -> bool:
    """Whether a revision is of a later release: one this code does not know."""
    return revision is not None and revision not in known_revisions()


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's own BEGIN below, not the driver's
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
