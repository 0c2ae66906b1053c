"""Texting: the provider's webhooks. A crisis is answered in the webhook's own answer and needs no provider's API."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from bot.channels.reading import read_body
from bot.channels.twilio import Form, Received, Twilio, read_form, read_message, read_status, twiml
from bot.crisis import Decision
from bot.desk.desk import Answer, Desk
from bot.desk.keywords import language_of, number_of
from bot.desk.limits import RateLimit
from bot.desk.sender import Sender
from bot.desk.signals import Listener
from bot.desk.texting import text_of
from bot.errors import Refusal, StoreAway
from bot.settings import Settings
from bot.store.outbox import Outbox
from bot.store.record import Record
from bot.store.values import ConversationErased, Inbound, StoredMessage, Texted

CHANNEL = "sms"
PATIENCE_SECONDS = 8.0  # Twilio waits 15 s for a webhook's answer
LOOK_AGAIN_SECONDS = 1.0
SAME_TEXTS, SAME_WITHIN_SECONDS = 5, 600.0
REMEMBERED = 2_000  # numbers, and answers given

log = structlog.get_logger()
Value = TypeVar("Value")
Outgoing = list[tuple[str, str | None]]  # a text, and its id in the outbox


def conversation_of(lookup_key: str, address: str) -> str:
    """Return the conversation of a phone number: a keyed hash, so that it needs no look-up and names nobody."""
    digest = hmac.digest(lookup_key.encode(), f"sms:{address}".encode(), hashlib.sha256)
    return str(uuid.UUID(bytes=digest[:16], version=4))


class Floods:
    """Whether a number writes too much, or the same again and again as an auto-reply does."""

    def __init__(self, per_minute: int) -> None:
        self._limit = RateLimit(per_minute)
        self._told: OrderedDict[str, None] = OrderedDict()
        self._same: OrderedDict[str, tuple[bytes, float, int]] = OrderedDict()

    def held(self, conversation: str, text: str) -> str | None:
        """Return how to hold back: "limit" (say so once), "silent", or None."""
        if self._loops(conversation, text):
            return "silent"
        if self._limit.allows(conversation):
            self._told.pop(conversation, None)
            return None
        if conversation in self._told:
            return "silent"
        _keep(self._told, conversation, None)
        return "limit"

    def _loops(self, conversation: str, text: str) -> bool:
        """Whether this text came SAME_TEXTS times in a row already, within SAME_WITHIN_SECONDS."""
        digest, now = hashlib.sha256(text.encode()).digest(), time.monotonic()
        last, since, count = self._same.pop(conversation, (b"", now, 0))
        if last != digest or now - since > SAME_WITHIN_SECONDS:
            since, count = now, 0
        _keep(self._same, conversation, (digest, since, count + 1))
        return count >= SAME_TEXTS


class Texts:
    """Answers texts, whatever the provider."""

    def __init__(self, settings: Settings, desk: Desk, record: Record, outbox: Outbox, lookup_key: str) -> None:
        self._settings, self._desk, self._record = settings, desk, record
        self._outbox, self._lookup_key = outbox, lookup_key
        self._floods = Floods(settings.sms_per_minute)

    async def answer(self, received: Received) -> Outgoing:
        """Assess a text, then record and answer it; what is not ready in time the outbox sends later. Never raises."""
        started, text = time.monotonic(), received.text
        conversation = conversation_of(self._lookup_key, received.address) if received.address else None
        language = language_of(text)
        decision = Decision()
        if text.strip():  # a number may choose; alone it says no danger, and the desk looks again when it chooses none
            decision = await self._desk.assess(None if number_of(text) else conversation, text, language)
        try:
            return await self._answer(received, conversation, decision, language, started)
        except Refusal as refusal:
            self._desk.metrics.refusals.labels(refusal.code).inc()
            return self._refuse(refusal.item, decision, language)
        except Exception as error:
            log.exception("sms_failed", error=type(error).__name__)
            return self._refuse("trouble", decision, language)

    async def _answer(
        self, received: Received, conversation: str | None, decision: Decision, language: str, started: float
    ) -> Outgoing:
        text = received.text
        if conversation is None or received.address is None:
            return self._refuse("bad_message", decision, language)
        if not text.strip() and not received.media and not received.opted:
            return self._refuse("bad_message", decision, language)
        if len(text) > self._settings.max_text_characters and not decision.category:
            return self._refuse("too_long", decision, language)
        texted = Texted(received.address, received.media, received.opted, self._floods.held(conversation, text))
        message_id = received.message_id or str(uuid.uuid4())
        inbound = Inbound(conversation, CHANNEL, language, message_id, text, self._desk.now(), texted=texted)
        with self._desk.signals.listen(conversation) as listener:
            answer = await self._desk.receive(inbound, decision)
            replies = await self._collect(conversation, answer, listener, started + PATIENCE_SECONDS)
        return await self._claim(conversation, replies, repeated=answer.repeated)

    def _refuse(self, item: str, decision: Decision, language: str) -> Outgoing:
        return [(text_of(self._desk.refuse(item, decision, language, CHANNEL).body), None)]

    async def _collect(
        self, conversation: str, answer: Answer, listener: Listener, until: float
    ) -> Sequence[StoredMessage]:
        """Return the replies to a message: those it has, or, while a turn is due, those that come in time."""
        found = answer.replies
        if not answer.waits or answer.sequence is None:
            return found
        while True:
            listener.event.clear()
            extras, listener.extras = listener.extras, []
            said = [data["message"] for kind, data in extras if kind == "reply"]
            if mine := [each for each in said if each.in_reply_to == answer.sequence]:
                return [*found, *mine]
            try:
                stored = await self._record.messages_after(conversation, answer.sequence)
                found = tuple(each for each in stored if each.author == "bot" and each.in_reply_to == answer.sequence)
            except ConversationErased:
                found = ()  # it was this message's wish; the words about it come as a signal
            except StoreAway:
                self._desk.store_was_away = True
            left = until - time.monotonic()
            if left <= 0 or (found and found[-1].last):
                return found
            await self._desk.signals.wait(listener, min(left, LOOK_AGAIN_SECONDS))

    async def _claim(self, conversation: str, replies: Sequence[StoredMessage], *, repeated: bool) -> Outgoing:
        """Take these replies out of the outbox for the webhook's answer; what somebody else has taken stays theirs.

        Cards are given all the same while the record is away, or to a repeated request when nobody knows whether the
        first one's answer arrived: twice is better than never.
        """
        sequences, now, daily = [e.sequence for e in replies if e.sequence], self._desk.now(), self._settings.sms_daily
        try:
            ids = await self._outbox.claim(conversation, sequences, now, daily, repeated=repeated)
        except StoreAway:
            return [(text_of(each.body), None) for each in replies if each.sequence is None or each.flagged]
        outgoing: Outgoing = []
        for each in replies:
            if each.sequence is None:
                outgoing.append((text_of(each.body), None))
            elif each.sequence in ids:
                outgoing.append((text_of(each.body), ids[each.sequence]))
        return outgoing


class Answers:
    """The answers given to webhooks, so that a retry gets the very same one; one in flight is answered only once."""

    def __init__(self) -> None:
        self._given: OrderedDict[str, asyncio.Future[str]] = OrderedDict()

    async def once(self, message_id: str | None, texts: Texts, received: Received, base_url: str) -> str:
        """Answer a webhook, or repeat the answer it was given before."""
        if message_id is None:
            return twiml(await texts.answer(received), base_url)
        if (given := self._given.get(message_id)) is not None:
            if given.done():
                return given.result()
            await asyncio.shield(given)
            return twiml([], base_url)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        _keep(self._given, message_id, future)
        try:
            future.set_result(twiml(await texts.answer(received), base_url))
        finally:
            if not future.done():  # cancelled: the next one tries again
                self._given.pop(message_id, None)
                future.set_result(twiml([], base_url))
        return future.result()


def create_router(
    settings: Settings, desk: Desk, record: Record, outbox: Outbox, sender: Sender, provider: Twilio, lookup_key: str
) -> APIRouter:
    """Return the webhooks' routes, wired to one desk."""
    router = APIRouter(prefix="/sms/twilio", include_in_schema=False)
    texts, answers = Texts(settings, desk, record, outbox, lookup_key), Answers()

    def base_url(request: Request) -> str:
        return settings.public_url or f"{request.url.scheme}://{request.url.netloc}"

    async def read_signed(request: Request) -> Form | Response:
        """Return the form of a request the provider signed, or the answer to one that broke off or is forged."""
        try:
            raw, _ = await read_body(request, settings.max_body_bytes)
        except ClientDisconnect:
            return Response(status_code=400)
        form = read_form(raw)
        url = base_url(request) + request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if not provider.is_signed(url, form, request.headers.get("x-twilio-signature", "")):
            desk.metrics.refusals.labels("signature").inc()
            return Response(status_code=403)
        return form

    @router.post("/messages")
    async def receive(request: Request) -> Response:
        """Take a text and answer with what is ready in time."""
        form = await read_signed(request)
        if isinstance(form, Response):
            return form
        received = read_message(form)
        body = await answers.once(received.message_id, texts, received, base_url(request))
        return Response(body, media_type="text/xml")

    @router.post("/status")
    async def hear(request: Request) -> Response:
        """Take the provider's word about a message it was given. 503 when it cannot be recorded now."""
        form = await read_signed(request)
        if isinstance(form, Response):
            return form
        status, posting = read_status(form), request.query_params.get("id", "")
        if status and posting:
            try:
                await sender.hear(posting[:36], status.state, status.code, status.message_id)
            except StoreAway:
                return Response(status_code=503)
        return Response(status_code=204)

    return router


def _keep(kept: OrderedDict[str, Value], name: str, value: Value) -> None:
    """Keep a value as the newest, and no more than REMEMBERED."""
    kept[name] = value
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)
