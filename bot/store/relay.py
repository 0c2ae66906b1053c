"""Hints between replicas by PostgreSQL's LISTEN and NOTIFY, on connections of their own. A lost hint loses nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import structlog
from psycopg import AsyncConnection, Error
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

CHANNEL = "handrail"
WAITING = 1000  # hints to be sent; beyond that they are dropped, and readers find out by looking
AT_ONCE = 100
LOOK_AGAIN = ""  # said by a replica that was cut off: its hints of that time are lost
AGAIN_SECONDS = 1.0
# A dead connection is found within about 10 s, as the pool's are by their time limit.
ARGUMENTS = {"connect_timeout": 3, "tcp_user_timeout": 5000, "keepalives_idle": 5, "keepalives_interval": 2}

log = structlog.get_logger()


class Relay:
    def __init__(self, url: URL) -> None:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._address = make_conninfo(address, **ARGUMENTS)
        self._origin = uuid.uuid4().hex
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING)
        self.is_up = False

    def send(self, text: str) -> None:
        """Pass a hint on, soon; dropped while there is no connection or too many wait."""
        if self.is_up and not self._waiting.full():
            self._waiting.put_nowait(text)

    async def run(self, hear: Callable[[str | None], None]) -> None:
        """Connect, and again whenever it breaks; `hear` gets others' hints, and None after a gap, theirs or ours."""
        while True:
            try:
                await self._connected(hear)
            except Error as error:
                log.warning("relay_waits", error=type(error).__name__)
            finally:
                self.is_up = False
            await asyncio.sleep(AGAIN_SECONDS)

    async def _connected(self, hear: Callable[[str | None], None]) -> None:
        async with await self._connect() as listening, await self._connect() as sending:
            await listening.execute(f"LISTEN {CHANNEL}".encode())
            self.is_up = True
            hear(None)
            self.send(LOOK_AGAIN)
            tasks = [asyncio.create_task(self._hear(listening, hear)), asyncio.create_task(self._send(sending))]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                done.pop().result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _connect(self) -> AsyncConnection:
        return await AsyncConnection.connect(self._address, autocommit=True)

    async def _hear(self, connection: AsyncConnection, hear: Callable[[str | None], None]) -> None:
        async for notice in connection.notifies():
            origin, _, text = notice.payload.partition(" ")
            if origin != self._origin:
                hear(text or None)

    async def _send(self, connection: AsyncConnection) -> None:
        while True:
            texts = {await self._waiting.get()}
            while not self._waiting.empty() and len(texts) < AT_ONCE:
                texts.add(self._waiting.get_nowait())
            payloads = [f"{self._origin} {text}" for text in texts]
            await connection.execute("SELECT pg_notify(%s, each) FROM unnest(%s::text[]) AS each", [CHANNEL, payloads])
