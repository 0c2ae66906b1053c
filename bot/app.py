"""The ASGI application: everything is wired here and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.channels import pages, web
from bot.content import Library
from bot.crisis import Decision, Guard
from bot.desk.clock import Clock
from bot.desk.composer import Composer
from bot.desk.desk import Desk
from bot.desk.limits import Admission, Calm, measure_loop_lag
from bot.desk.metrics import Metrics
from bot.desk.rasa import Rasa
from bot.desk.recovery import Recovery
from bot.desk.signals import Signals
from bot.desk.tokens import Tokens
from bot.desk.turns import Turns
from bot.errors import HandrailError, Refusal, StoreAway
from bot.settings import Settings
from bot.store.cipher import Cipher, Keys, read_keys
from bot.store.engine import Database
from bot.store.record import Record
from bot.store.spool import Spool

MIGRATE_AGAIN_SECONDS = 1.0
ASSESSED_AT_ONCE = 4  # with more messages waiting for the guard, recording and turns wait for it
MESSAGES_AT_ONCE = 8  # ordinary ones at the record; a crisis passes them and finds few before it

log = structlog.get_logger()

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Parts:
    """The wired parts of one desk process."""

    settings: Settings
    guard: Guard | None
    library: Library
    database: Database
    record: Record
    rasa: Rasa
    desk: Desk
    recovery: Recovery
    tokens: Tokens


def wire(settings: Settings, keys: Keys, clock: Clock) -> Parts:
    """Build the parts. What cannot load is replaced by its fail-safe; the desk starts all the same."""
    guard = _load_guard()
    library = Library.load(
        settings.content_folder, now=clock.now(), country=settings.country or None, roles=settings.reviewer_roles
    )
    cipher = Cipher(list(keys.encryption))
    database = Database(settings.database, settings.store_timeout_seconds)
    record, spool = Record(database, cipher), Spool(settings.home / "spool", cipher)
    metrics = Metrics()
    rasa = Rasa(settings.rasa, settings.rasa_secret or keys.rasa, settings.rasa_timeout_seconds)
    calm = Calm(ASSESSED_AT_ONCE)
    intake = Admission(MESSAGES_AT_ONCE, settings.messages_waiting, settings.rasa_timeout_seconds, calm)
    admission = Admission(settings.turns_at_once, settings.turns_waiting, settings.rasa_timeout_seconds, calm)
    turns = Turns(composer := Composer(library), rasa, admission, metrics, clock, settings.late_after_seconds)
    desk = Desk(guard, composer, record, spool, turns, Signals(), intake, calm, metrics, clock)
    recovery = Recovery(desk, record, spool, metrics, clock)
    tokens = Tokens(keys.token, settings.token_days)
    return Parts(settings, guard, library, database, record, rasa, desk, recovery, tokens)


def create_app(settings: Settings, keys: Keys | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the application that `handrail serve desk` runs."""
    clock = clock or Clock()
    parts = wire(settings, keys or read_keys(settings.home / "keys"), clock)
    started_at = clock.now()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_keep_record(parts)),
            asyncio.create_task(measure_loop_lag(parts.desk.metrics.loop_lag_seconds)),
        ]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await parts.rasa.close()
        parts.database.close()

    app = FastAPI(title="Handrail", version="0.1.0", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.parts = parts
    app.include_router(web.create_router(settings, parts.desk, parts.record, parts.tokens))
    app.include_router(pages.create_router(settings, parts.library))

    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> JSONResponse:
        return web.answer_refusal(parts.desk, refusal, Decision(), web.LANGUAGES[0])

    @app.exception_handler(StoreAway)
    async def wait(_: Request, error: StoreAway) -> JSONResponse:
        refusal = Refusal(503, "store_away", "the record does not answer", "try again in a minute", "store_away")
        return web.answer_refusal(parts.desk, refusal, Decision(), web.LANGUAGES[0])

    app.add_middleware(SecurityHeaders)

    @app.get("/healthz", include_in_schema=False)
    async def health() -> PlainTextResponse:
        """Whether this process answers at all."""
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> JSONResponse:
        """Say per part what is up. 200 when the desk can protect and answer; 503 when it can only protect."""
        status = await readiness(parts)
        whole = all(value in ("ok", "absent") for value in status.values())
        seconds = (clock.now() - started_at).total_seconds()
        return JSONResponse({"ready": whole, "parts": status, "up_seconds": round(seconds, 1)}, 200 if whole else 503)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(parts.desk.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


class SecurityHeaders:
    """Adds SECURITY_HEADERS to every answer, streams included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


async def readiness(parts: Parts) -> dict[str, str]:
    """Return what each part says of itself: "ok", or in a few words what is wrong."""
    try:
        current = await asyncio.wait_for(
            asyncio.to_thread(parts.database.is_current), parts.settings.store_timeout_seconds
        )
        store = "ok" if current else "schema is behind"
    except (StoreAway, TimeoutError):
        store = "away"
    health = parts.guard.health() if parts.guard else {"rules": "failed: every message counts as a crisis"}
    return {
        **{f"guard_{part}": state for part, state in health.items()},
        "content": "ok" if not parts.library.problems else f"{len(parts.library.problems)} items refused",
        "store": store,
        "rasa": "ok" if await parts.rasa.is_up() else "away",
    }


def _load_guard() -> Guard | None:
    try:
        return Guard.load()
    except Exception as error:
        log.error("guard_cannot_load", error=type(error).__name__)
        return None


async def _keep_record(parts: Parts) -> None:
    """Bring the schema up, however long the database takes to come; then keep recovering."""
    while True:
        try:
            await asyncio.to_thread(parts.database.migrate)
            break
        except HandrailError as error:
            log.warning("record_waits", error=str(error))
            parts.desk.store_was_away = True
            await asyncio.sleep(MIGRATE_AGAIN_SECONDS)
    await parts.recovery.run()
