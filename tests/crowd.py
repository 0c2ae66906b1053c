"""Many phones texting one desk at a steady rate, and what became of every text.

The provider does its part: it calls back about each message of a webhook's answer, and asks again on a connection that
was closed under it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import text as sql
from twilio.request_validator import RequestValidator

from benchmarks.wire import Wire
from bot.store.engine import Database
from tests.phone import NUMBER, PUBLIC_URL, TOKEN, Got, read_twiml

PATH = "/sms/twilio/messages"
CRISIS_EVERY = 20
CRISIS = "i don't want to be alive anymore"
FIRST_NUMBER = 15560000000


@dataclass
class Said:
    """One text: what it was, what came back in the webhook's answer, and after how many seconds."""

    message_id: str
    address: str
    is_crisis: bool
    status: int = 0
    seconds: float = 0.0
    got: list[Got] = field(default_factory=list)


async def text_at_a_rate(port: int, *, rate: float, seconds: float, numbers: int) -> list[Said]:
    """Send `rate` texts a second whether or not answers come, from as many numbers in turn; every 20th is a crisis."""
    validator, idle, sent = RequestValidator(TOKEN), list[Wire](), []
    began = time.perf_counter()

    async def post(path: str, form: dict[str, str]) -> tuple[int, bytes]:
        headers = f"x-twilio-signature: {validator.compute_signature(PUBLIC_URL + path, form)}\r\n"
        raw, kept = urlencode(form).encode(), bool(idle)
        wire = idle.pop() if kept else Wire(port)
        try:
            answer = await wire.post_raw(path, raw, "application/x-www-form-urlencoded", headers)
        except (OSError, EOFError):
            wire.close()
            if not kept:
                raise
            wire = Wire(port)
            answer = await wire.post_raw(path, raw, "application/x-www-form-urlencoded", headers)
        idle.append(wire)
        return answer

    async def send(said: Said, body: str) -> None:
        form = {"MessageSid": said.message_id, "From": said.address, "To": NUMBER, "Body": body, "NumMedia": "0"}
        start = time.perf_counter()
        said.status, answer = await post(PATH, form)
        said.seconds = time.perf_counter() - start
        said.got = read_twiml(answer.decode()) if said.status == 200 else []
        for got in said.got:
            if got.callback:
                about = {"MessageSid": f"SM{uuid.uuid4().hex}", "MessageStatus": "delivered"}
                await post(got.callback.removeprefix(PUBLIC_URL), about)

    tasks = []
    for index in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + index / rate - time.perf_counter()))
        is_crisis = index % CRISIS_EVERY == CRISIS_EVERY - 1
        said = Said(f"SM{uuid.uuid4().hex}", f"+{FIRST_NUMBER + index % numbers}", is_crisis)
        sent.append(said)
        tasks.append(asyncio.create_task(send(said, CRISIS if is_crisis else f"the cravings are bad today, {index}")))
    await asyncio.gather(*tasks, return_exceptions=True)
    for wire in idle:
        wire.close()
    return sent


def account(sent: list[Said], database: Database, texted: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many texts were lost, unanswered or answered twice, and how many crises got no card at once.

    `texted`: what the provider's API was given. A text is answered when the record has its closing reply.
    """
    texts = "select client_id, conversation_id, sequence, answered from messages where author = 'person'"
    closings = "select conversation_id, in_reply_to, count(*) from messages where author = 'bot' and last group by 1, 2"
    rows = database.call(lambda session: session.execute(sql(texts)).all(), writes=False)
    closed = {(one, two): count for one, two, count in database.call(lambda s: s.execute(sql(closings)).all())}
    recorded = Counter(row[0] for row in rows)
    given = Counter(got.posting for said in sent for got in said.got if got.callback)
    given.update(posting for message in texted if (posting := message.get("posting")))
    return {
        "lost": sum(recorded[said.message_id] == 0 for said in sent),
        "recorded twice": sum(count > 1 for count in recorded.values()),
        "unanswered": sum((row[1], row[2]) not in closed for row in rows),
        "answered twice": sum(count > 1 for count in closed.values()),
        "given twice": sum(count > 1 for count in given.values()),
        "crises without a card at once": sum(
            not any("988" in got.text for got in said.got) for said in sent if said.is_crisis
        ),
    }


def percentile(sent: list[Said], share: float) -> float:
    """Return the seconds within which this share of the webhooks was answered."""
    seconds = sorted(said.seconds for said in sent)
    return seconds[min(len(seconds) - 1, int(len(seconds) * share))]
