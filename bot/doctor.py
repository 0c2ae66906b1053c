"""`handrail doctor`: looks at an installation and says each fault with its remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.crisis import Guard
from bot.errors import HandrailError
from bot.processes import RASA_BIN, check_port, fingerprint, model_path
from bot.production import find_faults, load_library
from bot.settings import Settings
from bot.store.cipher import read_keys
from bot.store.engine import Database

FREE_BYTES_WANTED = 500 * 1024 * 1024


@dataclass(frozen=True)
class Finding:
    ok: bool
    what: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Return what was looked at, good or bad; changes nothing."""
    return [
        _try("key files are there and private", lambda: read_keys(settings.home / "keys"), "`handrail keys make`"),
        _state_folder(settings),
        _database(settings),
        _guard(),
        _content(settings),
        Finding(RASA_BIN.exists(), "the Rasa environment is there", "`make rasa-env`"),
        _model(settings),
        *_production(settings),
        *(_port(name, port) for name, port in (("PORT", settings.port), ("RASA_PORT", settings.rasa_port))),
    ]


def _production(settings: Settings) -> list[Finding]:
    if settings.mode != "production":
        return []
    return [Finding(False, fault.what, fault.remedy) for fault in find_faults(settings)]


def _try(what: str, work: Callable[[], object], remedy: str) -> Finding:
    try:
        work()
    except HandrailError as error:
        return Finding(False, f"{what}: {error}", remedy)
    return Finding(True, what)


def _state_folder(settings: Settings) -> Finding:
    what = "the state folder is private and has room"
    if not settings.home.exists():
        return Finding(False, f"{what}: it is not there", "`handrail keys make`")
    if settings.home.stat().st_mode & 0o007:
        return Finding(False, f"{what}: others can read it", "chmod 700 the folder named by HANDRAIL_HOME")
    if shutil.disk_usage(settings.home).free < FREE_BYTES_WANTED:
        return Finding(
            False, f"{what}: under 500 MB are free", "free some space; a full disk sends messages to nowhere"
        )
    return Finding(True, what)


def _database(settings: Settings) -> Finding:
    what = "the record answers and its schema is current"
    try:
        database = Database(settings.database, settings.store_timeout_seconds)
        current = database.is_current()
        database.close()
    except HandrailError as error:
        return Finding(False, f"{what}: {error}", "start the database, or correct HANDRAIL_DATABASE_URL")
    return Finding(current, what, "start the desk once: it brings the schema up")


def _guard() -> Finding:
    try:
        health = Guard.load().health()
    except Exception as error:
        return Finding(False, f"the crisis guard loads: {type(error).__name__}", "reinstall: `make app-env`")
    wrong = [f"{part} {state}" for part, state in health.items() if state.startswith("failed")]
    return Finding(
        not wrong, "the crisis guard loads" + (f": {', '.join(wrong)}" if wrong else ""), "reinstall: `make app-env`"
    )


def _content(settings: Settings) -> Finding:
    library = load_library(settings, datetime.now(UTC))
    what = f"{len(library.items())} content items are signed"
    if library.problems:
        return Finding(False, f"{what}, {len(library.problems)} problems", "`handrail content check` names each")
    return Finding(True, what)


def _model(settings: Settings) -> Finding:
    mark = model_path(settings).parent / "trained-from"
    current = model_path(settings).exists() and mark.exists() and mark.read_text() == fingerprint()
    return Finding(current, "the Rasa model is trained from the files as they are", "`handrail train`")


def _port(name: str, port: int) -> Finding:
    """A port in use is fine when it is Handrail itself that runs there; doctor cannot tell, so it only says."""
    try:
        check_port(name, port)
    except HandrailError:
        return Finding(True, f"port {port} is in use (by Handrail, if it is running)")
    return Finding(True, f"port {port} is free")
