"""The `handrail` command."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from bot import backup_commands, content_commands, counselor_commands, report_commands, upkeep_commands
from bot.errors import HandrailError
from bot.settings import read_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run and look after a Handrail installation.")
crisis = typer.Typer(no_args_is_help=True, help="The crisis guard.")
app.add_typer(crisis, name="crisis")
app.add_typer(upkeep_commands.keys, name="keys")
app.add_typer(upkeep_commands.retention, name="retention")
app.command()(upkeep_commands.erase)
app.command()(backup_commands.backup)
app.command()(backup_commands.restore)
app.add_typer(counselor_commands.counselor, name="counselor")
app.add_typer(counselor_commands.audit, name="audit")
app.add_typer(report_commands.report, name="report")
app.add_typer(content_commands.app, name="content")


class Part(StrEnum):
    ALL = "all"
    DESK = "desk"
    CONSOLE = "console"
    RASA = "rasa"
    ACTIONS = "actions"


@app.command()
def serve(
    part: Annotated[Part, typer.Argument(help="which process; all of them under supervisor")] = Part.ALL,
    training: Annotated[bool, typer.Option("--train/--no-train", help="train first when data changed")] = True,
) -> None:
    """Start the desk, Rasa and the actions, or one process in the foreground: desk, console, rasa or actions."""
    from bot import processes
    from bot.production import require_production

    settings = read_settings()
    if part is Part.ALL:
        upkeep_commands.make_missing_keys(settings)
        require_production(settings)
        counselor_commands.make_demo_counselor(settings)
        if training:
            processes.train(settings, typer.echo)
        raise typer.Exit(processes.serve_all(settings, typer.echo))
    start = {
        Part.DESK: processes.serve_desk,
        Part.CONSOLE: processes.serve_console,
        Part.RASA: processes.serve_rasa,
        Part.ACTIONS: processes.serve_actions,
    }
    start[part](settings)


@app.command()
def train(force: Annotated[bool, typer.Option(help="train even when nothing changed")] = False) -> None:
    """Train the Rasa model when config.yml, domain.yml, data/ or the guard's model changed."""
    from bot import processes

    settings = read_settings()
    if not processes.train(settings, typer.echo, force=force):
        typer.echo("The model is up to date.")


@app.command()
def doctor() -> None:
    """Say what is wrong with this installation, each thing with its remedy."""
    from bot.doctor import examine

    settings = read_settings()
    findings = examine(settings)
    for finding in findings:
        typer.echo(
            f"{'ok   ' if finding.ok else 'WRONG'}  {finding.what}"
            + ("" if finding.ok else f"\n       -> {finding.remedy}")
        )
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command()
def chat(
    jsonl: Annotated[bool, typer.Option("--jsonl", help="read {text} lines, answer {replies, flagged} lines")] = False,
    url: Annotated[str, typer.Option(help="the desk; default: the one of this machine's settings")] = "",
    language: Annotated[str, typer.Option(help="en or es")] = "en",
) -> None:
    """Talk to a running desk through its public API, one conversation a run."""
    from bot.chat import Chat

    settings = read_settings()
    with Chat(url or f"http://{settings.host}:{settings.port}", language) as talk:
        if jsonl:
            for line in sys.stdin:
                if line.strip():
                    print(json.dumps(talk.say(_text(line)), ensure_ascii=False), flush=True)
            return
        typer.echo(talk.opening + "\n(an empty line or Ctrl-D ends)\n")
        while text := _prompt():
            for reply in talk.say(text)["replies"]:
                typer.echo(f"\n{reply['text']}")
                for number, choice in enumerate(reply["choices"], 1):
                    typer.echo(f"  [{number}] {choice}")
            typer.echo("")


@crisis.command()
def assess() -> None:
    """Read one JSON object a line ({text, lang?}) and answer {category, concern, about, why} a line, in order."""
    from bot.crisis import Guard

    guard = Guard.load()
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text = row["text"]
        except (ValueError, KeyError, TypeError):
            raise typer.BadParameter(f"line {number} is not an object with a text") from None
        decision = guard.assess(str(text), row.get("lang"))
        answer = {
            "category": decision.category,
            "concern": decision.concern,
            "about": decision.about,
            "why": list(decision.why),
        }
        print(json.dumps(answer))


def _text(line: str) -> str:
    try:
        return str(json.loads(line)["text"])
    except (ValueError, KeyError, TypeError):
        raise typer.BadParameter('each line must be a JSON object like {"text": "hello"}') from None


def _prompt() -> str:
    try:
        return input("you> ").strip()
    except EOFError:
        return ""


def main() -> None:
    """Run the command; a HandrailError becomes one line that names the remedy, and exit status 1."""
    try:
        app()
    except HandrailError as error:
        typer.echo(f"handrail: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
