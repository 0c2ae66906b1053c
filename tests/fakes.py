"""Hand-written stand-ins: a movable clock, and a Rasa and a Twilio that answer over real HTTP what they are told."""

from __future__ import annotations

import asyncio
import ssl
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from bot.desk.clock import Clock


class MovedClock(Clock):
    def __init__(self) -> None:
        self.moved = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.moved


class FakeRasa:
    """Serves POST /turn/: `answer` is merged into the body, `status` its status; a clear `gate` holds answers back."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.gate = threading.Event()
        self.asked = threading.Event()
        self.reset()
        app = Starlette(
            routes=[Route("/turn/", self._turn, methods=["POST"]), Route("/", lambda _: PlainTextResponse("hi"))]
        )
        self._server = ThreadedServer(app, port)

    def reset(self) -> None:
        self.answer: dict[str, Any] = {}
        self.status = 200
        self.turns: list[dict[str, Any]] = []
        self.asked.clear()
        self.gate.set()

    async def _turn(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.turns.append(body)
        self.asked.set()
        await _held(self.gate)
        text = body.get("text", "")
        state = {"version": 1, "events": [*(body["state"] or {"events": []})["events"], text]}
        answer = {"references": ["craving"], "effects": [], "intent": "feel_craving", "confidence": 0.9, "state": state}
        return JSONResponse(answer | self.answer, self.status)

    def stop(self) -> None:
        self.gate.set()
        self._server.stop()


async def _held(gate: threading.Event) -> None:
    import anyio

    while not gate.is_set():
        await anyio.sleep(0.005)


class ThreadedServer:
    """An ASGI application on loopback in a thread, until `stop`."""

    def __init__(self, app: Any, port: int) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, "the server did not start")

    def stop(self, *, crash: bool = False) -> None:
        """Stop as SIGTERM does; `crash`: as a kill does, without a last word to the application."""
        self._server.force_exit = crash
        self._server.should_exit = True
        self._thread.join(10)


def wait_until(
    condition: Any, failure: str | Callable[[], str], timeout_seconds: float = 30.0, every_seconds: float = 0.02
) -> Any:
    """Return the first true value of `condition()`; fail with `failure` when there is none in time.

    A server that does not answer, or answers with an error the condition raises, is not there yet.
    """
    import time

    end = time.monotonic() + timeout_seconds
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            if value := condition():
                return value
        time.sleep(every_seconds)
    raise AssertionError(failure() if callable(failure) else failure)


def run_async(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a thread of its own: the browser tests leave an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class FakeTwilio:
    """Twilio's messages API over real HTTP. `faults` are taken one a request to send, the oldest first:

    (status, code): refused with it. "lost": taken, but the answer is a 500. "hang": taken, and no answer comes
    until the gate opens. `asked` says what listing answers: 200, or an error.
    """

    clock: Clock = Clock()

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.gate = threading.Event()
        self.reset()
        path = "/2010-04-01/Accounts/{account}/Messages.json"
        app = Starlette(routes=[Route(path, self._create, methods=["POST"]), Route(path, self._list, methods=["GET"])])
        self._server = ThreadedServer(app, port)

    def reset(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.requests: list[dict[str, str]] = []
        self.faults: list[Any] = []
        self.asked = 200
        self.listed = 0
        self.gate.set()

    def bodies(self, address: str) -> list[str]:
        """The texts a number was sent, in order."""
        return [message["body"] for message in self.messages if message["to"] == address]

    def take(self, address: str, body: str, status: str = "queued") -> dict[str, Any]:
        """Hold a message as if it had been given to us (by the API, or in a webhook's answer)."""
        now = format_datetime(self.clock.now())
        message = {"sid": f"SM{uuid.uuid4().hex}", "to": address, "body": body, "status": status, "date_created": now}
        self.messages.append(message)
        return message

    async def _create(self, request: Request) -> JSONResponse:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.requests.append(form)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, tuple):
            return JSONResponse({"code": fault[1], "message": "refused", "status": fault[0]}, fault[0])
        if fault == "stall":
            self.gate.clear()
            await _held(self.gate)
            return JSONResponse({"message": "oh"}, 500)
        message = self.take(form["To"], form["Body"])
        message["posting"] = form.get("StatusCallback", "").rpartition("id=")[2]
        if fault == "lost":
            return JSONResponse({"message": "oh"}, 500)
        if fault == "hang":
            self.gate.clear()
            await _held(self.gate)
        return JSONResponse(message, 201)

    async def _list(self, request: Request) -> JSONResponse:
        self.listed += 1
        if self.asked != 200:
            return JSONResponse({"code": 20500, "message": "no", "status": self.asked}, self.asked)
        found = [message for message in self.messages if message["to"] == request.query_params["To"]]
        return JSONResponse({"messages": found[::-1], "next_page_uri": None, "page": 0, "page_size": 100})

    def stop(self) -> None:
        self.gate.set()
        self._server.stop()


class FakeHook:
    """A flag owner's webhook over real HTTP. `status` is what it answers; a clear `gate` holds answers back."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.gate = threading.Event()
        self.gate.set()
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        self._server = ThreadedServer(Starlette(routes=[Route("/hook", self._take, methods=["POST"])]), port)

    async def _take(self, request: Request) -> PlainTextResponse:
        self.got.append((dict(request.headers), await request.body()))
        await _held(self.gate)
        return PlainTextResponse("", self.status)

    def stop(self) -> None:
        self.gate.set()
        self._server.stop()


class FakeMail:
    """An SMTP server on loopback: EHLO, STARTTLS when it has a certificate, AUTH PLAIN, one message at a time.

    `got` holds (authenticated, encrypted, message); `refuses` makes it answer 451 to the message.
    """

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*certificate)
        self.got: list[tuple[bool, bool, bytes]] = []
        self.refuses = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._talk, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        signed_in = encrypted = False
        writer.write(b"220 fake\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                offers = ["fake", *(["STARTTLS"] if self._tls and not encrypted else []), "AUTH PLAIN"]
                marks = ["-"] * (len(offers) - 1) + [" "]
                writer.write("".join(f"250{m}{o}\r\n" for m, o in zip(marks, offers, strict=True)).encode())
            elif verb == "STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.start_tls(self._tls)
                encrypted = True
            elif verb == "AUTH":
                signed_in = True
                writer.write(b"235 in\r\n")
            elif verb == "DATA":
                writer.write(b"354 on\r\n")
                message = await reader.readuntil(b"\r\n.\r\n")
                if self.refuses:
                    writer.write(b"451 later\r\n")
                else:
                    self.got.append((signed_in, encrypted, message))
                    writer.write(b"250 taken\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
        writer.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
