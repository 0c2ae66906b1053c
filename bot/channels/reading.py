"""Reading request bodies: bounded in size and time, and never all or nothing."""

from __future__ import annotations

import asyncio

from fastapi import Request

READ_SECONDS = 10.0  # for a whole request body; what came by then is assessed


async def read_body(request: Request, limit: int) -> tuple[bytes, bool]:
    """Return the first `limit` bytes of the body and whether that is not all of it.

    It waits neither for the rest of a body that is too large nor for one that comes too slowly: what is there by then
    is assessed.
    """
    raw = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > limit:
                    return bytes(raw[:limit]), True
    except TimeoutError:
        return bytes(raw), True
    return bytes(raw), False


def cleaned(text: str) -> str:
    """Return a text the record can hold: no lone surrogates, no NUL."""
    return text.encode("utf-8", errors="replace").decode().replace("\x00", "")
