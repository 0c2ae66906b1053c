"""The demonstration's phone: what is typed on the demo page goes to the real webhook, signed, and answers come back.

Only in demo mode and only without a provider's token: nobody may sign for a number that exists.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import uuid
import xml.etree.ElementTree as ElementTree
from collections import OrderedDict
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from bot.channels.reading import cleaned, read_body
from bot.channels.twilio import STATUS_PATH, Twilio
from bot.content.segments import parts, segment
from bot.desk.limits import RateLimit
from bot.settings import Settings

MESSAGES_PATH = "/sms/twilio/messages"
HERE = "http://phone.demo"  # signed for, asked in this process, and never looked up
NUMBER = "+15550100000"
TOKEN = re.compile(r"[\w-]{22}", re.ASCII)
PHONES, TEXTS = 200, 50  # kept, and texts kept for each
MOST_BYTES, WAIT_SECONDS = 16_384, 20.0


class DemoTwilio(Twilio):
    """A provider with a made-up token that delivers to the phones on the demo page and to nobody else."""

    def __init__(self, public_url: str) -> None:
        self.secret = secrets.token_hex(16)
        super().__init__("AC" + "0" * 32, self.secret, NUMBER, HERE, public_url or HERE)
        self.base_url = public_url or HERE
        self._waiting: OrderedDict[str, list[str]] = OrderedDict()

    def send(self, address: str, text: str, posting: str) -> str:
        """Keep a text until its phone asks."""
        self._waiting[address] = [*self._waiting.pop(address, []), text][-TEXTS:]
        if len(self._waiting) > PHONES:
            self._waiting.popitem(last=False)
        return f"SM{uuid.uuid4().hex}"

    def find(self, address: str, text: str, since: datetime) -> list[str]:
        return []

    def take(self, address: str) -> list[str]:
        """Return the texts that came for a number since it asked last."""
        return self._waiting.pop(address, [])

    def sign(self, path: str, form: dict[str, str]) -> str:
        return str(self._validator.compute_signature(self.base_url + path, form))


def create_router(settings: Settings, provider: DemoTwilio) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    new_phones = RateLimit(settings.conversations_per_minute)

    async def post(client: httpx.AsyncClient, path: str, form: dict[str, str]) -> httpx.Response:
        headers = {"x-twilio-signature": provider.sign(path, form), "content-type": "application/x-www-form-urlencoded"}
        return await client.post(path, content=urlencode(form), headers=headers)

    async def send(request: Request, address: str, words: str) -> list[str]:
        """Text the desk as Twilio would, confirm each answer as delivered, and return them."""
        message_id = f"SM{uuid.uuid4().hex}"
        form = {"MessageSid": message_id, "From": address, "To": NUMBER, "Body": words, "NumMedia": "0"}
        transport = httpx.ASGITransport(app=request.app)
        async with httpx.AsyncClient(transport=transport, base_url=provider.base_url, timeout=WAIT_SECONDS) as client:
            answer = (await post(client, MESSAGES_PATH, form)).text
            found = list(ElementTree.fromstring(answer))  # noqa: S314 - what this desk has just written itself
            for message in found:
                if callback := message.get("statusCallback"):
                    told = {"MessageSid": f"SM{uuid.uuid4().hex}", "MessageStatus": "delivered"}
                    await post(client, f"{STATUS_PATH}?{urlsplit(callback).query}", told)
        return [part for message in found for part in parts(message.text or "")]

    @router.post("/demo/phone")
    async def text(request: Request) -> JSONResponse:
        """Send `text` if there is one, from the phone `phone` names or a new one; return what came for it."""
        asked = _read((await read_body(request, MOST_BYTES))[0])
        phone, words = asked.get("phone"), asked.get("text")
        if not isinstance(phone, str) or not TOKEN.fullmatch(phone):
            if not new_phones.allows(request.client.host if request.client else ""):
                return JSONResponse({}, 429)
            phone = secrets.token_urlsafe(16)
        address, words = _number_of(provider.secret, phone), cleaned(words) if isinstance(words, str) else ""
        came = await send(request, address, words) if words.strip() else []
        messages = [_measured(each) for each in [*came, *provider.take(address)]]
        return JSONResponse({"phone": phone, "sent": _measured(words), "messages": messages})

    return router


def _read(raw: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(raw)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _number_of(secret: str, phone: str) -> str:
    """Return a phone's made-up number: who has not its token cannot text from it or read it."""
    digest = hmac.digest(secret.encode(), phone.encode(), hashlib.sha256)
    return f"+1555{int.from_bytes(digest[:8]) % 10**7:07d}"


def _measured(text: str) -> dict[str, Any]:
    found = segment(text)
    return {"text": text, "segments": found.count, "encoding": found.encoding}
