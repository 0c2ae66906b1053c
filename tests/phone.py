"""A phone that texts a running desk as Twilio delivers it: form-encoded, signed by Twilio's own library."""

from __future__ import annotations

import threading
import uuid
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from twilio.request_validator import RequestValidator

from bot.channels.sms import conversation_of
from bot.store.cipher import read_keys
from tests.fakes import FakeTwilio, run_async, wait_until
from tests.stack import DeskThread

TOKEN = "a-token-for-tests"
NUMBER = "+15550100000"
PUBLIC_URL = "https://help.example.org"
CRISIS = "i don't want to be alive anymore"
_numbers = iter(range(15550200001, 15559999999))


@dataclass(frozen=True)
class Got:
    """One message of a webhook's answer, and the address its status goes to."""

    text: str
    callback: str | None

    @property
    def posting(self) -> str:
        return (self.callback or "").rpartition("id=")[2]


class Phone:
    def __init__(self, desk: DeskThread, number: str | None = None) -> None:
        self.desk, self.number = desk, number or f"+{next(_numbers)}"
        self.conversation = conversation_of(read_keys(desk.settings.home / "keys").lookup, self.number)

    def form(self, body: str, sid: str | None = None, **fields: str) -> dict[str, str]:
        sid = sid or f"SM{uuid.uuid4().hex}"
        given = {"MessageSid": sid, "From": self.number, "To": NUMBER, "Body": body, "NumMedia": "0"}
        return {name: value for name, value in (given | fields).items() if value is not None}

    def post(self, body: str, sid: str | None = None, **fields: str) -> httpx.Response:
        return post(self.desk, "/sms/twilio/messages", self.form(body, sid, **fields))

    def got(self, body: str, sid: str | None = None, **fields: str) -> list[Got]:
        answer = self.post(body, sid, **fields)
        assert answer.status_code == 200, answer.text
        return read_twiml(answer.text)

    def text(self, body: str, sid: str | None = None, **fields: str) -> list[str]:
        """Send a text and return the texts of the webhook's answer."""
        return [got.text for got in self.got(body, sid, **fields)]

    def rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        query = f"select {columns} from {table} where conversation_id = '{self.conversation}' order by 1"
        found = self.desk.parts.database.call(lambda session: session.connection().exec_driver_sql(query).all())
        return [tuple(row) for row in found]

    def outbox(self) -> list[tuple[str, str | None]]:
        """State and error of this phone's messages, in order."""
        return [(state, error) for _, state, error in self.rows("outbox", "sequence, state, error")]


def post(desk: DeskThread, path: str, form: Any, *, signature: str | None = None) -> httpx.Response:
    """Post a form as Twilio does; `signature` overrides the right one."""
    signed = RequestValidator(TOKEN).compute_signature(PUBLIC_URL + path, form)
    headers = {
        "x-twilio-signature": signed if signature is None else signature,
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
    }
    return httpx.post(desk.url + path, content=urlencode(form), headers=headers, timeout=20, trust_env=False)


def tell_status(desk: DeskThread, callback: str, sid: str, status: str, code: str = "") -> httpx.Response:
    """Call back about a message as Twilio does."""
    parts = urlsplit(callback)
    assert f"{parts.scheme}://{parts.netloc}" == PUBLIC_URL
    form = {"MessageSid": sid, "MessageStatus": status} | ({"ErrorCode": code} if code else {})
    return post(desk, f"{parts.path}?{parts.query}", form)


def read_twiml(xml: str) -> list[Got]:
    root = ElementTree.fromstring(xml)
    assert root.tag == "Response"
    return [Got(each.text or "", each.get("statusCallback")) for each in root]


def settings_for(twilio: FakeTwilio) -> dict[str, Any]:
    """The settings of a desk that texts through this provider."""
    return {
        "twilio_account_sid": "AC" + "0" * 32,
        "twilio_auth_token": TOKEN,
        "twilio_number": NUMBER,
        "twilio_api_url": twilio.url,
        "public_url": PUBLIC_URL,
        "unclaimed_notices": 0,  # nothing but what a test does is said
    }


def known(desk: DeskThread) -> Phone:
    """A phone that has had the disclosure."""
    phone = Phone(desk)
    for got in phone.got("hello there"):
        tell_status(desk, got.callback or "", f"SM{uuid.uuid4().hex}", "delivered")
    return phone


def item(desk: DeskThread, topic: str, language: str = "en") -> str:
    """The words of an item as they are texted, without its choices."""
    library = desk.parts.library
    return library.render(library.resolve(topic, language=language, channel="sms"), channel="sms").text


def said(phone: Phone) -> list[str]:
    messages = run_async(phone.desk.parts.record.messages_after(phone.conversation, 0))
    return [message.body["text"] for message in messages if message.author == "person"]


def send_all(desk: DeskThread, ahead_seconds: float = 11.0) -> None:
    """Let the outbox's time come, and send what is due until nothing is; beside the desk's own worker."""
    clock, sender = desk.parts.desk._clock, desk.app.state.sender
    clock.moved += timedelta(seconds=ahead_seconds)
    for _ in range(6):
        while run_async(sender.send_due()):
            pass
        if not run_async(desk.parts.outbox.counts(clock.now()))["queued"]:
            return
        clock.moved += timedelta(seconds=75)  # longer than the longest pause between tries


def late_reply(desk: DeskThread, monkeypatch: pytest.MonkeyPatch, words: str = "this takes a while") -> Phone:
    """A phone whose reply is in the outbox and nowhere else."""
    phone = known(desk)
    monkeypatch.setattr("bot.channels.sms.PATIENCE_SECONDS", 0.05)
    desk.rasa.gate.clear()
    assert phone.text(words) == []
    desk.rasa.gate.set()
    wait_until(lambda: ("queued", None) in phone.outbox(), "the reply was not stored")
    return phone


def settle(desk: DeskThread) -> None:
    """Let a minute pass and the stuck ones be looked after, once every call to the provider that is under way ended."""
    threads = desk.app.state.sender._sending
    together = threading.Barrier(threads._max_workers)
    for ended in [threads.submit(together.wait, 30) for _ in range(threads._max_workers)]:
        ended.result()
    desk.parts.desk._clock.moved += timedelta(seconds=61)
    run_async(desk.app.state.sender.settle_stuck())
