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
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.channels import pages, phone, sms, web
from bot.channels.phone import DemoTwilio
from bot.channels.twilio import Twilio
from bot.console.routes import create_console
from bot.content import Library
from bot.crisis import Decision, Guard
from bot.desk.clock import Clock
from bot.desk.composer import Composer
from bot.desk.desk import Desk
from bot.desk.disclosure import RULES
from bot.desk.handoff import Handoff
from bot.desk.hours import Hours
from bot.desk.limits import Admission, Calm, measure_loop_lag
from bot.desk.loops import for_ever
from bot.desk.metrics import Metrics
from bot.desk.owner import ways_of
from bot.desk.rasa import Rasa
from bot.desk.recovery import Recovery
from bot.desk.sender import Sender
from bot.desk.signals import Signals
from bot.desk.tokens import Tokens
from bot.desk.turns import Turns
from bot.desk.watchdog import Watchdog
from bot.errors import HandrailError, Refusal, StoreAway
from bot.production import load_library
from bot.settings import Settings
from bot.store.accounts import Accounts
from bot.store.audit import Audit
from bot.store.cipher import Cipher, Keys, read_keys
from bot.store.engine import Database
from bot.store.outbox import Outbox
from bot.store.record import Record
from bot.store.relay import Relay
from bot.store.spool import Spool
from bot.store.takeover import Takeover
from bot.store.upkeep import Upkeep
from bot.store.watch import Watch

MIGRATE_AGAIN_SECONDS = 1.0
LAST_TURNS_SECONDS = 6.0  # a stopping desk lets the turns under way end: Rasa's deadline and the record's
WATCH_SECONDS = 15.0
CONTENT_SECONDS = RETENTION_SECONDS = 3600.0
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
    upkeep: Upkeep
    tokens: Tokens
    outbox: Outbox
    handoff: Handoff
    takeover: Takeover
    accounts: Accounts
    watch: Watch
    watchdog: Watchdog
    relay: Relay | None


def wire(settings: Settings, keys: Keys, clock: Clock) -> Parts:
    """Build the parts. What cannot load is replaced by its fail-safe; the desk starts all the same."""
    guard = _load_guard()
    library = load_library(settings, clock.now())
    cipher = Cipher(keys.encryption, lambda: read_keys(settings.home / "keys").encryption)
    database = Database(settings.database, settings.store_timeout_seconds)
    record, spool = Record(database, cipher), Spool(settings.home / "spool", cipher)
    metrics = Metrics()
    rasa = Rasa(settings.rasas, settings.rasa_secret or keys.rasa, settings.rasa_timeout_seconds)
    calm = Calm(ASSESSED_AT_ONCE)
    intake = Admission(MESSAGES_AT_ONCE, settings.messages_waiting, settings.rasa_timeout_seconds, calm)
    admission = Admission(settings.turns_at_once, settings.turns_waiting, settings.rasa_timeout_seconds, calm)
    hours = Hours.parse(settings.staffed_hours, settings.timezone)
    late, rules = settings.late_after_seconds, RULES[settings.jurisdiction]
    turns = Turns(composer := Composer(library), rasa, admission, metrics, clock, late, hours, rules)
    relay = _relay(database)
    desk = Desk(guard, composer, record, spool, turns, Signals(relay), intake, calm, metrics, clock)
    upkeep, outbox = Upkeep(database, cipher, settings.token_days), Outbox(database, cipher)
    recovery = Recovery(desk, record, spool, cipher, metrics, clock)
    tokens = Tokens(keys.token, settings.token_days)
    takeover, accounts, handoff = _counseling(settings, keys, database, cipher, composer, desk.signals, hours, clock)
    watch, ways = Watch(takeover), ways_of(settings)
    watchdog = Watchdog(watch, composer, ways, hours, desk.signals, metrics, clock, settings)
    return Parts(
        settings,
        guard,
        library,
        database,
        record,
        rasa,
        desk,
        recovery,
        upkeep,
        tokens,
        outbox,
        handoff,
        takeover,
        accounts,
        watch,
        watchdog,
        relay,
    )


def create_app(settings: Settings, keys: Keys | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the application that `handrail serve desk` runs."""
    clock = clock or Clock()
    keys = keys or read_keys(settings.home / "keys")
    parts = wire(settings, keys, clock)
    provider, sender = _texting(parts, clock)
    started_at = clock.now()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_keep_record(parts)),
            asyncio.create_task(measure_loop_lag(parts.desk.metrics.loop_lag_seconds)),
            asyncio.create_task(_keep_content(parts, clock)),
            asyncio.create_task(_keep_retention(parts, clock)),
            asyncio.create_task(_keep_watch(parts, clock)),
            asyncio.create_task(parts.handoff.run()),
            asyncio.create_task(parts.watchdog.run()),
        ]
        if sender:
            tasks.append(asyncio.create_task(sender.run()))
        if parts.relay:
            tasks.append(asyncio.create_task(parts.relay.run(parts.desk.signals.hear)))
        yield
        await parts.desk.close(LAST_TURNS_SECONDS)
        await _cancel(tasks)
        await parts.rasa.close()
        if sender:
            sender.close()
        parts.database.close()

    app = FastAPI(title="Handrail", version="0.1.0", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.parts, app.state.sender = parts, sender
    app.include_router(web.create_router(settings, parts.desk, parts.record, parts.handoff, parts.tokens))
    if provider and sender:
        app.include_router(
            sms.create_router(settings, parts.desk, parts.record, parts.outbox, sender, provider, keys.lookup)
        )
    if isinstance(provider, DemoTwilio):
        app.include_router(phone.create_router(settings, provider))
    app.include_router(pages.create_router(settings, parts.library))
    if not settings.console_apart:
        app.state.console = create_console(
            settings, parts.takeover, parts.accounts, parts.handoff, parts.desk.signals, clock
        )
        app.mount("/console", app.state.console)

    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> JSONResponse:
        return web.answer_refusal(parts.desk, refusal, Decision(), web.LANGUAGES[0])

    @app.exception_handler(StoreAway)
    async def wait(_: Request, error: StoreAway) -> JSONResponse:
        refusal = Refusal(503, "store_away", "the record does not answer", "try again in a minute", "store_away")
        return web.answer_refusal(parts.desk, refusal, Decision(), web.LANGUAGES[0])

    app.add_middleware(SecurityHeaders)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "last-event-id"],
            max_age=600,
        )

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


def create_console_app(settings: Settings, keys: Keys | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the application that `handrail serve console` runs: the console alone, beside desks on the same record."""
    clock = clock or Clock()
    keys = keys or read_keys(settings.home / "keys")
    cipher = Cipher(keys.encryption, lambda: read_keys(settings.home / "keys").encryption)
    database = Database(settings.database, settings.store_timeout_seconds)
    relay = _relay(database)
    signals, composer = Signals(relay), Composer(load_library(settings, clock.now()))
    hours = Hours.parse(settings.staffed_hours, settings.timezone)
    takeover, accounts, handoff = _counseling(settings, keys, database, cipher, composer, signals, hours, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(relay.run(signals.hear))] if relay else []
        yield
        await _cancel(tasks)
        database.close()

    app = FastAPI(title="Handrail console", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.mount("/console", create_console(settings, takeover, accounts, handoff, signals, clock))
    app.add_middleware(SecurityHeaders)

    @app.get("/healthz", include_in_schema=False)
    async def health() -> PlainTextResponse:
        """Whether this process answers at all."""
        return PlainTextResponse("ok\n")

    return app


def _counseling(
    settings: Settings,
    keys: Keys,
    database: Database,
    cipher: Cipher,
    composer: Composer,
    signals: Signals,
    hours: Hours,
    clock: Clock,
) -> tuple[Takeover, Accounts, Handoff]:
    audit = Audit(keys.lookup)
    takeover = Takeover(database, cipher, audit)
    handoff = Handoff(takeover, composer, signals, clock, hours, settings.counselor_silent_minutes)
    return takeover, Accounts(database, cipher, audit), handoff


def _relay(database: Database) -> Relay | None:
    """Return what carries hints between the processes on one PostgreSQL; SQLite has one process."""
    return Relay(database.url) if database.backend == "postgresql" else None


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


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
    up, rasas = await parts.rasa.count_up()
    parts.desk.metrics.rasas_away.set(rasas - up)
    health = parts.guard.health() if parts.guard else {"rules": "failed: every message counts as a crisis"}
    return {
        **{f"guard_{part}": state for part, state in health.items()},
        "content": "ok" if not parts.library.problems else f"{len(parts.library.problems)} items refused",
        "store": store,
        "rasa": "ok" if up else "away",
    }


def _load_guard() -> Guard | None:
    try:
        return Guard.load()
    except Exception as error:
        log.error("guard_cannot_load", error=type(error).__name__)
        return None


def _texting(parts: Parts, clock: Clock) -> tuple[Twilio, Sender] | tuple[None, None]:
    """Return the SMS provider and the outbox worker. Without a token there is no texting, but for the demo's phone."""
    settings = parts.settings
    if settings.twilio_auth_token:
        provider = Twilio(
            settings.twilio_account_sid,
            settings.twilio_auth_token,
            settings.twilio_number,
            settings.twilio_api_url,
            settings.public_url,
        )
    elif settings.has_demo_phone:
        provider = DemoTwilio(settings.public_url)
    else:
        return None, None
    sender = Sender(
        parts.outbox,
        provider,
        Composer(parts.library),
        parts.desk.metrics,
        clock,
        daily=settings.sms_daily,
        late_after_seconds=settings.late_after_seconds,
    )
    return provider, sender


async def _keep_content(parts: Parts, clock: Clock) -> None:
    """Retire what is due for review, every hour, and show in the metrics what will be within a month."""
    while True:
        parts.desk.metrics.show_content(parts.library, clock.now())
        await asyncio.sleep(CONTENT_SECONDS)
        parts.library.retire(clock.now())


async def _keep_watch(parts: Parts, clock: Clock) -> None:
    """Show in the metrics what is up and how long flags have waited, for the alerts in deploy/alerts.yml."""
    metrics = parts.desk.metrics
    while True:
        for part, state in (await readiness(parts)).items():
            metrics.part_up.labels(part).set(state in ("ok", "absent"))
        with suppress(StoreAway):
            metrics.show_flags(await parts.record.waiting_flags(clock.now()))
        await asyncio.sleep(WATCH_SECONDS)


async def _keep_retention(parts: Parts, clock: Clock) -> None:
    """Delete every hour what retention no longer keeps; on several desks at once it does no harm."""
    keep = parts.settings

    async def expire() -> None:
        gone = await asyncio.to_thread(
            parts.upkeep.expire, clock.now(), keep_days=keep.keep_days, keep_flagged_days=keep.keep_flagged_days
        )
        log.info("retention", conversations=gone)

    await for_ever("retention", expire, RETENTION_SECONDS)


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
