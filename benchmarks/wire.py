"""A small HTTP/1.1 client on asyncio streams: measured servers share two cores with it, so it must cost little."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any


class Wire:
    """One keep-alive connection to a server on loopback; `post` speaks JSON, `events` reads an event stream."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: dict[str, Any], headers: str = "") -> tuple[int, Any]:
        """Return status and decoded body; raises OSError or EOFError when the server is gone."""
        status, answer = await self.post_raw(path, json.dumps(body).encode(), "application/json", headers)
        return status, json.loads(answer) if answer else None

    async def post_raw(self, path: str, raw: bytes, content_type: str, headers: str = "") -> tuple[int, bytes]:
        """`post` for any bytes; returns those of the answer."""
        await self._send(
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\n{headers}"
            f"content-length: {len(raw)}\r\n\r\n".encode()
            + raw
        )
        status, length = await self._head()
        assert self._reader
        if length is None:
            answer = b"".join([chunk async for chunk in self._chunks()])
        else:
            answer = await self._reader.readexactly(length)
        return status, answer

    async def events(self, path: str, headers: str = "") -> AsyncIterator[dict[str, Any]]:
        """Yield the data of each event of a stream until it ends."""
        await self._send(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode())
        status, _ = await self._head()
        if status != 200:
            raise ConnectionError(f"the stream answered {status}")
        rest = b""
        async for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    async def _send(self, raw: bytes) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(raw)
        await self._writer.drain()

    async def _head(self) -> tuple[int, int | None]:
        assert self._reader
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = None
        for line in head.split("\r\n"):
            if line.startswith("content-length:"):
                length = int(line.split(":")[1])
        return int(head.split(" ", 2)[1]), length

    async def _chunks(self) -> AsyncIterator[bytes]:
        assert self._reader
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()

    def close(self) -> None:
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None
