"""A problem: one thing wrong in the content folder, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from bot.errors import ContentError


@dataclass(frozen=True)
class Problem:
    """The file (relative to the content folder), what is wrong with it, and the fix."""

    file: str
    what: str
    fix: str


def problem_of(file: str, error: Exception) -> Problem:
    """Return an error as a Problem; a ContentError's message reads `file: what: fix`."""
    if isinstance(error, OSError):
        return Problem(file, "is missing or cannot be read", "restore the file and its permissions")
    if not isinstance(error, ContentError):
        return Problem(file, f"cannot be used ({type(error).__name__})", "correct the file, and report this as a fault")
    what, _, fix = str(error).removeprefix(f"{file}: ").rpartition(": ")
    return Problem(file, what, fix)
