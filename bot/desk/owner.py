"""Telling the flag owner, by webhook and e-mail: a flag's number, kind, category and wait. No words, no address."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol

import httpx

from bot.errors import OwnerUnreached
from bot.settings import Settings
from bot.store.watch import EMAIL, WEBHOOK

WEBHOOK_SECONDS = 5.0  # from the first byte to the answer
SMTP_SECONDS = 5.0  # one step of the conversation with the mail server
EMAIL_SECONDS = 20.0  # all of it
KINDS = {"crisis": "Crisis language was heard", "request": "Somebody asked for a counselor"}


@dataclass(frozen=True)
class OwnerNotice:
    """What the owner is told. `number` counts the notices about one wait: a repeat after a fault has the same one."""

    flag: int
    number: int
    kind: str
    category: str | None
    waiting_seconds: int
    url: str

    @property
    def id(self) -> str:
        return f"{self.flag}-{self.number}"


class Way(Protocol):
    """One way to reach the owner."""

    async def send(self, notice: OwnerNotice, now: datetime) -> None:
        """Deliver a notice; raises OwnerUnreached when nobody can say that it arrived."""


class Webhook:
    """Posts JSON, signed: `Handrail-Signature: t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>">`."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret.encode()

    async def send(self, notice: OwnerNotice, now: datetime) -> None:
        fields = {
            "id": notice.id,
            "flag": notice.flag,
            "kind": notice.kind,
            "category": notice.category,
            "waiting_seconds": notice.waiting_seconds,
            "url": notice.url,
        }
        body, at = json.dumps(fields).encode(), str(int(now.timestamp()))
        signature = hmac.new(self._secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "handrail-signature": f"t={at},v1={signature}"}
        try:
            async with asyncio.timeout(WEBHOOK_SECONDS), httpx.AsyncClient(timeout=WEBHOOK_SECONDS) as client:
                answer = await client.post(self._url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise OwnerUnreached(f"the webhook does not answer ({type(error).__name__})") from None
        if not answer.is_success:
            raise OwnerUnreached(f"the webhook answered {answer.status_code}")


class Mail:
    """Sends an e-mail through one SMTP server; the same notice has the same Message-ID."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, notice: OwnerNotice, now: datetime) -> None:
        message = self._message(notice, now)
        try:
            async with asyncio.timeout(EMAIL_SECONDS):
                await asyncio.to_thread(self._deliver, message)
        except (OSError, smtplib.SMTPException, TimeoutError) as error:
            raise OwnerUnreached(f"the mail server did not take it ({type(error).__name__})") from None

    def _message(self, notice: OwnerNotice, now: datetime) -> EmailMessage:
        said = KINDS[notice.kind] + (f" ({notice.category})" if notice.category else "")
        minutes = notice.waiting_seconds // 60
        message = EmailMessage()
        message["Subject"] = f"Handrail: flag {notice.flag} waits, {minutes} min, nobody has taken it"
        message["From"], message["To"] = self._settings.smtp_from, self._settings.owner_email
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<flag-{notice.id}@{self._settings.smtp_from.partition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(
            f"{said}. Nobody has taken the flag for {minutes} minutes.\n\n{notice.url}\n\n"
            "You are told again until somebody claims or acknowledges it there.\n"
        )
        return message

    def _deliver(self, message: EmailMessage) -> None:
        given = self._settings
        context = ssl.create_default_context()
        connect = (
            smtplib.SMTP_SSL(given.smtp_host, given.smtp_port, timeout=SMTP_SECONDS, context=context)
            if given.smtp_security == "tls"
            else smtplib.SMTP(given.smtp_host, given.smtp_port, timeout=SMTP_SECONDS)
        )
        with connect as server:
            if given.smtp_security == "starttls":
                server.starttls(context=context)
            if given.smtp_user:
                server.login(given.smtp_user, given.smtp_password)
            server.send_message(message)


def ways_of(settings: Settings) -> dict[str, Way]:
    """Return the ways this deployer has set up to reach the owner, by name."""
    ways: dict[str, Way] = {}
    if settings.owner_webhook_url:
        ways[WEBHOOK] = Webhook(settings.owner_webhook_url, settings.owner_webhook_secret)
    if settings.owner_email:
        ways[EMAIL] = Mail(settings)
    return ways
