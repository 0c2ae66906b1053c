"""`handrail counselor add|reset|disable` and `handrail audit verify`: who may use the console, and what they did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bot.errors import HandrailError, StoreAway
from bot.settings import Settings, read_settings

if TYPE_CHECKING:
    from bot.console.auth import Credentials
    from bot.store.accounts import Accounts
    from bot.store.audit import Audit

PATIENT_SECONDS = 30.0
DEMO_NAME = "demo"

counselor = typer.Typer(no_args_is_help=True, help="The counselors' accounts.")
audit = typer.Typer(no_args_is_help=True, help="What counselors did.")
Name = Annotated[str, typer.Argument(help="what they sign in with: a-z, 0-9, dot, dash, underscore")]


class Role(StrEnum):
    COUNSELOR = "counselor"
    LEAD = "lead"
    AUDITOR = "auditor"


@counselor.command()
def add(
    name: Name,
    display: Annotated[
        str, typer.Option(help="what colleagues and people see, a first name will do; default: the name")
    ] = "",
    role: Annotated[Role, typer.Option(help="counselor, lead or auditor")] = Role.COUNSELOR,
) -> None:
    """Make an account and print its password and TOTP address, once."""
    with _open(read_settings()) as accounts:
        _show(name, _add(accounts, name, display or name, role))


@counselor.command()
def reset(name: Name) -> None:
    """Give an account a new password and TOTP secret, unlock it and end its sessions."""
    from bot.console.auth import hash_password, make_credentials

    given = make_credentials()
    hashed = hash_password(given.password)
    with _open(read_settings()) as accounts:
        now = datetime.now(UTC)
        accounts.database.call(lambda session: accounts.reset(session, name, hashed, given.totp_secret, now))
    _show(name, given)


@counselor.command()
def disable(name: Name) -> None:
    """Let nobody sign in to an account any more, and end its sessions at once."""
    with _open(read_settings()) as accounts:
        accounts.database.call(lambda session: accounts.disable(session, name, datetime.now(UTC)))
    typer.echo(f"{name} is disabled; `handrail counselor reset {name}` lets them in again")


@audit.command()
def verify(
    noted: Annotated[str, typer.Option("--noted", help="the end an earlier run printed: it must still be there")] = "",
) -> None:
    """Check that no entry of the audit was changed, removed, moved or put in between."""
    settings = read_settings()
    with _open(settings) as accounts:
        end, wrong = _audit(settings).verify(accounts.database, noted)
    if wrong:
        raise HandrailError(f"the audit was changed: {wrong}; compare with a backup")
    typer.echo(f"{end.partition(':')[0]} entries, all as they were written\n{end}")


def make_demo_counselor(settings: Settings) -> None:
    """Make a demo counselor in demo mode when there is no account yet, and say how to sign in, once."""
    if settings.mode != "demo":
        return
    try:
        with _open(settings) as accounts:
            if accounts.database.call(accounts.all, writes=False):
                return
            given = _add(accounts, DEMO_NAME, "Demo counselor", Role.LEAD)
    except StoreAway:
        typer.echo("No demo counselor was made: the record is away. `handrail counselor add NAME` makes one later.")
        return
    typer.echo("A counselor for the demonstration was made. This is shown once:")
    _show(DEMO_NAME, given)


def _add(accounts: Accounts, name: str, display_name: str, role: Role) -> Credentials:
    from bot.console.auth import check_name, hash_password, make_credentials

    check_name(name)
    given = make_credentials()
    hashed = hash_password(given.password)
    accounts.database.call(
        lambda session: accounts.add(
            session,
            name=name,
            display_name=display_name[:60],
            role=role.value,
            password_hash=hashed,
            totp_secret=given.totp_secret,
            now=datetime.now(UTC),
        )
    )
    return given


def _show(name: str, given: Credentials) -> None:
    from bot.console.auth import totp_uri

    typer.echo(f"  name:        {name}\n  password:    {given.password}\n  TOTP secret: {given.totp_secret}")
    typer.echo(f"  for an authenticator app: {totp_uri(name, given.totp_secret)}")


@contextmanager
def _open(settings: Settings) -> Iterator[Accounts]:
    from bot.store.accounts import Accounts
    from bot.store.cipher import Cipher, read_keys
    from bot.store.engine import Database

    def reread() -> tuple[str, ...]:
        return read_keys(settings.home / "keys").encryption

    database = Database(settings.database, PATIENT_SECONDS)
    try:
        database.migrate()
        yield Accounts(database, Cipher(reread(), reread), _audit(settings))
    finally:
        database.close()


def _audit(settings: Settings) -> Audit:
    from bot.store.audit import Audit
    from bot.store.cipher import read_keys

    return Audit(read_keys(settings.home / "keys").lookup)
