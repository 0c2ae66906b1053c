"""`handrail report period|referrals`: numbers for those who run this and for those who ask; nobody is in them."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.errors import HandrailError, SettingsError
from bot.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

PATIENT_SECONDS = 30.0

report = typer.Typer(no_args_is_help=True, help="Numbers without anybody in them.")


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"


@report.command()
def period(
    which: Annotated[str, typer.Argument(help="a month, 2026-11, or a year, 2026")],
    format: Annotated[Format, typer.Option(help="json or csv")] = Format.CSV,
) -> None:
    """Print the console's report: waits, flags, outcomes, what was heard and shown. Small numbers are withheld."""
    from bot.desk.reports import make_report

    try:
        made = _read(lambda session: make_report(session, which))
    except ValueError as error:
        raise SettingsError(str(error)) from None
    typer.echo((made.as_csv() if format is Format.CSV else made.as_json()).rstrip())


@report.command()
def referrals(
    year: Annotated[int, typer.Option(help="the calendar year", min=2020, max=2200)],
    format: Annotated[Format, typer.Option(help="json or csv")] = Format.JSON,
) -> None:
    """Print how often people were referred to crisis lines in a year (Cal. Bus. & Prof. Code 22603(a)(1))."""
    from bot.desk.reports import make_referrals

    made: dict[str, Any] = _read(lambda session: make_referrals(session, year))
    if format is Format.JSON:
        typer.echo(json.dumps(made, indent=1))
        return
    for name, value in made.items():
        nested = value.items() if isinstance(value, dict) else ()
        typer.echo("\n".join(f"{name},{label},{each}" for label, each in nested) if nested else f"{name},,{value}")


def _read(work: Callable[[Session], Any]) -> Any:
    from bot.store.engine import Database

    database = Database(read_settings().database, PATIENT_SECONDS)
    try:
        if not database.is_current():
            raise HandrailError("the record's schema is behind: start the desk once, it brings it up")
        return database.call(work, writes=False)
    finally:
        database.close()
