"""Whole Handrails on both kinds of database, each on a disk of its own that can be filled or made read-only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.promises.faults import proxied_postgres, small_disk
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
    with proxied_postgres(postgres_server) as (through, proxy):
        home = tmp_path_factory.mktemp("postgres")
        running = Stack(home, database_url=through, messages_per_minute="100000", conversations_per_minute="100000")
        running.proxy = proxy
        running.start()
        yield running
        proxy.set("pass")
        running.stop()
