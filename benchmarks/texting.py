"""Texting: Twilio-shaped requests at the desk and at stock Rasa's Twilio channel, and the desk under load.

    .venv/app/bin/python -m benchmarks.texting [--rate 100] [--seconds 30] [--numbers 500] [--without-rasa]

The requests are signed by Twilio's own library. The desk runs as `make run` starts it, with Rasa, at a fake provider (a
real HTTP server); --without-rasa runs the desk alone, beside a stand-in that answers at once. Stock Rasa's channel is
benchmarks/stock_texting.py. Prints a table and writes benchmarks/results/texting.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from sqlalchemy import text as sql
from twilio.request_validator import RequestValidator

from benchmarks.results import write_result
from bot.settings import ROOT
from bot.store.engine import Database
from tests.crowd import CRISIS, Said, account, percentile, text_at_a_rate
from tests.fakes import FakeRasa, FakeTwilio, wait_until
from tests.phone import NUMBER, PUBLIC_URL, TOKEN, read_twiml, settings_for
from tests.process import DeskProcess
from tests.stack import Stack, free_port

RASA_PYTHON = ROOT / ".venv" / "rasa" / "bin" / "python"
SETTLE_SECONDS = 120.0
BUSY = "I am very busy"  # of content/items/system/busy.md


class Desk:
    """The whole stack, or the desk alone, texting through a fake provider."""

    name, path = "Handrail", "/sms/twilio/messages"

    def __init__(self, home: Path, provider: FakeTwilio, *, with_rasa: bool) -> None:
        settings = {name: str(value) for name, value in settings_for(provider).items()}
        self.provider, self._rasa = provider, None if with_rasa else FakeRasa(free_port())
        self._running = DeskProcess(self._rasa, home, **settings) if self._rasa else Stack(home, **settings)
        self._running.start()
        self.url, self.port = self._running.url, int(self._running.url.rpartition(":")[2])
        self.database = Database(f"sqlite:///{home / 'handrail.db'}", 10)

    def heard(self) -> int:
        query = "select count(*) from messages where author = 'person'"
        return int(self.database.call(lambda session: session.execute(sql(query)).scalar(), writes=False) or 0)

    def stop(self) -> None:
        self.database.close()
        self._running.stop()
        if self._rasa:
            self._rasa.stop()


class StockChannel:
    """Stock Rasa's Twilio channel before a stand-in for its model."""

    name, path = "stock Rasa's channel", "/twilio/webhook"

    def __init__(self, provider: FakeTwilio) -> None:
        self.provider, self.port = provider, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [str(RASA_PYTHON), str(ROOT / "benchmarks" / "stock_texting.py"), str(self.port), provider.url]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._is_up, "stock Rasa's channel did not start", 240, 0.2)

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/twilio/", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def heard(self) -> int:
        return len(httpx.get(f"{self.url}/heard", trust_env=False).json())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


class Requests:
    """Sends one case of the table and says what came of it, in a few words."""

    def __init__(self, server: Any) -> None:
        self._server, self._validator = server, RequestValidator(TOKEN)
        self._address = ""

    def post(self, form: dict[str, str], signature: str | None = None, content_type: str = "") -> httpx.Response:
        signed = self._validator.compute_signature(PUBLIC_URL + self._server.path, form)
        headers = {
            "x-twilio-signature": signed if signature is None else signature,
            "content-type": content_type or "application/x-www-form-urlencoded",
        }
        url = self._server.url + self._server.path
        return httpx.post(url, content=urlencode(form), headers=headers, timeout=20, trust_env=False)

    def form(self, body: str | None, **fields: str) -> dict[str, str]:
        self._address = f"+1556{uuid.uuid4().int % 10**7:07d}"
        form = {"MessageSid": f"SM{uuid.uuid4().hex}", "From": self._address, "To": NUMBER, "NumMedia": "0"}
        return form | ({} if body is None else {"Body": body}) | fields

    def outcome(self, send: Any) -> str:
        """Return status, messages heard, and texts given (in the answer or through the API) of one case."""
        before, sent = self._server.heard(), len(self._server.provider.messages)
        answers = send()
        heard, api = self._server.heard() - before, len(self._server.provider.messages) - sent
        given = sum(len(read_twiml(each.text)) for each in answers if each.status_code == 200 and each.content)
        statuses = "/".join(sorted({str(each.status_code) for each in answers}))
        return f"{statuses}, {heard} heard, {given + api} given"

    def table(self) -> dict[str, str]:
        """Return the outcome of every case by its name."""
        post, form, provider = self.post, self.form, self._server.provider
        hello = "hello there"

        def together(count: int) -> list[httpx.Response]:
            same = form(hello)
            with ThreadPoolExecutor(count) as pool:
                return list(pool.map(lambda _: post(same), range(count)))

        def replayed() -> list[httpx.Response]:
            same = form(hello)
            return [post(same), post(same)]

        def provider_down() -> list[httpx.Response]:
            provider.faults = [(500, 20500)] * 50
            try:
                return [post(form(CRISIS))]
            finally:
                provider.faults = []

        cases = {
            "an honest text": lambda: [post(form(hello))],
            "a forged signature": lambda: [post(form(hello), signature="x" * 28)],
            "no signature": lambda: [post(form(hello), signature="")],
            "the same request again": replayed,
            "the same request 5 times at once": lambda: together(5),
            "no Body": lambda: [post(form(None))],
            "an empty Body": lambda: [post(form(""))],
            "a picture": lambda: [post(form("", NumMedia="1", MediaUrl0="https://api.example/1"))],
            "1,600 characters": lambda: [post(form("a b " * 400))],
            "no From": lambda: [post({"MessageSid": "SM1", "Body": hello})],
            "JSON instead of a form": lambda: [post(form(hello), content_type="application/json")],
            "STOP": lambda: [post(form("STOP"))],
            "a crisis": lambda: [post(form(CRISIS))],
            "a crisis, the provider's API down": provider_down,
        }
        return {name: self.outcome(send) for name, send in cases.items()}


def load(desk: Desk, rate: float, seconds: float, numbers: int) -> list[list[str]]:
    """Return the rows of the load: what became of every text, and how long the webhooks took."""
    desk.provider.reset()
    sent = asyncio.run(text_at_a_rate(desk.port, rate=rate, seconds=seconds, numbers=numbers))
    found, until = account(sent, desk.database, desk.provider.messages), time.monotonic() + SETTLE_SECONDS
    while any(found.values()) and time.monotonic() < until:
        time.sleep(1.0)  # late replies go through the outbox
        found = account(sent, desk.database, desk.provider.messages)
    crises = [said for said in sent if said.is_crisis]
    rows = [
        [f"{rate:g} a second for {seconds:g} s from {numbers} numbers: {name}", str(n)] for name, n in found.items()
    ]
    statuses = ", ".join(f"{status}: {_count(sent, status)}" for status in sorted({said.status for said in sent}))
    rows.append(["webhooks by status", statuses])
    told = sum(any(BUSY in got.text for got in said.got) for said in sent)
    rows.append(["told that it is very busy", str(told)])
    rows += [[f"webhook, {name}", f"{_seconds(said)}"] for name, said in (("all", sent), ("crises", crises))]
    return rows


def _count(sent: list[Said], status: int) -> int:
    return sum(said.status == status for said in sent)


def _seconds(sent: list[Said]) -> str:
    return f"p50 {percentile(sent, 0.5):.2f} s, p99 {percentile(sent, 0.99):.2f} s, most {percentile(sent, 1.0):.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="texts a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--numbers", type=int, default=500)
    parser.add_argument("--without-rasa", action="store_true", help="the desk alone, beside a stand-in for Rasa")
    arguments = parser.parse_args()
    provider = FakeTwilio(free_port())
    tables: dict[str, dict[str, str]] = {}
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder) / "home", provider, with_rasa=not arguments.without_rasa)
        try:
            tables[desk.name] = Requests(desk).table()
            rows = load(desk, arguments.rate, arguments.seconds, arguments.numbers)
        finally:
            desk.stop()
    stock = StockChannel(provider)
    try:
        tables[stock.name] = Requests(stock).table()
    finally:
        stock.stop()
        provider.stop()
    ours, theirs = tables.values()
    table = [[name, ours[name], theirs[name]] for name in ours] + [[*row, ""] for row in rows]
    note = (
        "Heard: messages that reached the conversation. Given: texts in the webhook's answer or through the provider's "
        f"API by then. The desk ran {'alone, beside a stand-in for Rasa' if arguments.without_rasa else 'with Rasa'}; "
        f"load of the machine over 15 minutes {os.getloadavg()[2]:.1f}."
    )
    write_result("texting", "Texting, beside stock Rasa's Twilio channel", ["request", *tables], table, note)


if __name__ == "__main__":
    main()
