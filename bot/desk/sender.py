"""The outbox worker: sends what no webhook's answer carried, tries again, and asks after what it cannot know."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from bot.content.segments import parts
from bot.desk.clock import Clock
from bot.desk.composer import Composer
from bot.desk.metrics import Metrics
from bot.desk.texting import text_of
from bot.errors import HandrailError, MaybeSent, NotSent, ProviderError, StoreAway
from bot.store.outbox import LATE, STOPPED, Letter, Outbox
from bot.store.values import Context

AGAIN_SECONDS = (1.0, 4.0, 16.0, 60.0)
MOST_ATTEMPTS = len(AGAIN_SECONDS) + 1
STUCK_SECONDS = 60.0  # in `sending`: a webhook's answer or an API call is over long before
PAUSE_SECONDS = 1.0
LOOK_AFTER_SECONDS = 10.0
SENT_AT_ONCE = 4
CLOCKS_APART = timedelta(seconds=60)  # between ours and the provider's

Result = TypeVar("Result")
log = structlog.get_logger()
_chance = random.SystemRandom()


@dataclass(frozen=True)
class Case:
    """What a provider's error means. Not retryable: trying again cannot help."""

    why: str
    retryable: bool = False
    opted_out: bool = False


class Provider(Protocol):
    """What the desk needs of an SMS provider; calls block, and end within seconds."""

    def send(self, address: str, text: str, posting: str) -> str:
        """Send a text and return the provider's id of it. Raises NotSent or MaybeSent."""

    def find(self, address: str, text: str, since: datetime) -> list[str]:
        """Return the provider's ids of such texts sent since then. Raises ProviderError when it cannot say."""

    def case(self, code: str) -> Case:
        """Return what an error code means."""


class Sender:
    """Sends through one provider. At most `daily` messages a day, cards apart; a reply later than `late_after_seconds`
    becomes the late notice."""

    def __init__(
        self,
        outbox: Outbox,
        provider: Provider,
        composer: Composer,
        metrics: Metrics,
        clock: Clock,
        *,
        daily: int,
        late_after_seconds: float,
    ) -> None:
        self._outbox, self._provider, self._composer = outbox, provider, composer
        self._metrics, self._clock, self._daily = metrics, clock, daily
        self._late_after = timedelta(seconds=late_after_seconds)
        self._sending = ThreadPoolExecutor(SENT_AT_ONCE, "sms")
        self._asking = ThreadPoolExecutor(1, "sms-ask")  # of its own: what is in doubt keeps nothing waiting

    async def run(self) -> None:
        """Send for ever what is due, and look after the stuck ones and the metrics."""
        await asyncio.gather(self._keep(self.send_due, PAUSE_SECONDS), self._keep(self._look_after, LOOK_AFTER_SECONDS))

    async def _keep(self, work: Callable[[], Awaitable[int]], pause_seconds: float) -> None:
        """Do some work for ever, whatever happens; with a pause whenever there was none."""
        while True:
            done = 0
            try:
                done = await work()
            except StoreAway as error:
                log.warning("outbox_waits", error=str(error))
            except Exception as error:
                log.exception("outbox_failed", error=type(error).__name__)
            await asyncio.sleep(0 if done else pause_seconds)

    async def _look_after(self) -> int:
        await self.settle_stuck()
        await self.show()
        return 0

    async def send_due(self) -> int:
        """Send what is due now; return how many were tried."""
        letters = await self._outbox.due(self._clock.now(), self._daily)
        await asyncio.gather(*(self._send(letter) for letter in letters))
        return len(letters)

    async def _send(self, letter: Letter) -> None:
        provider_id, text = "", text_of(letter.body)
        if not letter.card and self._clock.now() - letter.written_at_utc > self._late_after:
            if not letter.closes:
                await self._outbox.move(letter.id, "failed", self._clock.now(), error=LATE)
                return
            text = self._late_notice(letter)
        try:
            for part in parts(text):
                provider_id = await self._call(self._sending, self._provider.send, letter.address, part, letter.id)
        except NotSent as refused:
            again = refused.retryable and not provider_id  # parts that went are not sent twice
            case = Case(refused.code, again, refused.opted_out)
            await self._settle(letter.id, letter.attempts, refused.code, case, as_of=letter.changed_at_utc)
        except MaybeSent:
            log.warning("sms_in_doubt", posting=letter.id)
        else:
            # Unless the provider's callback about this very try came before its answer.
            await self._outbox.move(
                letter.id, "sent", self._clock.now(), provider_id=provider_id, as_of=letter.changed_at_utc
            )

    def _late_notice(self, letter: Letter) -> str:
        """Return what is sent instead of a reply that comes too late to fit its moment (promise P6)."""
        context = Context(str(letter.body.get("language") or "en"), "bot", (), {}, (), (), 0)
        return text_of(self._composer.say("late", context, "sms", letter.conversation).body)

    async def settle_stuck(self) -> None:
        """Ask the provider after what has been `sending` too long, and bring it to a state somebody can see."""
        for letter in await self._outbox.stuck(self._clock.now(), STUCK_SECONDS):
            await self._settle_one(letter)

    async def _settle_one(self, letter: Letter) -> None:
        now, as_of = self._clock.now(), letter.changed_at_utc
        since, found = as_of - CLOCKS_APART, []
        try:
            for text in (parts(text_of(letter.body))[-1], self._late_notice(letter)):
                found += await self._call(self._asking, self._provider.find, letter.address, text, since)
        except ProviderError:
            if not letter.card:
                await self._outbox.move(letter.id, "unknown", now, error="not_asked", as_of=as_of)
                return
        if sent := [each for each in found if each not in letter.known]:
            await self._outbox.move(letter.id, "sent", now, provider_id=sent[0], as_of=as_of)
        elif letter.attempts < MOST_ATTEMPTS:
            await self._outbox.move(letter.id, "queued", now, as_of=as_of)
        else:
            await self._outbox.move(letter.id, "failed", now, error="attempts", as_of=as_of)

    async def hear(self, posting: str, state: str, code: str, provider_id: str) -> None:
        """Take the provider's word about a message it has: a state of ours, and its error code if it failed."""
        if state == "failed":
            attempts = await self._outbox.attempts(posting)
            await self._settle(posting, attempts, code, self._provider.case(code), provider_id=provider_id)
        else:
            await self._outbox.move(posting, state, self._clock.now(), provider_id=provider_id, heard=True)

    async def _settle(
        self,
        posting: str,
        attempts: int,
        code: str,
        case: Case,
        *,
        provider_id: str | None = None,
        as_of: datetime | None = None,
    ) -> None:
        """Queue a refused message again, later each time, or let it fail visibly."""
        now, heard = self._clock.now(), provider_id is not None
        log.warning("sms_refused", posting=posting, code=code, retryable=case.retryable, attempts=attempts)
        if case.retryable and attempts < MOST_ATTEMPTS:
            wait = AGAIN_SECONDS[max(attempts, 1) - 1] * _chance.uniform(0.8, 1.2)
            await self._outbox.move(
                posting, "queued", now, provider_id=provider_id, error=code, wait_seconds=wait, as_of=as_of, heard=heard
            )
            return
        error = STOPPED if case.opted_out else code
        await self._outbox.move(posting, "failed", now, provider_id=provider_id, error=error, as_of=as_of, heard=heard)

    async def show(self) -> None:
        """Set the gauges of the outbox."""
        for state, count in (await self._outbox.counts(self._clock.now())).items():
            self._metrics.outbox.labels(state).set(count)

    async def _call(self, threads: ThreadPoolExecutor, work: Callable[..., Result], *arguments: object) -> Result:
        """Call the provider in a thread; whatever else goes wrong there leaves it unsaid whether it was sent."""
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
        except HandrailError:
            raise
        except Exception as error:
            raise MaybeSent(f"the provider's answer cannot be read ({type(error).__name__})") from None

    def close(self) -> None:
        for threads in (self._sending, self._asking):
            threads.shutdown(wait=False, cancel_futures=True)
