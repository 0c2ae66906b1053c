"""`handrail backup` and `handrail restore`: one file, made while desks run, for either database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from bot.errors import SettingsError, UnreadableBody
from bot.settings import Settings, read_settings

PATIENT_SECONDS = 30.0  # for one call to the database: nobody waits for a turn behind it
NAME = "handrail-%Y%m%dT%H%M%SZ.zip"


def backup(
    to: Annotated[Path, typer.Argument(help="a folder, which gets a file named by the time; or the file itself")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="put the keys in too; then guard it like them")
    ] = False,
    keep_days: Annotated[int, typer.Option(min=0, help="delete older backups in the folder; 0 keeps all")] = 0,
) -> None:
    """Write everything stored into one file while desks run. The keys stay out of it unless --with-keys says so."""
    from bot.store.backup import write_backup
    from bot.store.engine import Database

    settings, now = read_settings(), datetime.now(UTC)
    target = to / now.strftime(NAME) if to.is_dir() else to
    if target.exists():
        raise SettingsError("there is a file of that name already; name another one, or a folder")
    database = Database(settings.database, PATIENT_SECONDS)
    try:
        made = write_backup(database, settings.home, target, now, with_keys=with_keys)
    finally:
        database.close()
    rows = sum(made.tables.values())
    typer.echo(f"{target}: {rows} rows, {made.spooled} spooled messages, schema {made.revision}")
    if with_keys:
        typer.echo("THE KEYS ARE IN IT: whoever has this file reads everything. Keep it apart from the other backups.")
    else:
        typer.echo(
            f"The keys are not in it. Without {settings.home / 'keys'} it cannot be read: keep a copy elsewhere."
        )
    if keep_days and to.is_dir():
        typer.echo(f"{_delete_older(to, now - timedelta(days=keep_days))} older backups deleted")


def restore(
    file: Annotated[Path, typer.Argument(help="what `handrail backup` wrote")],
    check: Annotated[bool, typer.Option("--check", help="only open everything in it with the keys; change nothing")] = (
        False
    ),
) -> None:
    """Fill an empty database from a backup, of either kind, after opening everything in it with the keys."""
    from bot.store.backup import Backup, put_keys
    from bot.store.cipher import Cipher, read_keys
    from bot.store.engine import Database

    settings, archive = read_settings(), Backup(file)
    folder = settings.home / "keys"
    has_keys_here = folder.exists() and any(folder.iterdir())
    if not has_keys_here and not archive.manifest.has_keys:
        raise SettingsError(f"there are no keys, and the backup was made without; put the key files into {folder}")
    try:
        opened = archive.check(Cipher(read_keys(folder).encryption if has_keys_here else archive.encryption_keys()))
    except UnreadableBody:
        raise SettingsError(_wrong_keys(settings, archive.manifest.has_keys)) from None
    made = archive.manifest
    typer.echo(f"Backup of {made.made_at_utc}, schema {made.revision}: whole, and the keys open all {opened} bodies.")
    if check:
        return
    database = Database(settings.database, PATIENT_SECONDS)
    try:
        archive.restore(database, settings.home)
    finally:
        database.close()
    if not has_keys_here:
        put_keys(archive.keys(), settings.home)
        typer.echo(f"The keys are in {folder} (0600).")
    typer.echo(f"{sum(made.tables.values())} rows restored. Counselors sign in again. Texts that were on their way are")
    typer.echo("'unknown' and are not sent again. What people erased since the backup is back: erase it again.")
    typer.echo("Now: `handrail audit verify`, then start the desks.")


def _wrong_keys(settings: Settings, has_keys: bool) -> str:
    said = f"the keys in {settings.home / 'keys'} do not open this backup; put the ones of its time there"
    return said + (", or move them away: the backup has its own" if has_keys else "")


def _delete_older(folder: Path, than: datetime) -> int:
    """Delete backups made before a time, by the time in their name; return how many."""
    oldest = than.strftime(NAME)
    old = [path for path in folder.glob("handrail-*T*Z.zip") if len(path.name) == len(oldest) and path.name < oldest]
    for path in old:
        path.unlink()
    return len(old)
