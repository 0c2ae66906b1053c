"""After a crash or an outage: what was acknowledged is recorded and answered. Safe to repeat, on any replica."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from bot.desk.clock import Clock
from bot.desk.desk import Desk
from bot.desk.loops import each
from bot.desk.metrics import Metrics
from bot.errors import HandrailError
from bot.store.cipher import Cipher
from bot.store.record import Record
from bot.store.spool import Spool
from bot.store.values import FlagRaised, Inbound, Reply, Texted

SETTLED_AFTER_SECONDS = 6.0  # longer than a turn's deadline: a younger message is being answered right now
PAUSE_SECONDS = 3.0
PAUSE_WHILE_AWAY_SECONDS = 1.0

log = structlog.get_logger()


class Recovery:
    def __init__(
        self, desk: Desk, record: Record, spool: Spool, cipher: Cipher, metrics: Metrics, clock: Clock
    ) -> None:
        self._desk, self._record, self._spool, self._cipher = desk, record, spool, cipher
        self._metrics, self._clock = metrics, clock

    async def run(self) -> None:
        """Recover at the start, then each PAUSE_SECONDS, or sooner while the record is away or the spool waits."""
        older_than_seconds = 0.0
        while True:
            pause = PAUSE_SECONDS
            try:
                await self.recover(older_than_seconds=older_than_seconds)
                older_than_seconds = SETTLED_AFTER_SECONDS
            except HandrailError as error:
                log.warning("recovery_waits", error=str(error))
                pause = PAUSE_WHILE_AWAY_SECONDS
            except Exception as error:
                log.exception("recovery_failed", error=type(error).__name__)
            if await asyncio.to_thread(self._cipher.refresh):
                log.info("encryption_keys_changed")
            spooled = len(await asyncio.to_thread(self._spool.paths))
            self._metrics.spooled.set(spooled)
            await asyncio.sleep(PAUSE_WHILE_AWAY_SECONDS if spooled or self._desk.store_was_away else pause)

    async def recover(self, *, older_than_seconds: float) -> None:
        """Record what the spool holds, then answer what was acknowledged without a reply."""
        await self._drain_spool()
        for conversation in await self._record.unanswered(self._clock.now(), older_than_seconds):
            self._desk.start_turns(conversation)
        self._desk.store_was_away = False

    async def _drain_spool(self) -> None:
        await each("recovery", await asyncio.to_thread(lambda: list(self._spool.entries())), self._adopt)

    async def _adopt(self, spooled: tuple[Path, dict[str, Any]]) -> None:
        path, entry = spooled
        fields = entry["inbound"]
        texted = Texted(**fields["texted"]) if fields.get("texted") else None
        received_at_utc = datetime.fromisoformat(fields["received_at_utc"])
        inbound = Inbound(**{**fields, "received_at_utc": received_at_utc, "texted": texted})
        replies = [Reply(**reply) for reply in entry["replies"]]
        flag = FlagRaised(**entry["flag"]) if entry["flag"] else None
        await self._record.adopt(inbound, replies, flag, entry.get("consent"), entry.get("consent_source") or "keyword")
        await asyncio.to_thread(path.unlink, missing_ok=True)
        self._desk.signals.notify(inbound.conversation)
