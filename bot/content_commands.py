"""`handrail content ...`: check, sign, status, new, book."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bot.settings import PRODUCTION_ROLES, read_settings

app = typer.Typer(no_args_is_help=True, help="The reviewed content library.")

Files = Annotated[list[str], typer.Argument(help="files of the content folder, for example items/coping/halt.md")]


@app.command()
def check() -> None:
    """Fail on anything a person must not read: unsigned, altered, expired, wrong numbers, harmful or hard words."""
    from bot.content import check as checks

    settings = read_settings()
    problems = checks.check(settings.content_folder, now=datetime.now(UTC), roles=settings.reviewer_roles)
    for problem in problems:
        typer.echo(f"{problem.file}: {problem.what}\n    -> {problem.fix}")
    typer.echo(f"content: {len(problems)} problems" if problems else "content: all good")
    raise typer.Exit(1 if problems else 0)


@app.command()
def status(
    production: Annotated[bool, typer.Option("--production", help="show only what production would not serve")] = False,
) -> None:
    """Show each item's sign-off, reviewer and due date, the hotlines to check, and what production still needs."""
    from bot.content import status as states

    settings, now = read_settings(), datetime.now(UTC)
    folder = settings.content_folder
    refused = [row for row in states.status(folder, now=now, roles=PRODUCTION_ROLES) if row.state != "signed"]
    rows = refused if production else states.status(folder, now=now, roles=settings.reviewer_roles)
    typer.echo(states.table(rows))
    for line in states.lines_to_check(folder, now=now):
        typer.echo(f"{line}: check this hotline again")
    typer.echo(f"{len(refused)} texts still need a clinician's sign-off before production serves them")


@app.command()
def sign(
    files: Files,
    reviewer: Annotated[str, typer.Option(help="an id in content/reviewers.yml")],
    key: Annotated[Path, typer.Option(help="the reviewer's private key file")],
    yes: Annotated[bool, typer.Option("--yes", help="sign without asking; for the demonstration reviewer")] = False,
) -> None:
    """Show exactly what would be signed, ask, and append the sign-off to the ledger."""
    from bot.content import signing

    folder, now = read_settings().content_folder, datetime.now(UTC)
    private = signing.read_key(key)
    for file in files:
        typer.echo(signing.review_sheet(folder, file, find_signed) if not yes else file)
        if yes or typer.confirm("Sign exactly this?"):
            entry = signing.sign(folder, file, reviewer=reviewer, key=private, now=now)
            typer.echo(
                f"signed: {entry.item} ({entry.language}) version {entry.version}, review again {entry.next_review}"
            )


@app.command()
def key(file: Annotated[Path, typer.Argument(help="the private key file to make; it stays with the reviewer")]) -> None:
    """Make a reviewer's key for signing and print the public half, for content/reviewers.yml."""
    from bot.content import signing

    typer.echo(f"public_key: {signing.make_key(file)}")


@app.command()
def new(
    item: Annotated[str, typer.Argument(help="folder/name, for example coping/short-walk")],
    language: Annotated[str, typer.Option(help="en or es")] = "en",
) -> None:
    """Make the file of a new item, to be filled in and signed."""
    from bot.content import signing

    text = signing.new_item(item, language)
    path = read_settings().content_folder / "items" / f"{item}{'' if language == 'en' else '.' + language}.md"
    if path.exists():
        raise typer.BadParameter(f"{path.name} is there already; edit it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    typer.echo(f"made {path}")


@app.command()
def book(target: Annotated[Path, typer.Argument(help="the HTML file to write")] = Path("handrail-book.html")) -> None:
    """Write every item with its sources, sign-off and due date into one HTML file, for reading on paper or screen."""
    from bot.content.book import write_book

    write_book(read_settings().content_folder, target, now=datetime.now(UTC))
    typer.echo(f"wrote {target}")


def find_signed(path: Path, sha256: str) -> bytes | None:
    """Return the bytes of a file that were signed, from its git history; None where there is no such history."""
    for commit in _git(path, "log", "--format=%H", "--", path.name).decode().split():
        old = _git(path, "show", f"{commit}:./{path.name}")
        if hashlib.sha256(old).hexdigest() == sha256:
            return old
    return None


def _git(path: Path, *arguments: str) -> bytes:
    """Return what a git command says in the folder of a file; nothing where git or a repository is missing."""
    try:
        command = ["git", *arguments]  # whichever git the reviewer uses
        done = subprocess.run(command, cwd=path.parent, capture_output=True, check=False)  # noqa: S603
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""
