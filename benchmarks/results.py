"""Writes a benchmark's table to benchmarks/results/ with commit and date, and prints it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def write_result(name: str, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Write `name`.md; the table says which commit, when, and on how many processors it was measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    dirty = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=False).stdout.strip()
    lines = [
        f"# {title}",
        "",
        f"Commit {commit}{' with changes' if dirty else ''}, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}.",
        "",
        "| " + " | ".join(header) + " |",
        "| " + " | ".join("---" for _ in header) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    text = "\n".join([*lines, *(["", note] if note else []), ""])
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text)
    print(text)
