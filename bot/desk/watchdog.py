"""The watchdog: a flag nobody takes is told to its person, honestly, and to its owner, until somebody knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from bot.desk.clock import Clock
from bot.desk.composer import Composer
from bot.desk.hours import Hours
from bot.desk.loops import each, for_ever
from bot.desk.metrics import Metrics
from bot.desk.owner import OwnerNotice, Way
from bot.desk.signals import Signals
from bot.errors import HandrailError, OwnerUnreached
from bot.settings import Settings
from bot.store.watch import PERSON, Waiting, Watch

LOOK_SECONDS = 1.0
READ_FIRST = timedelta(seconds=20)  # outside staffed hours: the card before the notice is being read
# Longer than any way takes: a notice that its process did not live to note is sent again this much later.
LEASE = timedelta(seconds=30)
FIRST_AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 5.0, 120.0
# (kind, staffed now) -> what the person is told
SAYS = {
    ("crisis", True): "nobody_yet",
    ("crisis", False): "nobody_on_duty",
    ("request", True): "counselor_waiting",
    ("request", False): "counselors_away",
}

log = structlog.get_logger()


class Watchdog:
    """Several at once, in any number of processes, tell nobody twice: each notice is taken in the database first."""

    def __init__(
        self,
        watch: Watch,
        composer: Composer,
        ways: Mapping[str, Way],
        hours: Hours,
        signals: Signals,
        metrics: Metrics,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._watch, self._composer, self._ways, self._hours = watch, composer, ways, hours
        self._signals, self._metrics, self._clock, self._address = signals, metrics, clock, settings.address
        self._unclaimed = timedelta(seconds=settings.unclaimed_seconds)
        self._person_again = timedelta(seconds=settings.unclaimed_repeat_seconds)
        self._owner_again = timedelta(seconds=settings.owner_repeat_seconds)
        self._most = settings.unclaimed_notices
        self._sending: dict[tuple[int, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look for ever."""
        await for_ever("watchdog", self.look, LOOK_SECONDS)

    async def look(self) -> None:
        """Tell whoever is due now; the owner in the background, so that a slow mail server keeps nobody waiting."""
        now = self._clock.now()

        async def tell(waiting: Waiting) -> None:
            for name, way in self._ways.items():
                if self._owner_is_due(waiting, name, now):
                    self._start(waiting, name, way)
            if self._person_is_due(waiting, now):
                await self._tell_person(waiting, now)

        await each("watchdog", await self._watch.waiting(now), tell)

    async def settled(self) -> None:
        """Wait until the notices under way have been sent or have failed."""
        while self._sending:
            await asyncio.gather(*self._sending.values())

    def _person_is_due(self, waiting: Waiting, now: datetime) -> bool:
        if not waiting.tells_person:
            return False
        told = waiting.told.get(PERSON)
        if told and told.since_utc == waiting.since_utc:
            return told.sent < self._most and told.due_at_utc <= now
        after = self._unclaimed
        if not self._hours.open_at(now):
            after = min(after, READ_FIRST) if waiting.kind == "crisis" else self._person_again  # the turn has said it
        return self._most > 0 and now - waiting.since_utc >= after

    def _owner_is_due(self, waiting: Waiting, way: str, now: datetime) -> bool:
        since = waiting.unacknowledged_since_utc
        if since is None or (waiting.flag, way) in self._sending:
            return False
        told = waiting.told.get(way)
        if told and told.since_utc == since:
            return told.due_at_utc <= now
        return now - since >= self._unclaimed or not self._hours.open_at(now)

    async def _tell_person(self, waiting: Waiting, now: datetime) -> None:
        reference = SAYS[waiting.kind, self._hours.open_at(now)]
        told = await self._watch.tell_person(
            waiting,
            lambda context, channel: self._composer.say(reference, context, channel, ""),
            now,
            now + self._person_again,
            self._most,
        )
        if told:
            self._metrics.notices.labels(PERSON, "sent").inc()
            self._signals.notify(waiting.conversation)

    def _start(self, waiting: Waiting, name: str, way: Way) -> None:
        key = (waiting.flag, name)
        task = self._sending[key] = asyncio.create_task(self._tell_owner(waiting, name, way))
        task.add_done_callback(lambda _: self._sending.pop(key, None))

    async def _tell_owner(self, waiting: Waiting, name: str, way: Way) -> None:
        now = self._clock.now()
        try:
            taken = await self._watch.take(waiting, name, now, LEASE)
            if taken is None:
                return
            still, tries = taken
            try:
                await way.send(self._notice(still, name, now), now)
            except OwnerUnreached as error:
                log.warning("owner_unreached", flag=still.flag, way=name, error=str(error))
                self._metrics.notices.labels(name, "failed").inc()
                wait = min(FIRST_AGAIN_SECONDS * 2 ** (tries - 1), LONGEST_AGAIN_SECONDS)
                sent, again_at = False, self._clock.now() + timedelta(seconds=wait)
            else:
                self._metrics.notices.labels(name, "sent").inc()
                sent, again_at = True, now + self._owner_again
            await self._watch.settle(
                still, name, self._clock.now(), sent=sent, again_at=again_at, taken_until=now + LEASE
            )
        except HandrailError as error:
            log.warning("watchdog_waits", error=str(error))
        except Exception as error:
            log.exception("watchdog_failed", error=type(error).__name__)

    def _notice(self, waiting: Waiting, way: str, now: datetime) -> OwnerNotice:
        since = waiting.unacknowledged_since_utc
        told = waiting.told.get(way)
        number = told.sent + 1 if told and told.since_utc == since else 1
        seconds = int((now - waiting.since_utc).total_seconds())
        url = f"{self._address}/console/flags/{waiting.flag}"
        return OwnerNotice(waiting.flag, number, waiting.kind, waiting.category, seconds, url)
