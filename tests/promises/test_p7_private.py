"""P7: nothing a person wrote is readable on disk, in logs, metrics or errors."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.promises import faults
from tests.stack import Stack

pytestmark = pytest.mark.stack

SENTENCES = [
    "my neighbour zebulon sold me the marmalade",
    "quetzalcoatl street is where i get the cravings",
    "i want to kill myself behind the periwinkle shed",
]


def every_byte(folder: Path) -> bytes:
    held = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # recorded from the spool meanwhile
            held.append(path.read_bytes() if path.is_file() else b"")
    return b"\n".join(held)


def test_no_word_is_readable_on_disk_or_in_logs_and_metrics(sqlite_stack: Stack) -> None:
    person = sqlite_stack.person()
    for sentence in SENTENCES:
        person.say(sentence)
    with faults.database_locked(sqlite_stack):
        for sentence in SENTENCES:
            person.post(sentence)
        assert_unreadable(every_byte(sqlite_stack.home), person.token)
    assert_unreadable(every_byte(sqlite_stack.home), person.token)
    metrics = httpx.get(f"{sqlite_stack.url}/metrics", trust_env=False).content
    assert_unreadable(metrics, person.token)


def assert_unreadable(held: bytes, token: str) -> None:
    for sentence in SENTENCES:
        for word in sentence.split():
            if len(word) > 8:
                assert word.encode() not in held, word
    assert token.encode() not in held


def test_the_state_folder_is_private(sqlite_stack: Stack) -> None:
    assert (sqlite_stack.home / "keys").stat().st_mode & 0o077 == 0
    for path in (sqlite_stack.home / "keys").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    for path in (sqlite_stack.home / "spool").glob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_limits_are_said_before_details_are_asked_for(sqlite_stack: Stack) -> None:
    for language, words in (("en", ("program", "Counselors", "child")), ("es", ("programa", "niñ"))):
        opening = sqlite_stack.person(language).opening[0]["text"].lower()
        assert all(word.lower() in opening for word in words), opening
