"""Whole Handrails on both kinds of database, each on a disk of its own that can be filled or made read-only."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.conftest import fresh_postgres
from tests.promises.faults import Proxy, small_disk
from tests.stack import Stack


@pytest.fixture(scope="session")
def sqlite_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with small_disk(tmp_path_factory.mktemp("sqlite") / "home", 64) as home:
        running = Stack(home, messages_per_minute="100000", conversations_per_minute="100000")
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="session")
def postgres_stack(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Stack]:
    """On PostgreSQL behind a proxy (`running.proxy`) that can stop or swallow everything."""
    with fresh_postgres(postgres_server) as url:
        parts = urlsplit(url)
        proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
        through = parts._replace(netloc=f"{parts.username or 'postgres'}@127.0.0.1:{proxy.port}").geturl()
        home = tmp_path_factory.mktemp("postgres")
        running = Stack(home, database_url=through, messages_per_minute="100000", conversations_per_minute="100000")
        running.proxy = proxy
        running.start()
        yield running
        proxy.set("pass")
        running.stop()
        proxy.close()
