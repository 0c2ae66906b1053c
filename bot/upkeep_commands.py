"""`handrail keys make|rotate`, `handrail retention run`, `handrail erase`: looking after what is stored."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bot.errors import HandrailError, SettingsError
from bot.settings import Settings, read_settings

if TYPE_CHECKING:
    from bot.store.cipher import Cipher
    from bot.store.engine import Database
    from bot.store.upkeep import Upkeep

PATIENT_SECONDS = 30.0  # for one call to the database: nobody waits for a turn behind it
NOTICED_SECONDS = 15.0  # within this a running desk has read the key file again (bot/desk/recovery.py: each 3 s)

keys = typer.Typer(no_args_is_help=True, help="The key files.")
retention = typer.Typer(no_args_is_help=True, help="How long things are kept.")


@keys.command()
def make() -> None:
    """Make the key files that are missing (folder 0700, files 0600)."""
    make_missing_keys(read_settings())


def make_missing_keys(settings: Settings) -> None:
    """Make the key files that are missing, and say so."""
    from bot.store.cipher import make_keys

    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if make_keys(settings.home / "keys"):
        typer.echo(
            f"Made keys in {settings.home / 'keys'} (0600). Back them up: without them the record is unreadable."
        )


@keys.command()
def rotate(
    drop_old: Annotated[bool, typer.Option("--drop-old", help="then remove the old keys; back them up before")] = False,
) -> None:
    """Add a new encryption key and seal everything stored with it, while desks run."""
    from bot.store.cipher import add_encryption_key, keep_newest_encryption_key
    from bot.store.spool import Spool

    settings = read_settings()
    folder = settings.home / "keys"
    add_encryption_key(folder)
    database, cipher, upkeep = _open(settings)
    spool = Spool(settings.home / "spool", cipher)
    typer.echo("A new key is in place. Sealing what is stored ...")
    changed, strange = upkeep.reseal()
    changed += spool.reseal()
    typer.echo(f"{changed} sealed anew. Waiting {NOTICED_SECONDS:.0f} s until every desk has read the new key ...")
    time.sleep(NOTICED_SECONDS)
    while again := upkeep.reseal()[0] + spool.reseal():
        changed += again
    database.close()
    if strange:
        raise HandrailError(f"{strange} bodies open with no key: restore the key that sealed them; no key was removed")
    typer.echo(f"{changed} sealed with the new key, nothing left that needs an old one.")
    if drop_old:
        typer.echo(f"{keep_newest_encryption_key(folder)} old keys removed. Older backups still need them.")
    else:
        typer.echo("The old keys are kept; `handrail keys rotate --drop-old` makes another and removes all others.")


@retention.command()
def run() -> None:
    """Delete the conversations that are kept no longer (HANDRAIL_KEEP_DAYS, HANDRAIL_KEEP_FLAGGED_DAYS)."""
    settings = read_settings()
    database, _, upkeep = _open(settings)
    gone = upkeep.expire(datetime.now(UTC), keep_days=settings.keep_days, keep_flagged_days=settings.keep_flagged_days)
    database.close()
    typer.echo(f"{gone} conversations deleted")


def erase(conversation: Annotated[str, typer.Argument(help="its id, which the person's export shows")]) -> None:
    """Erase one conversation, as its person could from the widget."""
    from bot.store.record import Record
    from bot.store.spool import Spool

    settings = read_settings()
    database, cipher, _ = _open(settings)
    record, spool = Record(database, cipher), Spool(settings.home / "spool", cipher)
    known = database.call(lambda session: record.exists(session, conversation), writes=False)
    if not known:
        database.close()
        raise SettingsError("no such conversation is stored; the id is the one in the person's export")
    flag_stays = asyncio.run(record.erase(conversation, datetime.now(UTC)))
    spool.forget(conversation)
    database.close()
    typer.echo(
        "erased" + ("; an open flag stays, with kind and times, until a counselor closes it" if flag_stays else "")
    )


def _open(settings: Settings) -> tuple[Database, Cipher, Upkeep]:
    from bot.store.cipher import Cipher, read_keys
    from bot.store.engine import Database
    from bot.store.upkeep import Upkeep

    def reread() -> tuple[str, ...]:
        return read_keys(settings.home / "keys").encryption

    database = Database(settings.database, PATIENT_SECONDS)
    cipher = Cipher(reread(), reread)
    return database, cipher, Upkeep(database, cipher, settings.token_days)
