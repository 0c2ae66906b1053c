"""Work that goes on for ever, and work on many items of which one may fail without keeping the others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog

from bot.errors import HandrailError, StoreAway

AWAY_AFTER = 3  # items in a row that the record did not answer for: then it is not the item

Item = TypeVar("Item")
log = structlog.get_logger()


async def for_ever(name: str, work: Callable[[], Awaitable[object]], pause_seconds: float) -> None:
    """Do some work after each pause, whatever happens; failures are logged as `name`_waits or `name`_failed."""
    while True:
        await asyncio.sleep(pause_seconds)
        try:
            await work()
        except HandrailError as error:
            log.warning(f"{name}_waits", error=str(error))
        except Exception as error:
            log.exception(f"{name}_failed", error=type(error).__name__)


async def each(name: str, items: Iterable[Item], work: Callable[[Item], Awaitable[object]]) -> None:
    """Do some work for each item and pass over those that fail; raises StoreAway after AWAY_AFTER of it in a row."""
    in_a_row = 0
    for item in items:
        try:
            await work(item)
            in_a_row = 0
        except StoreAway as error:
            in_a_row += 1
            if in_a_row == AWAY_AFTER:
                raise
            log.warning(f"{name}_passed_over", error=str(error))
        except Exception as error:
            log.exception(f"{name}_passed_over", error=type(error).__name__)
