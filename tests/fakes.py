"""Hand-written stand-ins: a clock that can be moved, and a Rasa that answers over real HTTP what it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

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

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def wait_until(
    condition: Any, failure: str | Callable[[], str], timeout_seconds: float = 30.0, every_seconds: float = 0.02
) -> Any:
    """Return the first true value of `condition()`; fail with `failure` when there is none in time."""
    import time

    end = time.monotonic() + timeout_seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(every_seconds)
    raise AssertionError(failure() if callable(failure) else failure)


def run_async(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a thread of its own: the browser tests leave an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
