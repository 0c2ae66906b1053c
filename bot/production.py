"""What production mode demands before it starts: `handrail doctor` says it, `handrail serve` refuses to start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.content import Library
from bot.content.status import lines_to_check
from bot.desk.hours import Hours
from bot.errors import HandrailError, SettingsError
from bot.settings import Settings
from bot.store.cipher import read_keys

SHORTEST_SECRET = 32  # characters; the made ones have 64
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Fault:
    what: str
    remedy: str


def load_library(settings: Settings, now: datetime) -> Library:
    """Return the library as these settings serve it: country, accepted reviewers, options."""
    return Library.load(
        settings.content_folder,
        now=now,
        country=settings.country or None,
        roles=settings.reviewer_roles,
        options=settings.content_options,
    )


def require_production(settings: Settings) -> None:
    """Raise SettingsError naming every fault, in production mode; do nothing in demo mode."""
    if settings.mode != "production":
        return
    if faults := list(find_faults(settings)):
        said = "".join(f"\n  {fault.what}\n    -> {fault.remedy}" for fault in faults)
        raise SettingsError(f"production mode does not start:{said}")


def find_faults(settings: Settings) -> Iterator[Fault]:
    """Yield what is missing for production; changes nothing."""
    yield from _content(settings)
    yield from _keys(settings)
    if not settings.public_url.startswith("https://"):
        yield Fault("the public address is not https", "set HANDRAIL_PUBLIC_URL to https://...")
    for origin in settings.origins:
        if "*" in origin or not origin.startswith("https://") or origin.count("/") > 2:
            yield Fault(
                "an allowed origin is not one exact https origin",
                "write HANDRAIL_ALLOWED_ORIGINS as https://www.example.org, without * and without a path",
            )
    if "*" in settings.trusted_proxies:
        yield Fault("every proxy is trusted", "list your proxies' addresses in HANDRAIL_TRUSTED_PROXIES")
    if settings.console_apart and settings.database.startswith("sqlite"):
        yield Fault("a console apart cannot share SQLite", "set HANDRAIL_DATABASE_URL to PostgreSQL")
    if settings.home.exists() and settings.home.stat().st_mode & 0o077:
        yield Fault("others can read the state folder", "chmod 700 the folder named by HANDRAIL_HOME")
    try:
        hours = Hours.parse(settings.staffed_hours, settings.timezone)
        if not hours.known:
            yield Fault("nobody said when counselors are on duty", "set HANDRAIL_STAFFED_HOURS and HANDRAIL_TIMEZONE")
    except SettingsError as error:
        yield Fault("the staffed hours cannot be read", str(error))
    if not settings.flag_owner.strip():
        yield Fault("nobody answers for flags that wait", "name a person or duty in HANDRAIL_FLAG_OWNER")
    yield from _owner(settings)


def _owner(settings: Settings) -> Iterator[Fault]:
    if not settings.owner_webhook_url and not settings.owner_email:
        yield Fault(
            "the flag owner is told of nothing", "set HANDRAIL_OWNER_WEBHOOK_URL or HANDRAIL_OWNER_EMAIL, or both"
        )
    if settings.owner_webhook_url and not settings.owner_webhook_url.startswith("https://"):
        yield Fault("the owner's webhook is not https", "set HANDRAIL_OWNER_WEBHOOK_URL to https://...")
    if settings.owner_webhook_url and len(settings.owner_webhook_secret) < SHORTEST_SECRET:
        yield Fault("HANDRAIL_OWNER_WEBHOOK_SECRET is weak", f"use at least {SHORTEST_SECRET} random characters")
    if settings.owner_email and settings.smtp_security == "none" and settings.smtp_host not in LOOPBACK:
        yield Fault("e-mail to the flag owner leaves in the clear", "set HANDRAIL_SMTP_SECURITY to starttls or tls")


def _content(settings: Settings) -> Iterator[Fault]:
    now = datetime.now(UTC)
    library = load_library(settings, now)
    if library.problems:
        yield Fault(
            f"{len(library.problems)} texts may not be served (a demonstration sign-off does not count)",
            "`handrail content status --production` lists them; have them signed by a clinician",
        )
    if late := lines_to_check(settings.content_folder, now=now):
        yield Fault(
            f"{len(late)} hotlines have not been checked in time: {', '.join(late)}",
            "read the operators' pages, then write verified_on and next_check in content/hotlines.yml and sign it",
        )
    if settings.country and not library.has_verified_lines():
        yield Fault(
            f"no verified emergency number and crisis line for {settings.country}",
            "verify them in content/hotlines.yml, or set HANDRAIL_COUNTRY to the country you serve",
        )


def _keys(settings: Settings) -> Iterator[Fault]:
    try:
        keys = read_keys(settings.home / "keys")
    except HandrailError as error:
        yield Fault("the keys cannot be used", str(error))
        return
    for name, value in (("token.key", keys.token), ("lookup.key", keys.lookup), ("rasa.secret", keys.rasa)):
        if len(value) < SHORTEST_SECRET or len(set(value)) < 10:
            yield Fault(f"{name} is weak", f"delete keys/{name} and run `handrail keys make`")
    if settings.rasa_secret and len(settings.rasa_secret) < SHORTEST_SECRET:
        yield Fault("HANDRAIL_RASA_SECRET is weak", f"use at least {SHORTEST_SECRET} random characters")
