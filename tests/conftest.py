"""Fixtures shared by all tests: databases, a desk in this process beside a hand-written Rasa, the real stack."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from bot.desk.logs import start_logging
from tests.fakes import FakeRasa, MovedClock
from tests.stack import DeskThread, Stack, free_port

start_logging("WARNING", strict=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A promise test that is skipped is a broken promise where everything is installed (CI)."""
    if os.environ.get("HANDRAIL_NOTHING_SKIPPED"):
        for item in items:
            assert not list(item.iter_markers("skip")), f"{item.nodeid} is skipped"


def absent(reason: str) -> None:
    """Skip for an absent service; fail instead where everything must be there (CI)."""
    if os.environ.get("HANDRAIL_NOTHING_SKIPPED"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres_server() -> str:
    url = os.environ.get("HANDRAIL_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        absent("no PostgreSQL at HANDRAIL_TEST_POSTGRES_URL or on the default port")
    return url


@contextmanager
def fresh_postgres(server: str) -> Iterator[str]:
    """A fresh PostgreSQL database, dropped afterwards."""
    name = f"handrail_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    yield server.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    with fresh_postgres(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'handrail.db'}"
    return str(request.getfixturevalue("postgres_url"))


@contextmanager
def desk_on(request: pytest.FixtureRequest, home: Path, **settings: object) -> Iterator[DeskThread]:
    """A desk beside a hand-written Rasa (`desk.rasa`), on the kind of database the fixture was asked for."""
    with ExitStack() as stack:
        url = f"sqlite:///{home / 'handrail.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_postgres(request.getfixturevalue("postgres_server")))
        rasa = FakeRasa(free_port())
        stack.callback(rasa.stop)
        desk = DeskThread(MovedClock(), home=home, rasa_url=rasa.url, database_url=url, **settings)
        stack.callback(desk.stop)
        desk.rasa = rasa
        desk.wait_for_record()
        yield desk


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskThread]:
    """One desk a module and kind of database, for tests that only talk to it."""
    with desk_on(request, tmp_path_factory.mktemp("desk"), conversations_per_minute=10_000) as desk:
        yield desk


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def fake_rasa() -> Iterator[FakeRasa]:
    """A Rasa that answers over real HTTP what the test says."""
    rasa = FakeRasa(free_port())
    yield rasa
    rasa.stop()


@pytest.fixture
def start_desk(tmp_path: Path, fake_rasa: FakeRasa, clock: MovedClock) -> Iterator[Callable[..., DeskThread]]:
    """Start a desk in a thread of this process; settings are given as keywords."""
    desks: list[DeskThread] = []

    def start(**settings: object) -> DeskThread:
        given = {"home": tmp_path / "home", "rasa_url": fake_rasa.url, **settings}
        desks.append(DeskThread(clock, **given))
        return desks[-1]

    yield start
    for desk in desks:
        desk.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real processes under supervisor, as `make run` starts them, on SQLite."""
    running = Stack(tmp_path_factory.mktemp("stack"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def desk_url(request: pytest.FixtureRequest) -> str:
    """The address of a whole running Handrail, for browser tests; HANDRAIL_BROWSER_URL names another one."""
    return os.environ.get("HANDRAIL_BROWSER_URL") or str(request.getfixturevalue("stack").url)
