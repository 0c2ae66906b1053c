"""The turn: assess, record, whose voice, ask Rasa, render, deliver (DESIGN, "The turn")."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from weakref import WeakValueDictionary

import structlog

from bot.crisis import Decision, Guard
from bot.crisis.decision import FALLBACK_CATEGORY
from bot.desk import keywords, texting
from bot.desk.clock import Clock
from bot.desk.composer import Composer, choice_of_opening, flag_of
from bot.desk.limits import Admission, Busy, Calm
from bot.desk.metrics import Metrics
from bot.desk.signals import Signals
from bot.desk.turns import Turns
from bot.errors import Refusal, StoreAway, StoreError
from bot.store.record import Record
from bot.store.spool import Spool
from bot.store.values import (
    Accepted,
    Body,
    Composed,
    Context,
    ConversationErased,
    Inbound,
    Pending,
    Reply,
    StoredMessage,
)

REMEMBERED_CONVERSATIONS = 10_000
EFFECTS_WITHOUT_RECORD = frozenset({"request_counselor", "cancel_request", "erase"})

log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """What a channel tells the person at once. `sequence` is None when the message rests in the spool.

    `waits`: a turn will answer it. `repeated`: the message was there before.
    """

    sequence: int | None
    flagged: bool
    replies: tuple[StoredMessage, ...]
    durable: bool = True
    waits: bool = False
    repeated: bool = False


class EraseChosen(Exception):
    """The person took the choice that erases their conversation."""


class Desk:
    """Keeps the promises whatever Rasa and the database do. One per process; all its state is a cache."""

    def __init__(
        self,
        guard: Guard | None,
        composer: Composer,
        record: Record,
        spool: Spool,
        turns: Turns,
        signals: Signals,
        intake: Admission,
        calm: Calm,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._guard, self._composer, self._record, self._spool = guard, composer, record, spool
        self._turns, self._intake, self._calm = turns, intake, calm
        self.signals, self.metrics, self._clock = signals, metrics, clock
        # One thread: the encoder computes outside Python's lock, so the event loop goes on meanwhile. A second one for
        # plain words of danger, which wait behind nobody else's.
        self._assessing, self._assessing_plain = ThreadPoolExecutor(1, "guard"), ThreadPoolExecutor(1, "guard-plain")
        self._recent: OrderedDict[str, deque[str]] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self.store_was_away = False

    # 1 assess

    async def assess(self, conversation: str | None, text: str, language: str | None) -> Decision:
        """Assess one inbound text; in memory, before anything that can refuse or fail (promise P1).

        A guard that is missing or raises makes every message a crisis: an unneeded card does less harm than none.
        """
        return await self._assess_aside(text, language, self._recent.get(conversation or "", ()))

    async def _assess_aside(self, text: str, language: str | None, recent: Sequence[str]) -> Decision:
        loop = asyncio.get_running_loop()
        plain = not self._calm.idle and self._guard is not None and self._guard.hears_plainly(text)
        thread = self._assessing_plain if plain else self._assessing
        with self._calm.assessing():
            return await loop.run_in_executor(thread, self._assess, text, language, tuple(recent))

    def _assess(self, text: str, language: str | None, recent: Sequence[str]) -> Decision:
        start = time.perf_counter()
        try:
            if self._guard is None:
                raise RuntimeError("no guard")
            return self._guard.assess(text, language, tuple(recent))
        except Exception as error:
            self.metrics.guard_failures.inc()
            log.error("guard_failed", error=type(error).__name__)
            return Decision(category=FALLBACK_CATEGORY, why=("guard-failed",))
        finally:
            self.metrics.assess_seconds.observe(time.perf_counter() - start)

    def _remember(self, conversation: str, text: str) -> None:
        recent = self._recent.pop(conversation, None) or deque(maxlen=2)
        recent.append(text)
        self._recent[conversation] = recent
        if len(self._recent) > REMEMBERED_CONVERSATIONS:
            self._recent.popitem(last=False)

    # 2 record

    async def receive(self, inbound: Inbound, decision: Decision) -> Answer:
        """Record a message and answer it as far as that needs no Rasa; the turn follows in the background.

        Raises Refusal when the choice is unknown, the conversation was erased, or too many messages wait already;
        a crisis or a tapped choice does not wait behind the others.
        """
        self.metrics.messages.labels(inbound.channel).inc()
        remembered = set(self._recent.get(inbound.conversation, ()))

        def compose(context: Context, find_choice: Callable[[str], Body | None]) -> Composed:
            if inbound.choice is not None:
                return self._compose_choice(inbound, context, find_choice(inbound.choice))
            heard = decision
            if inbound.texted and (choice := texting.chosen(inbound, context, decision)):
                if choice.get("effect") == "erase":
                    raise EraseChosen
                return texting.compose_choice(self._composer, inbound, context, choice)
            # Assessed without what came before, or without what another desk took in since.
            alone = not remembered.issuperset(context.recent_texts)
            alone = alone or bool(inbound.texted and keywords.number_of(inbound.text))
            if context.recent_texts and alone and not decision.category:
                heard = self._assess(inbound.text, inbound.language, context.recent_texts)
            return self._compose_text(inbound, context, heard)

        try:
            if decision.category or inbound.choice is not None:
                accepted = await self._record.accept(inbound, compose, urgent=bool(decision.category))
            else:
                async with self._intake.place():
                    accepted = await self._record.accept(inbound, compose)
        except Busy:
            if inbound.texted:  # nobody sends a text twice: it is kept, and recorded when there is room
                return await self._receive_without_record(inbound, decision, "busy")
            raise Refusal(503, "busy", "more messages arrive than can be taken in", "send it again", "busy") from None
        except EraseChosen:
            return Answer(None, False, tuple(await self.erase(inbound.conversation, inbound.channel, inbound.language)))
        except ConversationErased:
            raise Refusal(
                401, "session_ended", "this conversation was erased", "start a new one", "session_ended"
            ) from None
        except StoreError as error:
            log.warning("record_away", error=str(error))
            self.metrics.store_away.inc()
            self.store_was_away = True
            return await self._receive_without_record(inbound, decision, "store_away")
        if inbound.choice is None and not accepted.repeated:
            self._remember(inbound.conversation, inbound.text)
        self._after_accept(inbound, accepted, decision)
        return Answer(
            accepted.sequence,
            accepted.flagged,
            accepted.replies,
            waits=accepted.needs_turn,
            repeated=accepted.repeated,
        )

    def _after_accept(self, inbound: Inbound, accepted: Accepted, decision: Decision) -> None:
        if accepted.flagged and not accepted.repeated:
            self.metrics.crises.labels(decision.category or "window", "guard").inc()
        self.signals.notify(inbound.conversation, () if accepted.flagged else accepted.stored)
        if accepted.needs_turn:
            self.start_turns(inbound.conversation, accepted.pending)

    def _opening(self, inbound: Inbound, context: Context) -> list[Reply]:
        if not context.is_new:
            return []
        return [self._composer.say("disclosure", context, inbound.channel, inbound.conversation)]

    def _compose_text(self, inbound: Inbound, context: Context, decision: Decision) -> Composed:
        if inbound.texted:
            return texting.compose(self._composer, inbound, context, decision)
        opening = self._opening(inbound, context)
        if decision.category is None and context.voice == "ended":
            return self._compose_ended(inbound.text, inbound, context)
        if decision.category is None:
            return Composed(inbound.text, opening=opening, concern=decision.concern)
        card = self._composer.card(decision.category, decision.about, context, inbound.channel)
        replies = [keyed(card, inbound)]
        return Composed(inbound.text, opening=opening, replies=replies, flag=flag_of(decision), needs_turn=False)

    def _compose_ended(self, text: str, inbound: Inbound, context: Context) -> Composed:
        ended = self._composer.say("contact_ended", context, inbound.channel, inbound.conversation)
        return Composed(text, replies=[keyed(ended, inbound)], needs_turn=False)

    def _compose_choice(self, inbound: Inbound, context: Context, choice: Body | None) -> Composed:
        opening = self._opening(inbound, context)
        if context.is_new:
            choice = choice_of_opening(opening[0], inbound.choice or "")
        effect = (inbound.choice or "").removeprefix("effect:")
        if choice is None and effect in EFFECTS_WITHOUT_RECORD:
            label = self._composer.library.labels(context.language).get(effect, effect)
            choice = {"label": inbound.text or label, "effect": effect}
        if choice is None:
            raise Refusal(
                422,
                "unknown_choice",
                "no such choice was offered",
                "send a choice id of a message shown",
                "bad_message",
            )
        if choice.get("effect") == "erase":
            raise EraseChosen
        if context.voice == "ended":
            return self._compose_ended(choice["label"], inbound, context)
        return Composed(choice["label"], choice=choice, opening=opening)

    async def _receive_without_record(self, inbound: Inbound, decision: Decision, topic: str) -> Answer:
        """Keep the message in the spool and answer it in the answer itself (promises P1, P2, P6).

        `topic` says why there is no other answer.
        """
        context = self.bare_context(inbound.language)
        flag = flag_of(decision)
        if decision.category:
            self.metrics.crises.labels(decision.category, "guard").inc()
        composed = self._compose_without_record(inbound, decision, context, topic)
        if inbound.choice is None:
            self._remember(inbound.conversation, inbound.text)
        fields = {**asdict(inbound), "received_at_utc": inbound.received_at_utc.isoformat()}
        entry: Body = {"inbound": fields, "replies": [asdict(reply) for reply in composed.replies]}
        entry |= {"flag": asdict(flag) if flag else None}
        entry |= {"consent": composed.consent, "consent_source": composed.consent_source}
        durable = True
        try:
            await asyncio.wait_for(
                asyncio.to_thread(self._spool.add, entry, int(inbound.received_at_utc.timestamp() * 1e9)), 1.0
            )
            self.metrics.spooled.inc()
        except (StoreAway, TimeoutError):
            log.error("spool_away")
            durable = False
        shown = tuple(self.unrecorded(reply, inbound.client_id) for reply in composed.replies)
        return Answer(None, flag is not None, shown, durable)

    def _compose_without_record(self, inbound: Inbound, decision: Decision, context: Context, topic: str) -> Composed:
        """Return what a message calls for that the record does not take now; no turn follows."""
        if inbound.texted:
            return texting.compose_without_record(self._composer, inbound, context, decision, topic)
        if decision.category:
            reply = self._composer.card(decision.category, decision.about, context, inbound.channel)
        else:
            reply = self._composer.say(topic, context, inbound.channel, inbound.conversation)
        return Composed(inbound.text, replies=[keyed(reply, inbound)])

    def unrecorded(self, reply: Reply, client_id: str | None) -> StoredMessage:
        """Return `reply` as a message without a place in the record."""
        return StoredMessage(None, "bot", reply.body, client_id, None, True, reply.flagged, self._clock.now())

    def disclose(self, conversation: str, language: str, channel: str) -> StoredMessage:
        """Return the disclosure: a program, not a person, not a clinician, not an emergency service.

        It becomes the record's first message, with the first one of the person; so its choices work before that.
        """
        reply = self._composer.say("disclosure", self.bare_context(language), channel, conversation)
        return replace(self.unrecorded(reply, None), sequence=1)

    def now(self) -> datetime:
        return self._clock.now()

    async def close(self, seconds: float = 0.0) -> None:
        """Let the turns under way end, for so long at most, and let go of the guard's threads.

        What does not end in time another desk answers, or this one at its next start.
        """
        if self._tasks and seconds:
            await asyncio.wait(self._tasks, timeout=seconds)
        for thread in (self._assessing, self._assessing_plain):
            thread.shutdown(wait=False, cancel_futures=True)

    def bare_context(self, language: str) -> Context:
        """Return the context of somebody nothing is known about."""
        return Context(language, "bot", (), {}, (), (), 0)

    def refuse(self, item: str, decision: Decision, language: str, channel: str) -> StoredMessage:
        """Return what a refused message is answered with: the card when it was a crisis, else the reviewed `item`."""
        context = self.bare_context(language)
        if decision.category:
            self.metrics.crises.labels(decision.category, "guard").inc()
            return self.unrecorded(self._composer.card(decision.category, decision.about, context, channel), None)
        return self.unrecorded(self._composer.say(item, context, channel, ""), None)

    # 3 whose voice, 4 ask Rasa, 5 render, 6 deliver

    def start_turns(self, conversation: str, first: Pending | None = None) -> None:
        """Answer what waits in a conversation, in the background: `first` alone, or else all that the record knows."""
        task = asyncio.create_task(self._run_turns(conversation, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_turns(self, conversation: str, first: Pending | None) -> None:
        """Answer a conversation's waiting messages, oldest first, one at a time."""
        lock = self._locks.setdefault(conversation, asyncio.Lock())
        async with lock:
            pending, dropped = first, None
            try:
                while pending := pending or await self._record.pending(conversation):
                    self.signals.hint(conversation, "typing")
                    if pending.concern is None:
                        pending = replace(pending, concern=await self._tells_concern(pending))
                    turn, outcome = await self._turns.take(pending)
                    if turn.erases:
                        await self._erase_as_asked(pending)
                        return
                    stored = await self._record.commit(pending, turn, self._clock.now())
                    self.metrics.turns.labels(outcome if stored is not None else "dropped").inc()
                    self.signals.notify(conversation, () if turn.changes_standing else stored or ())
                    if stored is None:  # claimed, erased, or another desk answered: what came after it may still wait
                        if first is not None or dropped == pending.message_id:
                            return
                        dropped, pending = pending.message_id, None
                        continue
                    self.metrics.turn_seconds.observe((self._clock.now() - pending.received_at_utc).total_seconds())
                    if first is not None:
                        return  # what came meanwhile has its own task behind this one
                    pending = None
            except StoreAway:
                self.metrics.store_away.inc()
                self.store_was_away = True
                if pending:
                    self._say_unrecorded(pending)
            except Exception as error:
                log.exception("turn_failed", error=type(error).__name__, conversation=conversation)
                if pending:
                    self._say_unrecorded(pending)

    async def _tells_concern(self, pending: Pending) -> bool:
        if "choice" in pending.body:
            return False
        context = pending.context
        return (await self._assess_aside(pending.body["text"], context.language, context.recent_texts)).concern

    async def _erase_as_asked(self, pending: Pending) -> None:
        """Erase, and say so to the open streams: the record holds nothing to say it from."""
        for message in await self.erase(pending.conversation, pending.channel, pending.context.language):
            shown = replace(message, in_reply_to=pending.sequence)
            self.signals.tell(pending.conversation, "reply", {"message": shown})

    def _say_unrecorded(self, pending: Pending) -> None:
        """Tell the open streams that the message is kept and its answer is not ready: never silence (promise P2)."""
        reply = self._composer.say("store_away", pending.context, pending.channel, pending.conversation)
        # However often it is tried, it is shown once.
        message = self.unrecorded(replace(reply, body={**reply.body, "key": f"{pending.message_id}:away"}), None)
        self.signals.tell(pending.conversation, "reply", {"message": replace(message, in_reply_to=pending.sequence)})

    async def leave(self, conversation: str) -> None:
        """Tell a counselor who is there that the person used quick exit; raises StoreAway."""
        if await self._record.leave(conversation, self._clock.now()):
            self.signals.notify(conversation)

    async def erase(self, conversation: str, channel: str, language: str) -> list[StoredMessage]:
        """Erase a conversation and say so; raises StoreAway when the record cannot be reached."""
        flag_stays = await self._record.erase(conversation, self._clock.now())
        await asyncio.to_thread(self._spool.forget, conversation)
        self._recent.pop(conversation, None)
        self.signals.notify(conversation)
        item = "erased_flag_open" if flag_stays else "erased"
        return [self.unrecorded(self._composer.say(item, self.bare_context(language), channel, ""), None)]


def keyed(reply: Reply, inbound: Inbound) -> Reply:
    """Return `reply` with the key a client knows it by, in the answer and later in the stream: it shows it once."""
    return replace(reply, body={**reply.body, "key": f"{inbound.client_id}:0"})
